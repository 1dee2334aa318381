# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Points with all their measures: which tasks they need, what is known, what is left to do; and the best of them."""

import dataclasses
import hashlib
import heapq
import itertools
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from .. import models, weights
from ..synth import timing
from ..tools.toolchain import build_root
from ..tools.yosys import DEFAULT, yosys_version
from .measures import MEASURES, Better, Task
from .space import MEASURED, Point, Refused, Space
from .store import HARDWARE, NUMBERS, OK, Result, Store, key_of, package_version, source_digest
from .tasks import Job, LayerSample
from .workers import Workers

__all__ = ["Exploration", "Outcome", "front"]

_ANSWERS_ALIKE = ("rows", "cols", "drain")
"""Parameters that do not change an engine's answers."""


class Outcome(NamedTuple):
    """What is known of a point: :data:`OK`, or which task failed and why, or the rule that forbids it; figures by measure."""

    name: str
    status: str
    figures: Mapping[str, float]
    point: Point | None = None


def _plain(config):
    """A config's fields as JSON has them."""
    return json.loads(json.dumps({item.name: getattr(config, item.name) for item in dataclasses.fields(config) if item.init},
                                 default=str))


class Exploration:
    """The points of a space, measured by workers, out of a store where they are known.

    Parameters
    ----------
    space : Space
    store : Store
    workers : Workers
    yosys : str
        See :func:`subbyte.tools.yosys.run_yosys`.
    ended : callable
        Takes a task, its result and the name of a point that asked for it, for each task that was performed.
    """

    def __init__(self, space: Space, store: Store, workers: Workers, yosys: str = DEFAULT,
                 ended: Callable[[Task, Result, str], None] = lambda task, result, name: None):
        self.space, self.store, self.workers, self.yosys, self._ended = space, store, workers, yosys, ended
        self._known: dict[str, Result] = {}
        self._waiting: dict[str, list[Point]] = {}
        self._queue: list[tuple[int, int, str, Job]] = []  # a heap, the largest engine first: it must not be left to the end
        self._order = itertools.count()
        self._jobs: dict[str, tuple[Job, Mapping]] = {}
        self._done: list[Outcome] = []
        self.performed, self.found = 0, 0

    @property
    def tasks(self) -> set[Task]:
        """What measures ask for; performance needs the area where its clock comes from there."""
        wanted = {MEASURES[name].task for name in (*self.space.objectives, *self.space.constraints)} | {Task.ERROR}
        wanted |= {Task.AREA} if self._clock_is_measured and Task.PERFORMANCE in wanted else set()
        return wanted | ({Task.FPGA} if self.space.fpga else set()) | ({Task.PERPLEXITY} if self.space.perplexity else set())

    def add(self, point: Point | Refused) -> None:
        """Measure a point; :meth:`outcomes` gives it when all is known."""
        if isinstance(point, Refused):
            self._done.append(Outcome(point.name, f"no engine: {point.why}", {}))
        else:
            self._advance(point)

    def outcomes(self) -> Iterator[Outcome]:
        """Points as they are ready, until all that were added are, also those that are added on the way."""
        while True:
            while self._done:
                yield self._done.pop(0)
            self._feed()
            if not self.workers.running:
                return
            key, result = self.workers.next()
            job, versions = self._jobs.pop(key)
            self.store.put(key, job.task.value, job.subject, versions, result)
            self._known[key] = result
            self.performed += 1
            points = self._waiting.pop(key)
            self._ended(job.task, result, points[0].name)
            for point in points:
                self._advance(point)

    def _feed(self):
        while self._queue and self.workers.running < self.workers.wanted:
            *_, key, job = heapq.heappop(self._queue)
            self.workers.submit(key, self._with_layers(job))

    def _advance(self, point):
        """Ask for what a point still needs, one task after the other; or tell its outcome."""
        results: dict[Task, Result] = {}
        for task in (task for task in Task if task in self.tasks):
            job, versions = self._job(task, point, results)
            key = key_of(task.value, job.subject, versions)
            if key not in self._known and key not in self._waiting and (kept := self.store.get(key)):
                self._known[key] = kept
                self.found += 1
            if key not in self._known:
                if key not in self._waiting:
                    self._jobs[key] = job, versions
                    size = point.config.rows * point.config.cols * point.config.lanes
                    heapq.heappush(self._queue, (-size, next(self._order), key, job))
                self._waiting.setdefault(key, []).append(point)
                return
            results[task] = self._known[key]
            if results[task].status != OK:
                self._done.append(Outcome(point.name, f"{task.value}: {results[task].status}", self._figures(results), point))
                return
        figures = self._figures(results)
        lacking = [name for name in (*self.space.objectives, *self.space.constraints) if name not in figures]
        status = f"the tools give no {', '.join(lacking)}" if lacking else OK
        self._done.append(Outcome(point.name, status, figures, point))

    def _figures(self, results):
        found: dict[str, Any] = {}
        for task, result in results.items():
            found |= {name: result.figures[name] for name, measure in MEASURES.items()
                      if measure.task is task and result.figures.get(name) is not None}
            if task is Task.AREA and result.status == OK and result.figures["macs"]:
                found["area_per_mac"] = result.figures["area"] / max(result.figures["macs"].values())
        return found

    @property
    def _clock_is_measured(self):
        return self.space.machine["clock"] == MEASURED

    def _job(self, task, point, results):
        """The job, and the versions that its result depends on."""
        space, name, config = self.space, point.scheme.name, point.config
        subject: dict[str, Any] = {"scheme": name, "config": _plain(config)}
        arguments: dict[str, Any] = {"name": name, "config": config}
        if task in (Task.AREA, Task.FPGA):
            subject["part"] = arguments["part"] = space.part
            arguments["yosys"] = self.yosys
        else:
            subject["format"] = arguments["fmt"] = point.fmt
        if task is Task.AREA:
            subject["library"] = self._library_digest
            arguments["library"] = self._library
        elif task is Task.FPGA:
            subject["device"] = arguments["device"] = space.fpga
        elif task is Task.ERROR:
            for parameter in _ANSWERS_ALIKE:
                del subject["config"][parameter]
            subject["layers"] = self._sample
        elif task is Task.PERPLEXITY:
            for parameter in _ANSWERS_ALIKE:
                del subject["config"][parameter]
            subject |= {"model": self._model_digest, "tokens": space.perplexity}
            arguments |= {"model": self._model, "tokens": space.perplexity}
        elif task is Task.PERFORMANCE:
            machine = self._machine(results)
            more = {"prompt": space.machine["prompt"], "batch": space.machine["batch"]}
            subject |= {"machine": machine, "shape": dataclasses.asdict(space.shape), **more}
            arguments |= {"machine": machine, "shape": space.shape, **more}
        return Job(task, subject, arguments), self._versions[task]

    def _with_layers(self, job):
        """What is left out until a job is performed: to read a model takes seconds."""
        return replace(job, arguments={**job.arguments, "layers": self._layers}) if job.task is Task.ERROR else job

    def _machine(self, results):
        given = self.space.machine
        clock = given["clock"]
        if clock == MEASURED:
            figures = results[Task.AREA].figures
            picoseconds = figures["period"] * (1 if figures["time_unit"] == "ps" else self.space.fo4)
            clock = 1e6 / picoseconds
        return {"clock": clock * 1e6, "engines": given["engines"], "bandwidth": given["bandwidth"] * 1e9,
                "latency": given["latency"], "bus_bytes": given["bus"]}

    @cached_property
    def _versions(self):
        """By task: ours, and those of what it is done with."""
        numbers = {"subbyte": source_digest(NUMBERS), "numpy": np.__version__}
        folder = build_root() / "explore"
        yosys = (package_version(DEFAULT) if self.yosys == DEFAULT
                 else f"{self.yosys} {yosys_version(self.yosys, _made(folder))}")
        hardware = {"subbyte": source_digest(HARDWARE), "amaranth": package_version("amaranth"), "yosys": yosys}
        with_timing = hardware | ({"opensta": timing.opensta_version(_made(folder))} if timing.has_opensta() else {})
        placed = hardware | {"nextpnr": shutil.which("nextpnr-ecp5") or "packaged"}
        return {Task.AREA: with_timing, Task.FPGA: placed, Task.ERROR: numbers, Task.PERPLEXITY: numbers,
                Task.PERFORMANCE: {"subbyte": source_digest()}}

    @cached_property
    def _library(self):
        """Files of the cell library by name; none for the project's own."""
        return {path.name: path.read_bytes() for path in self.space.library}

    @cached_property
    def _library_digest(self):
        return {file: _digest(data) for file, data in self._library.items()}

    @cached_property
    def _model_digest(self):
        return _digest(self._model)

    @cached_property
    def _model(self):
        path = self.space.weights
        if path is None or path.suffix != ".gguf":
            raise ValueError(f"weights must be a .gguf file for perplexity, which goes to workers whole, not {str(path)!r}")
        return path.read_bytes()

    @cached_property
    def _sample(self):
        """What decides the layers on which errors are measured."""
        given = self.space.weights and hashlib.sha256(self.space.weights.read_bytes()).hexdigest()[:16]
        layers = [[layer.n, layer.k] for layer in self.space.shape.layers]
        return {**self.space.sample._asdict(), "weights": given, "layers": layers}

    @cached_property
    def _layers(self):
        return _random_layers(self.space) if self.space.weights is None else _real_layers(self.space)


def _real_layers(space):
    """Of the model's file, with what reaches them when it reads the beginning of a text."""
    path, sample = space.weights, space.sample
    model = models.open_model(path)
    sites = {model.stored(f"blk.{site.block}.{site.name}"): site for site in
             (models.Site(block, name) for block in range(model.config.blocks) for name in models.LINEARS)}
    middle = model.config.blocks // 2
    tensors = sample.tensors or [tensor for tensor, site in sites.items() if site.block == middle]
    for tensor in tensors:
        if tensor not in sites:
            raise ValueError(f"sample.tensors must be linear layers of {path.name}, such as {next(iter(sites))!r}, "
                             f"not {tensor!r}")
    text = models.read_tokens(path, models.TEXT)[:sample.tokens]
    inputs = models.inputs_of(model, text, [sites[tensor] for tensor in tensors])
    return {tensor: LayerSample(weights.load_tensor(path, tensor, rows=slice(0, sample.rows)), inputs[sites[tensor]],
                                sites[tensor].normalised) for tensor in tensors}


def _random_layers(space):
    """Normal weights; activations whose channels differ in size as a model's do."""
    rng, found, sample = np.random.default_rng(0), {}, space.sample
    for k in sorted({layer.k for layer in space.shape.layers}):
        weight = rng.standard_normal((sample.rows, k)).astype(np.float32) / np.float32(np.sqrt(k))
        x = rng.standard_normal((sample.tokens, k)) * np.exp(rng.standard_normal(k))
        found[f"random, K = {k}"] = LayerSample(weight, x.astype(np.float16).astype(np.float32), True)
    return found


def _digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def _made(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def front(space: Space, outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Those within the constraints than which no other is as good in all objectives and better in one."""
    fit = [one for one in outcomes if one.status == OK and all(
        limit.excess(one.figures[name]) <= 0 for name, limit in space.constraints.items())]
    signs = {name: 1 if better is Better.MIN else -1 for name, better in space.objectives.items()}
    values = np.array([[sign * one.figures[name] for name, sign in signs.items()] for one in fit])
    return [one for one, row in zip(fit, values)
            if not ((values <= row).all(axis=1) & (values < row).any(axis=1)).any()]
