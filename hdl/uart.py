# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A UART in two halves: bytes on a serial line, 8 data bits, no parity, 1 stop bit."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["UartReceiver", "UartTransmitter"]

_FRAME = 10  # start, eight data bits, stop


def _check_divisor(divisor):
    if not isinstance(divisor, int) or isinstance(divisor, bool):
        raise TypeError(f"divisor must be an integer, not {divisor!r}")
    if divisor < 4:
        raise ValueError(f"divisor must be at least 4, so that a bit is sampled near its middle, not {divisor!r}")


class UartReceiver(wiring.Component):
    """Bytes from a serial line.

    * Latency: ``valid`` half a bit before the frame's end, 2 cycles later for the synchronizer.
    * A frame without a stop bit is no byte but a break; the line must be high again before the next frame.

    Parameters
    ----------
    divisor : int
        Cycles of a bit, at least 4.

    Members
    -------
    rx : In(1)
        The line, asynchronous; high when idle.
    data : Out(8)
    valid : Out(1)
        ``data`` is a new byte, for one cycle.
    broken : Out(1)
        The stop bit was low, for one cycle.
    """

    def __init__(self, divisor: int):
        _check_divisor(divisor)
        self.divisor = divisor
        super().__init__({"rx": In(1, init=1), "data": Out(8), "valid": Out(1), "broken": Out(1)})

    def elaborate(self, platform):
        m = Module()
        # Not reset: after a reset in the middle of a frame the line itself must be seen to be high.
        line = Signal(2, init=3, reset_less=True)
        m.d.sync += line.eq(Cat(self.rx, line[0]))
        level = line[1]
        elapsed, bits, shifted = Signal(range(self.divisor)), Signal(range(_FRAME)), Signal(8, reset_less=True)
        m.d.sync += [self.valid.eq(0), self.broken.eq(0)]
        with m.FSM():
            with m.State("WAIT"):
                with m.If(level):
                    m.next = "IDLE"
            with m.State("IDLE"):
                m.d.sync += [elapsed.eq(self.divisor // 2 - 1), bits.eq(0)]
                with m.If(~level):
                    m.next = "FRAME"
            with m.State("FRAME"):
                m.d.sync += elapsed.eq(elapsed - 1)
                with m.If(elapsed == 0):
                    m.d.sync += [elapsed.eq(self.divisor - 1), bits.eq(bits + 1), shifted.eq(Cat(shifted[1:], level))]
                    with m.If((bits == 0) & level):  # a glitch, no start bit
                        m.next = "IDLE"
                    with m.Elif(bits == _FRAME - 1):
                        m.d.sync += [self.data.eq(shifted), self.valid.eq(level), self.broken.eq(~level)]
                        with m.If(level):
                            m.next = "IDLE"
                        with m.Else():
                            m.next = "WAIT"
        return m


class UartTransmitter(wiring.Component):
    """Bytes to a serial line.

    * Throughput: a byte in ``10 * divisor + 1`` cycles.

    Parameters
    ----------
    divisor : int
        Cycles of a bit, at least 4.

    Members
    -------
    data : In(stream.Signature(8))
    tx : Out(1)
    """

    def __init__(self, divisor: int):
        _check_divisor(divisor)
        self.divisor = divisor
        super().__init__({"data": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        elapsed, bits, frame = Signal(range(self.divisor)), Signal(range(_FRAME + 1)), Signal(_FRAME, init=-1)
        m.d.comb += [self.tx.eq(frame[0]), self.data.ready.eq(bits == 0)]
        with m.If(bits == 0):
            with m.If(self.data.valid):
                m.d.sync += [
                    frame.eq(Cat(Const(0, 1), self.data.payload, Const(1, 1))),
                    bits.eq(_FRAME),
                    elapsed.eq(self.divisor - 1),
                ]
        with m.Elif(elapsed != 0):
            m.d.sync += elapsed.eq(elapsed - 1)
        with m.Else():
            m.d.sync += [frame.eq(Cat(frame[1:], Const(1, 1))), bits.eq(bits - 1), elapsed.eq(self.divisor - 1)]
        return m
