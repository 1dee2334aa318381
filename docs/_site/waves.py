# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Timing diagrams of engines and an accelerator, out of a simulation of their RTL: Amaranth's simulator, drawn by WaveDrom."""

import json
import re

import numpy as np
import wavedrom
from amaranth.sim import Simulator

from subbyte.schemes import scheme
from subbyte.top.memory_accelerator import MemoryAccelerator
from subbyte.top.registers import register_map

SIZES = {
    "bitmod": {"rows": 1, "cols": 2, "lanes": 8, "drain": 1, "group_size": 32},
    "bitmod-dense": {"form": "dense", "rows": 1, "cols": 2, "lanes": 8, "drain": 1, "group_size": 64},
    "tender": {"rows": 1, "cols": 2, "lanes": 8, "drain": 1},
    "rsr": {"rows": 1, "cols": 2, "lanes": 10, "drain": 1},
    "bcq": {"rows": 1, "cols": 2, "lanes": 16, "drain": 1, "group_size": 32},
    "bipolar": {"rows": 1, "cols": 2, "lanes": 16, "drain": 1},
}
"""Engines of the diagrams: their parameters beside the defaults."""
AROUND = {"bus_bytes": 8, "burst": 4, "outstanding": 4, "buffer": 16}
"""What stands around Tender's engine in the diagram of an accelerator, its memory four cycles away."""
_LATENCY = 4
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


def record_job():
    """A job of the memory form, as :func:`record`: its master's channels and its engine's streams; START in the first cycle."""
    one = scheme("tender")
    config = one.Config(**SIZES["tender"])
    m, n, k = config.rows, 2 * config.cols, 64
    rng = np.random.default_rng(1)
    qweight = one.quantize(rng.standard_normal((n, k)).astype(np.float32), one.format_for(None, config), config)
    x = one.activations(rng.standard_normal((m, k)).astype(np.float32), config)
    accelerator = MemoryAccelerator(one.part("engine").make(config), one.name, **AROUND)
    image = accelerator.layout.image(one.inputs(x, qweight, config), m, n)
    settings, memory = _place(image, k)
    registers, size = register_map(), AROUND["bus_bytes"]
    buses = {f"m_axi {name}": [getattr(accelerator, f"m_axi_{name}{end}") for end in ("valid", "ready")] for name in
             ("ar", "r", "aw", "w", "b")}
    streams = {f"engine {name}": [port.valid, port.ready] for name in ("weights", "activations", "outputs")
               for port in [getattr(accelerator.engine, name)]}
    watched = {**buses, **streams}
    cycles = {name: [] for name in watched}

    async def write(context, register, value):
        """A register, address and value in one cycle."""
        for name, given in {"awaddr": registers[register].address, "wdata": value, "wstrb": 15}.items():
            context.set(getattr(accelerator, f"s_axi_{name}"), given)
        for name in ("awvalid", "wvalid", "bready"):
            context.set(getattr(accelerator, f"s_axi_{name}"), 1)
        waiting = {"aw", "w", "b"}
        while waiting:
            done = {name for name in waiting if context.get(getattr(accelerator, f"s_axi_{name}valid"))
                    and context.get(getattr(accelerator, f"s_axi_{name}ready"))}
            await context.tick()
            for name in done - {"b"}:
                context.set(getattr(accelerator, f"s_axi_{name}valid"), 0)
            waiting -= done

    async def drive(context):
        """Write the settings, start, and be the memory until the results are answered, and two cycles more."""
        for register, value in {**settings, "CONTROL": 1}.items():
            await write(context, register, value)
        at, now, reads, answers, end = dict.fromkeys(watched, 0), 0, [], [], None
        for name in ("ar", "aw", "w"):
            context.set(getattr(accelerator, f"m_axi_{name}ready"), 1)
        while end is None or now < end:
            comes, answered = bool(reads and reads[0][0] <= now), bool(answers and answers[0] <= now)
            if comes:
                _, number, beat, last = reads[0]
                for name, value in {"rid": number, "rdata": memory.get(beat, 0), "rlast": last}.items():
                    context.set(getattr(accelerator, f"m_axi_{name}"), value)
            context.set(accelerator.m_axi_rvalid, comes)
            context.set(accelerator.m_axi_bvalid, answered)
            taken = {}
            for name, (valid, ready) in watched.items():
                state = bool(context.get(valid)), bool(context.get(ready))
                cycles[name].append((*state, at[name]))
                taken[name] = all(state)
                at[name] += taken[name]
            reads, answers = reads[taken["m_axi r"]:], answers[taken["m_axi b"]:]
            if taken["m_axi ar"]:
                beat, more = context.get(accelerator.m_axi_araddr) // size, context.get(accelerator.m_axi_arlen)
                number, first = context.get(accelerator.m_axi_arid), max(now + _LATENCY, reads[-1][0] + 1 if reads else 0)
                reads += [(first + step, number, beat + step, step == more) for step in range(more + 1)]
            if taken["m_axi w"] and context.get(accelerator.m_axi_wlast):
                answers.append(now + _LATENCY)
            if end is None and at["m_axi b"] and not answers and not context.get(accelerator.m_axi_wvalid):
                end = now + 3 if context.get(accelerator.registers.status.STATUS.JOBS) else None
            now += 1
            await context.tick()

    simulator = Simulator(accelerator)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    return config, (m, n, k), cycles


def _place(image, k):
    """A job's settings, and the beats of its arrays by number."""
    size, at, memory = AROUND["bus_bytes"], 0, {}
    settings = {"M": image.m, "N": image.n, "K": k, "FORMAT": image.format, "BEATS": image.beats["weights"],
                "ACTIVATION_BEATS": image.beats["activations"], "SCALE_BEATS": image.beats.get("scales", 0)}
    for name, array in image.images.items():
        settings |= {f"{name.upper()}_BASE": at, f"{name.upper()}_BYTES": len(array)}
        memory |= {(at + start) // size: int.from_bytes(array[start:start + size].tobytes(), "little")
                   for start in range(0, len(array), size)}
        at += -(-len(array) // 4096) * 4096
    return settings | {"OUTPUTS_BASE": at, "OUTPUTS_BYTES": image.output_bytes}, memory


def draw(name):
    """The diagram of an engine, or of the accelerator, as SVG, and what it shows, in words."""
    is_job = name == "accelerator"
    config, (m, n, k), cycles = record_job() if is_job else record(name)
    shown = _shown(cycles)
    lanes = [{"name": "clk", "wave": "p" + "".join("|" if cycle is None else "." for cycle in shown[1:])}]
    for stream, seen in cycles.items():
        of = [None if cycle is None else seen[cycle] for cycle in shown]
        lanes += [
            {},
            {"name": f"{stream}{'' if is_job else ' payload'}", **_beats(of)},
            {"name": "valid", "wave": _bits(of, 0)},
            {"name": "ready", "wave": _bits(of, 1)},
        ]
    source = json.dumps({"signal": lanes, "config": {"hscale": 1}})
    size = ", ".join(f"`{key}={value}`" for key, value in (SIZES["tender"] | AROUND if is_job else SIZES[name]).items())
    if is_job:
        length = len(next(iter(cycles.values()))) - 2
        return _scoped(source), (
            f"A job, X[{m}, {k}] @ W[{n}, {k}].T, from the answer to START on, Tender's engine with {size}, a memory of "
            f"{_LATENCY} cycles latency: {length} cycles. Numbers count a channel's beats; where the clock is cut, they go on.")
    caption = (f"X[{m}, {k}] @ W[{n}, {k}].T, two tiles, on {size}; every stream offered as early as it can be, "
               f"{len(cycles['outputs']) - 2} cycles. Numbers count a stream's beats; where the clock is cut, beats go on.")
    return _scoped(source), caption


def _scoped(source):
    """A drawing. A page's style sheets count everywhere in it: the rule for text is for this drawing alone."""
    return re.sub(r"(?<![\w.])text\{", ".WaveDrom text{", wavedrom.render(source).tostring())


def _shown(cycles):
    """Numbers of the cycles to draw; None for those left out between them."""
    total = len(next(iter(cycles.values())))
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
