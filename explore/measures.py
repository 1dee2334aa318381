# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What can be said of a point, and which task says it."""

from dataclasses import dataclass
from enum import Enum

__all__ = ["MEASURES", "Measure", "Task", "Better"]


class Task(Enum):
    """Work that a point asks for; its result is kept by itself, so that points share it."""

    AREA = "area"
    FPGA = "fpga"
    ERROR = "error"
    PERPLEXITY = "perplexity"
    PERFORMANCE = "performance"


class Better(Enum):
    """Which way is better."""

    MIN = "min"
    MAX = "max"


@dataclass(frozen=True)
class Measure:
    """A figure of a point: what it is, its unit, which way is better, and the task that finds it."""

    title: str
    unit: str
    better: Better
    task: Task


MEASURES = {
    "bits": Measure("bits a weight", "", Better.MIN, Task.ERROR),
    "error": Measure("rms error of outputs, format and engine", "", Better.MIN, Task.ERROR),
    "engine_error": Measure("rms error of outputs, engine alone", "", Better.MIN, Task.ERROR),
    "perplexity": Measure("perplexity of the model", "", Better.MIN, Task.PERPLEXITY),
    "area": Measure("area", "GE or um2", Better.MIN, Task.AREA),
    "period": Measure("shortest period", "FO4 or ps", Better.MIN, Task.AREA),
    "area_per_mac": Measure("area per MAC/cycle", "GE or um2", Better.MIN, Task.AREA),
    "luts": Measure("look-up tables", "", Better.MIN, Task.FPGA),
    "fmax": Measure("clock on the FPGA", "MHz", Better.MAX, Task.FPGA),
    "clock": Measure("clock that tokens a second assume", "MHz", Better.MAX, Task.PERFORMANCE),
    "prefill_cycles": Measure("cycles of a prompt", "", Better.MIN, Task.PERFORMANCE),
    "decode_cycles": Measure("cycles of a token", "", Better.MIN, Task.PERFORMANCE),
    "prefill_tokens_per_s": Measure("tokens of a prompt a second", "", Better.MAX, Task.PERFORMANCE),
    "decode_tokens_per_s": Measure("tokens written a second", "", Better.MAX, Task.PERFORMANCE),
    "decode_bytes": Measure("bytes of a token", "", Better.MIN, Task.PERFORMANCE),
}
"""By name, as spaces have them under ``objectives`` and ``constraints``."""
