// SPDX-FileCopyrightText: 2026 subbyte contributors
// SPDX-License-Identifier: Apache-2.0
//
// A Verilated design behind a serial line, bit by bit, driven by commands on standard input; an answer a line.
//   b           hold the line low for a break                        -> .
//   x HEX       send bytes, if any, without a pause                  -> .HEX: what has come meanwhile
//   r BITS      wait for a byte, at most so many bits                -> .HEX
// Arguments: cycles of a bit.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "Vtop.h"
#include "verilated.h"

namespace {

[[noreturn]] void fail(const char* message) {
    std::printf("error %s\n", message);
    std::exit(2);
}

class Line {
public:
    explicit Line(int divisor) : divisor_(divisor) { top_.rx = 1; }
    ~Line() { top_.final(); }

    void hold(int level, int bits) {
        top_.rx = level;
        for (int n = 0; n < bits * divisor_; ++n) step();
    }
    void send(int byte) {
        hold(0, 1);
        for (int n = 0; n < 8; ++n) hold(byte >> n & 1, 1);
        hold(1, 1);
    }
    void await(long bits) {
        for (long n = 0; n < bits * divisor_ && received_.empty(); ++n) step();
    }
    std::string take() {
        std::string taken;
        taken.swap(received_);
        return taken;
    }

private:
    void step() {
        top_.clk = 0;
        top_.eval();
        listen(top_.tx);
        top_.clk = 1;
        top_.eval();
    }
    // Samples in the middle of bits: the start bit, eight of a byte, the stop bit, which is low only if a reset cut it short.
    void listen(int level) {
        if (!in_frame_) {
            in_frame_ = !level;
            cycle_ = 0;
            return;
        }
        if (++cycle_ % divisor_ != divisor_ / 2) return;
        const int bit = cycle_ / divisor_;
        if (bit == 0) {
            in_frame_ = !level;
            byte_ = 0;
        } else if (bit <= 8) {
            byte_ |= level << (bit - 1);
        } else {
            if (level) received_ += static_cast<char>(byte_);
            in_frame_ = false;
        }
    }

    const int divisor_;
    Vtop top_;
    std::string received_;
    bool in_frame_ = false;
    int cycle_ = 0, byte_ = 0;
};

void answer(const std::string& bytes) {
    std::putchar('.');
    for (unsigned char byte : bytes) std::printf("%02x", byte);
    std::putchar('\n');
    std::fflush(stdout);
}

int nibble(int digit) {
    const char* digits = "0123456789abcdef";
    const char* place = digit ? std::strchr(digits, digit) : nullptr;
    if (!place) fail("bytes must be hexadecimal");
    return static_cast<int>(place - digits);
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 2) fail("one argument");
    Line line(std::atoi(arguments[1]));
    int command = 0;
    while ((command = std::getchar()) != EOF) {
        int digit = std::getchar();
        if (command == 'b') {
            line.hold(0, 15);
            line.hold(1, 3);
        } else if (command == 'x') {
            while ((digit = std::getchar()) != '\n') line.send(nibble(digit) << 4 | nibble(std::getchar()));
        } else if (command == 'r') {
            long bits = 0;
            if (std::scanf("%ld", &bits) != 1) fail("a number of bits");
            digit = std::getchar();
            line.await(bits);
        } else {
            fail("unknown command");
        }
        answer(command == 'b' ? std::string() : line.take());
    }
    return 0;
}
