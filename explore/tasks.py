# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The work on a point, as it is done on any machine that has the package: a job carries all that it needs."""

import dataclasses
import hashlib
import shutil
import time
import uuid
from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from .. import models
from ..schemes import scheme
from ..synth import asic, fpga
from ..synth.designs import design_of
from ..synth.devices import DEVICES
from ..synth.library import load_library
from ..tools.outputs import write_whole
from ..tools.toolchain import build_root
from ..tools.yosys import DEFAULT
from .measures import Task
from .performance import Machine, cost_of
from .store import OK, Result, source_digest

__all__ = ["Job", "LayerSample", "OtherVersion", "perform"]


class OtherVersion(RuntimeError):
    """A worker's package is not the client's."""


class LayerSample(NamedTuple):
    """Of a layer: weight float32 [N, K], activations float32 [M, K], whether these come straight out of a normalisation."""

    weight: np.ndarray
    x: np.ndarray
    normalised: bool


@dataclasses.dataclass(frozen=True)
class Job:
    """A task on a subject, which JSON holds and which names it, and the arguments of its function, which go with it."""

    task: Task
    subject: Mapping[str, Any]
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)


def perform(job: Job, digest: str) -> Result:
    """Do a job. What goes wrong with it is its result.

    Raises
    ------
    OtherVersion
        If the package here has not this digest of its sources.
    """
    if digest != source_digest():
        raise OtherVersion(f"a worker has other sources of subbyte ({source_digest()}, not {digest}): install the same there")
    started = time.perf_counter()
    try:
        status, figures = OK, _FUNCTIONS[job.task](**job.arguments)
    except Exception as error:  # whatever it is, the others go on
        status, figures = f"{type(error).__name__}: {' '.join(str(error).split())}", {}
    return Result(status, figures, round(time.perf_counter() - started, 3))


@contextmanager
def _folder():
    """One that no other task has, removed in the end; where the packaged tools can read."""
    folder = build_root() / "explore" / uuid.uuid4().hex
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _design(name, part, config):
    owner = scheme(name)
    return design_of(owner, owner.part(part), {item.name: getattr(config, item.name) for item in dataclasses.fields(config)
                                               if item.init})


def _area(name: str, part: str, config: Any, library: Mapping[str, bytes], yosys: str = DEFAULT,
          limit: float = asic.LIMIT) -> dict[str, Any]:
    """Area and period of a part, in a library whose files are given."""
    with _folder() as folder:
        for file, data in library.items():
            (folder / file).write_bytes(data)
        cells = load_library([folder / file for file in library], folder / "cells")
        row = asic.measure(_design(name, part, config), cells, yosys=yosys, limit=limit)
    if row.status != OK:
        raise RuntimeError(row.status)
    return {"area": row.area, "unit": row.unit, "period": row.period, "time_unit": row.time_unit, "timing": row.timing,
            "cells": row.cells, "flipflops": row.flipflops, "macs": dict(row.macs)}


def _fpga(name: str, part: str, config: Any, device: str, yosys: str = DEFAULT) -> dict[str, Any]:
    """Look-up tables and clock of a part on a device."""
    with _folder() as folder:
        flow = fpga.Flow(DEVICES[device], yosys=yosys, seeds=fpga.SEEDS[:1])
        row, _ = fpga.measure(_design(name, part, config), flow, folder)
    if row.status != OK:
        raise RuntimeError(row.status)
    return {"luts": row.luts, "flipflops": row.flipflops, "brams": row.brams, "dsps": row.dsps,
            "fmax": max(row.fmax_mhz.values(), default=None)}


def _error(name: str, fmt: str, config: Any, layers: Mapping[str, LayerSample]) -> dict[str, Any]:
    """Errors of outputs over all layers, each a share of its outputs' rms; and bits a weight."""
    one, found = scheme(name), {}
    for tensor, (weight, x, normalised) in layers.items():
        qweight = one.quantize(weight, fmt, config)
        operand, terms = one.site(x, weight, qweight.dequantize(), config, normalised)
        terms, _ = one.derived(operand, qweight, config, **terms)
        product = one.product(operand, qweight, config, **terms)
        exact = x.astype(np.float64) @ weight.astype(np.float64).T
        found[tensor] = {"error": _rms(product.error + product.reference - exact) / (_rms(exact) or 1),
                         "engine_error": _rms(product.error) / (_rms(product.reference) or 1), "bits": qweight.bits_per_weight}
    total = {key: _rms([layer[key] for layer in found.values()]) for key in ("error", "engine_error")}
    weights = sum(layer.weight.size for layer in layers.values())
    bits = sum(found[tensor]["bits"] * layer.weight.size for tensor, layer in layers.items()) / weights
    return {**total, "bits": bits, "layers": found}


def _rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def _performance(name: str, fmt: str, config: Any, shape: Any, machine: Mapping[str, Any], prompt: int,
                 batch: int) -> dict[str, Any]:
    """What a model takes of engines with their memory."""
    engines = Machine(scheme(name), fmt, config, **machine)
    prefill, decode = cost_of(engines, shape, prompt), cost_of(engines, shape, batch)
    return {"clock": engines.clock / 1e6, "prefill_cycles": prefill.cycles, "decode_cycles": decode.cycles,
            "prefill_tokens_per_s": prefill.tokens_per_second, "decode_tokens_per_s": decode.tokens_per_second,
            "decode_bytes": decode.bytes, "bound": {cost.layer.name: cost.bound.value for cost in decode.layers}}


def _perplexity(name: str, fmt: str, config: Any, model: bytes, tokens: int) -> dict[str, Any]:
    """Of a model, given as its GGUF file, with a scheme's weights."""
    path = build_root() / "explore" / f"{hashlib.sha256(model).hexdigest()[:16]}.gguf"
    if not path.exists():
        write_whole(path, model)
    one, opened = scheme(name), models.open_model(path)
    windows = models.windows(models.read_tokens(path, models.TEXT), tokens, min(models.WINDOW, opened.config.context))

    def layer(site, weight):
        return models.plain(site, one.quantize(weight, fmt, config).dequantize())

    found = models.perplexity(opened, windows, layer)
    return {"perplexity": found.value, "loss": found.loss, "tokens": int(windows.size)}


_FUNCTIONS = {Task.AREA: _area, Task.FPGA: _fpga, Task.ERROR: _error, Task.PERPLEXITY: _perplexity,
              Task.PERFORMANCE: _performance}
