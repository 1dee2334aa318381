# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What the cocotb benches of engines share: the products that pytest prepared, and the course each of them is put through."""

import random

from ..sim.cocotb_run import bench_parameters

__all__ = ["as_parameters", "cases", "decode", "describe", "exercise"]

def cases():
    """The products that pytest prepared: what is known of each, streams, expected words, seed."""
    given = bench_parameters()
    for index, case in enumerate(given["cases"]):
        streams = {name: given[f"{name}_{index}"] for name in case["streams"]}
        expected = {"outputs": streams.pop("outputs")}
        yield case, streams, expected, given["seed"] + index


def as_parameters(prepared, seed):
    """Cases, each what the bench asserts and its words of all streams, as parameters of a bench."""
    arrays = {f"{name}_{i}": words for i, (_, streams) in enumerate(prepared) for name, words in streams.items()}
    return {"cases": [{**case, "streams": list(streams)} for case, streams in prepared], "seed": seed, **arrays}


def describe(case):
    """Where in the result an output beat lies."""
    rows, parts, drain = case["rows"], case["cols"] // case["drain"], case["drain"]

    def place(beat):
        tile, rest = divmod(beat, rows * parts)
        row, part = divmod(rest, parts)
        return f"{case['name']}, tile {tile}, row {row}, columns {part * drain}..{part * drain + drain - 1}"

    return place


def decode(case, flags):
    """Results of an output word in hexadecimal, first column first, and its flags, which follow them."""
    width, drain = case["output_bits"], case["drain"]

    def text(word):
        values = [f"{word >> width * i & (1 << width) - 1:0{width // 4}x}" for i in range(drain)]
        raised = [f"{name}={word >> width * drain + i & 1}" for i, name in enumerate(flags)]
        return " ".join([*values, *raised])

    return text


async def exercise(dut, run_case):
    """Each product: exact cycles without pauses; then pauses on each stream alone, on all, and a reset on the way."""
    for case, streams, expected, seed in cases():
        report = await run_case(dut, case, streams, expected, seed=seed)
        assert report.cycles == case["cycles"], f"{case['name']}: {report.cycles} cycles, predicted {case['cycles']}"
        assert int(dut.errors.value) == case["errors"], f"{case['name']}: errors {dut.errors.value}"
        knobs = [{"idle": {name: 0.7}} for name in streams]
        knobs += [{"backpressure": 0.8}, {"idle": 0.3, "backpressure": 0.5}]
        for chosen in knobs:
            await run_case(dut, case, streams, expected, seed=seed, **chosen)
        reset_at = random.Random(seed).randrange(1, report.cycles)
        report = await run_case(dut, case, streams, expected, seed=seed, reset_at=reset_at)
        assert report.cycles == case["cycles"], f"{case['name']}: {report.cycles} cycles after a reset at {reset_at}"
