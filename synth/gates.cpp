// SPDX-FileCopyrightText: 2026 subbyte contributors
// SPDX-License-Identifier: Apache-2.0
// Transitions of a netlist of gates: event-driven, every gate as slow as every other (activity.py has the netlist).

#include <cstdint>
#include <vector>

struct Gates {
    const int32_t* first_input;  // of each gate, and one behind the last
    const int32_t* inputs;
    const int32_t* output;
    const int32_t* table;  // where a gate's truth table starts; its first input is the highest bit of the index
    const uint8_t* tables;
    const int32_t* first_reader;  // of each net
    const int32_t* readers;
};

// Let what changed take its effects, and count each change of a net. Steps that it took; -1 if they do not end.
extern "C" int64_t settle(const Gates* gates, uint8_t* value, int64_t* transitions, uint8_t* queued,
                          const int32_t* first_changed, int64_t count, int64_t limit) {
    std::vector<int32_t> changed(first_changed, first_changed + count), queue, next;
    for (int64_t step = 0; step < limit; ++step) {
        if (changed.empty()) return step;
        queue.clear();
        next.clear();
        for (int32_t net : changed)
            for (int32_t i = gates->first_reader[net]; i < gates->first_reader[net + 1]; ++i)
                if (int32_t gate = gates->readers[i]; !queued[gate]) {
                    queued[gate] = 1;
                    queue.push_back(gate);
                }
        for (int32_t gate : queue) {
            int32_t index = 0;
            for (int32_t i = gates->first_input[gate]; i < gates->first_input[gate + 1]; ++i)
                index = 2 * index + value[gates->inputs[i]];
            queued[gate] = 0;
            if (gates->tables[gates->table[gate] + index] != value[gates->output[gate]]) next.push_back(gates->output[gate]);
        }
        for (int32_t net : next) {
            value[net] ^= 1;
            ++transitions[net];
        }
        changed.swap(next);
    }
    return -1;
}
