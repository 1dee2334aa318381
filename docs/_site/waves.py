# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Timing diagrams of engines, out of a simulation of their RTL: Amaranth's simulator, drawn by WaveDrom."""

import json
import re

import numpy as np
import wavedrom
from amaranth.sim import Simulator

from subbyte.schemes import scheme

SIZES = {
    "bitmod": {"rows": 1, "cols": 2, "lanes": 8, "drain": 1, "group_size": 32},
    "bitmod-dense": {"form": "dense", "rows": 1, "cols": 2, "lanes": 8, "drain": 1, "group_size": 64},
    "tender": {"rows": 1, "cols": 2, "lanes": 8, "drain": 1},
    "rsr": {"rows": 1, "cols": 2, "lanes": 10, "drain": 1},
    "bcq": {"rows": 1, "cols": 2, "lanes": 16, "drain": 1, "group_size": 32},
    "bipolar": {"rows": 1, "cols": 2, "lanes": 16, "drain": 1},
}
"""Engines of the diagrams: their parameters beside the defaults."""
_AROUND = 2
"""Cycles shown on either side of where something happens."""


def record(name):
    """A product of two tiles with every stream offered as early as it may be.

    Returns
    -------
    config : EngineConfig
    size : (int, int, int)
        M, N, K.
    cycles : dict of str to list of (bool, bool, int)
        Of each stream and cycle: valid, ready, and which beat.
    """
    one = scheme(name.partition("-")[0])
    config = one.Config(**SIZES[name])
    m, n, k = config.rows, 2 * config.cols, 64
    rng = np.random.default_rng(1)
    fmt = one.format_for(None, config)
    qweight = one.quantize(rng.standard_normal((n, k)).astype(np.float32), fmt, config)
    x = one.activations(rng.standard_normal((m, k)).astype(np.float32), config)
    product = one.product(x, qweight, config, **one.derived(x, qweight, config)[0])
    engine = one.part("engine").make(config)
    words = {stream: [int.from_bytes(word.tobytes(), "little") for word in beats] for stream, beats in product.inputs.items()}
    cycles = {stream: [] for stream in (*words, "outputs")}

    async def drive(context):
        """Offer the operands, take the results, note each cycle, and stop two cycles after the last result."""
        at = dict.fromkeys(cycles, 0)
        context.set(engine.outputs.ready, 1)
        end = None
        while end is None or len(cycles["outputs"]) < end:
            for stream, beats in words.items():
                port = getattr(engine, stream)
                context.set(port.valid, at[stream] < len(beats))
                context.set(port.payload.as_value(), beats[min(at[stream], len(beats) - 1)])
            for stream, seen in cycles.items():
                port = getattr(engine, stream)
                valid, ready = bool(context.get(port.valid)), bool(context.get(port.ready))
                seen.append((valid, ready, at[stream]))
                at[stream] += valid and ready
            if at["outputs"] == len(product.outputs) and end is None:
                end = len(cycles["outputs"]) + 2
            await context.tick()

    simulator = Simulator(engine)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    return config, (m, n, k), cycles


def draw(name):
    """The diagram of an engine as SVG, and what it shows, in words."""
    config, (m, n, k), cycles = record(name)
    shown = _shown(cycles)
    lanes = [{"name": "clk", "wave": "p" + "".join("|" if cycle is None else "." for cycle in shown[1:])}]
    for stream, seen in cycles.items():
        of = [None if cycle is None else seen[cycle] for cycle in shown]
        lanes += [
            {},
            {"name": f"{stream} payload", **_beats(of)},
            {"name": "valid", "wave": _bits(of, 0)},
            {"name": "ready", "wave": _bits(of, 1)},
        ]
    source = json.dumps({"signal": lanes, "config": {"hscale": 1}})
    size = ", ".join(f"`{key}={value}`" for key, value in SIZES[name].items())
    caption = (f"X[{m}, {k}] @ W[{n}, {k}].T, two tiles, on {size}; every stream offered as early as it can be, "
               f"{len(cycles['outputs']) - 2} cycles. Numbers count a stream's beats; where the clock is cut, beats go on.")
    drawing = wavedrom.render(source).tostring()
    # A page's style sheets count everywhere in it: the rule for text is for this drawing alone.
    return re.sub(r"(?<![\w.])text\{", ".WaveDrom text{", drawing), caption


def _shown(cycles):
    """Numbers of the cycles to draw; None for those left out between them."""
    total = len(cycles["outputs"])
    events = {0, total - 1}
    for seen in cycles.values():
        taken = [cycle for cycle, (valid, ready, _) in enumerate(seen) if valid and ready]
        events |= {*taken[:1], *taken[-1:]} | {cycle for cycle in range(1, total) if seen[cycle][0] != seen[cycle - 1][0]}
    kept = [cycle for cycle in range(total) if any(abs(cycle - event) <= _AROUND for event in events)]
    shown = []
    for cycle in kept:
        if shown and cycle != shown[-1] + 1:
            shown.append(None)
        shown.append(cycle)
    return shown


def _bits(seen, which):
    """A wave of ones and zeros."""
    wave, before = "", None
    for state in seen:
        bit = None if state is None else "01"[state[which]]
        wave += "|" if bit is None else "." if bit == before else bit
        before = before if bit is None else bit
    return wave


def _beats(seen):
    """A wave of the numbers of beats, and these."""
    wave, data, before = "", [], None
    for state in seen:
        if state is None:
            wave, before = wave + "|", object()
            continue
        beat = state[2] if state[0] else "none"
        if beat == before:
            wave += "."
        elif beat == "none":
            wave += "x"
        else:
            wave += "="
            data.append(str(beat))
        before = beat
    return {"wave": wave, "data": data}
