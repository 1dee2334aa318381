# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""An engine behind a serial line, so that a part with few pins, or a board with a USB-serial chip, can hold it.

Not a fast port: it is there to have the real bits from a real board. docs/fpga.md describes the protocol,
:mod:`subbyte.host.serial` is the other end of the line.
"""

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Const, Module, ResetSignal, Shape, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from ..hdl.uart import UartReceiver, UartTransmitter
from ..host.serial import HOST_FLAGS, IDENTITY_BYTES, VERSION, Command, Control, Report, SerialPorts, bytes_of

__all__ = ["SerialHost", "SerialTop", "serial_ports"]

_BUFFER = 512  # bytes: a block RAM of the smallest parts

_QUIET_BITS = 12


def serial_ports(engine, buffer_bytes: int | None = None) -> SerialPorts:
    """The ports of an engine (:class:`subbyte.top.engine.Engine`), as the protocol numbers them.

    Parameters
    ----------
    engine : Engine
    buffer_bytes : int or None
        Of each input stream; None: 512, or what two words of the widest one need.
    """
    payloads = {In: {}, Out: {}}
    for name, member in engine.signature.members.items():
        if member.is_signature:
            payloads[member.flow][name] = _bits(member.signature.members["payload"].shape)
    widest = 1 << (2 * max(map(bytes_of, payloads[In].values())) - 1).bit_length()
    settings = {name: _bits(member.shape) for name, member in engine.core.settings.items()}
    return SerialPorts(payloads[In], payloads[Out], settings, tuple(engine.errors.shape().members),
                       max(_BUFFER, widest) if buffer_bytes is None else buffer_bytes)


def _bits(shape):
    return Shape.cast(shape).width


class _Assembler(wiring.Component):
    """Bytes of an input stream, buffered, and put together to words, least significant byte first."""

    def __init__(self, bits, buffer_bytes):
        self.bits, self.buffer_bytes = bits, buffer_bytes
        super().__init__({"bytes": In(stream.Signature(8)), "word": Out(stream.Signature(bits))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.buffer = buffer = fifo.SyncFIFOBuffered(width=8, depth=self.buffer_bytes)
        count = bytes_of(self.bits)
        word = Signal(8 * count, reset_less=True)
        missing = Signal(range(count + 1), init=count)
        m.d.comb += [
            buffer.w_data.eq(self.bytes.payload),
            buffer.w_en.eq(self.bytes.valid),
            self.bytes.ready.eq(buffer.w_rdy),
            self.word.payload.eq(word[: self.bits]),
            self.word.valid.eq(missing == 0),
            buffer.r_en.eq(missing != 0),
        ]
        with m.If(self.word.valid & self.word.ready):
            m.d.sync += missing.eq(count)
        with m.Elif(buffer.r_en & buffer.r_rdy):
            m.d.sync += [missing.eq(missing - 1), word.eq(Cat(word, buffer.r_data)[8:])]
        return m


class _Reporter(wiring.Component):
    """Sends reports, the first of the list that is due: a first byte, and a word of each its own length."""

    def __init__(self, reports):
        self.reports = reports
        super().__init__({
            **{name: In(stream.Signature(max(bits, 1))) for name, _, bits in reports},  # no signal without bits
            "bytes": Out(stream.Signature(8)),
        })

    def elaborate(self, platform):
        m = Module()
        longest = max(bytes_of(bits) for _, _, bits in self.reports)
        message, left = Signal(8 * (1 + longest), reset_less=True), Signal(range(longest + 2))
        m.d.comb += [self.bytes.payload.eq(message[:8]), self.bytes.valid.eq(left != 0)]
        with m.If(self.bytes.valid & self.bytes.ready):
            m.d.sync += [message.eq(message >> 8), left.eq(left - 1)]
        free = left == 0
        for name, head, bits in self.reports:
            source = getattr(self, name)
            m.d.comb += source.ready.eq(free)
            with m.If(free & source.valid):
                m.d.sync += [message.eq(Cat(Const(head, 8), source.payload)), left.eq(1 + bytes_of(bits))]
            free = free & ~source.valid
        return m


class SerialHost(wiring.Component):
    """The protocol's device: commands from a serial line to the ports of an engine, reports back.

    Every input stream has a buffer in block RAM; the host may send so many words ahead, and a report tells it of each
    word that the engine takes.

    Parameters
    ----------
    engine : Engine
        Not yet placed: it becomes a submodule.
    divisor : int
        Cycles of a bit on the line.
    buffer_bytes : int or None
        See :func:`serial_ports`.

    Members
    -------
    rx : In(1)
        Line to the device.
    tx : Out(1)
        Line from the device.
    broken : Out(1)
        A break was received, for one cycle: whoever owns the clock domain resets it.
    error : Out(1)
        One of the sticky flags is set.
    """

    def __init__(self, engine, divisor: int, buffer_bytes: int | None = None):
        self.engine, self.divisor = engine, divisor
        self.ports = serial_ports(engine, buffer_bytes)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "broken": Out(1), "error": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = engine = self.engine
        m.submodules.receiver = receiver = UartReceiver(self.divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self.divisor)
        m.submodules.reporter = reporter = _Reporter(self._reports())
        wiring.connect(m, reporter.bytes, transmitter.data)
        host_flags, ask, clear = Signal(len(HOST_FLAGS)), Signal(), Signal()
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            self.broken.eq(receiver.broken),
            self.error.eq(host_flags.any() | engine.errors.as_value().any()),
            engine.clear_errors.eq(clear),
        ]
        targets = {
            Command.WORD: [self._place_assembler(m, reporter, name) for name in self.ports.inputs],
            Command.SETTING: [self._hold_setting(m, name) for name in self.ports.settings],
        }
        found = self._parse(m, receiver, targets, ask, clear)
        with m.If(clear):
            m.d.sync += host_flags.eq(found)
        with m.Else():
            m.d.sync += host_flags.eq(host_flags | found)
        self._report_status(m, reporter, ask, host_flags)
        for name in self.ports.outputs:
            source, sink = getattr(engine, name), getattr(reporter, name)
            m.d.comb += [sink.payload.eq(source.payload), sink.valid.eq(source.valid), source.ready.eq(sink.ready)]
        return m

    def _reports(self):
        """Name, first byte and bits of each report, the most urgent first."""
        return [
            ("identity", Report.IDENTITY << 6, 8 * IDENTITY_BYTES),
            ("status", Report.STATUS << 6, 8 * self.ports.status_bytes),
            *((f"{name}_taken", Report.TAKEN << 6 | i, 0) for i, name in enumerate(self.ports.inputs)),
            *((name, Report.WORD << 6 | i, bits) for i, (name, bits) in enumerate(self.ports.outputs.items())),
        ]

    def _place_assembler(self, m, reporter, name):
        """The way of a stream's words into the engine, each counted until it is reported; returns the way in."""
        m.submodules[name] = assembler = _Assembler(self.ports.inputs[name], self.ports.buffer_bytes)
        sink, report = getattr(self.engine, name), getattr(reporter, f"{name}_taken")
        # Taken and not reported yet: no more than the host was allowed to send.
        taken = Signal(range(self.ports.credits(name) + 1), name=f"{name}_taken")
        accepted = Signal(name=f"{name}_accepted")
        m.d.comb += [
            sink.payload.eq(assembler.word.payload),
            sink.valid.eq(assembler.word.valid),
            assembler.word.ready.eq(sink.ready),
            accepted.eq(sink.valid & sink.ready),
            report.valid.eq(taken != 0),
        ]
        m.d.sync += taken.eq(taken + accepted - (report.valid & report.ready))
        return bytes_of(self.ports.inputs[name]), assembler.bytes

    def _hold_setting(self, m, name):
        """A setting takes a new value when its last byte is there; returns the way in."""
        bits = self.ports.settings[name]
        count = bytes_of(bits)
        way = stream.Signature(8).flip().create(path=(name,))
        value, staged, missing = Signal(bits, name=name), Signal(8 * count), Signal(range(count), init=count - 1)
        m.d.comb += [way.ready.eq(1), getattr(self.engine, name).eq(value)]
        with m.If(way.valid):
            m.d.sync += staged.eq(Cat(staged, way.payload)[8:])
            with m.If(missing == 0):
                m.d.sync += [missing.eq(count - 1), value.eq(Cat(staged, way.payload)[8:][:bits])]
            with m.Else():
                m.d.sync += missing.eq(missing - 1)
        return count, way

    def _parse(self, m, receiver, targets, ask, clear):
        """Route what follows a command's first byte; returns the host's flags of this cycle."""
        found = Signal(len(HOST_FLAGS))
        head, byte = Signal(8), receiver.data
        ways = [(kind << 6 | i, *way) for kind, group in targets.items() for i, way in enumerate(group)]
        left = Signal(range(max(count for _, count, _ in ways) + 1))
        for code, _, way in ways:
            m.d.comb += [way.payload.eq(byte), way.valid.eq(receiver.valid & (left != 0) & (head == code))]
            with m.If(way.valid & ~way.ready):
                m.d.comb += found[HOST_FLAGS.index("overrun")].eq(1)
        with m.If(receiver.valid & (left != 0)):
            m.d.sync += left.eq(left - 1)
        with m.Elif(receiver.valid):
            m.d.sync += head.eq(byte)
            with m.Switch(byte):
                for code, count, _ in ways:
                    with m.Case(code):
                        m.d.sync += left.eq(count)
                with m.Case(Command.CONTROL << 6 | Control.STATUS):
                    m.d.comb += ask.eq(1)
                with m.Case(Command.CONTROL << 6 | Control.CLEAR_ERRORS):
                    m.d.comb += clear.eq(1)
                with m.Default():
                    m.d.comb += found[HOST_FLAGS.index("unknown_command")].eq(1)
        return found

    def _report_status(self, m, reporter, ask, host_flags):
        """The identity once after a reset; the flags when asked for."""
        new, asked = Signal(init=1), Signal()
        # The reset may have cut a byte short: whoever listens must see its frame end before the next one.
        quiet = Signal(range(_QUIET_BITS * self.divisor), init=_QUIET_BITS * self.divisor - 1)
        with m.If(quiet != 0):
            m.d.sync += quiet.eq(quiet - 1)
        with m.Elif(reporter.identity.ready):
            m.d.sync += new.eq(0)
        with m.If(ask | reporter.status.ready):
            m.d.sync += asked.eq(ask)
        m.d.comb += [
            reporter.identity.valid.eq(new & (quiet == 0)),
            reporter.identity.payload.eq(self.ports.identity << 8 | VERSION),
            reporter.status.valid.eq(asked),
            reporter.status.payload.eq(Cat(host_flags, Const(0, 8 - len(HOST_FLAGS)), self.engine.errors.as_value())),
        ]


class SerialTop(wiring.Component):
    """A design with five pins: the serial host with a clock domain of its own, which only a break resets.

    It powers up by the initial values of its registers, which FPGAs load with their configuration.

    Parameters
    ----------
    engine, divisor, buffer_bytes
        Of :class:`SerialHost`.

    Members
    -------
    clk : In(1)
    rx : In(1)
    tx : Out(1)
    error : Out(1)
        See :class:`SerialHost`.
    alive : Out(1)
        Changes every 2**23 cycles.
    """

    HOST = SerialHost
    MEMBERS = {"clk": In(1), "rx": In(1, init=1), "tx": Out(1, init=1), "error": Out(1), "alive": Out(1)}

    def __init__(self, engine, divisor: int, buffer_bytes: int | None = None):
        self.host = self.HOST(engine, divisor, buffer_bytes)
        super().__init__(self.MEMBERS)

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain()
        m.submodules.host = host = self.host
        cycles = Signal(24)
        m.d.sync += cycles.eq(cycles + 1)
        m.d.comb += [
            ClockSignal().eq(self.clk),
            ResetSignal().eq(host.broken),
            host.rx.eq(self.rx),
            self.tx.eq(host.tx),
            self.error.eq(host.error),
            self.alive.eq(cycles[-1]),
        ]
        return m
