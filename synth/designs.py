# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What is measured: every engine, its processing element and its parts, and the textbook designs beside them.

A scheme is one function that lists its designs, and one line in the table at the end.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from amaranth.lib.wiring import Component

from ..top import emit

__all__ = ["KINDS", "SCHEMES", "Design", "designs", "from_files"]

KINDS = ("pe", "part", "array", "engine", "baseline", "file")
"""Processing element by itself; part of one or of an engine; array with its edge logic; whole engine; textbook
design; a Verilog file of somebody's."""


@dataclass(frozen=True)
class Design:
    """One thing to measure.

    Attributes
    ----------
    name : str
        Of its top module, unique.
    scheme : str
        Its scheme, "baselines", or "file".
    kind : str
        One of :data:`KINDS`.
    title : str
        What it is, for a table.
    source : callable or tuple of pathlib.Path
        A function without arguments that makes the Amaranth component, or Verilog files.
    macs : mapping of str to float
        MAC per cycle by precision; empty for a part that does none by itself.
    config : str
        Its parameters, for a table.
    breakdown : mapping of str to str
        Verilog module to category ("PE array", "edge logic", "dequantization", "shell", "buffers"). These modules are
        mapped once each and keep their borders; everything else is flattened into the top, which is the category of
        the key "". Keys may be patterns; the first that fits counts. Empty: everything is flattened.
    parameters : mapping of str to str
        Of the top module of Verilog files, as Yosys reads constants.
    clock : str
        Port of its one clock.
    """

    name: str
    scheme: str
    kind: str
    title: str
    source: Callable[[], Component] | tuple[Path, ...]
    macs: Mapping[str, float] = field(default_factory=dict)
    config: str = ""
    breakdown: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    clock: str = "clk"

    def verilog(self) -> str:
        """Its Verilog."""
        if callable(self.source):
            return emit.to_verilog(self.source(), self.name)
        return "\n".join(path.read_text(encoding="utf-8") for path in self.source)


def from_files(paths, top, parameters=None, clock="clk") -> Design:
    """The design whose top module is `top` of Verilog files; see :class:`Design` for the rest."""
    parameters = parameters or {}
    return Design(
        name=top, scheme="file", kind="file", title=top, source=tuple(map(Path, paths)), parameters=parameters, clock=clock,
        config=", ".join(f"{name}={value}" for name, value in parameters.items()),
    )


def _bitmod() -> list[Design]:
    from ..dequant.bitmod import BitSerialDequantizer, ColumnSum
    from ..golden.bitmod import BitModConfig
    from ..hdl.aligner import Aligner
    from ..hdl.floating import Float32, FloatScale
    from ..pe.bitmod import BitModPE, GroupMac, TermEncoder
    from ..top.bitmod import BitModCore, BitModEngine

    config = BitModConfig()
    per_lane = {f"FP16 x {fmt.name}": 1 / fmt.terms for fmt in config.formats}
    of_pe = {name: config.lanes * macs for name, macs in per_lane.items()}
    of_array = {name: config.rows * config.cols * macs for name, macs in of_pe.items()}
    lanes, size = f"{config.lanes} lanes", f"{config.rows} x {config.cols} x {config.lanes}"
    array = {
        "bitmod_mac": "PE array",
        "bitmod_aligner": "edge logic",
        "bitmod_encoder": "edge logic",
        "*.special*": "edge logic",
        "bitmod_dequant": "dequantization",
        "bitmod_column_sum": "dequantization",
        "*.readout": "dequantization",
    }
    engine = {**array, "bitmod_scale": "dequantization", "bitmod_engine.core": "edge logic", "": "shell"}
    scale_stages = config.output_stages - 2

    def design(name, kind, title, source, macs=None, sized=lanes, breakdown=None):
        return Design(f"bitmod_{name}", "bitmod", kind, title, source, macs or {}, sized, breakdown or {})

    return [
        design("pe", "pe", "processing element: alignment, MAC, dequantizer", lambda: BitModPE(config), of_pe),
        design("mac", "part", "MAC of a row and column", lambda: GroupMac(config), of_pe),
        design("dequant", "part", "bit-serial dequantizer", lambda: BitSerialDequantizer(config), sized=""),
        design("encoder", "part", "term encoder of a column", lambda: TermEncoder(config)),
        design("aligner", "part", "aligner of a row", lambda: Aligner(config.lanes, config.guard_bits)),
        design("column_sum", "part", "cross-group sum of a column", lambda: ColumnSum(config), sized=f"{config.rows} rows"),
        design("scale", "part", "output scaler", lambda: FloatScale(Float32, product_stages=scale_stages), sized=""),
        design("array", "array", "array with edge logic and dequantization", lambda: BitModCore(config), of_array, size,
               {**array, "": "edge logic"}),
        design("engine", "engine", "engine", lambda: BitModEngine(config), of_array, size, engine),
    ]


def _tender() -> list[Design]:
    from ..dequant.tender import Requantizer
    from ..golden.tender import TenderConfig
    from ..hdl.floating import FloatScaleAdd
    from ..pe.tender import PublishedPE, TenderPE
    from ..top.tender import TenderArray, TenderEngine

    array = {"tender_mac": "PE array", "tender_row": "edge logic", "tender_column": "edge logic"}
    engine = {**array, "tender_rescale": "dequantization", "*.core*": "edge logic", "": "shell"}
    found = [
        Design("tender_rescale_add", "tender", "part", "final rescale", lambda: FloatScaleAdd()),
        Design("tender_requantize", "tender", "part", "requantization to INT8", lambda: Requantizer(8)),
    ]
    for bits in (4, 8):
        config, precision = TenderConfig(bits_w=bits, bits_a=bits), f"INT{bits} x INT{bits}"
        of_array, size = config.rows * config.cols * config.lanes, f"{config.rows} x {config.cols} x {config.lanes}"

        def design(name, kind, title, make, macs, sized, breakdown=None, bits=bits, precision=precision, config=config):
            return Design(f"tender_int{bits}_{name}", "tender", kind, f"{precision} {title}", lambda: make(config),
                          {precision: float(macs)}, sized, breakdown or {})

        found += [
            design("pe", "pe", "processing element", TenderPE, config.lanes, f"{config.lanes} lanes"),
            design("published", "pe", "element as published", PublishedPE, 1, "1 lane"),
            design("array", "array", "array", lambda config: TenderArray(config, capture=False), of_array, size,
                   {**array, "": "edge logic"}),
            design("array_no_shift", "array", "array without the shift", _tender_without_shift, of_array, size,
                   {**array, "": "edge logic"}),
            design("engine", "engine", "engine", TenderEngine, of_array, size, engine),
        ]
    return found


def _tender_without_shift(config):
    from ..top.tender import TenderArray

    return TenderArray(config, shift=False, capture=False)


def _rsr() -> list[Design]:
    from ..golden.rsr import RsrConfig
    from ..hdl.floating import Float32, FloatScale
    from ..hdl.int_to_float import IntToFloat
    from ..pe.rsr import element
    from ..pe.rsr_edge import ActivationTable, TritDecoder
    from ..pe.rsr_scatter import RsrScatterPE
    from ..top.rsr import RsrArray, RsrEngine

    config, tree = RsrConfig(), RsrConfig(form="tree")
    lanes, size = f"{config.lanes} lanes", f"{config.rows} x {config.cols} x {config.lanes}"
    of_pe, of_array = ({"INT8 x ternary": float(macs)} for macs in (config.lanes, config.rows * config.cols * config.lanes))
    array = {"rsr_element": "PE array", "rsr_table": "edge logic", "rsr_decoder": "edge logic"}
    unit = {name: "output unit" for name in ("rsr_scale_product", "rsr_product", "rsr_convert", "*.unit*")}
    engine = {**array, **unit, "*.core*": "edge logic", "": "shell"}

    def design(name, kind, title, source, macs=None, sized=lanes, breakdown=None):
        return Design(f"rsr_{name}", "rsr", kind, title, source, macs or {}, sized, breakdown or {})

    return [
        design("pe", "part", "lookup element, tables and decoders apart", lambda: element(config), of_pe),
        design("tree_pe", "part", "tree element, decoders apart", lambda: element(tree), of_pe),
        *(design(f"scatter_{block}_pe", "pe", "scatter element", lambda block=block: RsrScatterPE(block),
                 {"INT8 x ternary": float(block)}, f"blocks of {block}") for block in (2, 3)),
        design("tables", "part", "tables of a row", lambda: ActivationTable(config)),
        design("decode", "part", "decoder of ten weights", lambda: TritDecoder(config), sized=""),
        design("to_float", "part", "sum to binary32", lambda: IntToFloat(config.accumulator_bits), sized=""),
        design("scaler", "part", "output scaler", lambda: FloatScale(Float32, product_stages=config.product_stages), sized=""),
        design("array", "array", "lookup array", lambda: RsrArray(config), of_array, size, {**array, "": "edge logic"}),
        design("tree_array", "array", "tree array", lambda: RsrArray(tree), of_array, size, {**array, "": "edge logic"}),
        design("engine", "engine", "engine", lambda: RsrEngine(config), of_array, size, engine),
    ]


def _baselines() -> list[Design]:
    from ..hdl.floating import Float32
    from ..pe.textbook import DequantizeFma, IntegerMac, TernaryTree, TunedIntegerMac, XnorPopcount

    def design(name, title, source, macs, config):
        return Design(f"baseline_{name}", "baselines", "baseline", title, source, macs, config)

    return [
        design("int8_mac", "INT8 MAC, * and +", lambda: IntegerMac(8, 8), {"INT8 x INT8": 1}, "32-bit sum"),
        design("int8_mac_tuned", "INT8 MAC, tuned", lambda: TunedIntegerMac(8, 8, budget=4), {"INT8 x INT8": 1}, "32-bit sum"),
        design("int4_mac", "INT4 MAC, * and +", lambda: IntegerMac(4, 4), {"INT4 x INT4": 1}, "32-bit sum"),
        design("int4_mac_tuned", "INT4 MAC, tuned", lambda: TunedIntegerMac(4, 4), {"INT4 x INT4": 1}, "32-bit sum"),
        design("int4_fp16_fma", "INT4 to FP16, FMA", lambda: DequantizeFma(4), {"FP16 x INT4": 1}, "FP16 sums, 4 in turn"),
        design("int4_fp32_fma", "INT4 to FP16, FMA", lambda: DequantizeFma(4, Float32), {"FP16 x INT4": 1},
                "FP32 sums, 4 in turn"),
        design("int8_fp16_fma", "INT8 to FP16, FMA", lambda: DequantizeFma(8), {"FP16 x INT8": 1}, "FP16 sums, 4 in turn"),
        design("ternary_tree", "ternary carry-save tree", TernaryTree, {"INT8 x ternary": 64}, "64 lanes, 24-bit sum"),
        design("xnor_popcount", "XNOR, popcount", XnorPopcount, {"1 bit x 1 bit": 256}, "256 lanes, 32-bit sum"),
    ]


SCHEMES: dict[str, Callable[[], list[Design]]] = {  # one line a scheme
    "bitmod": _bitmod,
    "tender": _tender,
    "rsr": _rsr,
    "baselines": _baselines,
}


def designs(names=(), kinds=KINDS) -> list[Design]:
    """Designs by the names of schemes or their own, of some kinds; all of these kinds without a name.

    Raises
    ------
    ValueError
        For a name that is neither, or where nothing is left.
    """
    registered = [design for make in SCHEMES.values() for design in make()]
    known = {*SCHEMES, *(design.name for design in registered)}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            raise ValueError(f"{name!r} must be a scheme ({', '.join(SCHEMES)}) or a design"
                             + f" (did you mean {' or '.join(near)}?)" * bool(near))
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    chosen = [design for design in registered
              if design.kind in kinds and (not names or {design.scheme, design.name} & set(names))]
    if not chosen:
        raise ValueError(f"{', '.join(names)} must have a design of kind {' or '.join(kinds)}")
    return chosen
