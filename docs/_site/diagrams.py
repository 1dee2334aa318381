# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Block diagrams: where each box stands and what it feeds, drawn by schemdraw.

A box is ``name: (column, row, "what is in it")``; one whose text begins with ``>`` is a stream, with ``[`` stored state. A wire
is ``"from to"``, with a label behind a colon. Frames are drawn around columns and rows: what an array repeats.
"""

from typing import NamedTuple

import schemdraw
from schemdraw import elements
from schemdraw.flow import Box, Data, RoundBox

from .svg import INK, PAPER

WIDTH, HEIGHT, RIGHT, DOWN = 4.3, 1.5, 6.0, 2.5


class Diagram(NamedTuple):
    """Boxes by name, wires, frames as (title, columns from to, rows from to), and a caption."""

    boxes: dict
    wires: tuple
    frames: tuple = ()
    caption: str = ""


DIAGRAMS = {
    "bitmod": Diagram(
        {
            "x": (0, 0, "> activations\nFP16 [rows][lanes]"), "w": (0, 1, "> weights\ncodes [cols][lanes]"),
            "s": (0, 2, "> scales\n8-bit codes [cols]"), "c": (0, 3, "> constants\nbinary32 [cols]"),
            "align": (1, 0, "aligner\na row"), "enc": (1, 1, "term encoder\na column"),
            "mac": (2, 0, "{1,2,4,8} A, sign\n+ bit heap"), "acc": (2, 1, "[ accumulator\nshifts at a rise"),
            "deq": (3, 1, "dequantizer\na scale bit a cycle"), "sum": (3, 2, "[ cross-group sum\nbinary32, a column"),
            "out": (3, 3, "output scaler\n+ drain"), "y": (4, 3, "> outputs\n[drain]"),
        },
        ("x align", "w enc", "align mac: A, rise", "enc mac: terms", "mac acc", "acc deq", "s deq", "deq sum", "sum out",
         "c out", "out y"),
        (("element: rows x cols", 2, 2, 0, 1),),
        "Serial form. A row's aligner brings a beat's activations to one exponent; a column's encoder turns each weight, of "
        "whatever type, into Booth terms, one a cycle; an element selects, adds, accumulates.",
    ),
    "bitmod-dense": Diagram(
        {
            "x": (0, 0, "> activations\nFP16, group exponent"), "w": (0, 1, "> weights\ncodes [cols][lanes]"),
            "s": (0, 2, "> scales\n8-bit codes [cols]"), "c": (0, 3, "> constants\nbinary32 [cols]"),
            "align": (1, 0, "row edge: align once\nA 2A 4A 8A 3A 6A 12A P Q"),
            "enc": (1, 1, "column edge\none-hot legs, signs"),
            "mac": (2, 0, "AND-OR of nine legs\n+ bit heap"), "acc": (2, 1, "[ accumulator\nsaved carries"),
            "deq": (3, 1, "dequantizer\na group sum a cycle"), "sum": (3, 2, "[ running sum\nfixed point, a row each"),
            "out": (3, 3, "output scaler\n+ drain"), "y": (4, 3, "> outputs\n[drain]"),
        },
        ("x align", "w enc", "align mac: multiples", "enc mac: legs", "mac acc", "acc deq", "s deq", "deq sum", "sum out",
         "c out", "out y"),
        (("element: rows x cols", 2, 2, 0, 1),),
        "Dense form. Nine multiples of each aligned activation are made once a row; a weight is a choice of one of them and a "
        "sign.",
    ),
    "tender": Diagram(
        {
            "x": (0, 0, "> activations\nINT, shift, signedness"), "w": (0, 1, "> weights\nINT4 or INT8"),
            "c": (0, 2, "> constants\nscale, correction"), "t": (0, 3, "> tokens\nscale of the chunk"),
            "pairs": (1, 0, "pairs of a row\na, b, a + b"), "sel": (1, 1, "selects of a column\na bit plane of a pair"),
            "dot": (2, 0, "dot product\nbit heap"), "acc": (2, 1, "[ acc = (acc << shift)\n+ dot"),
            "out": (3, 1, "rescale: one FMA\n(or requantize)"), "drain": (3, 2, "drain"), "y": (4, 2, "> outputs\n[drain]"),
        },
        ("x pairs", "w sel", "pairs dot", "sel dot", "dot acc", "acc out", "c out", "t out", "out drain", "drain y"),
        (("element: rows x cols", 2, 2, 0, 1),),
        "Channels come sorted into groups, the largest scale first; between groups the accumulator moves up by one bit, and "
        "that is the whole of dequantization until a tile's end.",
    ),
    "rsr": Diagram(
        {
            "x": (0, 0, "> activations\nINT8 [rows][lanes]"), "w": (0, 1, "> weights\nfive trits a byte"),
            "c": (0, 2, "> constants\noffsets, scales"), "t": (0, 3, "> tokens\nscales of rows"),
            "table": (1, 0, "tables of a row\na, b, a + b, a - b, .."), "dec": (1, 1, "decoder of a column\none-hot selects"),
            "pick": (2, 0, "AND-OR of a table\nlanes / mu of them"), "heap": (2, 1, "compressor"),
            "acc": (3, 1, "[ accumulator\nchunks"), "out": (3, 2, "offset, to binary32,\nscale"),
            "y": (4, 2, "> outputs\n[drain]"),
        },
        ("x table", "w dec", "table pick: sums", "dec pick", "pick heap", "heap acc", "acc out", "c out", "t out", "out y"),
        (("element: rows x cols", 2, 3, 0, 1),),
        "Sums of mu neighbouring activations are made once a row; every column selects from them with its trits.",
    ),
    "bcq": Diagram(
        {
            "x": (0, 0, "> activations\nFP16 [rows][lanes]"), "w": (0, 1, "> weights\na plane [cols][lanes]"),
            "s": (0, 2, "> scales\nalpha, exponent [cols]"), "c": (0, 3, "> constants\ncolumn scales"),
            "align": (1, 0, "edge: buffer of a group,\naligner, half tables"), "key": (1, 1, "key decoder\na column"),
            "pick": (2, 0, "keyed reads, sign,\nbit heap"), "acc": (2, 1, "[ accumulator\na plane of a group"),
            "deq": (3, 1, "dequantizer\nx alpha"), "sum": (3, 2, "[ sum of planes, groups\nbinary32"),
            "out": (3, 3, "output scaler\n+ drain"), "y": (4, 3, "> outputs\n[drain]"),
        },
        ("x align", "w key", "align pick: tables", "key pick: keys", "pick acc", "acc deq", "s deq", "deq sum", "sum out",
         "c out", "out y"),
        (("element: rows x cols", 2, 2, 0, 1),),
        "A plane of weights at a time: four bits of it are a key into a half table of sums of four activations; the edge "
        "offers the group again for each plane.",
    ),
    "bipolar": Diagram(
        {
            "x": (0, 0, "> activations\nwords [rows][lanes]"), "w": (0, 1, "> weights\na plane [cols][lanes]"),
            "c": (0, 2, "> constants\nof columns"), "t": (0, 3, "> tokens\nof rows"),
            "slice": (1, 0, "hold, slicer of a row\na plane a term"), "reg": (1, 1, "plane of a column"),
            "xor": (2, 0, "XOR + population\ncount"), "acc": (2, 1, "[ accumulator\ncount << (i + j)"),
            "out": (3, 1, "t = C + corrections\n- 2 S"), "fp": (3, 2, "to binary32, scales\n(or int32)"),
            "y": (4, 2, "> outputs\n[drain]"),
        },
        ("x slice", "w reg", "slice xor", "reg xor", "xor acc", "acc out", "c out", "t fp", "out fp", "fp y"),
        (("element: rows x cols", 2, 2, 0, 1),),
        "n planes of weights times m planes of activations, one pair a cycle, in one array for all 64 precisions.",
    ),
    "shell": Diagram(
        {
            "x": (0, 0, "> activations"), "w": (0, 1, "> weights"), "s": (0, 2, "> scales"), "c": (0, 3, "> constants, tokens"),
            "edge": (1, 0, "edge\nhold or replay"), "seq": (1, 1, "sequencer\ntile > group > pass\n> beat > term"),
            "core": (2, 1, "core\nthe scheme's arithmetic"), "drain": (2, 3, "[ drain\nresults of a tile"),
            "err": (3, 1, "sticky errors"), "out": (3, 3, "output unit"), "y": (4, 3, "> outputs"), "e": (4, 1, "> errors"),
        },
        ("x edge", "edge core", "w seq", "seq core: step", "s core", "core drain: results", "c drain", "drain out", "out y",
         "core err", "err e"),
        (("shell", 1, 3, 0, 3),),
        "The same shell around every core: it owns handshakes, sequencing, the drain and error flags.",
    ),
}


def draw(name):
    """The diagram as SVG, and its caption."""
    diagram = DIAGRAMS[name]
    with schemdraw.Drawing(show=False, canvas="svg") as drawing:
        drawing.config(fontsize=11, color=INK, lw=1.2, font="sans-serif", bgcolor="none", margin=0.15)
        for title, left, right, top, bottom in diagram.frames:
            _frame(drawing, title, left, right, top, bottom)
        boxes = {box: _box(drawing, *place) for box, place in diagram.boxes.items()}
        for wire in diagram.wires:
            ends, _, text = wire.partition(": ")
            start, end = ends.split()
            _wire(drawing, boxes[start], boxes[end], diagram.boxes[start], diagram.boxes[end], text)
    return drawing.get_imagedata("svg").decode(), diagram.caption


def _box(drawing, column, row, text):
    kind, text = (text[0], text[2:]) if text[0] in ">[" else ("", text)
    shape = {">": Data, "[": RoundBox, "": Box}[kind]
    element = shape(w=WIDTH, h=HEIGHT, **({"s": 0.4} if kind == ">" else {})).fill(PAPER)
    if kind == "[":
        element = element.linewidth(2.2)
    return drawing.add(element.at((column * RIGHT, -row * DOWN)).anchor("center").label(text))


def _frame(drawing, title, left, right, top, bottom):
    """A dashed border around what stands in these columns and rows."""
    low = (left * RIGHT - WIDTH / 2 - 0.4, -bottom * DOWN - HEIGHT / 2 - 0.35)
    high = (right * RIGHT + WIDTH / 2 + 0.4, -top * DOWN + HEIGHT / 2 + 0.35)
    drawing.add(elements.Rect(corner1=low, corner2=high).at((0, 0)).theta(0).linestyle("--"))
    drawing.add(elements.Label().at((low[0], high[1] + 0.3)).label(title, halign="left", loc="right", ofst=0))


def _wire(drawing, start, end, from_place, to_place, text):
    (column, row), (to_column, to_row) = from_place[:2], to_place[:2]
    if column == to_column:
        down = to_row > row
        wire = elements.Arrow().at(start.S if down else start.N).to(end.N if down else end.S)
    elif row == to_row:
        wire = elements.Arrow().at(start.E).to(end.W)
    else:
        corner = end.W[0] - 0.35 - 0.25 * (row - to_row > 0)
        drawing.add(elements.Line().at(start.E).to((corner, start.E[1])).label(text, fontsize=9, ofst=0.1))
        drawing.add(elements.Line().at((corner, start.E[1])).to((corner, end.W[1])))
        wire, text = elements.Arrow().at((corner, end.W[1])).to(end.W), ""
    if text:
        wire = wire.label(text, fontsize=9, ofst=0.1)
    drawing.add(wire)
