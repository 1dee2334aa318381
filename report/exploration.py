# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The page of an exploration: a plot of any two measures, filters, and the table of all points; one file, without network."""

from collections.abc import Mapping
from math import nan
from typing import Any

from ..schemes import priced
from ..tools.toolchain import Failed

__all__ = ["exploration_page"]

_WIDTH = 1110

_BOUNDED = ("bits", "error", "area", "luts", "decode_tokens_per_s")
"""Measures that have a slider, beside objectives and constraints."""

# Which points are to be seen, and what is plotted of them.
_CHOOSE = """
const all = source.data, kept = [], bounds = sliders.map((slider) => slider.value);
for (let i = 0; i < all.name.length; i++) {
  const within = columns.every((column, c) => all[column][i] >= bounds[c][0] && all[column][i] <= bounds[c][1]);
  const wanted = schemes.active.map((a) => schemes.labels[a]).includes(all.scheme[i]);
  kept.push(within && wanted && (!best.active || all.front[i]));
}
view.filter.booleans = kept;
source.data = Object.assign({}, all, {x: all[x.value], y: all[y.value]});
xaxis.axis_label = titles[x.value]; yaxis.axis_label = titles[y.value];
count.text = kept.filter((k) => k).length + ' of ' + kept.length + ' points';
"""


def exploration_page(data: Mapping[str, Any]) -> str:
    """HTML of what ``subbyte explore --json`` writes.

    Raises
    ------
    Failed
        If Bokeh is not installed.
    """
    try:
        from bokeh.embed import file_html
        from bokeh.resources import INLINE
    except ImportError:
        raise Failed("the page needs Bokeh: pip install 'subbyte[explore]'") from None
    return file_html(_layout(data), INLINE, title=f"subbyte: {data['space']}")


def _words(data):
    """What the page is about."""
    points = data["points"]
    failed = [point for point in points if point["status"] != "ok"]
    wishes = ", ".join(f"{name.replace('_', ' ')} ({way})" for name, way in data["objectives"].items())
    limits = ", ".join(f"{name.replace('_', ' ')} {limit}" for name, limit in data["constraints"].items()) or "none"
    machine = ", ".join(f"{key} {value}" for key, value in data["machine"].items())
    clock = f"; one FO4 is taken as {data['fo4']:g} ps" if data.get("fo4") else ""
    left = "".join(f"<li><code>{_plain(point['name'])}</code>: {_plain(point['status'])}</li>" for point in failed)
    return (f"<h1>{_plain(data['space'])}: engines for {_plain(data['model'])}</h1>"
            f"<p>{len(points) - len(failed)} of {len(points)} points measured ({_plain(data['part'])}); those that none "
            f"surpasses have a dark edge. Objectives: {wishes}. Constraints: {_plain(limits)}. "
            f"Machine: {_plain(machine)}{clock}. Errors are those of {_plain(data['errors_of'])}.</p>"
            + (f"<p>Command: <code>{_plain(data['command'])}</code></p>" if data.get("command") else "")
            + (f"<details><summary>{len(failed)} points left out</summary><ul>{left}</ul></details>" if left else ""))


def _plain(text):
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _layout(data):
    from bokeh import models as ui
    from bokeh.layouts import column, row

    points = [point for point in data["points"] if point["status"] == "ok"]
    measures = [name for name in data["measures"] if all(name in point for point in points)]
    titles = {name: " ".join(filter(None, (data["measures"][name]["title"], data["measures"][name]["unit"] and
                                           f"({data['measures'][name]['unit']})"))) for name in measures}
    x, y = [name for name in (*data["objectives"], *measures) if name in measures][:2]
    source = ui.ColumnDataSource(_columns(points, measures, x, y))
    view = ui.CDSView(filter=ui.BooleanFilter(booleans=[True] * len(points)))
    plot = _plot(source, view, titles, x, y)
    change, controls = _controls(data, source, titles, x, y)
    change.args |= {"view": view, "xaxis": plot.xaxis[0], "yaxis": plot.yaxis[0], "source": source, "titles": titles}
    number = ui.ScientificFormatter(precision=3, power_limit_low=-3, power_limit_high=6)
    table = ui.DataTable(source=source, view=view, width=_WIDTH, height=420, columns=[
        ui.TableColumn(field="name", title="engine", width=330),
        *(ui.TableColumn(field=name, title=name.replace("_", " "), width=95, formatter=number) for name in measures)])
    words = ui.Div(text=_words(data), width=_WIDTH, styles={"font-size": "14px", "line-height": "1.45"})
    return column(words, row(plot, column(*controls)), table)


def _columns(points, measures, x, y):
    """What the plot and the table are drawn from."""
    columns = {name: [point[name] for point in points] for name in ("name", "scheme", "format", "front", *measures)}
    return {
        **columns, "x": columns[x], "y": columns[y],
        "colour": [priced(point["scheme"]).colours[0] for point in points],
        "edge": ["#111111" if point["front"] else "#ffffff" for point in points],
        "size": [13 if point["front"] else 8 for point in points],
    }


def _plot(source, view, titles, x, y):
    from bokeh.models import HoverTool
    from bokeh.plotting import figure

    plot = figure(width=760, height=480, x_axis_label=titles[x], y_axis_label=titles[y], active_drag="box_zoom",
                  tools="pan,wheel_zoom,box_zoom,reset,save")
    for scheme in dict.fromkeys(source.data["scheme"]):  # marks of the legend alone, which filters do not take away
        plot.scatter([nan], [nan], size=9, color=priced(scheme).colours[0], legend_label=scheme)
    marks = plot.scatter("x", "y", source=source, view=view, size="size", fill_color="colour", fill_alpha=0.85,
                         line_color="edge", line_width=1.5)
    plot.add_tools(HoverTool(renderers=[marks], tooltips=[
        ("", "@name"), *((name.replace("_", " "), f"@{name}{{0,0.[0000]}}") for name in titles)]))
    plot.legend.location = "top_right"
    return plot


def _controls(data, source, titles, x, y):
    """What chooses points and axes, and the script that it runs, still without what that changes."""
    from bokeh import models as ui

    across, up = (ui.Select(title=title, value=name, options=list(titles.items()), width=330)
                  for title, name in (("across", x), ("up", y)))
    present = sorted(set(source.data["scheme"]))
    schemes = ui.CheckboxButtonGroup(labels=present, active=list(range(len(present))))
    best = ui.Toggle(label="only those that none surpasses")
    bounded = [name for name in titles if name in {*_BOUNDED, *data["objectives"], *data["constraints"]}
               and len(set(source.data[name])) > 1]
    sliders = []
    for name in bounded:
        low, high = _span(source.data[name])
        sliders.append(ui.RangeSlider(title=titles[name], start=low, end=high, value=(low, high), step=(high - low) / 200,
                                      width=330, format="0,0.[0000]"))
    count = ui.Div(text=f"{len(source.data['name'])} of {len(source.data['name'])} points")
    change = ui.CustomJS(code=_CHOOSE, args={"sliders": sliders, "columns": bounded, "schemes": schemes, "best": best,
                                             "count": count, "x": across, "y": up})
    for widget in (*sliders, across, up):
        widget.js_on_change("value", change)
    for widget in (schemes, best):
        widget.js_on_change("active", change)
    return change, [across, up, schemes, best, count, *sliders]


def _span(values):
    """From just below the least to just above the most, so that rounding shuts out neither."""
    low, high = min(values), max(values)
    margin = (high - low) / 200
    return low - margin, high + margin
