# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Cycles of jobs on an accelerator's memory form in front of an ideal memory, exactly.

What moves words from memory through the engine and back is followed here from cycle to cycle, without the words: each unit of
``top.memory_accelerator`` as its counters and fill levels. The memory takes an address a cycle and answers in order: the
first beat of a burst ``latency`` cycles after its address, a beat every ``pace`` cycles, a write ``latency`` cycles after its
last beat. It is :class:`subbyte.sim.memory_model.SimulatedAccelerator`'s; with a pace above 1 its reads and writes share it.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from .config import EngineConfig
from .memory import COLUMN_STREAMS, MemoryImage, MemoryLayout
from .schedule import DRAIN_STAGES

__all__ = ["JobCycles", "Surroundings", "job_cycles"]

_LIMIT = 100_000
"""Cycles without any word taken or given after which something waits for ever."""


@dataclass(frozen=True)
class Surroundings:
    """What stands around an engine; the parameters of ``top.memory_accelerator.MemoryAccelerator`` that time depends on.

    Attributes
    ----------
    burst, outstanding, queue, buffer : int
    """

    queue: int = 2
    burst: int = 16
    outstanding: int = 16
    buffer: int = 256


@dataclass(frozen=True)
class JobCycles:
    """When jobs are done.

    Attributes
    ----------
    done : tuple of int
        Cycles from the first job's START until each is done, results answered by the memory.
    cycles : int
        What register CYCLES counts: cycles with a job queued or under way.
    read_beats : int
    """

    done: tuple[int, ...]
    cycles: int
    read_beats: int


def job_cycles(
    layout: MemoryLayout, jobs: Sequence[MemoryImage], around: Surroundings | None = None, *, latency: int = 0,
    pace: float = 1.0, starts: Sequence[int] | None = None,
) -> JobCycles:
    """Predict when jobs are done.

    Parameters
    ----------
    layout : MemoryLayout
        Of the engine's config and the bus.
    jobs : sequence of MemoryImage
        Their sizes, not their words, matter. Arrays lie at multiples of a burst.
    around : Surroundings, optional
    latency : int
        Of the memory, in cycles.
    pace : float
        Cycles a beat of the memory, at least 1.
    starts : sequence of int, optional
        Cycles of each START behind the first job's; without them each comes as soon as the queue takes it.

    Raises
    ------
    ValueError
        If a START comes while the queue is full.
    """
    return _Machine(layout, jobs, around or Surroundings(), latency, pace, starts).run()


class _Queue:
    """``fifo.SyncFIFOBuffered``: what is written is there two cycles later."""

    __slots__ = ("inner", "out", "room")

    def __init__(self, depth):
        self.inner, self.out, self.room = 0, False, depth - 1

    def tick(self, pushed, popped):
        moves = self.inner and (not self.out or popped)
        if pushed:
            self.inner += 1
        if moves:
            self.inner -= 1
            self.out = True
        elif popped:
            self.out = False


class _Reader:
    """``hdl.axi_read.ArrayReader``. Beats that end a pass are counted from the number of beats."""

    __slots__ = ("active", "beat", "beats", "burst", "comes", "ends", "free", "given", "job", "left", "outstanding", "passes",
                 "queue", "sizes")

    def __init__(self, burst, outstanding):
        self.burst, self.outstanding = burst, outstanding
        self.queue, self.free = _Queue(burst * outstanding), burst * outstanding
        self.active, self.ends, self.given, self.sizes = False, deque(), 0, deque()
        self.comes = self.left = self.beat = self.beats = self.passes = 0

    def more(self):
        """Length less one of the burst that is asked for."""
        return min(self.left, self.burst - self.beat % self.burst) - 1

    def wants(self):
        return self.active and self.free > self.more() and len(self.ends) < self.outstanding

    def is_last(self):
        """Whether the beat that is offered ends a pass."""
        return self.given + 1 == self.sizes[0]

    def tick(self, job, asked, came, taken):
        """``job``: beats and passes of one that is offered, or None; returns whether it is taken."""
        self.queue.tick(came, taken)
        if came:
            self.comes += 1
            if self.comes == self.ends[0]:
                self.comes = 0
                self.ends.popleft()
        if taken:
            self.free += 1
            if self.is_last():
                self.given = 0
                self.sizes.popleft()
            else:
                self.given += 1
        if job is not None and not self.active:
            self.beats, self.passes = job
            self.left, self.beat, self.active = self.beats, 0, True
            self.sizes.extend([self.beats] * self.passes)
            return True
        if asked:
            count = self.more() + 1
            self.ends.append(count)
            self.free -= count
            self.beat, self.left = self.beat + count, self.left - count
            if not self.left:
                self.beat, self.left, self.passes = 0, self.beats, self.passes - 1
                self.active = self.passes != 0
        return False


class _Words:
    """Words of a stream from its beats."""

    def offers(self, comes: bool) -> tuple[bool, bool]:
        """Whether a word is offered, and whether it is its tile's last; ``comes``: a beat does."""
        raise NotImplementedError

    def ready(self, taken: bool) -> bool:
        """Whether a beat is taken; ``taken``: a word is."""
        raise NotImplementedError

    def tick(self, job: tuple | None, taken: bool, pushed: bool, last_beat: bool) -> bool:
        """``pushed``: a beat is taken, a pass's last or not; ``job``: settings of an offered one. Returns whether it begins."""
        raise NotImplementedError


class _ColumnWords(_Words):
    """``top.job_units.TileWords`` with its gearbox; a job is the size of its words, words a tile, tiles."""

    __slots__ = ("active", "beat", "beats", "capacity", "closing", "count", "direct", "row", "size", "tile", "tiles", "word")

    def __init__(self, beat, sizes, hold):
        largest = max(sizes)
        self.beat, self.direct, self.size = beat, sizes == [beat], sizes[0] if len(sizes) == 1 else 0
        self.capacity = max(largest + (min(hold, -(-largest // beat)) - 1) * beat, largest - 1 + beat)
        self.active = self.closing = False
        self.count = self.word = self.tile = self.row = self.beats = 0
        self.tiles = (0, 0)

    def offers(self, comes):
        return self.active and (comes if self.direct else self.count >= self.size), self.word + 1 == self.beats

    def ready(self, taken):
        if self.direct:
            return taken
        return not self.closing and self.count - (self.size if taken else 0) <= self.capacity - self.beat

    def tick(self, job, taken, pushed, last_beat):
        last, last_tile = self.word + 1 == self.beats, self.tile + 1 == self.tiles[1]
        if not self.direct:
            self._shift(taken, taken and last and last_tile, pushed, last_beat)
        if taken:
            self.word = 0 if last else self.word + 1
            if last:
                self.tile = 0 if last_tile else self.tile + 1
                if last_tile:
                    self.row += 1
                    self.active = self.row != self.tiles[0]
        elif job is not None and not self.active:
            self.size, self.beats, self.tiles = job
            self.active, self.row = True, 0
            return True
        return False

    def _shift(self, taken, drop, pushed, last_beat):
        if drop:
            self.count, self.closing = 0, False
            return
        self.count += (self.beat if pushed else 0) - (self.size if taken else 0)
        self.closing |= pushed and last_beat


class _RowWords(_Words):
    """``hdl.replay_buffer.ReplayBuffer``; a job is words a tile, tiles, repeats."""

    __slots__ = ("active", "banks", "fill", "full", "give", "job", "last", "part", "parts", "repeat", "tiles", "valid", "word",
                 "written")

    def __init__(self, parts):
        self.parts, self.active, self.valid, self.last = parts, False, False, False
        self.full, self.banks, self.job = [False, False], [(1, 1), (1, 1)], (1, 1)
        self.fill = self.give = self.part = self.written = self.word = self.repeat = self.tiles = 0

    def offers(self, comes):
        return self.valid, self.last

    def ready(self, taken):
        return self.active and not self.full[self.fill]

    def tick(self, job, taken, pushed, last_beat):
        full = list(self.full)
        if self.full[self.give] and (not self.valid or taken):
            words, repeats = self.banks[self.give]
            self.valid, self.last = True, self.word + 1 == words
            self.word = 0 if self.last else self.word + 1
            if self.last:
                self.repeat += 1
                if self.repeat == repeats:
                    full[self.give], self.give, self.repeat = False, 1 - self.give, 0
        elif taken:
            self.valid = False
        begins = False
        if job is not None and not self.active:
            begins = True
            words, self.tiles, repeats = job
            self.job, self.active = (words, repeats), True
        elif pushed:
            self._push(full)
        self.full = full
        return begins

    def _push(self, full):
        self.part += 1
        if self.part == self.parts:
            self.part, self.written = 0, self.written + 1
        if self.written == self.job[0]:
            full[self.fill], self.banks[self.fill], self.written = True, self.job, 0
            self.fill, self.tiles = 1 - self.fill, self.tiles - 1
            self.active = self.tiles != 0


class _Edge:
    """What stands between activations and the array: nothing, a beat that is held, beats that are kept for further passes."""

    def __init__(self, depth):
        self.lasts = [False] * depth

    def offers(self, comes, last, beat, again):
        """Whether a beat is offered to the array, and whether it is the tile's last."""
        return (True, self.lasts[beat]) if again else (comes, last)

    def ready(self, taken, again, _):
        return taken and not again

    def tick(self, came, last, beat, _):
        if came:
            self.lasts[beat] = last


class _Hold(_Edge):
    """A group is a single beat, and the stream holds it."""

    def offers(self, comes, last, beat, again):
        return comes, last

    def ready(self, taken, again, final):
        return taken and final


class _Lookahead(_Edge):
    """``top.lookahead.Lookahead``: a group is offered when its exponents are found."""

    def __init__(self, depth, latency):
        super().__init__(depth)
        self.depth, self.position, self.queue, self.beats = depth, 0, _Queue(depth + latency + 1), deque()
        self.found, self.known = deque([False] * (latency - 1)), 0

    def offers(self, comes, last, beat, again):
        there = self.queue.out and self.known > 0
        return there, there and self.beats[0][0]

    def ready(self, taken, again, final):
        return self.queue.inner != self.queue.room

    def tick(self, came, last, beat, taken):
        ends = last or self.position == self.depth - 1
        self.found.append(came and ends)
        self.known += self.found.popleft()
        self.queue.tick(came, taken)
        if came:
            self.beats.append((last, ends))
            self.position = 0 if ends else self.position + 1
        if taken:
            self.known -= self.beats.popleft()[1]


class _Drain:
    """``top.drain.Drain``."""

    def __init__(self, config: EngineConfig):
        timing = config.timing
        self.kept, self.beats, self.free = timing.kept, timing.drain_beats, True
        self.pending = deque([False] * (timing.result - timing.kept + 1))
        self.marks = deque([0] * (DRAIN_STAGES + timing.output))  # 0: nothing; 1: a beat; 2: a tile's last
        self.active, self.waiting, self.tiles, self.beat = False, False, 0, 0

    def busy(self):
        return self.tiles >= self.kept

    def valid(self):
        return self.marks[0] != 0

    def last(self):
        return self.marks[0] == 2

    def issues(self, offered, ready):
        """Whether results are chosen, and whether they are the tile's last."""
        self.free = not self.marks[0] or ready
        there = self.active or self.kept == 1 and self.pending[0]
        issue = there and offered and self.free
        return issue, issue and self.beat == self.beats - 1

    def tick(self, begins, issue, leaves):
        done = self.pending.popleft()
        self.pending.append(begins)
        if self.free:
            self.marks.popleft()
            self.marks.append(issue + leaves)
        if issue:
            self.beat = 0 if leaves else self.beat + 1
        self.tiles += begins - leaves
        if self.kept == 1:
            self.active = (self.active or done) and not leaves
        else:
            arrived = done or self.waiting
            moves = arrived and (not self.active or leaves)
            self.waiting, self.active = arrived and not moves, moves or self.active and not leaves


class _Engine:
    """``top.engine.Engine``: the sequencer, what it waits for, the drain."""

    def __init__(self, config: EngineConfig):
        self.config, self.timing, self.drain = config, config.timing, _Drain(config)
        self.work, self.edge = next(iter(config.formats_taken.values())), self._edge(config)
        self.works, self.tiles = deque(), 0
        self.term = self.beat = self.round = self.remaining = 0

    @staticmethod
    def _edge(config):
        if config.timing.gathers:
            return _Lookahead(config.group_beats, config.timing.edge)
        return _Hold(1) if config.group_beats == 1 else _Edge(config.group_beats)

    def expect(self, work, tiles):
        """A job's tiles take this work."""
        self.works.append((work, tiles[0] * tiles[1]))
        if not self.tiles:
            self._next_work()

    def _next_work(self):
        if self.works:
            self.work, self.tiles = self.works.popleft()

    def steps(self, weights: tuple[bool, bool], activations: tuple[bool, bool], scales: bool):
        """Ends of beat, pass, group and tile if a term is performed, else None. Streams as (valid, last), scales valid or not.

        Returns
        -------
        (tuple or None, bool)
            Ends, and whether a beat of activations is taken from the stream.
        """
        again = self.round != 0
        there, last = self.edge.offers(activations[0], activations[1], self.beat, again)
        tile = weights[1] or last
        at_beat = self.term == self.work.terms - 1
        at_pass = at_beat and (self.beat == self.config.group_beats - 1 or tile)
        at_group = at_pass and self.round >= self.work.passes - 1
        at_tile = at_group and tile
        end = at_group if self.timing.scaled == "group" else at_pass
        waits = end and (self.remaining or not scales) or at_tile and self.drain.busy()
        steps = (at_beat, at_pass, at_group, at_tile, end) if weights[0] and there and not waits else None
        takes = self.edge.ready(bool(steps) and at_beat, again, self.round >= self.work.passes - 1) and activations[0]
        return steps, takes

    def tick(self, steps, takes, last):
        """``takes``: a beat of activations, which is its tile's last or not."""
        self.edge.tick(takes, last, self.beat, bool(steps and steps[0]))
        self.remaining = max(self.remaining - 1, 0)
        if steps is None:
            return
        at_beat, at_pass, at_group, at_tile, end = steps
        self.term = 0 if at_beat else self.term + 1
        if at_beat:
            self.beat = 0 if at_pass else min(self.beat + 1, self.config.group_beats - 1)
        if at_pass:
            self.round = 0 if at_group else self.round + 1
        if end:
            self.remaining = self.timing.interval - 1
        if at_tile:
            self.tiles -= 1
            if not self.tiles:
                self._next_work()


class _Results:
    """``top.job_units.Results``: words of results to beats."""

    def __init__(self, bits, bus_bytes):
        size = -(-bits // 8)
        self.parts = -(-size // bus_bytes)
        self.slots = bus_bytes // (1 << (size - 1).bit_length()) if self.parts == 1 else 1
        self.index, self.active, self.tiles, self.left = 0, False, (0, 0), 0

    def gives(self, valid, last):
        """Whether a beat is offered, and whether it is the job's last."""
        whole = self.parts > 1 or self.index == self.slots - 1 or last and self.left == 1
        at_last = self.parts == 1 or self.index == self.parts - 1
        return valid and self.active and whole, last and self.left == 1 and at_last

    def ready(self, beats_ready, last):
        whole = self.parts > 1 or self.index == self.slots - 1 or last and self.left == 1
        return self.active and (beats_ready and self.index == self.parts - 1 if self.parts > 1 else beats_ready or not whole)

    def tick(self, job, taken, given, last):
        """``job``: tiles; ``taken`` a word, ``given`` a beat. Returns whether the job is taken."""
        if self.parts > 1:
            self.index = (self.index + given) % self.parts
        elif taken:
            self.index = 0 if given else self.index + 1
        if taken and last:
            self.left -= 1
            self.active = self.left != 0
        elif job is not None and not self.active:
            self.left, self.active = job[0] * job[1], True
            return True
        return False


class _Writer:
    """``hdl.axi_write.ArrayWriter`` and the memory that it writes to."""

    def __init__(self, burst, latency):
        self.burst, self.latency, self.queue = burst, latency, _Queue(4 * burst)
        self.active, self.filled, self.address = False, False, False
        self.left = self.beat = self.uncommitted = self.unanswered = self.sending = self.bursts = 0
        self.answers = deque()

    def ready(self):
        return self.queue.inner != self.queue.room and self.active and not self.filled

    def done(self):
        return self.active and not (self.left or self.unanswered or self.sending)

    def writes(self):
        """Whether the memory takes a beat."""
        return self.sending and self.queue.out and self.bursts

    def tick(self, job, pushed, last, now):
        """``job``: beats. Returns whether it is taken."""
        more = min(self.left, self.burst - self.beat % self.burst) - 1
        begins = (self.active and self.left and self.uncommitted > more and not self.sending and not self.address
                  and self.unanswered != 255)
        written = self.writes()
        answered = bool(self.answers) and self.answers[0] <= now
        done = self.done()
        if answered:
            self.answers.popleft()
        if written and self.sending == 1:
            self.bursts -= 1
            self.answers.append(now + max(self.latency, 1))
        self.bursts += self.address
        self.queue.tick(pushed, written)
        self.uncommitted += pushed - (more + 1 if begins else 0)
        self.unanswered += bool(begins) - answered
        self.sending = more + 1 if begins else self.sending - bool(written)
        self.address = bool(begins)
        if begins:
            self.beat, self.left = self.beat + more + 1, self.left - more - 1
        if pushed and last:
            self.filled = True
        if job is not None and not self.active:
            self.active, self.beat, self.left, self.filled = True, 0, job, False
            return True
        if done:
            self.active = False
        return False


class _Jobs:
    """``top.job_units.JobQueue``: of each unit the jobs that wait for it."""

    def __init__(self, units: Sequence[str], depth: int):
        self.waiting: dict[str, deque] = {name: deque() for name in units}
        self.depth = depth
        self.counting, self.left, self.jobs = False, 0, {}

    def full(self):
        return self.counting or any(len(queue) == self.depth for queue in self.waiting.values())

    def tick(self, started, taken):
        """``started``: a job's settings for each unit and its tiles, or None; ``taken``: units that take theirs."""
        counted = self.counting and self.left == 0
        for name in taken:
            self.waiting[name].popleft()
        if counted:
            for name, settings in self.jobs.items():
                self.waiting[name].append(settings)
            self.counting = False
        elif self.counting:
            self.left -= 1
        if started is not None:
            self.jobs, tiles = started
            self.counting, self.left = True, max(tiles) - 1

    def next(self, name):
        queue = self.waiting[name]
        return queue[0] if queue else None


class _Machine:
    """All units, and the order in which their signals are made of each other within a cycle."""

    def __init__(self, layout, jobs, around, latency, pace, starts):
        config, self.pace = layout.config, pace
        self.layout, self.config, self.latency, self.list, self.starts = layout, config, latency, list(jobs), starts
        self.names = layout.inputs
        self.readers = [_Reader(around.burst, around.outstanding if name in ("weights", "activations") else 2)
                        for name in self.names]
        self.words: list[_Words] = [self._words_of(name) for name in self.names]
        self.engine, self.results = _Engine(config), _Results(layout.word_bits("outputs"), layout.bus_bytes)
        self.writer = _Writer(around.burst, latency)
        units = [*(f"read_{name}" for name in self.names), *(f"words_{name}" for name in self.names), "write", "results"]
        self.jobs = _Jobs(units, around.queue)
        self.address: tuple[int, int] | None = None
        self.turn, self.free, self.coming = 0, 0.0, deque()
        self.joined = bool(config.first_of_group)
        self.read_beats = 0

    def _words_of(self, name):
        layout, formats = self.layout, self.config.formats_taken
        if name not in COLUMN_STREAMS:
            return _RowWords(-(-layout.word_bits(name) // layout.bus_bits))
        sizes = sorted({layout.units(name, fmt) for fmt in formats})
        hold = {"weights": max(work.terms for work in formats.values()), "scales": sizes[-1]}.get(name, 1)
        return _ColumnWords(layout.bus_bits // layout.unit_bits(name), sizes, hold)

    def _settings(self, job):
        """Of a job for each unit, and its tiles."""
        layout, tiles = self.layout, self.config.tiles(job.m, job.n)
        size, settings = tiles.m_tiles, {}
        for name in self.names:
            count, is_column = job.beats[name], name in COLUMN_STREAMS
            words = count * (tiles.n_tiles if is_column else size)
            beats = layout.pass_bytes(name, words, job.format) // layout.bus_bytes
            settings[f"read_{name}"] = beats, size if is_column else 1
            settings[f"words_{name}"] = ((layout.units(name, job.format), count, (size, tiles.n_tiles)) if is_column
                                         else (count, size, tiles.n_tiles))
        settings |= {"write": layout.outputs_bytes(job.m, job.n) // layout.bus_bytes, "results": (size, tiles.n_tiles)}
        return settings, (size, tiles.n_tiles)

    def run(self):
        """Until all jobs are done."""
        done, started, now, busy, quiet = [], 0, 0, 0, 0
        while len(done) < len(self.list):
            starts = None
            if started < len(self.list) and (now == self.starts[started] if self.starts else not self.jobs.full()):
                if self.jobs.full():
                    raise ValueError(f"starts must leave room in the queue, not have {now} for job {started}")
                starts = self._settings(self.list[started])
                self.engine.expect(self.config.formats_taken[self.list[started].format], starts[1])
                started += 1
            busy += started - (starts is not None) > len(done)
            moves, ends = self._cycle(now, starts)
            if ends:
                done.append(now)
            now, quiet = now + 1, 0 if moves or started < len(self.list) else quiet + 1
            if quiet > _LIMIT:
                raise RuntimeError(f"job {len(done)} must end, not wait for ever")
        return JobCycles(tuple(done), busy, self.read_beats)

    def _cycle(self, now, starts):
        """A cycle; returns whether a word moves in it, and whether a job ends."""
        names, readers, words, engine, results, writer = (
            self.names, self.readers, self.words, self.engine, self.results, self.writer)
        drain = engine.drain
        # Towards the engine: what is valid.
        offered, last = {}, {}
        for name, reader, unit in zip(names, readers, words):
            offered[name], last[name] = unit.offers(reader.queue.out)
        if self.joined:
            offered["weights"] = offered["weights"] and offered["scales"]
        # Back from the results: what is ready.
        out, out_last = drain.valid(), drain.last()
        gives, job_last = results.gives(out, out_last)
        beats_ready = writer.ready()
        out_taken = out and results.ready(beats_ready, out_last)
        pushed = gives and beats_ready
        issue, leaves = drain.issues(offered["constants"] and offered.get("tokens", True), out_taken)
        weights = offered["weights"], last["weights"]
        activations = offered["activations"], last["activations"]
        steps, takes = engine.steps(weights, activations, offered.get("scales", True))
        taken = {"weights": bool(steps) and steps[0], "activations": takes, "constants": leaves, "tokens": leaves,
                 "scales": bool(steps) and steps[4]}
        came = self._memory(now)
        if self.pace > 1 and writer.writes():
            self.free = max(self.free, float(now)) + self.pace
        asked = self._arbitrate(now)
        ended = writer.done()
        self._tick(now, starts, asked, came, taken, offered)
        engine.tick(steps, takes, last["activations"])
        drain.tick(bool(steps) and steps[3], issue, leaves)
        gone = []
        if results.tick(self.jobs.next("results"), out_taken, pushed, out_last):
            gone.append("results")
        if writer.tick(self.jobs.next("write"), pushed, job_last, now):
            gone.append("write")
        self.jobs.tick(starts, [*self.gone, *gone])
        return bool(steps) or pushed or came is not None, ended

    def _tick(self, now, starts, asked, came, taken, offered):
        """Readers and words."""
        self.gone = []
        for index, (name, reader, unit) in enumerate(zip(self.names, self.readers, self.words)):
            is_taken = taken[name] and offered[name]
            comes, job = reader.queue.out, self.jobs.next(f"words_{name}")
            pushed = comes and unit.ready(is_taken)
            if unit.tick(job, is_taken, pushed, pushed and reader.is_last()):
                self.gone.append(f"words_{name}")
            if reader.tick(self.jobs.next(f"read_{name}"), asked == index, came == index, pushed):
                self.gone.append(f"read_{name}")

    def _memory(self, now):
        """The stream whose beat comes, or None."""
        if self.coming and self.coming[0][0] <= now:
            self.read_beats += 1
            return self.coming.popleft()[1]
        return None

    def _arbitrate(self, now):
        """The stream that may ask, or None; what was asked for before goes to the memory."""
        if self.address is not None:
            index, count = self.address
            self.free, self.address = max(self.free, float(now + self.latency)), None
            for _ in range(count):
                self.coming.append((int(self.free), index))
                self.free += self.pace
        for step in range(len(self.readers)):
            index = (self.turn + step) % len(self.readers)
            if self.readers[index].wants():
                self.address = index, self.readers[index].more() + 1
                self.turn = (index + 1) % len(self.readers)
                return index
        return None
