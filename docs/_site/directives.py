# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Sphinx directives for what pages take from the design itself.

* ``{idea} NAME``, ``{diagram} NAME``, ``{waves} NAME``: drawings, see the modules of these names.
* ``{parameters} SCHEME``: a config's fields with default and meaning, from its docstring.
* ``{streams} SCHEME``: the payloads of the default engine, bit by bit.
* ``{bits} SCHEME``: its numbers bit by bit.
* ``{accuracy} SCHEME``: its rows of the tables in ``docs/models.md``.
* ``{latency} SCHEME``: what the manifest says of cycles.
* ``{costs} SCHEME``: its rows of the table in ``docs/figures.md``.
* ``{schemes}``: all schemes beside each other.
"""

import dataclasses
import inspect
from html import escape
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from numpydoc.docscrape import NumpyDocString

from subbyte.golden.streams import payload_bits
from subbyte.schemes import engines, scheme

from . import diagrams, ideas, waves
from .svg import inline

FIGURES, MODELS = (Path(__file__).parents[1] / f"{page}.md" for page in ("figures", "models"))
BITS = {
    "bitmod": {"FP4": "sign exponent:2 mantissa", "FP3": "sign exponent:2", "INT4": "two's_complement:4"},
    "tender": {"INT4": "two's_complement:4", "INT8": "two's_complement:8"},
    "rsr": {"byte": "five_trits:8"},
    "bcq": {"plane": "weight_3 weight_2 weight_1 weight_0", "alpha": "exponent:4 significand:12"},
    "bipolar": {"W4": "±8 ±4 ±2 ±1", "W3": "±4 ±2 ±1"},
}
"""Numbers of each scheme, their fields from the top, with widths in bits."""


class Drawing(Directive):
    """A drawing with its caption, inside the page so that it takes the page's colours."""

    required_arguments = 1
    source = None

    def run(self):
        drawing, caption = self.source.draw(self.arguments[0])
        figure = f'<figure class="drawing">{inline(drawing)}<figcaption>{_code(caption)}</figcaption></figure>'
        return [nodes.raw("", figure, format="html")]


class Idea(Drawing):
    """See :mod:`.ideas`."""

    source = ideas


class Diagram(Drawing):
    """See :mod:`.diagrams`."""

    source = diagrams


class Waves(Drawing):
    """See :mod:`.waves`."""

    source = waves


class Listing(Directive):
    """A table, of what a scheme says of itself."""

    optional_arguments = 1

    def run(self):
        header, rows = self.rows(scheme(self.arguments[0]) if self.arguments else None)
        head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
        body = "".join("<tr>" + "".join(f"<td>{_code(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        return [nodes.raw("", f'<div class="table-wrapper"><table class="docutils"><thead><tr>{head}</tr></thead><tbody>{body}'
                              "</tbody></table></div>", format="html")]


class Parameters(Listing):
    """Fields of the config, from where they are checked and described."""

    def rows(self, one):
        said = {}
        for parameter in NumpyDocString(inspect.cleandoc(one.Config.__doc__))["Parameters"]:
            for name in parameter.name.split(", "):
                said[name] = (parameter.type, " ".join(parameter.desc))
        return ("parameter", "values", "default", "meaning"), [
            (f"``{field.name}``", said[field.name][0], f"``{_value(field.default)}``", said[field.name][1])
            for field in dataclasses.fields(one.Config)]


class Streams(Listing):
    """Payloads, least significant field first."""

    def rows(self, one):
        rows = []
        for stream, fields in one.Config().streams.items():
            at = 0
            for field in fields:
                width = payload_bits((field,))
                each = "a structure" if field.is_struct else f"{field.element.width} bits, {field.element.kind}"
                shape = "".join(f"[{axis}]" for axis in field.axes)
                rows.append((f"``{stream}``", f"``{field.name}{shape}``", each, f"{at + width - 1}:{at}"))
                at += width
        return ("stream", "field", "each element", "bits of the payload"), rows


class Latency(Listing):
    """Cycles, from the config that golden and hardware share."""

    def rows(self, one):
        config = one.Config()
        timing = config.timing
        rows = [("last term of a tile to its first output", f"{timing.result + timing.to_outputs} cycles"),
                ("beats on `outputs` a tile", f"{config.drain_beats}"),
                ("longest K", f"{config.largest_k:,}")]
        if config.max_groups > 1:
            rows.append(("distance of group ends, at least", f"{timing.interval} cycles"))
        for work in config.formats_taken.values():
            rate = config.rows * config.cols * config.lanes / (work.terms * work.passes)
            rows.append((f"MAC/cycle, {work.name}", f"{rate:,.4g} ({work.terms} terms x {work.passes} passes a beat)"))
        rows = rows if len(rows) < 16 else [*rows[:12], ("further formats", f"{len(rows) - 12}")]
        return ("default engine, " + f"{config.rows} x {config.cols} x {config.lanes}", ""), rows


class Bits(Directive):
    """A word's bits from the top, as a table whose cells are as wide as its fields."""

    required_arguments = 1

    def run(self):
        tables = []
        for name, fields in BITS[self.arguments[0]].items():
            split = [(field.partition(":")[0].replace("_", " "), int(field.partition(":")[2] or 1)) for field in fields.split()]
            top = sum(width for _, width in split)
            numbers = "".join(f"<th>{bit}</th>" for bit in reversed(range(top)))
            cells = "".join(f'<td colspan="{width}">{escape(field)}</td>' for field, width in split)
            tables.append(f'<table class="docutils bits"><caption>{name}</caption><tr>{numbers}</tr><tr>{cells}</tr></table>')
        return [nodes.raw("", f'<div class="bits">{"".join(tables)}</div>', format="html")]


class Accuracy(Listing):
    """Rows of perplexity, and of errors of the arithmetic."""

    def rows(self, one):
        found = []
        for cells in map(_cells, MODELS.read_text().splitlines()):
            first = cells[0].removeprefix(f"{one.name} ").partition(",")[0] if cells else ""
            if first in one.formats and len(cells) == 6:
                found.append((f"{first}, activations {cells[1]}", "perplexity, SmolLM2-135M, WikiText-2", cells[3]))
            elif first in dict(one.arithmetic) and len(cells) == 5:
                found.append((cells[0], "error of the engine on 42 layers: least .. median .. largest", cells[1]))
        return ("format", "what", "figure"), found


class Costs(Listing):
    """Rows of the table that `make figures` writes."""

    def rows(self, one):
        rows = [cells for cells in map(_cells, FIGURES.read_text().splitlines()) if len(cells) == 6]
        header = next(row for row in rows if row[0] == "operands")
        return header[:5], [row[:5] for row in rows if row[1].split()[0] == one.name]


class Schemes(Listing):
    """All schemes, a row each."""

    def rows(self, _):
        return ("scheme", "idea", "source", "weight formats"), [
            (f"{one.title} (``{one.name}``)", one.idea, one.paper, ", ".join(f"``{fmt}``" for fmt in one.formats))
            for one in map(scheme, engines())]


def _cells(line):
    """Cells of a line of a table in Markdown; none of another line."""
    return [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("| ") else []


def _code(text):
    """Text for HTML, with what stands between backticks as code."""
    parts = escape(text, quote=False).replace("``", "`").split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))


def _value(default):
    if isinstance(default, tuple):
        return ",".join(map(_value, default))
    return str(getattr(default, "name", default))


def setup(app):
    """Make the directives known."""
    for directive in (Idea, Diagram, Waves, Parameters, Streams, Latency, Bits, Accuracy, Costs, Schemes):
        app.add_directive(directive.__name__.lower(), directive)
    return {"parallel_read_safe": True}
