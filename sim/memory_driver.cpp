// SPDX-FileCopyrightText: 2026 subbyte contributors
// SPDX-License-Identifier: Apache-2.0
//
// A Verilated accelerator in front of a simulated DRAM, driven by commands on standard input; an answer a line.
//   r ADDRESS              read a register               -> value
//   w ADDRESS VALUE        write one                     -> ok
//   u ADDRESS MASK LIMIT   read it until a bit of MASK is set, at most LIMIT cycles -> value
//   p CYCLES               let them pass                 -> 0
//   c                      cycles since reset            -> value
//   t                      processor time so far         -> microseconds
// Arguments: file of the DRAM's bytes, which its owner maps too; latency of a read in cycles; bytes a cycle, 0: a beat; seed.
// The DRAM answers in order: the first beat of a burst `latency` cycles after its address, further ones at its bandwidth, which
// writes share with reads.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <memory>

#include "Vtop.h"
#include "verilated.h"
#include "bus.h"

namespace {

[[noreturn]] void fail(const char* message) {
    std::printf("error %s\n", message);
    std::exit(2);
}

struct Beat {
    uint64_t address, at;
    int id;
    bool last, error;
};

class Machine {
public:
    Machine(const char* file, uint64_t latency, double bytes_a_cycle, int seed)
        : latency_(latency), pace_(bytes_a_cycle > 0 && bytes_a_cycle < BUS_BYTES ? BUS_BYTES / bytes_a_cycle : 1.0) {
        const int handle = open(file, O_RDWR);
        struct stat info {};
        if (handle < 0 || fstat(handle, &info)) fail("no memory file");
        size_ = info.st_size;
        void* mapped = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, handle, 0);
        if (mapped == MAP_FAILED) fail("cannot map the memory file");
        memory_ = static_cast<uint8_t*>(mapped);
        context_.randReset(2);
        context_.randSeed(seed);
        top_ = std::make_unique<Vtop>(&context_);
        top_->s_axi_awvalid = top_->s_axi_wvalid = top_->s_axi_arvalid = 0;
        top_->s_axi_bready = top_->s_axi_rready = 1;
        top_->m_axi_arready = top_->m_axi_awready = top_->m_axi_wready = 0;
        top_->m_axi_rvalid = top_->m_axi_bvalid = 0;
        top_->rst = 1;
        for (int n = 0; n < 4; ++n) step();
        top_->rst = 0;
        cycle_ = 0;
    }
    ~Machine() { top_->final(); }

    uint32_t read(uint32_t address) {
        top_->s_axi_araddr = address;
        top_->s_axi_arvalid = 1;
        bool taken = false;
        for (int n = 0; n < 100; ++n) {
            taken |= step_until(&Machine::read_taken);
            if (taken) top_->s_axi_arvalid = 0;
            if (answered_) return value_;
        }
        fail("a register does not answer");
    }
    void write(uint32_t address, uint32_t value) {
        top_->s_axi_awaddr = address;
        top_->s_axi_wdata = value;
        top_->s_axi_wstrb = 15;
        top_->s_axi_awvalid = top_->s_axi_wvalid = 1;
        bool address_taken = false, data_taken = false;
        for (int n = 0; n < 100; ++n) {
            settle();
            address_taken |= top_->s_axi_awvalid && top_->s_axi_awready;
            data_taken |= top_->s_axi_wvalid && top_->s_axi_wready;
            const bool answered = top_->s_axi_bvalid;
            edge();
            if (address_taken) top_->s_axi_awvalid = 0;
            if (data_taken) top_->s_axi_wvalid = 0;
            if (answered) return;
        }
        fail("a register does not answer");
    }
    uint32_t until(uint32_t address, uint32_t mask, uint64_t limit) {
        const uint64_t end = cycle_ + limit;
        uint32_t value = read(address);
        while (!(value & mask) && cycle_ < end) {
            for (int n = 0; n < 32; ++n) step();
            value = read(address);
        }
        return value;
    }
    uint64_t cycle() const { return cycle_; }
    bool interrupted() const { return top_->irq; }
    void pass(int cycles) {
        while (cycles-- > 0) step();
    }

private:
    bool read_taken() { return top_->s_axi_arvalid && top_->s_axi_arready; }
    bool step_until(bool (Machine::*taken)()) {
        settle();
        const bool result = (this->*taken)();
        answered_ = top_->s_axi_rvalid;
        value_ = top_->s_axi_rdata;
        edge();
        return result;
    }
    void step() {
        settle();
        edge();
    }
    // Drives what the DRAM gives in this cycle; outputs of the accelerator depend on registers alone.
    void settle() {
        const bool gives = !reads_.empty() && reads_.front().at <= cycle_;
        top_->m_axi_rvalid = gives;
        if (gives) {
            const Beat& beat = reads_.front();
            if (!beat.error) std::memcpy(&top_->m_axi_rdata, memory_ + beat.address, BUS_BYTES);
            top_->m_axi_rid = beat.id;
            top_->m_axi_rlast = beat.last;
            top_->m_axi_rresp = beat.error ? 3 : 0;
        }
        top_->m_axi_bvalid = !responses_.empty() && responses_.front().at <= cycle_;
        if (top_->m_axi_bvalid) top_->m_axi_bresp = responses_.front().error ? 3 : 0;
        top_->m_axi_bid = 0;
        top_->m_axi_arready = reads_.size() < 4096;
        top_->m_axi_awready = writes_.size() < 64;
        top_->m_axi_wready = !writes_.empty();
        top_->clk = 0;
        top_->eval();
    }
    void edge() {
        if (!top_->rst) {
            if (top_->m_axi_rvalid && top_->m_axi_rready) reads_.pop_front();
            if (top_->m_axi_bvalid && top_->m_axi_bready) responses_.pop_front();
            if (top_->m_axi_wvalid && top_->m_axi_wready) take_write();
            if (top_->m_axi_arvalid && top_->m_axi_arready) begin_read();
            if (top_->m_axi_awvalid && top_->m_axi_awready)
                writes_.push_back({static_cast<uint64_t>(top_->m_axi_awaddr), 0, 0, false, false});
        }
        top_->clk = 1;
        top_->eval();
        ++cycle_;
    }
    void begin_read() {
        const int count = top_->m_axi_arlen + 1;
        free_ = std::max(free_, static_cast<double>(cycle_ + latency_));
        for (int n = 0; n < count; ++n) {
            const uint64_t address = top_->m_axi_araddr + static_cast<uint64_t>(n) * BUS_BYTES;
            reads_.push_back({address, static_cast<uint64_t>(free_), top_->m_axi_arid, n == count - 1,
                              address + BUS_BYTES > size_});
            free_ += pace_;
        }
    }
    void take_write() {
        Beat& burst = writes_.front();
        const bool inside = burst.address + BUS_BYTES <= size_;
        const uint8_t* data = reinterpret_cast<const uint8_t*>(&top_->m_axi_wdata);
        const uint64_t strobes = top_->m_axi_wstrb;
        for (int n = 0; inside && n < BUS_BYTES; ++n)
            if (strobes >> n & 1) memory_[burst.address + n] = data[n];
        // Slower than the bus it is one memory for both directions; at the pace of the bus each channel has its own beats.
        if (pace_ > 1.0) free_ = std::max(free_, static_cast<double>(cycle_)) + pace_;
        burst.error |= !inside;
        burst.address += BUS_BYTES;
        if (top_->m_axi_wlast) {
            responses_.push_back({0, cycle_ + latency_, 0, true, burst.error});
            writes_.pop_front();
        }
    }

    const uint64_t latency_;
    const double pace_;
    double free_ = 0;
    VerilatedContext context_;
    std::unique_ptr<Vtop> top_;
    uint8_t* memory_ = nullptr;
    uint64_t size_ = 0, cycle_ = 0;
    std::deque<Beat> reads_, writes_, responses_;
    bool answered_ = false;
    uint32_t value_ = 0;
};

}  // namespace

int main(int count, char** arguments) {
    if (count != 5) fail("four arguments");
    Machine machine(arguments[1], std::strtoull(arguments[2], nullptr, 10), std::atof(arguments[3]), std::atoi(arguments[4]));
    char line[128];
    while (std::fgets(line, sizeof line, stdin)) {
        uint32_t address = 0, value = 0;
        uint64_t limit = 0;
        if (std::sscanf(line, "w %" SCNu32 " %" SCNu32, &address, &value) == 2) {
            machine.write(address, value);
            std::printf("0\n");
        } else if (std::sscanf(line, "r %" SCNu32, &address) == 1) {
            std::printf("%" PRIu32 "\n", machine.read(address));
        } else if (std::sscanf(line, "u %" SCNu32 " %" SCNu32 " %" SCNu64, &address, &value, &limit) == 3) {
            std::printf("%" PRIu32 "\n", machine.until(address, value, limit));
        } else if (std::sscanf(line, "p %" SCNu32, &value) == 1) {
            machine.pass(static_cast<int>(value));
            std::printf("0\n");
        } else if (line[0] == 'c') {
            std::printf("%" PRIu64 "\n", machine.cycle());
        } else if (line[0] == 't') {
            std::printf("%.0f\n", 1e6 * std::clock() / CLOCKS_PER_SEC);
        } else {
            fail("unknown command");
        }
        std::fflush(stdout);
    }
    return 0;
}
