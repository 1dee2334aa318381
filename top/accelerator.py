# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Any engine behind standard buses: registers on AXI4-Lite, operands and results on AXI4-Stream, or in memory by AXI4."""

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Const, DomainRenamer, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib import data, fifo, wiring
from amaranth.lib.wiring import In, Out

from .. import __version__
from ..golden.parameters import check_choice, check_integer
from ..golden.streams import payload_bits
from ..hdl.axi_stream import Receiver, Sender, Skid, beat_layout, slot_bytes
from ..hdl.layouts import without_last
from .engine import Engine
from .registers import MagicId, Registers

__all__ = ["SHELL_ERRORS", "SOFT", "Accelerator", "StreamAccelerator"]

# What the shell finds wrong, by its register's field.
SHELL_ERRORS = ("k_mismatch", "k_too_long", "scales_order", "format_changed", "format_unsupported")
SOFT = DomainRenamer("soft")
_HALTING = ("KEEP", "LENGTH", *map(str.upper, SHELL_ERRORS))


class Accelerator(wiring.Component):
    """Base of both forms: an engine, registers, an interrupt, and the domain ``soft``, which a soft reset resets.

    Members
    -------
    s_axi_* : AXI4-Lite
        See ``registers.rdl``.
    irq : Out(1)
        High while a cause of INTERRUPT that INTERRUPT_ENABLE has is set.
    """

    def __init__(self, engine: Engine, scheme: str, bus_bytes: int, queue: int, members):
        check_choice("bus_bytes", bus_bytes, (4, 8, 16, 32, 64))
        check_integer("queue", queue, 1, 255)
        self.engine, self.scheme, self.bus_bytes, self.queue, self.config = engine, scheme, bus_bytes, queue, engine.config
        self.registers = Registers()
        self.inputs = tuple(name for name in self.config.streams if name != "outputs")
        own = {name: member for name, member in self.registers.signature.members.items() if name.startswith("s_axi_")}
        super().__init__({**own, **members, "irq": Out(1)})

    def _begin(self, m, soft_reset):
        """Registers, the soft domain, and the engine in it."""
        m.submodules.registers = registers = self.registers
        for name in registers.signature.members:
            if name.startswith("s_axi_"):
                inner, outer = getattr(registers, name), getattr(self, name)
                m.d.comb += inner.eq(outer) if self.signature.members[name].flow == In else outer.eq(inner)
        values = registers.values
        m.domains.soft = soft = ClockDomain(local=True)
        m.d.comb += [
            soft.clk.eq(ClockSignal()),
            soft.rst.eq(ResetSignal() | soft_reset),
            registers.clear.eq(values.CONTROL.SOFT_RESET),
        ]
        m.submodules.engine = SOFT(self.engine)
        if self.engine.core.settings:
            settings = Cat(Value.cast(getattr(self.engine, name)) for name in self.engine.core.settings)
            m.d.comb += settings.eq(Mux(values.SETTING.WRITE, values.SETTING.VALUE, 0))
        raised = values.INTERRUPT.as_value() & values.INTERRUPT_ENABLE.as_value()
        m.d.comb += self.irq.eq(raised.any())
        self._identify(m)

    def _count(self, m, register, event):
        count = self.registers.status[register].COUNT
        m.d.soft += count.eq(count + event)

    def _engine_causes(self, m):
        """Sticky errors of the engine, once each: they are cleared as soon as they are seen. By names of causes."""
        errors = self.engine.errors
        names = errors.shape().members
        m.d.comb += self.engine.clear_errors.eq(errors.as_value().any())
        return {**{name.upper(): errors[name] for name in SHELL_ERRORS if name in names},
                "DATA": Cat(errors[name] for name in names if name not in SHELL_ERRORS).any()}

    def _identify(self, m):
        config, status = self.config, self.registers.status
        major, minor, patch = (int(part) for part in __version__.split(".")[:3])
        letters = int.from_bytes(self.scheme.encode("ascii")[:8], "little")
        m.d.comb += [
            status.ID.MAGIC.eq(MagicId),
            status.VERSION.MAJOR.eq(major), status.VERSION.MINOR.eq(minor), status.VERSION.PATCH.eq(patch),
            status.SCHEME_LOW.NAME.eq(letters & 0xFFFFFFFF), status.SCHEME_HIGH.NAME.eq(letters >> 32),
            status.TILE.ROWS.eq(config.rows), status.TILE.COLS.eq(config.cols),
            status.WORD.LANES.eq(config.lanes), status.WORD.DRAIN.eq(config.drain),
            status.LARGEST_K.ELEMENTS.eq(config.largest_k),
            status.CAPABILITIES.QUEUE.eq(self.queue), status.CAPABILITIES.BUS_BYTES.eq(self.bus_bytes),
            status.CAPABILITIES.HAS_SCALES.eq(self.engine.has_scales),
            status.CAPABILITIES.HAS_TOKENS.eq(self.engine.has_tokens),
        ]


class StreamAccelerator(Accelerator):
    """The stream form: an engine between AXI4-Streams, which jobs let run for their tiles.

    A job is a product ``Y[M, N]``; it takes the words of its tiles and no more. A packet on ``weights``, ``activations`` and
    ``scales`` is a tile; packets of ``constants`` and ``tokens`` are of any length. Every packet of ``outputs`` is a tile.
    Before a job runs its tiles are counted, in ``ceil(M / rows) + ceil(N / cols)`` cycles and a few; jobs do not overlap.

    Parameters
    ----------
    engine : Engine
        Of any scheme; a new one.
    scheme : str
        What registers SCHEME_LOW and SCHEME_HIGH hold.
    bus_bytes : int
        Of a beat on each stream: 4, 8, 16, 32 or 64.
    queue : int
        Jobs that may wait.

    Members
    -------
    s_axi_* : AXI4-Lite
        See ``registers.rdl``.
    s_axis_NAME_* : AXI4-Stream
        For each input stream of the engine; a word's payload without ``last``, in a slot of whole bytes
        (:mod:`subbyte.hdl.axi_stream`), the first word in the lowest bytes.
    m_axis_outputs_* : AXI4-Stream
    irq : Out(1)
        High while a cause of INTERRUPT that INTERRUPT_ENABLE has is set.
    """

    def __init__(self, engine: Engine, scheme: str, *, bus_bytes: int = 8, queue: int = 4):
        inputs = [name for name in engine.config.streams if name != "outputs"]
        super().__init__(engine, scheme, bus_bytes, queue, {
            **{key: member for name in inputs for key, member in _axi_stream(f"s_axis_{name}", bus_bytes, In).items()},
            **_axi_stream("m_axis_outputs", bus_bytes, Out),
        })

    def bits(self, name: str) -> int:
        """Bits of a stream's word: the payload without ``last``, which is TLAST."""
        return payload_bits(without_last(self.config.streams[name]))

    def describe(self) -> dict[str, object]:
        """Figures for the manifest: the engine's, and the bytes that a word takes on each bus."""
        slots = {name: slot_bytes(self.bits(name), self.bus_bytes) for name in self.config.streams}
        return {**self.engine.describe(), "bus_bytes": self.bus_bytes, "job_queue": self.queue, "bytes_of_a_word": slots,
                "settings": list(self.engine.core.settings)}

    def elaborate(self, platform):
        m = Module()
        self._begin(m, self.registers.values.CONTROL.SOFT_RESET)
        # A signal of its own: within `set`, which has INTERRUPT too, simulators see a loop.
        self._causes = Signal(self.registers.set.ERRORS.shape())
        m.d.comb += self.registers.set.ERRORS.eq(self._causes)
        job, running, halted = self._run_jobs(m)
        done = [self._feed(m, name, job, running, halted) for name in self.inputs]
        self._emit_outputs(m, running)
        m.d.comb += [self._causes[name].eq(found) for name, found in self._engine_causes(m).items()]
        m.d.comb += self._causes.KEEP.eq(Cat(*done).any())
        return m

    def _run_jobs(self, m):
        """The queue, and the job that runs: its tiles are counted before, those that have left while it does."""
        config, values, status, found = self.config, self.registers.values, self.registers.status, self.registers.set
        layout = data.StructLayout({"m": 16, "n": 24, "beats": 32})
        m.submodules.jobs = jobs = SOFT(fifo.SyncFIFOBuffered(width=layout.size, depth=self.queue))
        offered = Signal(layout)
        next_job = data.View(layout, jobs.r_data)
        start, empty = values.CONTROL.START, (offered.m == 0) | (offered.n == 0)
        job = Signal(data.StructLayout({"tiles": 32, "beats": 32}))
        m_tiles = Signal(16)
        left_m = Signal(16)
        left_n = Signal(24)
        self._left = Signal(32)
        halted = Signal()
        running = Signal()
        done = Signal()
        m.d.comb += [
            offered.m.eq(values.M.COUNT), offered.n.eq(values.N.COUNT), offered.beats.eq(values.BEATS.COUNT),
            jobs.w_data.eq(offered.as_value()),
            jobs.w_en.eq(start & ~empty & ~halted),
            self._causes.SIZE.eq(start & empty),
            self._causes.QUEUE.eq(start & ~empty & (~jobs.w_rdy | halted)),
            found.INTERRUPT.DONE.eq(done),
            found.INTERRUPT.ERROR.eq(self._causes.as_value().any()),
            status.STATUS.FULL.eq(~jobs.w_rdy),
            status.STATUS.HALTED.eq(halted),
        ]
        self._fresh = Signal()
        with m.FSM(domain="soft", name="job") as fsm:
            with m.State("idle"):
                m.d.soft += [left_m.eq(next_job.m), left_n.eq(next_job.n), job.beats.eq(next_job.beats)]
                m.d.soft += [m_tiles.eq(1), job.tiles.eq(0)]
                m.d.comb += jobs.r_en.eq(1)
                with m.If(jobs.r_rdy):
                    m.next = "count rows"
            with m.State("count rows"):
                with m.If(left_m <= config.rows):
                    m.next = "count columns"
                with m.Else():
                    m.d.soft += [left_m.eq(left_m - config.rows), m_tiles.eq(m_tiles + 1)]
            with m.State("count columns"):
                m.d.soft += job.tiles.eq(job.tiles + m_tiles)
                with m.If(left_n <= config.cols):
                    m.d.comb += self._fresh.eq(1)
                    m.next = "run"
                with m.Else():
                    m.d.soft += left_n.eq(left_n - config.cols)
            with m.State("run"):
                m.d.comb += [running.eq(~halted), done.eq(running & (self._left == job.tiles))]
                with m.If(done):
                    m.next = "idle"
            m.d.comb += status.STATUS.BUSY.eq((~fsm.ongoing("idle") | jobs.r_rdy) & ~halted)
        m.d.soft += status.STATUS.JOBS.eq(status.STATUS.JOBS + done)
        m.d.soft += halted.eq(halted | Cat(self._causes[name] for name in _HALTING).any())
        self._count(m, "CYCLES", running)
        return job, running, halted

    def _feed(self, m, name, job, running, halted):
        """From a bus to the engine, for as many tiles as the job has; returns whether a broken beat is taken."""
        target, bits = getattr(self.engine, name), self.bits(name)
        m.submodules[f"skid_{name}"] = skid = Skid(beat_layout(self.bus_bytes))
        m.submodules[f"receive_{name}"] = receiver = SOFT(Receiver(bits, self.bus_bytes))
        has_last = self.config.streams[name][-1].name == "last"
        discard = self.registers.values.CONTROL.DISCARD & ~running
        bus = {part: getattr(self, f"s_axis_{name}_t{part}") for part in ("data", "keep", "last", "valid", "ready")}
        word = receiver.o.payload
        tiles = Signal(32, name=f"{name}_tiles")
        may = Signal(name=f"{name}_may")
        m.d.comb += [
            skid.i.payload.data.eq(bus["data"]), skid.i.payload.keep.eq(bus["keep"]), skid.i.payload.last.eq(bus["last"]),
            skid.i.valid.eq(bus["valid"]), bus["ready"].eq(skid.i.ready),
            receiver.i.payload.eq(skid.o.payload),
            receiver.i.valid.eq(skid.o.valid & ~discard & ~halted),
            skid.o.ready.eq(discard | receiver.i.ready & ~halted),
            may.eq(running & (tiles != job.tiles)),
            target.valid.eq(receiver.o.valid & may),
            receiver.o.ready.eq(target.ready & may),
            target.payload.eq(Cat(word.data, word.last) if has_last else word.data),
        ]
        taken = target.valid & target.ready
        with m.If(self._fresh):
            m.d.soft += tiles.eq(0)
        with m.Elif(taken & (word.last if has_last else 1)):
            m.d.soft += tiles.eq(tiles + 1)
        if name == "weights":
            self._check_length(m, job, taken, word.last)
            self._count(m, "WEIGHT_WORDS", taken)
            self._weights_may = receiver.o.valid & may
        if name == "activations":
            self._count(m, "WEIGHT_STALLS", receiver.o.valid & may & ~self._weights_may)
            self._count(m, "ACTIVATION_STALLS", self._weights_may & running & ~receiver.o.valid)
        return receiver.broken

    def _check_length(self, m, job, taken, last):
        """A tile of weights has as many words as the job says."""
        words = Signal(32)
        with m.If(self._fresh):
            m.d.soft += words.eq(1)
        with m.Elif(taken):
            m.d.soft += words.eq(Mux(last, 1, words + 1))
        m.d.comb += self._causes.LENGTH.eq(taken & (job.beats != 0) & (last != (words == job.beats)))

    def _emit_outputs(self, m, running):
        """From the engine to the bus; the skid buffer is beyond the soft reset, so no beat is withdrawn.

        A packet that a soft reset cuts short ends with an empty beat, so that the sink sees where the next one begins.
        """
        source, bits = self.engine.outputs, self.bits("outputs")
        m.submodules.send_outputs = sender = SOFT(Sender(bits, self.bus_bytes))
        m.submodules.skid_outputs = skid = Skid(beat_layout(self.bus_bytes))
        word = source.payload.as_value()
        within = Signal()
        cut = Signal()
        empty = Cat(Const(0, 9 * self.bus_bytes), Const(1))
        with m.If(skid.i.valid & skid.i.ready):
            m.d.sync += [within.eq(~skid.i.payload.last), cut.eq(0)]
        with m.If(self.registers.values.CONTROL.SOFT_RESET):
            m.d.sync += cut.eq(Mux(skid.i.valid & skid.i.ready, ~skid.i.payload.last, within))
        m.d.comb += [
            sender.i.payload.data.eq(word[:bits]), sender.i.payload.last.eq(word[bits]),
            sender.i.valid.eq(source.valid & running), source.ready.eq(sender.i.ready & running),
            skid.i.payload.eq(Mux(cut, empty, sender.o.payload.as_value())),
            skid.i.valid.eq(cut | sender.o.valid), sender.o.ready.eq(skid.i.ready & ~cut),
            *(getattr(self, f"m_axis_outputs_t{part}").eq(skid.o.payload[part]) for part in ("data", "keep", "last")),
            self.m_axis_outputs_tvalid.eq(skid.o.valid), skid.o.ready.eq(self.m_axis_outputs_tready),
        ]
        left = source.valid & source.ready
        with m.If(self._fresh):
            m.d.soft += self._left.eq(0)
        with m.Elif(left & word[bits]):
            m.d.soft += self._left.eq(self._left + 1)
        self._count(m, "OUTPUT_WORDS", left)
        self._count(m, "OUTPUT_STALLS", source.valid & running & ~source.ready)


def _axi_stream(prefix, bus_bytes, flow):
    """Members of an AXI4-Stream: a sink's, or with Out a source's."""
    back = Out if flow == In else In
    return {f"{prefix}_tdata": flow(8 * bus_bytes), f"{prefix}_tkeep": flow(bus_bytes), f"{prefix}_tlast": flow(1),
            f"{prefix}_tvalid": flow(1), f"{prefix}_tready": back(1)}
