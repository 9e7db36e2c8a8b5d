# SPDX-License-Identifier: Apache-2.0
"""report.html: one file, plots as SVG, nothing loaded from elsewhere."""
import html
import math
import re

from harness import catalog

COLOUR = {"instar": "#1f6f8b", "lmdb": "#8a8a8a", "sqlite": "#b07aa1", "postgres": "#d9822b",
          "rocksdb": "#59a14f", "wiredtiger": "#c0392b", "unleased": "#76b7b2",
          "device": "#4d4d4d"}
WIDTH, BAR, LEFT = 780, 18, 110
MARK_ROWS = 5  # words of marks stand below each other, so that they do not meet
HEIGHT = 150  # of one curve of a time line


def _text(x, y, words, anchor="start", size=11):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">'
            f"{html.escape(str(words))}</text>")


def _number(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def bars(results):
    """A bar for each system, with its spread."""
    most = max((r["high"] for r in results if r["high"] is not None), default=0) or 1
    scale = (WIDTH - LEFT - 130) / most
    out = [f'<svg width="{WIDTH}" height="{(BAR + 6) * len(results) + 6}">']
    for i, r in enumerate(results):
        y = 4 + i * (BAR + 6)
        out.append(_text(LEFT - 6, y + 13, r["system"], "end"))
        if r["median"] is None:
            out.append(_text(LEFT, y + 13, f"no clean sample, {r['dropped']} dropped"))
            continue
        out.append(f'<rect x="{LEFT}" y="{y}" width="{r["median"] * scale:.1f}" height="{BAR}" '
                   f'fill="{COLOUR[r["system"]]}"/>')
        low, high = LEFT + r["low"] * scale, LEFT + r["high"] * scale
        out.append(f'<path d="M{low:.1f} {y + BAR / 2} H{high:.1f}" stroke="black"/>')
        out.append(_text(high + 6, y + 13, f"{_number(r['median'])} {r['unit']}"))
    return "".join(out) + "</svg>"


def _curve(points, x_of, top, most, colour):
    path = " ".join(f"{x_of(t):.1f},{top + HEIGHT - value * HEIGHT / most:.1f}"
                    for t, value in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def timeline(line):
    """Throughput above, quantiles and the longest commit below, the stages of the change marked."""
    slices, marks = line["slices"], line["marks"]
    first, last = slices[0]["t_ms"], slices[-1]["t_ms"] + 100

    def x_of(t):
        return LEFT + (t - first) * (WIDTH - LEFT - 20) / (last - first)

    curves = [("commits/s", [("commits", "#1f6f8b", lambda s: s["count"] * 10)]),
              ("ms", [("p50", "#59a14f", lambda s: s["p50_us"] / 1000),
                      ("p99", "#d9822b", lambda s: s["p99_us"] / 1000),
                      ("p99.9", "#b07aa1", lambda s: s["p99.9_us"] / 1000),
                      ("max", "#c0392b", lambda s: s["max_us"] / 1000)])]
    out = [f'<svg width="{WIDTH}" height="{2 * HEIGHT + 92 + 10 * MARK_ROWS}">']
    for i, (unit, lines) in enumerate(curves):
        top = 24 + i * (HEIGHT + 30)
        most = max(f(s) for _, _, f in lines for s in slices) or 1
        out.append(f'<rect x="{LEFT}" y="{top}" width="{WIDTH - LEFT - 20}" height="{HEIGHT}" '
                   f'fill="none" stroke="#ccc"/>')
        out.append(_text(LEFT - 6, top + 10, f"{_number(most)} {unit}", "end"))
        out.append(_text(LEFT - 6, top + HEIGHT, "0", "end"))
        for n, (name, colour, f) in enumerate(lines):
            out.append(_curve([(s["t_ms"], f(s)) for s in slices], x_of, top, most, colour))
            out.append(f'<g fill="{colour}">{_text(LEFT + 60 * n, top + HEIGHT + 14, name)}</g>')
    for i, mark in enumerate(marks):
        x = x_of(mark["t_ms"])
        y = 2 * HEIGHT + 82 + 10 * (i % MARK_ROWS)
        out.append(f'<path d="M{x:.1f} 20 V{y}" stroke="#999" stroke-dasharray="3 3"/>')
        out.append(_text(x + 2, y, mark["words"], size=9))
    return "".join(out) + "</svg>"


GROWTH = re.compile(r"growth-(.+)-1e(\d+)")


def growth(results):
    """A plot over the number of rows for each figure that the catalog names."""
    named = {(f.workload, f.metric) for run in catalog.RUNS for f in run.figures}
    series = {}
    for r in results:
        match = GROWTH.fullmatch(r["workload"])
        if match and r["median"] is not None and (r["workload"], r["metric"]) in named:
            series.setdefault((match[1], r["metric"], r["unit"]), []).append(
                (r["parameters"]["rows"], r["low"], r["median"], r["high"]))
    for (what, metric, unit), points in series.items():
        if len(points) > 1:
            yield what, metric, _growth_plot(sorted(points), unit)


def _growth_plot(points, unit):
    most = max(high for _, _, _, high in points) or 1
    first, last = math.log10(points[0][0]), math.log10(points[-1][0])

    def x_of(rows):
        return LEFT + 20 + (math.log10(rows) - first) * (WIDTH - LEFT - 120) / (last - first)

    def y_of(value):
        return 14 + HEIGHT - value * HEIGHT / most

    out = [f'<svg width="{WIDTH}" height="{HEIGHT + 44}">',
           f'<rect x="{LEFT}" y="14" width="{WIDTH - LEFT - 20}" height="{HEIGHT}" fill="none" '
           'stroke="#ccc"/>', _text(LEFT - 6, 24, f"{_number(most)} {unit}", "end"),
           _text(LEFT - 6, 14 + HEIGHT, "0", "end"),
           _curve([(rows, median) for rows, _, median, _ in points], x_of, 14, most,
                  COLOUR["instar"])]
    for rows, low, median, high in points:
        x = x_of(rows)
        out.append(f'<path d="M{x:.1f} {y_of(low):.1f} V{y_of(high):.1f}" stroke="black"/>')
        out.append(f'<circle cx="{x:.1f}" cy="{y_of(median):.1f}" r="3" '
                   f'fill="{COLOUR["instar"]}"/>')
        out.append(_text(x + 6, y_of(median) + 12, _number(median), size=9))
        out.append(_text(x, HEIGHT + 30, f"{rows:,} rows", "middle", 9))
    return "".join(out) + "</svg>"


def _cell(value):
    if value is None:
        return "-"
    return _number(value) if isinstance(value, float) else html.escape(str(value))


def _rows(items, columns):
    lines = ["".join(f"<th>{html.escape(c)}</th>" for c in columns)]
    lines += ["".join(f"<td>{_cell(item[c])}</td>" for c in columns) for item in items]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def page(report):
    shown = [(f.workload, f.metric, f.better) for run in catalog.RUNS for f in run.figures]
    parts = [f"<h1>Instar, measured on {report['date']}</h1>",
             f"<p>Commit {report['commit']}; {html.escape(str(report['host']))}; "
             f"{html.escape(str(report['versions']))}; {html.escape(str(report['options']))}. "
             "Bars are medians, the line across a bar goes from the lowest to the highest sample. "
             f"{sum(not n['used'] for n in report['noise'])} of {len(report['noise'])} samples "
             "were dropped as dirty.</p>",
             "<h2>Targets</h2>",
             _rows(report["targets"], ["name", "required", "measured", "met", "why"])]
    for workload, metric, better in dict.fromkeys(shown):
        found = [r for r in report["results"]
                 if r["workload"] == workload and not GROWTH.fullmatch(workload) and
                 (r["metric"] == metric or r["system"] == "device")]
        if found:
            parts.append(f"<h2>{workload}: {metric}</h2><p>{better} is better; survives: "
                         f"{found[0]['durability']}</p>{bars(found)}")
    for what, metric, svg in growth(report["results"]):
        parts.append(f"<h2>growth, {what}: {metric}</h2>{svg}")
    for line in report["timelines"]:
        parts.append(f"<h2>{line['workload']}: {line['system']}</h2>{timeline(line)}")
    style = ("body{font:14px sans-serif;max-width:800px;margin:2em auto}table{border-collapse:"
             "collapse}td,th{border:1px solid #ccc;padding:2px 6px;text-align:left}"
             "svg{font-family:sans-serif}")
    return (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Instar, measured'
            f"</title><style>{style}</style></head><body>{''.join(parts)}</body></html>\n")
