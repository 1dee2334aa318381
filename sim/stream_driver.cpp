// SPDX-FileCopyrightText: 2026 subbyte contributors
// SPDX-License-Identifier: Apache-2.0
//
// Drives the streams of a Verilated model from files, a cycle at a time, and writes down what comes out.
// `ports.h`, generated beside this file, names the model's ports. Arguments, in order: seed, cycles of reset,
// cycle of a second reset (-1: none), cycles without a transfer that count as a deadlock, cycles to watch after the
// last expected beat; then for each input its share of idle cycles, for each output its share of stalled cycles, whether
// it is ready only for a beat that waits already (1), and its number of beats. Files, in the current directory: NAME.in, NAME.out (words), NAME.cycles (one uint64 a beat).
// Inputs outside the streams are held at the one word of their NAME.in. A payload means nothing while its `valid` is low:
// there it is noise, other noise in each cycle, before, within and after a run and during a reset.

#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "Vtop.h"
#include "verilated.h"
#if VM_COVERAGE
#include "verilated_cov.h"
#endif
#if VM_TRACE
#if VM_TRACE_FST
#include "verilated_fst_c.h"
using Trace = VerilatedFstC;
static const char* const TRACE_FILE = "dump.fst";
#else
#include "verilated_vcd_c.h"
using Trace = VerilatedVcdC;
static const char* const TRACE_FILE = "dump.vcd";
#endif
#endif

#include "ports.h"

namespace {

// xorshift64*: each stream has its own, so that one stream's knob does not change another's sequence.
class Random {
public:
    explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 0x2545F4914F6CDD1Du) { next(); }
    bool chance(double probability) { return (next() >> 11) * 0x1p-53 < probability; }
    uint64_t next() {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return state_ * 0x2545F4914F6CDD1Du;
    }

private:
    uint64_t state_;
};

[[noreturn]] void fail(const std::string& message) {
    std::printf("error %s\n", message.c_str());
    std::exit(2);
}

void write_file(const std::string& name, const void* data, size_t size) {
    std::FILE* file = std::fopen(name.c_str(), "wb");
    if (!file || std::fwrite(data, 1, size, file) != size || std::fclose(file)) fail("cannot write " + name);
}

std::vector<uint8_t> read_file(const std::string& name) {
    std::FILE* file = std::fopen(name.c_str(), "rb");
    if (!file) fail("cannot read " + name);
    std::fseek(file, 0, SEEK_END);
    std::vector<uint8_t> bytes(std::ftell(file));
    std::rewind(file);
    if (std::fread(bytes.data(), 1, bytes.size(), file) != bytes.size()) fail("cannot read " + name);
    std::fclose(file);
    return bytes;
}

struct Input {
    Port port;
    double idle;
    Random random, noise;  // apart, so that what is on an idle payload does not move the pauses
    std::vector<uint8_t> words;
    size_t beats, beat = 0;
    uint64_t first_offer = UINT64_MAX;
    std::vector<uint64_t> cycles{};

    // A beat once offered stays until it is taken, with its payload untouched.
    void drive(uint64_t cycle) {
        if (*port.valid) return;
        if (beat < beats && !random.chance(idle)) {
            std::memcpy(port.payload, &words[beat * port.bytes], port.bytes);
            *port.valid = 1;
            if (!beat) first_offer = cycle;
        } else {
            scramble();
        }
    }
    // Noise for a cycle without a beat; Verilator wants zeros above the payload's bits.
    void scramble() {
        for (size_t at = 0; at < port.bytes; at += sizeof(uint64_t)) {
            const uint64_t bits = noise.next();
            std::memcpy(port.payload + at, &bits, std::min(port.bytes - at, sizeof bits));
        }
        if (port.bits % 8) port.payload[port.bytes - 1] &= (1 << port.bits % 8) - 1;
    }
    bool transfers() const { return *port.valid && *port.ready; }
    void accept(uint64_t cycle) {
        cycles.push_back(cycle);
        *port.valid = 0;
        ++beat;
    }
    void restart() {
        *port.valid = 0;
        beat = 0;
        cycles.clear();
    }
};

struct Output {
    Port port;
    double stall;
    bool waits;
    size_t expected;
    Random random;
    bool held = false;
    std::vector<uint8_t> words{}, previous{};
    std::vector<uint64_t> cycles{};

    void drive() { *port.ready = (held || !waits) && !random.chance(stall); }
    bool transfers() const { return *port.valid && *port.ready; }
    // Called once a cycle with settled values: checks that a waiting beat does not change, then takes it.
    bool observe(uint64_t cycle) {
        const std::string name = port.name;
        if (held && !*port.valid)
            fail("the model withdrew a waiting beat of " + name + " in cycle " + std::to_string(cycle));
        if (held && std::memcmp(previous.data(), port.payload, port.bytes))
            fail("the model changed the payload of a waiting beat of " + name + " in cycle " + std::to_string(cycle));
        held = *port.valid && !*port.ready;
        if (held) previous.assign(port.payload, port.payload + port.bytes);
        if (!transfers()) return false;
        if (cycles.size() == expected)
            fail("the model sent more than the expected " + std::to_string(expected) + " beats of " + name
                 + ": one more in cycle " + std::to_string(cycle));
        words.insert(words.end(), port.payload, port.payload + port.bytes);
        cycles.push_back(cycle);
        return true;
    }
    void restart() {
        held = false;
        words.clear();
        cycles.clear();
    }
};

class Bench {
public:
    explicit Bench(char** arguments)
        : seed_(std::strtoull(next(arguments), nullptr, 10)), reset_cycles_(std::atoi(next(arguments))),
          reset_at_(std::atoll(next(arguments))), patience_(std::strtoull(next(arguments), nullptr, 10)),
          tail_(std::strtoull(next(arguments), nullptr, 10)) {
        // Where it is counted what moves, power-up shall not move anything.
        context_.randReset(VM_COVERAGE ? 0 : 2);
        context_.randSeed(static_cast<int>(seed_ % 0x7FFFFFFE) + 1);
        top_ = std::make_unique<Vtop>(&context_);
        for (const Port& port : plain_inputs(*top_))
            std::memcpy(port.payload, read_file(std::string(port.name) + ".in").data(), port.bytes);
        uint64_t stream = seed_ * 64;
        for (const Port& port : input_ports(*top_)) {
            std::vector<uint8_t> words = read_file(std::string(port.name) + ".in");
            const size_t beats = words.size() / port.bytes;
            const double idle = std::atof(next(arguments));
            ++stream;
            inputs_.push_back({port, idle, Random(stream), Random(~stream), std::move(words), beats});
            total_ += beats;
        }
        for (const Port& port : output_ports(*top_)) {
            const double stall = std::atof(next(arguments));
            const bool waits = std::atoi(next(arguments));
            outputs_.push_back({port, stall, waits, std::strtoull(next(arguments), nullptr, 10), Random(++stream)});
            total_ += outputs_.back().expected;
        }
#if VM_TRACE
        context_.traceEverOn(true);
        top_->trace(&trace_, 99);
        trace_.open(TRACE_FILE);
#endif
    }

    void run() {
        reset();
        if (reset_at_ >= 0) {
            while (cycle_ < static_cast<uint64_t>(reset_at_)) step();
            reset();
        }
        uint64_t last_transfer = 0, report = REPORT;
        while (transferred() < total_) {
            if (step()) last_transfer = cycle_;
            if (cycle_ - last_transfer > patience_)
                fail("no transfer for " + std::to_string(patience_) + " cycles: " + state());
            if (cycle_ >= report) {
                std::printf("progress %" PRIu64 " %zu %zu\n", cycle_, transferred(), total_);
                std::fflush(stdout);
                report += REPORT;
            }
        }
        for (uint64_t n = 0; n < tail_; ++n) step();
    }

    void finish() {
        uint64_t first = 0;
        for (const Input& input : inputs_) {
            write_file(std::string(input.port.name) + ".cycles", input.cycles.data(), input.cycles.size() * 8);
            if (input.beats && input.first_offer > first) first = input.first_offer;
        }
        for (const Output& output : outputs_) {
            write_file(std::string(output.port.name) + ".out", output.words.data(), output.words.size());
            write_file(std::string(output.port.name) + ".cycles", output.cycles.data(), output.cycles.size() * 8);
        }
        for (const Port& port : status_ports(*top_))
            write_file(std::string(port.name) + ".out", port.payload, port.bytes);
        top_->final();
#if VM_TRACE
        trace_.close();
#endif
#if VM_COVERAGE
        context_.coveragep()->write("coverage.dat");
#endif
        std::printf("done %" PRIu64 " %" PRIu64 "\n", first, cycle_);
    }

private:
    static constexpr uint64_t REPORT = 1u << 17;

    static const char* next(char**& arguments) {
        if (!*arguments) fail("too few arguments");
        return *arguments++;
    }

    void reset() {
        for (Input& input : inputs_) input.restart();
        for (Output& output : outputs_) {
            output.restart();
            *output.port.ready = 0;
        }
        top_->rst = 1;
        for (int n = 0; n < reset_cycles_; ++n) {
            for (Input& input : inputs_) input.scramble();
            settle();
            tick();
        }
        top_->rst = 0;
        cycle_ = 0;
    }

    // One cycle: drive, let everything settle (ready may depend on any valid), look, then the rising edge.
    bool step() {
        for (Input& input : inputs_) input.drive(cycle_);
        for (Output& output : outputs_) output.drive();
        settle();
        bool any = false;
        taken_.clear();
        for (Output& output : outputs_) any |= output.observe(cycle_);
        for (Input& input : inputs_)
            if (input.transfers()) taken_.push_back(&input);
        tick();
        // Only now: what a transfer changes at a port must come after the edge that performs it.
        for (Input* input : taken_) input->accept(cycle_);
        ++cycle_;
        return any || !taken_.empty();
    }

    void settle() {
        top_->clk = 0;
        evaluate();
    }
    void tick() {
        top_->clk = 1;
        evaluate();
    }
    void evaluate() {
        top_->eval();
#if VM_TRACE
        trace_.dump(time_);
        time_ += 5;
#endif
    }

    size_t transferred() const {
        size_t sum = 0;
        for (const Input& input : inputs_) sum += input.beat;
        for (const Output& output : outputs_) sum += output.cycles.size();
        return sum;
    }
    std::string state() const {
        std::string text;
        for (const Input& input : inputs_) {
            text += std::string(input.port.name) + " took " + std::to_string(input.beat) + " of "
                    + std::to_string(input.beats) + (input.beat < input.beats ? " (waits for ready); " : "; ");
        }
        for (const Output& output : outputs_)
            text += std::string(output.port.name) + " gave " + std::to_string(output.cycles.size()) + " of "
                    + std::to_string(output.expected)
                    + (output.cycles.size() < output.expected ? " (waits for valid); " : "; ");
        return text.substr(0, text.size() - 2);
    }

    const uint64_t seed_;
    const int reset_cycles_;
    const int64_t reset_at_;
    const uint64_t patience_, tail_;
    VerilatedContext context_;
    std::unique_ptr<Vtop> top_;
#if VM_TRACE
    Trace trace_;
    uint64_t time_ = 0;
#endif
    std::vector<Input> inputs_;
    std::vector<Output> outputs_;
    std::vector<Input*> taken_;
    uint64_t cycle_ = 0;
    size_t total_ = 0;
};

}  // namespace

int main(int, char** arguments) {
    Bench bench(arguments + 1);
    bench.run();
    bench.finish();
    return 0;
}
