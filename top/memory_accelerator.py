# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The memory form: any engine that fetches its operands and stores its results itself."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from ..golden.memory import COLUMN_STREAMS, MemoryLayout
from ..golden.parameters import check_choice, check_integer
from ..golden.streams import payload_bits
from ..hdl.axi_read import PAGE, ArrayReader, ReadArbiter
from ..hdl.axi_write import ArrayWriter
from ..hdl.replay_buffer import ReplayBuffer
from .accelerator import SOFT, Accelerator
from .engine import Engine
from .job_units import JobQueue, Results, TileWords

__all__ = ["ADDRESS_BITS", "MemoryAccelerator"]

ADDRESS_BITS = 32
_REFUSED = ("SIZE", "QUEUE", "ALIGNMENT", "BUFFER", "SETTINGS")
"""Causes for which a job is not queued; with DATA those that do not halt."""
_BEATS = {"weights": "BEATS", "activations": "ACTIVATION_BEATS", "scales": "SCALE_BEATS"}
"""Registers of words a tile; of other streams a tile has one."""


class MemoryAccelerator(Accelerator):
    """An engine that reads its operands and writes its results through an AXI4 master; see docs/accelerator.md.

    Tiles go row by row of tiles: activations of a row are read once and kept, weights stream. Arrays lie in memory as
    :class:`subbyte.golden.memory.MemoryLayout` says.

    Parameters
    ----------
    engine, scheme, bus_bytes, queue
        As of :class:`~subbyte.top.accelerator.StreamAccelerator`; the bus is that of the memory.
    burst : int
        Longest burst in beats, a power of two from 2 to 256, of no more than 4 KiB.
    outstanding : int
        Bursts of weights, and of activations, that may be on their way: enough of them hide the memory's latency.
    buffer : int
        Words of activations that a tile may have, a power of two; two banks of them are built.

    Members
    -------
    s_axi_*, irq
        See :class:`~subbyte.top.accelerator.Accelerator`.
    m_axi_* : AXI4
        32 address bits, INCR bursts; a stream's number is its ID of reads, writes have ID 0.
    """

    def __init__(self, engine: Engine, scheme: str, *, bus_bytes: int = 16, queue: int = 2, burst: int = 16,
                 outstanding: int = 16, buffer: int = 256):
        self.layout = layout = MemoryLayout(engine.config, bus_bytes)
        check_choice("burst", burst, [1 << i for i in range(1, 9) if bus_bytes << i <= PAGE])
        check_integer("outstanding", outstanding, 2, 64)
        check_choice("buffer", buffer, [1 << i for i in range(1, 16)], "a power of two from 2 to 32768")
        self.burst, self.outstanding, self.buffer = burst, outstanding, buffer
        self.low_bits = (bus_bytes - 1).bit_length()
        self.beat_bits = ADDRESS_BITS - self.low_bits
        super().__init__(engine, scheme, bus_bytes, queue, _axi(bus_bytes, max((len(layout.inputs) - 1).bit_length(), 1)))

    def describe(self) -> dict[str, object]:
        """Figures for the manifest: the engine's, and what a driver must know of the arrays."""
        layout, formats = self.layout, self.config.formats_taken
        return {
            **self.engine.describe(), "bus_bytes": self.bus_bytes, "job_queue": self.queue, "burst": self.burst,
            "outstanding_bursts": self.outstanding, "buffer_words": self.buffer,
            "bits_of_a_word": {name: layout.word_bits(name) for name in self.config.streams},
            "unit_bits": {name: layout.unit_bits(name) for name in self.config.streams},
            "units_of_a_weight_word": {formats[code].name: layout.units("weights", code) for code in formats},
            "format_codes": {formats[code].name: code for code in formats},
            "settings": list(self.engine.core.settings),
        }

    def elaborate(self, platform):
        m = Module()
        soft_reset = Signal()
        self._quiet = Signal()
        self._resetting = Signal()
        self._begin(m, soft_reset)
        # A soft reset waits until the bus owes nothing, so what it resets has no transaction under way.
        with m.If(self.registers.values.CONTROL.SOFT_RESET):
            m.d.sync += self._resetting.eq(1)
        with m.Elif(soft_reset):
            m.d.sync += self._resetting.eq(0)
        m.d.comb += soft_reset.eq(self._resetting & self._quiet)
        self._halted = Signal()
        self._causes = {}
        jobs = self._queue_jobs(m)
        readers = {name: self._reader(m, name, jobs) for name in self.inputs}
        self._connect_reads(m, readers)
        words = {name: self._words(m, name, jobs, readers[name].o) for name in self.inputs}
        self._feed(m, words)
        self._store(m, jobs)
        self._finish(m)
        return m

    def _queue_jobs(self, m):
        """What is wrong with the job in the registers; if nothing is, it goes to all units."""
        values, config = self.registers.values, self.config
        arrays = [*self.inputs, "outputs"]
        beat_range = {"weights": 24, "scales": 16, "activations": range(self.buffer + 1)}
        units = {f"read_{name}": {"beat": self.beat_bits, "beats": self.beat_bits} for name in self.inputs}
        for name in self.inputs:
            units[f"words_{name}"] = {"beats": beat_range[name]} if name in _BEATS else {}
        format_bits = self._format_bits()
        units["words_weights"] = {"beats": 24, "size": range(self.layout.units("weights") + 1),
                                  **({"format": format_bits} if format_bits else {})}
        units |= {"write": {"beat": self.beat_bits, "beats": self.beat_bits}, "results": {}}
        m.submodules.queue = queue = SOFT(JobQueue(config.rows, config.cols, units, self.queue))
        for unit, stream in [*((f"read_{name}", name) for name in self.inputs), ("write", "outputs")]:
            settings, register = queue.settings[unit], stream.upper()
            m.d.comb += [settings.beat.eq(values[f"{register}_BASE"].ADDRESS[self.low_bits:]),
                         settings.beats.eq(values[f"{register}_BYTES"].COUNT[self.low_bits:])]
        for name, register in _BEATS.items():
            if name in self.inputs:
                m.d.comb += queue.settings[f"words_{name}"].beats.eq(values[register].COUNT)
        code = values.FORMAT.CODE
        known = Signal()
        with m.Switch(code):
            for fmt in config.formats_taken:
                with m.Case(fmt):
                    m.d.comb += [known.eq(1), queue.settings.words_weights.size.eq(self.layout.units("weights", fmt))]
        if format_bits:
            m.d.comb += queue.settings.words_weights.format.eq(code)
        low = [values[f"{name.upper()}_{what}"].as_value()[:self.low_bits] for name in arrays for what in ("BASE", "BYTES")]
        needed = [values.M.COUNT, values.N.COUNT, values.K.ELEMENTS,
                  *(values[f"{name.upper()}_BYTES"].COUNT for name in arrays),
                  *(values[_BEATS[name]].COUNT for name in self.inputs if name in _BEATS)]
        zero, k = Cat(value == 0 for value in needed).any(), values.K.ELEMENTS
        wrong = {
            "SIZE": zero, "ALIGNMENT": Cat(low).any(), "BUFFER": values.ACTIVATION_BEATS.COUNT > self.buffer,
            "SETTINGS": ~known | (k > config.largest_k) | (values.BEATS.COUNT >> 24).any(),
            "QUEUE": queue.full | self._halted | self._resetting,
        }
        start = values.CONTROL.START
        self._causes |= {cause: start & found for cause, found in wrong.items()}
        self._accepted = Signal()
        m.d.comb += [self._accepted.eq(start & ~Cat(wrong.values()).any()), queue.start.eq(self._accepted),
                     queue.m.eq(values.M.COUNT), queue.n.eq(values.N.COUNT),
                     self.registers.status.STATUS.FULL.eq(queue.full)]
        return queue

    def _format_bits(self):
        fields = {field.name: field for field in self.config.streams["weights"]}
        return payload_bits((fields["format"],)) if "format" in fields else 0

    def _reader(self, m, name, jobs):
        """A stream's beats. Weights and activations must come at the speed of the bus, the others now and then."""
        outstanding = self.outstanding if name in ("weights", "activations") else 2
        reader = SOFT(ArrayReader(8 * self.bus_bytes, self.beat_bits, self.burst, outstanding))
        m.submodules[f"read_{name}"] = reader
        port = getattr(jobs, f"jobs__read_{name}")
        passes = port.payload.tiles.m if name in COLUMN_STREAMS else 1
        m.d.comb += [
            reader.job.payload.beat.eq(port.payload.settings.beat), reader.job.payload.beats.eq(port.payload.settings.beats),
            reader.job.payload.passes.eq(passes), reader.job.valid.eq(port.valid), port.ready.eq(reader.job.ready),
        ]
        return reader

    def _connect_reads(self, m, readers):
        m.submodules.arbiter = arbiter = SOFT(ReadArbiter(len(readers), self.beat_bits, self.burst))
        answered = self.m_axi_rvalid & self.m_axi_rready
        unanswered = Signal(range(self.outstanding * len(readers) + 2))
        granted = Signal()
        for index, reader in enumerate(readers.values()):
            request = arbiter.requests[index]
            m.d.comb += [
                request.payload.eq(reader.request.payload), request.valid.eq(reader.request.valid),
                reader.request.ready.eq(request.ready),
                reader.data.payload.eq(self.m_axi_rdata), reader.data.valid.eq(answered & (self.m_axi_rid == index)),
            ]
        ar = arbiter.ar
        m.d.comb += [
            arbiter.blocked.eq(self._halted | self._resetting), arbiter.allowed.eq(self._in_window(arbiter.chosen.beat)),
            *self._drive_address("ar", ar.payload.burst, ar.valid), self.m_axi_arid.eq(ar.payload.id),
            ar.ready.eq(self.m_axi_arready), self.m_axi_rready.eq(1), granted.eq(ar.valid & ar.ready),
        ]
        m.d.soft += unanswered.eq(unanswered + granted - (answered & self.m_axi_rlast))
        self._reads_quiet = ~ar.valid & (unanswered == 0)
        self._read_failed = answered & self.m_axi_rresp[1]
        self._causes |= {"READ": self._read_failed}
        self._refused = [arbiter.refused]
        self._count(m, "READ_BEATS", answered)

    def _in_window(self, beat):
        """Whether a burst from this beat is within the window; its page is that of its first beat."""
        page, values = beat[PAGE.bit_length() - 1 - self.low_bits:], self.registers.values
        return (page >= values.WINDOW_BASE.PAGE) & (page <= values.WINDOW_LIMIT.PAGE)

    def _drive_address(self, channel, burst, valid):
        drive = {"addr": burst.beat << self.low_bits, "len": burst.more, "size": self.low_bits, "burst": 1, "cache": 3,
                 "prot": 0, "valid": valid}
        return [getattr(self, f"m_axi_{channel}{name}").eq(value) for name, value in drive.items()]

    def _words(self, m, name, jobs, beats):
        """A stream's words, by the job's counts."""
        layout, port = self.layout, getattr(jobs, f"jobs__words_{name}")
        count = port.payload.settings.beats if name in _BEATS else 1
        tiles = port.payload.tiles
        if name in COLUMN_STREAMS:
            unit, formats = layout.unit_bits(name), self.config.formats_taken
            sizes = sorted({layout.units(name, fmt) for fmt in formats})
            # Scales are held through a group, and their selectors are needed at once behind it.
            hold = {"weights": max(work.terms for work in formats.values()), "scales": sizes[-1]}.get(name, 1)
            made = TileWords(unit, layout.bus_bits // unit, sizes, hold, self._format_bits() if name == "weights" else 0)
            job = made.job.payload
            m.d.comb += [job.beats.eq(count), job.tiles.eq(tiles), job.size.eq(sizes[0])]
            if name == "weights":
                told = port.payload.settings
                m.d.comb += [job[item].eq(told[item]) for item in ("size", "format") if item in told.shape().members]
        else:
            made = ReplayBuffer(layout.word_bits(name), layout.bus_bits, self.buffer if name == "activations" else 1)
            job = made.job.payload
            m.d.comb += [job.words.eq(count), job.tiles.eq(tiles.m), job.repeats.eq(tiles.n)]
        m.submodules[f"words_{name}"] = made = SOFT(made)
        m.d.comb += [made.job.valid.eq(port.valid), port.ready.eq(made.job.ready),
                     made.i.payload.eq(beats.payload), made.i.valid.eq(beats.valid), beats.ready.eq(made.i.ready)]
        self._causes["LENGTH"] = self._causes.get("LENGTH", 0) | made.length
        return made.o

    def _feed(self, m, words):
        """Words to the engine; what rides with scales is joined to the weights, which wait for it."""
        running = ~self._halted
        carried = self.config.first_of_group
        for name, source in words.items():
            target = getattr(self.engine, name)
            values = dict(zip((item.name for item in self.layout.fields(name)), self._cut(name, source), strict=True))
            if name == "scales":
                values = {key: value for key, value in values.items() if key not in carried}
            if name == "weights":
                values |= {key: value for key, value in zip(
                    (item.name for item in self.layout.fields("scales")), self._cut("scales", words["scales"]), strict=True)
                    if key in carried} if carried else {}
                values["format"] = self._format(source)
            values["last"] = source.payload.last
            ready = running & (words["scales"].valid if name == "weights" and carried else 1)
            m.d.comb += [
                target.payload.eq(Cat(values[item.name] for item in self.config.streams[name])),
                target.valid.eq(source.valid & ready), source.ready.eq(target.ready & ready),
            ]
        weights, activations = words["weights"], words["activations"]
        scales_missing = ~words["scales"].valid if carried else Const(0)
        self._count(m, "WEIGHT_STALLS", activations.valid & running & ~weights.valid)
        self._count(m, "ACTIVATION_STALLS", weights.valid & running & ~activations.valid)
        self._count(m, "SCALE_STALLS", weights.valid & running & scales_missing)
        self._count(m, "BUSY_CYCLES", self.engine.weights.valid & self.engine.activations.valid)
        self._count(m, "WEIGHT_WORDS", self.engine.weights.valid & self.engine.weights.ready)

    def _cut(self, name, source):
        """Values of the fields of a word in memory."""
        values, start = [], 0
        word = Value.cast(source.payload.data)
        for item in self.layout.fields(name):
            width = payload_bits((item,))
            if name == "weights" and self.layout.code_widths and not start:
                values.append(self._codes(word, width, self._format(source)))
                width = self.layout.word_bits("weights")
            else:
                values.append(word[start:start + width])
            start += width
        return values

    def _format(self, source):
        return source.payload.format if self._format_bits() else Const(next(iter(self.config.formats_taken)))

    def _codes(self, word, width, fmt):
        """Planes in memory as codes in slots: those above a format's own are zero, or its sign."""
        slot = self.layout.slot_bits
        count = width // slot
        kept, signs = [], []
        for code in self.config.formats_taken:
            bits, is_signed = self.config.stored_code(code)
            kept.append((fmt == code, bits, is_signed))
        for element in range(count):
            signs.append(Cat(match & word[(bits - 1) * count + element] for match, bits, is_signed in kept if is_signed).any())
        has = [Cat(match for match, bits, _ in kept if bits > plane).any() for plane in range(slot)]
        widest = max(bits for _, bits, _ in kept)
        return Cat(Mux(has[plane], word[plane * count + element], signs[element]) if plane < widest else signs[element]
                   for element in range(count) for plane in range(slot))

    def _store(self, m, jobs):
        """Results to memory: their data; a flag among them is a cause."""
        layout, source = self.layout, self.engine.outputs
        bits = layout.word_bits("outputs")
        m.submodules.results = results = SOFT(Results(bits, self.bus_bytes))
        m.submodules.writer = writer = SOFT(ArrayWriter(self.bus_bytes, self.beat_bits, self.burst, 4 * self.burst))
        for unit, port in ((results, jobs.jobs__results), (writer, jobs.jobs__write)):
            m.d.comb += [unit.job.valid.eq(port.valid), port.ready.eq(unit.job.ready)]
        job = jobs.jobs__write.payload.settings
        word, running = source.payload.as_value(), ~self._halted
        m.d.comb += [
            results.job.payload.eq(jobs.jobs__results.payload.tiles),
            writer.job.payload.beat.eq(job.beat), writer.job.payload.beats.eq(job.beats),
            results.i.payload.data.eq(word[:bits]), results.i.payload.last.eq(word[-1]),
            results.i.valid.eq(source.valid & running), source.ready.eq(results.i.ready & running),
            writer.i.payload.eq(results.o.payload), writer.i.valid.eq(results.o.valid), results.o.ready.eq(writer.i.ready),
            writer.blocked.eq(self._halted | self._resetting), writer.allowed.eq(self._in_window(writer.chosen.beat)),
            *self._drive_address("aw", writer.aw.payload, writer.aw.valid), writer.aw.ready.eq(self.m_axi_awready),
            self.m_axi_awid.eq(0),
            self.m_axi_wdata.eq(writer.w.payload.data), self.m_axi_wstrb.eq(writer.w.payload.keep),
            self.m_axi_wlast.eq(writer.w.payload.last), self.m_axi_wvalid.eq(writer.w.valid),
            writer.w.ready.eq(self.m_axi_wready), self.m_axi_bready.eq(1), writer.answered.eq(self.m_axi_bvalid),
        ]
        left = source.valid & source.ready
        self._write_failed = self.m_axi_bvalid & self.m_axi_bresp[1]
        self._causes |= {"WRITE": self._write_failed, "LENGTH": self._causes["LENGTH"] | writer.length,
                         "FLAGS": left & word[bits:-1].any()}
        self._refused.append(writer.refused)
        self._done, self._writes_quiet = writer.done, ~writer.pending
        self._count(m, "WRITE_BEATS", writer.w.valid & writer.w.ready)
        self._count(m, "OUTPUT_WORDS", left)
        self._count(m, "OUTPUT_STALLS", source.valid & running & ~source.ready)

    def _finish(self, m):
        """Causes, what they halt, and what goes on."""
        status, found, halted = self.registers.status, self.registers.set, self._halted
        causes = self._causes | {"WINDOW": Cat(self._refused).any()}
        flags = causes.pop("FLAGS")
        for name, value in self._engine_causes(m).items():
            causes[name] = causes.get(name, 0) | (value & ~halted)
        causes["DATA"] = causes["DATA"] | flags
        resetting = self._resetting | self.registers.values.CONTROL.SOFT_RESET
        raised = {name: Signal(name=f"found_{name.lower()}") for name in causes}
        for name, value in causes.items():
            m.d.comb += raised[name].eq(value if name in _REFUSED else value & ~resetting)
            m.d.comb += found.ERRORS[name].eq(raised[name])
        halting = [signal for name, signal in raised.items() if name not in (*_REFUSED, "DATA")]
        pending = Signal(range(2 * self.queue + 4))
        done = self._done & ~halted & ~self._resetting
        m.d.soft += [
            halted.eq(halted | Cat(halting).any()),
            pending.eq(pending + self._accepted - done),
            status.STATUS.JOBS.eq(status.STATUS.JOBS + done),
            status.BUS_ERRORS.COUNT.eq(status.BUS_ERRORS.COUNT + self._read_failed + self._write_failed),
        ]
        self._count(m, "CYCLES", (pending != 0) & ~halted)
        m.d.comb += [
            self._quiet.eq(self._reads_quiet & self._writes_quiet),
            found.INTERRUPT.DONE.eq(done), found.INTERRUPT.ERROR.eq(Cat(raised.values()).any()),
            status.STATUS.BUSY.eq((pending != 0) & ~halted), status.STATUS.HALTED.eq(halted),
            status.STATUS.RESETTING.eq(self._resetting), status.STATUS.BUS_IDLE.eq(self._quiet),
            status.CAPABILITIES.HAS_MEMORY.eq(1), status.BUFFER.WORDS.eq(self.buffer),
        ]


def _axi(bus_bytes, id_bits):
    """Members of an AXI4 master."""
    address = {"id": id_bits, "addr": ADDRESS_BITS, "len": 8, "size": 3, "burst": 2, "cache": 4, "prot": 3}
    channels = {
        **{f"{channel}{name}": Out(width) for channel in ("ar", "aw") for name, width in address.items()},
        "wdata": Out(8 * bus_bytes), "wstrb": Out(bus_bytes), "wlast": Out(1),
        "bid": In(id_bits), "bresp": In(2), "rid": In(id_bits), "rdata": In(8 * bus_bytes), "rresp": In(2), "rlast": In(1),
        **{f"{channel}{end}": flow(1) for channel in ("ar", "aw", "w") for end, flow in (("valid", Out), ("ready", In))},
        **{f"{channel}{end}": flow(1) for channel in ("r", "b") for end, flow in (("valid", In), ("ready", Out))},
    }
    return {f"m_axi_{name}": member for name, member in channels.items()}
