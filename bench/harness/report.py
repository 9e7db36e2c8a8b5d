# SPDX-License-Identifier: Apache-2.0
"""From samples to figures: medians with their spread, ratios, the table, comparing."""
import statistics

from harness import catalog


class Samples:
    """All samples of a run. A dirty one is counted and not used."""

    def __init__(self, foreign_max):
        self.foreign_max = foreign_max
        self.clean = {}  # (run, system): list of {metric: (value, unit)}
        self.dirty = {}  # (run, system): how many
        self.noise = []  # of each sample
        self.timelines = []

    def add(self, run, system, sample, foreign_percent, seconds=0.0):
        """`seconds` is how long it took with all that belongs to it. Returns whether the sample
        is used."""
        self.noise.append({"workload": run.figures[0].workload, "system": system,
                           "seconds": round(seconds, 2),
                           "foreign_percent": round(foreign_percent, 2),
                           "used": foreign_percent <= self.foreign_max})
        if foreign_percent > self.foreign_max:
            self.dirty[run, system] = self.dirty.get((run, system), 0) + 1
            return False
        self.clean.setdefault((run, system), []).append(sample["results"])
        if sample["slices"]:
            self.timelines.append({"workload": run.figures[0].workload, "system": system,
                                   "slices": sample["slices"], "marks": sample["marks"]})
        return True


def _better_of(run, metric):
    for figure in run.figures:
        if figure.metric == metric:
            return figure.better
    return "higher" if metric.endswith(("_per_s", "rate", "percent")) else "lower"


def _workload_of(run, metric):
    for figure in run.figures:
        if figure.metric == metric:
            return figure.workload
    return run.figures[0].workload


def results(samples, rows_of):
    """One object for each figure of each system; first of each run those that the catalog names.
    `rows_of` tells the number of rows of a run."""
    found = []
    for key in {**samples.clean, **samples.dirty}:
        run, system = key
        used = samples.clean.get(key, [])
        named = [f.metric for f in run.figures]
        metrics = list(dict.fromkeys(named + [m for s in used for m in s]))
        for metric in metrics:
            values = [s[metric][0] for s in used if metric in s]
            units = [s[metric][1] for s in used if metric in s]
            if not values and metric not in named:
                continue
            found.append({
                "workload": _workload_of(run, metric), "parameters": {"rows": rows_of(run),
                                                                      **dict(run.parameters)},
                "system": system, "metric": metric,
                "unit": units[0] if units else None, "durability": run.durability,
                "better": _better_of(run, metric),
                "median": statistics.median(values) if values else None,
                "low": min(values, default=None), "high": max(values, default=None),
                "samples": len(values), "dropped": samples.dirty.get(key, 0),
                "ratio_to_instar": None})
    _set_ratios(found)
    return found


def _set_ratios(found):
    ours = {(r["workload"], r["metric"]): r["median"] for r in found if r["system"] == "instar"}
    # The device has one figure, beside the commits that wait for it.
    ours["commits-sync-1", "rate"] = ours.get(("commits-sync-1", "commits_per_s"))
    for result in found:
        base = ours.get((result["workload"], result["metric"]))
        if base and result["median"] is not None:
            result["ratio_to_instar"] = result["median"] / base


# ---- the table -----------------------------------------------------------------------------------

def _figure(value):
    return "-" if value is None else f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def table(report):
    """The report as lines for a terminal: what the catalog names; report.json has the rest."""
    shown = {(f.workload, f.metric) for run in catalog.RUNS for f in run.figures}
    yield (f"{report['date']}, commit {report['commit']}, {report['host']['cores']} cores, "
           f"{report['options']['rows']:,} rows, median of at most {report['options']['repeat']}, "
           f"page cache warm")
    yield ""
    yield (f"{'workload':38} {'system':9} {'median':>11} {'low':>11} {'high':>11} "
           f"{'unit':5} {'survives':9} {'n':>2} {'dirty':>5}  of Instar's")
    for r in report["results"]:
        if (r["workload"], r["metric"]) in shown:
            ratio = "" if r["ratio_to_instar"] is None else f"{r['ratio_to_instar']:.2f}"
            yield (f"{r['workload']:38} {r['system']:9} {_figure(r['median']):>11} "
                   f"{_figure(r['low']):>11} {_figure(r['high']):>11} {r['unit'] or '':5} "
                   f"{r['durability']:9} {r['samples']:2} {r['dropped']:5}  {ratio}")
    yield ""
    yield f"{'target':76} {'required':>16} {'measured':>10}"
    for t in report["targets"]:
        mark = "  -" if t["met"] is None else "  met" if t["met"] else "  MISSED"
        yield (f"{t['name']:76} {t['required'] or '':>16} {_figure(t['measured']):>10}{mark}"
               + (f" ({t['why']})" if t["why"] else ""))
    dirty = sum(not n["used"] for n in report["noise"])
    yield ""
    yield (f"{len(report['noise'])} samples, {dirty} dropped because others used more than "
           f"{report['options']['foreign_max']:g} % of the processors")
    yield "where the time went, s: " + ", ".join(f"{name} {seconds:.0f}"
                                                for name, seconds in longest(report["noise"]))


LONGEST = 12


def longest(noise):
    """The workloads that took the most time, with all systems and repetitions."""
    spent = {}
    for sample in noise:
        spent[sample["workload"]] = spent.get(sample["workload"], 0) + sample["seconds"]
    found = sorted(spent.items(), key=lambda item: -item[1])
    rest = sum(seconds for _, seconds in found[LONGEST:])
    return found[:LONGEST] + ([("all others", rest)] if rest else [])


# ---- comparing -----------------------------------------------------------------------------------

LEAST_CHANGE = 0.03  # of one sample no spread is known; less than this is no change in any case


def slower(before, after):
    """What got worse by more than both spreads: (workload, system, metric, old, new, part)."""
    old = {(r["workload"], r["system"], r["metric"]): r for r in before["results"]}
    for r in after["results"]:
        was = old.get((r["workload"], r["system"], r["metric"]))
        if was is None or not was["median"] or r["median"] is None:
            continue
        worse = r["median"] - was["median"]
        worse = -worse if r["better"] == "higher" else worse
        spread = max(was["high"] - was["low"], r["high"] - r["low"],
                     LEAST_CHANGE * abs(was["median"]))
        if worse > spread:
            yield (*(r[name] for name in ("workload", "system", "metric")), was["median"],
                   r["median"], worse / abs(was["median"]))
