// SPDX-FileCopyrightText: 2026 subbyte contributors
// SPDX-License-Identifier: Apache-2.0
//
// The C driver on a Verilated accelerator, by commands on standard input; an answer a line, a status first.
//   open | reset | start NUMBERS | try NUMBERS | run NUMBERS | poll JOB | wait JOB | sleep JOB | window FIRST LAST LOCK | clear
//   counters | text STATUS | limit POLLS | interrupts 0/1 | irq
// NUMBERS are the members of a job in their order; `sleep` waits with the interrupt and no poll in between. The arguments are those
// of memory_driver.cpp, which is this program's other half.
#define main memory_driver_main
#include "memory_driver.inc"
#undef main

#define SUBBYTE_BUS
extern "C" {
#include "subbyte.h"
uint32_t subbyte_bus_read(uintptr_t address);
void subbyte_bus_write(uintptr_t address, uint32_t value);
}

static const uintptr_t BASE = 0x40000000;
static Machine* machine;
static unsigned long reads, writes;
extern "C" uint32_t subbyte_bus_read(uintptr_t address) {
    ++reads;
    return machine->read(static_cast<uint32_t>(address - BASE));
}
extern "C" void subbyte_bus_write(uintptr_t address, uint32_t value) {
    ++writes;
    machine->write(static_cast<uint32_t>(address - BASE), value);
}

extern "C" {
#include "subbyte_c.inc"
}

// A CPU that sleeps: cycles pass until the interrupt comes, whose handler runs then.
static void idle(subbyte_device* device, uint32_t seen) {
    for (int n = 0; n < 10000000 && device->events == seen; ++n) {
        if (machine->interrupted()) subbyte_interrupt(device);
        else machine->pass(1);
    }
}

static subbyte_job read_job(const char* text) {
    uint32_t v[19];
    int used = 0;
    for (uint32_t& value : v) {
        if (std::sscanf(text, " %" SCNu32 "%n", &value, &used) != 1) fail("a job has 19 numbers");
        text += used;
    }
    return {v[0], v[1], v[2], v[3], v[4], v[5], v[6], {v[7], v[8]}, {v[9], v[10]}, {v[11], v[12]}, {v[13], v[14]},
            {v[15], v[16]}, {v[17], v[18]}};
}

int main(int count, char** arguments) {
    if (count != 5) fail("four arguments");
    Machine made(arguments[1], std::strtoull(arguments[2], nullptr, 10), std::atof(arguments[3]), std::atoi(arguments[4]));
    machine = &made;
    subbyte_device device = {};
    device.base = BASE;
    char line[512], command[16];
    while (std::fgets(line, sizeof line, stdin)) {
        int used = 0;
        std::sscanf(line, "%15s%n", command, &used);
        const char* rest = line + used;
        const auto is = [&](const char* name) { return !std::strcmp(command, name); };
        uint32_t a = 0, b = 0, c = 0, number = 0;
        if (is("start") || is("try") || is("run")) {
            const subbyte_job job = read_job(rest);
            reads = writes = 0;
            const subbyte_status status = is("start") ? subbyte_start(&device, &job, &number)
                : is("try") ? subbyte_try_start(&device, &job, &number) : subbyte_run(&device, &job);
            std::printf("%d %" PRIu32 " %lu %lu\n", status, number, reads, writes);
        } else {
            std::sscanf(rest, "%" SCNu32 " %" SCNu32 " %" SCNu32, &a, &b, &c);
            if (is("open")) {
                const subbyte_status status = subbyte_open(&device);
                std::printf("%d %s %u %u %u %u %u %u %u\n", status, device.scheme, device.rows, device.cols, device.lanes,
                            device.largest_k, device.bus_bytes, device.queue, device.buffer_words);
            } else if (is("counters")) {
                subbyte_counters n;
                subbyte_read_counters(&device, &n);
                std::printf("0 %u %u %u %u %u %u\n", n.cycles, n.busy_cycles, n.read_beats, n.write_beats, n.bus_errors,
                            device.events);
            } else if (is("text")) {
                std::printf("%s\n", subbyte_text(static_cast<subbyte_status>(a)));
            } else {
                subbyte_status status = SUBBYTE_OK;
                if (is("reset")) status = subbyte_reset(&device);
                else if (is("poll")) status = subbyte_poll(&device, a);
                else if (is("wait")) status = subbyte_wait(&device, a);
                else if (is("sleep")) {
                    device.idle = idle;
                    status = subbyte_wait(&device, a);
                    device.idle = nullptr;
                } else if (is("window")) subbyte_window(&device, a, b, static_cast<int>(c));
                else if (is("clear")) subbyte_clear_data(&device);
                else if (is("limit")) device.limit = a;
                else if (is("irq")) status = static_cast<subbyte_status>(machine->interrupted());
                else if (is("interrupts")) subbyte_enable_interrupt(&device, static_cast<int>(a));
                else fail("unknown command");
                std::printf("%d\n", status);
            }
        }
        std::fflush(stdout);
    }
    return 0;
}
