# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""``acc <- (acc << shift) + operand``: the accumulator of schemes that work most significant part first.

Tender's channel groups, the bit planes of bipolar-INT and of uniform BCQ and BitMoD's scale bits are all
merged so (Horner's rule with a base of 2). A wide adder in the loop would set the clock of the whole engine;
so the accumulator can be cut into chunks that work one cycle after each other, and what passes from a chunk
to the next one, the carry and the bits shifted out, goes through registers.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .adders import CHUNK, carry_select_add
from .pipeline import delay
from .target import is_fpga

__all__ = ["ShiftAccumulator"]


class ShiftAccumulator(wiring.Component):
    """Accumulator modulo ``2**width``: ``acc <- ((0 if first else acc) << shift) + operand``.

    Chunk k does the work of a cycle k cycles later than chunk 0. Operands and controls are delayed to match
    inside, and ``capture`` collects the chunks of one value again. Throughput: one operation per cycle.

    A cycle with ``first``, ``shift`` and ``operand`` (or ``gate``) zero leaves the value alone. The state is
    not reset: the first operation comes with ``first``. Only the ``capture`` strobe on its way is forgotten
    at reset.

    Parameters
    ----------
    width : int
        Bits of the accumulator.
    operand_width : int
        Bits of the signed operand; the accumulator extends it.
    max_shift : int
        Largest ``shift``; 0 makes it a plain accumulator.
    chunk : int or None
        Bits of a chunk, at least ``max_shift``; the last one may be shorter. None: one chunk, no skew.
    operand_rows : int
        Number of operands added per cycle; 2 for a :class:`~subbyte.hdl.bit_heap.BitHeap` with ``rows=2``,
        whose addends are right only modulo ``2**width`` and thus need ``operand_width == width``.
    hold_operand : bool
        The operand stays put for ``skew`` cycles after each cycle that uses it, so it needs no delay
        registers. Instead there is a ``gate`` that says whether to add it, and is delayed.
    capture : bool
        Add the ``capture`` strobe and the shadow register ``result``.
    overflow : bool
        Add ``overflow``; for one operand row that is not held.

    Members
    -------
    operand : In(signed(operand_width)), or In(signed(operand_width)).array(operand_rows) if there are several
    first : In(1)
        Forget the accumulator's old value.
    shift : In(range(max_shift + 1))
        If ``max_shift`` > 0.
    gate : In(1)
        With ``hold_operand``.
    value : Out(signed(width))
        The chunks as they are; the value once ``skew`` idle cycles have passed, ``skew + 1`` cycles after its
        last operand.
    capture : In(1)
        Take the value that includes this cycle's operation. At least ``skew + 1`` cycles from strobe to
        strobe.
    result : Out(signed(width))
        The value taken. It is whole from ``captured`` until 2 cycles after the next strobe.
    captured : Out(1)
        High for one cycle, ``skew + 2`` cycles after ``capture``: ``result`` is there.
    overflow : Out(1)
        The operation ``skew + 1`` cycles ago left the signed range; the value wrapped.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    def __init__(self, width: int, operand_width: int, *, max_shift: int = 1, chunk: int | None = 8,
                 operand_rows: int = 1, hold_operand: bool = False, capture: bool = False,
                 overflow: bool = False):
        if width < 1:
            raise ValueError(f"width must be at least 1, not {width!r}")
        if not 1 <= operand_width <= width:
            raise ValueError(f"operand_width must be from 1 to width, {width!r}, not {operand_width!r}")
        if max_shift < 0:
            raise ValueError(f"max_shift must not be negative, not {max_shift!r}")
        if chunk is not None and chunk < max(1, max_shift):
            raise ValueError(f"chunk must be None or at least 1 and max_shift, {max_shift!r}, not {chunk!r}")
        if operand_rows < 1:
            raise ValueError(f"operand_rows must be at least 1, not {operand_rows!r}")
        if operand_rows > 1 and operand_width != width:
            raise ValueError(f"operand_width must be width, {width!r}, if there are several operand_rows, "
                             f"not {operand_width!r}")
        if overflow and (operand_rows > 1 or hold_operand):
            raise ValueError("overflow must be False with several operand_rows or with hold_operand")
        self._overflow = overflow
        self._width, self._max_shift, self._rows, self._hold = width, max_shift, operand_rows, hold_operand
        self._chunk, self._with_capture = chunk or width, capture
        self._controls = ["first", *["shift"] * bool(max_shift), *["gate"] * hold_operand]
        operand = In(signed(operand_width))
        super().__init__({
            "operand": operand if operand_rows == 1 else operand.array(operand_rows),
            **{name: In(range(max_shift + 1)) if name == "shift" else In(1) for name in self._controls},
            "value": Out(signed(width)),
            **({"capture": In(1), "result": Out(signed(width)), "captured": Out(1)} if capture else {}),
            **({"overflow": Out(1)} if overflow else {}),
        })

    @staticmethod
    def skew_of(width: int, chunk: int | None) -> int:
        """Cycles by which the last chunk of such an accumulator works later than the first."""
        return -(-width // (chunk or width)) - 1

    @staticmethod
    def latency_of(width: int, chunk: int | None, *, capture: bool = False) -> int:
        """Cycles from the last operand to ``captured`` (or, without capture, to ``value``) of such an accumulator."""
        return ShiftAccumulator.skew_of(width, chunk) + 1 + capture

    @property
    def skew(self) -> int:
        """Cycles by which the last chunk works later than the first."""
        return self.skew_of(self._width, self._chunk)

    @property
    def latency(self) -> int:
        """Cycles from the last operand to ``captured`` (or, without capture, to ``value``)."""
        return self.latency_of(self._width, self._chunk, capture=self._with_capture)

    def elaborate(self, platform):
        m = Module()
        controls = {name: getattr(self, name) for name in self._controls}
        operands = [self.operand] if self._rows == 1 else list(self.operand)
        from_below, carry, chunks = Const(0, self._max_shift), Const(0, 1), []
        for start in range(0, self._width, self._chunk):
            size = min(self._chunk, self._width - start)
            if start:
                if self._max_shift:
                    from_below = delay(m, from_below, 1, f"from_below_{start}")
                carry = delay(m, carry, 1, f"carry_{start}")
                controls = {name: delay(m, value, 1, f"{name}_{start}") for name, value in controls.items()}
                operands = [_upper(value, self._chunk) for value in operands]
                if not self._hold:
                    operands = [delay(m, value, 1, f"operand{i}_{start}") for i, value in enumerate(operands)]
            acc = Signal(size, name=f"chunk_{start}", reset_less=True)
            kept = Mux(controls["first"], 0, Cat(from_below, acc)) << controls.get("shift", 0)
            addends = [_extend(operand, size) for operand in operands]
            if self._hold:
                addends = [addend & controls["gate"].replicate(size) for addend in addends]
            total = _add(m, platform, [kept[self._max_shift:][:size], *addends], carry)
            m.d.sync += acc.eq(total)
            chunks.append(acc)
            if self._overflow and start + size == self._width:
                self._watch_range(m, Cat(from_below, acc), addends[0], carry, controls)
            from_below, carry = acc[max(size - self._max_shift, 0):], total[size:][:self._rows.bit_length()]
        m.d.comb += self.value.eq(Cat(chunks))
        if self._with_capture:
            self._draw_capture(m, chunks)
        return m

    def _watch_range(self, m, before: Value, addend: Value, carry: Value, controls: dict[str, Value]):
        """See in the last chunk whether the exact sum has more bits than the accumulator."""
        wide = len(addend) + self._max_shift + 1
        kept = Mux(controls["first"], 0, Cat(before, before[-1].replicate(wide))) << controls.get("shift", 0)
        total = (kept[self._max_shift:][:wide] + _extend(addend, wide) + carry)[:wide]
        beyond = total[len(addend) - 1:]
        m.d.sync += self.overflow.eq(beyond.any() & ~beyond.all())

    def _draw_capture(self, m, chunks: Sequence[Signal]):
        """Let the strobe follow the chunks, one cycle behind each so that it stays off the adders' path."""
        strobe, shadows = self.capture, []
        for number, chunk in enumerate(chunks):
            strobe = delay(m, strobe, 1, f"capture_{number}", reset=True)
            shadow = Signal.like(chunk, name=f"shadow_{number}", reset_less=True)
            with m.If(strobe):
                m.d.sync += shadow.eq(chunk)
            shadows.append(shadow)
        m.d.comb += self.result.eq(Cat(shadows))
        m.d.sync += self.captured.eq(strobe)


def _add(m, platform, values: Sequence[Value], carry: Value) -> Value:
    """Sum of several values of one width and a carry, not cut. A wide sum of two would set the clock if written with ``+``."""
    size = len(values[0])
    if size <= CHUNK or len(values) > 2 or is_fpga(platform):
        return sum(values[1:], values[0] + carry)
    first, second = (Cat(carry, value, Const(0, 1)) for value in values)  # two equal bits below make the carry
    return carry_select_add(m, first, second)[1:]


def _upper(operand: Value, size: int) -> Value:
    """Drop the lowest bits of a signed operand, but never its sign."""
    return operand[min(size, len(operand) - 1):].as_signed()


def _extend(operand: Value, size: int) -> Value:
    """The lowest bits of a signed operand, sign-extended where it has fewer."""
    return Cat(operand[:size], operand[-1].replicate(max(size - len(operand), 0)))
