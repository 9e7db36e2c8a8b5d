# SPDX-License-Identifier: Apache-2.0
"""Each check of the harness, shown something that it must notice and something that it must not."""
import re
import subprocess
import sys
import xml.etree.ElementTree

from harness import catalog, noise, plot, report, rivals, targets

SCAN = next(run for run in catalog.RUNS if run.program == "scan")
INDEX = next(run for run in catalog.RUNS if run.program == "create-index")
LOAD = next(run for run in catalog.RUNS if run.program == "create-index-under-load")


def _sample(slices=(), **results):
    return {"results": {name: (value, "u") for name, value in results.items()},
            "slices": list(slices), "marks": [{"t_ms": 10.0, "words": "a <stage>"}]}


def _report(*lines, foreign_max=5):
    samples = report.Samples(foreign_max)
    for run, system, foreign, sample in lines:
        samples.add(run, system, sample, foreign)
    found = report.results(samples, lambda run: run.rows or 1000)
    return {"host": {"cores": 2}, "versions": {}, "commit": "x", "date": "today",
            "options": {"rows": 1000, "repeat": 3, "foreign_max": foreign_max},
            "results": found, "targets": targets.judged(found),
            "timelines": samples.timelines, "noise": samples.noise}


def _one(made, system, metric):
    return next(r for r in made["results"] if r["system"] == system and r["metric"] == metric)


def dirty_samples_are_dropped_and_counted():
    made = _report((SCAN, "instar", 1, _sample(rows_per_s=10.0)),
                   (SCAN, "instar", 40, _sample(rows_per_s=1.0)),
                   (SCAN, "instar", 4.9, _sample(rows_per_s=12.0)),
                   (SCAN, "lmdb", 90, _sample(rows_per_s=99.0)))
    ours, floor = (_one(made, s, "rows_per_s") for s in ("instar", "lmdb"))
    assert (ours["median"], ours["low"], ours["samples"], ours["dropped"]) == (11.0, 10.0, 2, 1)
    assert (floor["median"], floor["samples"], floor["dropped"]) == (None, 0, 1)
    assert "2 dropped" in "\n".join(report.table(made))


def foreign_work_is_noticed():
    """What a process uses that nobody has waited for is somebody else's; what one uses that was
    waited for is ours."""
    spin = "import time\nwhile time.process_time() < 0.5: pass\nprint('done', flush=True)\ninput()"
    with noise.Watch() as watch:
        stranger = subprocess.Popen([sys.executable, "-c", spin], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE)
        stranger.stdout.readline()
    assert watch.foreign_s >= 0.4, watch.foreign_s
    with noise.Watch() as watch:
        stranger.communicate(b"end\n")
    assert watch.ours_s >= 0.4, watch.ours_s
    # The time that it used before is counted as ours now: nothing is foreign by it.
    assert watch.foreign_s < 0.4 or watch.wall_s > 0.4, watch.foreign_s


def a_setting_that_differs_is_refused():
    for system in ("postgres", "sqlite", "lmdb", "rocksdb", "wiredtiger"):
        for kind in ("sync", "async"):
            wanted = {**rivals.REQUIRED[system]["both"], **rivals.REQUIRED[system][kind]}
            rivals.check(system, kind, {**wanted, "version": wanted["version"] + "7"})
            for name in wanted:
                for value in ("other", None):
                    found = {**wanted, name: value}
                    try:
                        rivals.check(system, kind, found)
                    except rivals.Refused as refusal:
                        assert name in str(refusal)
                    else:
                        raise AssertionError(f"{system}: {name}={value} was let through")


def targets_are_judged():
    def met(instar, postgres):
        made = _report((INDEX, "instar", 0, _sample(build_s=instar, drop_s=0.01)),
                       (INDEX, "postgres", 0, _sample(build_s=postgres, drop_s=0.03)))
        return {t["name"]: t["met"] for t in made["targets"]}
    name = "create index: times faster than PostgreSQL's parallel build"
    assert met(1.0, 2.1)[name] is True and met(1.0, 1.9)[name] is False
    assert met(1.0, 2.1)["scan: times raw LMDB"] is None
    assert met(1.0, 2.1)["drop index, ms"] is True
    made = _report((INDEX, "instar", 0, _sample(build_s=2.0, drop_s=0.01)),
                   (INDEX, "postgres", 0, _sample(build_s=3.0, drop_s=0.03)))
    assert _one(made, "postgres", "build_s")["ratio_to_instar"] == 1.5


def what_got_slower_is_found():
    def made(*values):
        return _report(*((SCAN, "instar", 0, _sample(rows_per_s=v)) for v in values),
                       *((INDEX, "instar", 0, _sample(build_s=100.0 / v)) for v in values))
    calm = made(100.0, 101.0, 99.0)
    assert not list(report.slower(calm, made(98.0, 99.0, 100.0)))
    assert not list(report.slower(calm, made(200.0, 201.0, 199.0)))
    worse = {line[2]: line[-1] for line in report.slower(calm, made(80.0, 81.0, 79.0))}
    assert set(worse) == {"rows_per_s", "build_s"}, worse
    assert abs(worse["rows_per_s"] - 0.2) < 1e-9
    # The spread hides it.
    assert not list(report.slower(made(100.0, 130.0, 70.0), made(80.0, 81.0, 79.0)))


def the_page_is_whole_and_self_contained():
    slices = [{"t_ms": 100.0 * i, "count": i, "p50_us": 1.0, "p99_us": 2.0, "p99.9_us": 3.0,
               "max_us": 4.0} for i in range(5)]
    growing = [run for run in catalog.RUNS if run.names() & {"growth-load-1e5", "growth-load-1e7"}]
    page = plot.page(_report((LOAD, "instar", 0, _sample(slices, kept_percent=90.0)),
                             (SCAN, "lmdb", 50, _sample(rows_per_s=1.0)),
                             *((run, "instar", 0, _sample(rows_per_s=5.0)) for run in growing)))
    assert "growth, load: rows_per_s" in page and "10,000,000 rows" in page
    assert "no clean sample" in page and "a &lt;stage&gt;" in page
    assert not re.search(r'(src|href)=|url\(|@import', page)
    plots = re.findall(r"<svg.*?</svg>", page)
    assert len(plots) >= 3
    for svg in plots:
        xml.etree.ElementTree.fromstring(svg)


def what_was_not_measured_is_marked():
    made = _report((SCAN, "instar", 0, _sample(rows_per_s=1.0)))
    lines = "\n".join(report.table(made))
    for target in made["targets"]:
        assert target["met"] is None and target["why"], target
        assert re.search(re.escape(target["name"]) + r" .* -  - \(" + target["why"], lines), target


def every_target_can_be_measured():
    """Samples of all that the catalog has, with every figure that the program prints: no target
    asks for something that nothing measures."""
    most = dict.fromkeys(("private_mib", "during_p99_us", "idle_p99_us", "dropping_p99_us",
                          "during_max_us", "idle_max_us", "during_p99.9_us", "build_rows_per_s",
                          "drop_s"), 1.0)
    made = _report(*((run, system, 0,
                      _sample(**most, **{f.metric: 2.0 for f in run.figures
                                         if f.metric not in most}))
                     for run in catalog.RUNS for system in run.systems))
    for target in made["targets"]:
        assert target["measured"] is not None, target["name"]
    assert len({target["name"] for target in made["targets"]}) == len(made["targets"])


def data_are_loaded_for_what_needs_them():
    def programs(patterns, systems=(), full=False):
        return {(run.at, run.figures[0].workload): parties
                for run, parties in catalog.chosen(patterns, systems, full)}
    assert programs(["scan"]) == {("main", "load"): ["instar", "lmdb", "sqlite", "postgres"],
                                  ("main", "scan"): ["instar", "lmdb", "sqlite", "postgres"]}
    found = programs(["growth-create-index-1e6"])
    assert set(found) == {("growth-1e6", "growth-load-1e6"),
                          ("growth-1e6", "growth-create-index-1e6")}, found
    assert ("main", "load-other") in programs(["several-indexes"])
    assert programs(["drop-table"], ["instar"])["main", "load-other"] == ["instar"]
    assert programs(["lease-overhead"], ["instar"])["main", "lease-overhead"] == ["instar",
                                                                                "unleased"]
    usual, full = programs([]), programs([], full=True)
    assert set(usual) < set(full)
    assert "rocksdb" in full["main", "scan"] and "rocksdb" not in usual["main", "scan"]
    assert programs(["scan"], ["rocksdb"])["main", "scan"] == ["rocksdb"]
    assert ("growth-1e8", "growth-load-1e8") in programs(["growth-*"])


def where_the_time_goes_is_told():
    samples = report.Samples(5)
    for seconds in (3.0, 4.0):
        samples.add(SCAN, "instar", _sample(rows_per_s=1.0), 0, seconds)
    samples.add(INDEX, "instar", _sample(build_s=1.0, drop_s=1.0), 90, 5.0)
    assert report.longest(samples.noise) == [("scan", 7.0), ("create-index", 5.0)]


CHECKS = (dirty_samples_are_dropped_and_counted, foreign_work_is_noticed,
          a_setting_that_differs_is_refused, targets_are_judged, what_got_slower_is_found,
          the_page_is_whole_and_self_contained, what_was_not_measured_is_marked,
          every_target_can_be_measured, data_are_loaded_for_what_needs_them,
          where_the_time_goes_is_told)


def main():
    bad = 0
    for check in CHECKS:
        try:
            check()
        except AssertionError as error:
            bad += 1
            print(f"bench/run: {check.__name__.replace('_', ' ')}: {error}")
    print(f"bench/run: {len(CHECKS) - bad} of {len(CHECKS)} self-tests passed")
    return 1 if bad else 0
