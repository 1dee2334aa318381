# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Sphinx directives for what pages take from the design itself.

* ``{idea} NAME``, ``{diagram} NAME``, ``{waves} NAME``: drawings, see the modules of these names.
* ``{parameters} SCHEME``: a config's fields with default and meaning, from its docstring.
* ``{streams} SCHEME``: the payloads of the default engine, bit by bit.
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

FIGURES = Path(__file__).parents[1] / "figures.md"


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


class Costs(Listing):
    """Rows of the table that `make figures` writes."""

    def rows(self, one):
        lines = [line for line in FIGURES.read_text().splitlines() if line.startswith("| ")]
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        header = next(row for row in cells if row[0] == "operands")
        return header[:5], [row[:5] for row in cells if len(row) == len(header) and row[1].split()[0] == one.name]


class Schemes(Listing):
    """All schemes, a row each."""

    def rows(self, _):
        return ("scheme", "idea", "source", "weight formats"), [
            (f"{one.title} (``{one.name}``)", one.idea, one.paper, ", ".join(f"``{fmt}``" for fmt in one.formats))
            for one in map(scheme, engines())]


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
    for directive in (Idea, Diagram, Waves, Parameters, Streams, Latency, Costs, Schemes):
        app.add_directive(directive.__name__.lower(), directive)
    return {"parallel_read_safe": True}
