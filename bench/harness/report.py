# SPDX-License-Identifier: Apache-2.0
"""From samples to figures: medians with their spread, ratios, targets, the table, comparing."""
import os
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

    def add(self, run, system, sample, foreign_percent):
        """Returns whether the sample is used."""
        self.noise.append({"workload": run.figures[0].workload, "system": system,
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


def results(samples, rows):
    """One object for each figure of each system; first of each run those that the catalog names."""
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
                "workload": _workload_of(run, metric), "parameters": {"rows": rows,
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


# ---- targets -------------------------------------------------------------------------------------

class _Medians:
    def __init__(self, found):
        self.of = {(r["workload"], r["system"], r["metric"]): r["median"] for r in found}

    def ratio(self, workload, metric, above, below, below_metric=None):
        top = self.of.get((workload, above, metric))
        bottom = self.of.get((workload, below, below_metric or metric))
        return top / bottom if top is not None and bottom else None

    def one(self, workload, metric, system="instar"):
        return self.of.get((workload, system, metric))


def _quotient(a, b):
    return a / b if a is not None and b else None


def targets(found):
    """name, required, measured, met; None where there is no measurement, with the reason."""
    m = _Medians(found)
    load = "create-index-under-load"
    sync_load, async_load = f"{load}-sync-8", f"{load}-async-32"

    def stall(workload):
        during, idle = m.one(workload, "during_max_us"), m.one(workload, "idle_max_us")
        return None if during is None or idle is None else (during - idle) / 1000

    def during(workload, quantile):
        return _quotient(m.one(workload, f"during_{quantile}_us"),
                         m.one(workload, f"idle_{quantile}_us"))

    p999 = m.one(sync_load, "during_p99.9_us")
    most, least = "at most", "at least"
    lines = [
        ("create index: times faster than PostgreSQL's parallel build", least, 2,
         m.ratio("create-index", "build_s", "postgres", "instar")),
        ("create index: times faster than PostgreSQL's CONCURRENTLY", least, 3,
         m.ratio("create-index-online", "build_s", "postgres", "instar")),
        ("create index: times faster than SQLite", least, 6,
         m.ratio("create-index", "build_s", "sqlite", "instar")),
        ("create index: times the append of raw LMDB", most, 2.2,
         m.ratio("create-index", "build_s", "instar", "lmdb")),
        ("create index, 32 async writers: % of throughput kept", least, 90,
         m.one(async_load, "kept_percent")),
        ("create index, 32 async writers: p99, times idle", most, 2, during(async_load, "p99")),
        ("create index, 32 async writers: longest stall beyond idle's, ms", most, 5,
         stall(async_load)),
        ("create index, 8 sync writers that insert: % of throughput kept", least, 90,
         m.one(f"{load}-insert-sync-8", "kept_percent")),
        ("create index, 8 sync writers that update another column: % kept", least, 90,
         m.one(f"{load}-other-sync-8", "kept_percent")),
        ("create index, 8 sync writers that update the indexed column: % kept", least, 90,
         m.one(sync_load, "kept_percent")),
        ("create index, 8 sync writers: p99, times idle", most, 3, during(sync_load, "p99")),
        ("create index, 8 sync writers: p99.9, ms", most, 5,
         None if p999 is None else p999 / 1000),
        ("unique index: times the plain one", most, 1.3,
         _quotient(m.one("unique-index", "build_s"), m.one("create-index", "build_s"))),
        ("create index on 60 bytes of text: times PostgreSQL's parallel build", least, 1.5,
         m.ratio("create-index-text", "change_ms", "postgres", "instar")),
        ("create index on 100 distinct values: times PostgreSQL's parallel build", least, 1.5,
         m.ratio("create-index-100-values", "change_ms", "postgres", "instar")),
        ("validate NOT NULL, rows/s per core", least, 3000000,
         _quotient(m.one("validate-not-null", "rows_per_s"), os.cpu_count())),
        ("validate NOT NULL: times PostgreSQL", least, 2,
         m.ratio("validate-not-null", "rows_per_s", "instar", "postgres")),
        ("validate CHECK, rows/s per core", least, 3000000,
         _quotient(m.one("validate-check", "rows_per_s"), os.cpu_count())),
        ("validate CHECK: times PostgreSQL", least, 2,
         m.ratio("validate-check", "rows_per_s", "instar", "postgres")),
        ("three indexes in one change: times one of them", most, 2,
         _quotient(m.one("several-indexes", "change_ms"),
                   m.one("create-index-100-values", "change_ms"))),
        ("add a column with a default, 8 idle processes, ms", most, 10,
         m.one("add-column", "change_ms")),
        ("create index on an empty table, 8 idle processes, ms", most, 20,
         m.one("empty-table-8-nodes", "change_ms")),
        ("drop table, 8 idle processes, ms", most, 50, m.one("drop-table", "change_ms")),
        ("drop index, ms", most, 50, None if m.one("drop-index", "drop_s") is None
         else m.one("drop-index", "drop_s") * 1000),
        ("durable commits, 1 process: times append + fdatasync", least, 0.9,
         m.ratio("commits-sync-1", "commits_per_s", "instar", "device", "rate")),
        ("durable commits, 8 processes: times PostgreSQL", least, 3,
         m.ratio("commits-sync-8", "commits_per_s", "instar", "postgres")),
        ("durable commits, 32 processes: times PostgreSQL", least, 4,
         m.ratio("commits-sync-32", "commits_per_s", "instar", "postgres")),
        ("async commits of 1 process, 1/s", least, 250000,
         m.one("commits-async-1", "commits_per_s")),
        ("async commits: 8 processes, times 1 process", least, 0.8,
         _quotient(m.one("commits-async-8", "commits_per_s"),
                   m.one("commits-async-1", "commits_per_s"))),
        ("point read: times raw LMDB", least, 0.7,
         m.ratio("point-read", "reads_per_s", "instar", "lmdb")),
        ("scan: times raw LMDB", least, 0.5, m.ratio("scan", "rows_per_s", "instar", "lmdb")),
        ("build memory, MiB", most, 256, m.one("create-index", "private_mib")),
        ("open after a clean close, ms", most, 100, m.one("open", "open_ms")),
        ("open after a kill, ms", most, 2000, m.one("open-after-kill", "open_ms")),
    ]
    answer = [_target(*line) for line in lines]
    for name, why in (
            ("lease and stage checks, % of a commit", "row-and-lease-overhead"),
            ("disk: times raw LMDB's size", None),
            ("growth: rows/s of a build at 10^7 against 10^6", "growth")):
        answer.append({"name": name, "required": None, "measured": None, "met": None,
                       "why": catalog.NOT_YET.get(why, catalog.NO_WORKLOAD)})
    return answer


def _target(name, sense, bound, measured):
    met = None
    if measured is not None:
        met = measured <= bound if sense == "at most" else measured >= bound
    return {"name": name, "required": f"{sense} {bound:g}", "measured": measured, "met": met,
            "why": None if measured is not None else "no clean sample, or not asked for"}


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
    for name, why in report["not_measured"].items():
        yield f"{name:38} {why}"
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
