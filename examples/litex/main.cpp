// SPDX-FileCopyrightText: 2026 subbyte contributors
// SPDX-License-Identifier: Apache-2.0
//
// The simulated SoC: a clock, a reset, and a terminal that shows what the UART sends. It ends when the firmware says so, or after as many
// cycles as the argument says. LiteX's own program can do more, but is compiled with traces of every signal, which takes much longer.

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "Vtop.h"
#include "verilated.h"

int main(int count, char** arguments) {
    const uint64_t limit = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : UINT64_MAX;
    VerilatedContext context;
    Vtop top(&context);
    top.serial_source_ready = 1;
    top.serial_sink_valid = 0;
    uint64_t cycle = 0;
    for (; cycle < limit && !context.gotFinish(); ++cycle) {
        top.sys_rst = cycle < 10;
        top.sys_clk = 0;
        top.eval();
        if (top.serial_source_valid) {
            std::putchar(top.serial_source_data);
            if (top.serial_source_data == '\n') std::fflush(stdout);
        }
        top.sys_clk = 1;
        top.eval();
    }
    top.final();
    std::printf("\n%" PRIu64 " cycles simulated%s\n", cycle, context.gotFinish() ? "" : "; FAIL: the firmware did not end");
    return !context.gotFinish();
}
