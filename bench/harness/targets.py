# SPDX-License-Identifier: Apache-2.0
"""What must be reached, each figure by a name of its own, judged from medians."""
import os

LEAST, MOST = "at least", "at most"
SEGMENTS = 9  # of the log: pending, retained, and the next one, with default options
SEGMENT_MIB = 64


class _Medians:
    def __init__(self, found):
        self.of = {(r["workload"], r["system"], r["metric"]): r["median"] for r in found}

    def one(self, workload, metric, system="instar"):
        return self.of.get((workload, system, metric))

    def ratio(self, workload, metric, above, below, below_metric=None):
        return _quotient(self.one(workload, metric, above),
                         self.one(workload, below_metric or metric, below))

    def during(self, workload, quantile, phase="during"):
        """A time of the foreground's commits, as a multiple of the idle one's."""
        return _quotient(self.one(workload, f"{phase}_{quantile}_us"),
                         self.one(workload, f"idle_{quantile}_us"))

    def stall_ms(self, workload):
        during, idle = self.one(workload, "during_max_us"), self.one(workload, "idle_max_us")
        return None if during is None or idle is None else (during - idle) / 1000


def _quotient(a, b):
    return a / b if a is not None and b else None


def _times(factor, value):
    return None if value is None else factor * value


def _builds(m):
    yield ("create index: times faster than PostgreSQL's parallel build", LEAST, 2,
           m.ratio("create-index", "build_s", "postgres", "instar"))
    yield ("create index: times faster than PostgreSQL's CONCURRENTLY", LEAST, 3,
           m.ratio("create-index-online", "build_s", "postgres", "instar"))
    yield ("create index: times faster than SQLite", LEAST, 6,
           m.ratio("create-index", "build_s", "sqlite", "instar"))
    yield ("create index: times the append of raw LMDB", MOST, 2.2,
           m.ratio("create-index", "build_s", "instar", "lmdb"))
    yield ("create index on 60 bytes of text: times PostgreSQL's parallel build", LEAST, 1.5,
           m.ratio("create-index-text", "change_ms", "postgres", "instar"))
    yield ("create index on 100 distinct values: times PostgreSQL's parallel build", LEAST, 1.5,
           m.ratio("create-index-100-values", "change_ms", "postgres", "instar"))
    yield ("unique index: times the plain one", MOST, 1.3,
           _quotient(m.one("unique-index", "build_s"), m.one("create-index", "build_s")))
    yield ("three indexes in one change: times one of them", MOST, 2,
           _quotient(m.one("several-indexes", "change_ms"),
                     m.one("create-index-100-values", "change_ms")))
    yield "build memory, MiB", MOST, 256, m.one("create-index", "private_mib")
    yield ("build memory of 10^7 rows, MiB", MOST, 256,
           m.one("growth-create-index-1e7", "private_mib"))
    yield ("build of 10^7 rows with 64 MiB: times the one with 256 MiB", MOST, 1.5,
           _quotient(m.one("growth-create-index-1e7", "build_rows_per_s"),
                     m.one("growth-create-index-64mib-1e7", "build_rows_per_s")))


def _beside_writers(m):
    load = "create-index-under-load"
    sync, far = f"{load}-sync-8", f"{load}-async-32"
    yield ("create index, 32 async writers that insert: % of throughput kept", LEAST, 90,
           m.one(f"{load}-insert-async-32", "kept_percent"))
    yield ("create index, 32 async writers that update another column: % kept", LEAST, 90,
           m.one(f"{load}-other-async-32", "kept_percent"))
    yield ("create index, 32 async writers that update the indexed column: % kept", LEAST, 90,
           m.one(far, "kept_percent"))
    yield ("create index, 32 async writers: p99, times idle", MOST, 2, m.during(far, "p99"))
    yield ("create index, 32 async writers: longest stall beyond idle's, ms", MOST, 5,
           m.stall_ms(far))
    yield ("create index, 8 sync writers that insert: % of throughput kept", LEAST, 90,
           m.one(f"{load}-insert-sync-8", "kept_percent"))
    yield ("create index, 8 sync writers that update another column: % kept", LEAST, 90,
           m.one(f"{load}-other-sync-8", "kept_percent"))
    yield ("create index, 8 sync writers that update the indexed column: % kept", LEAST, 90,
           m.one(sync, "kept_percent"))
    yield ("create index, 8 sync writers: p99, times idle", MOST, 3, m.during(sync, "p99"))
    yield ("create index, 8 sync writers: p99.9, ms", MOST, 5,
           _times(0.001, m.one(sync, "during_p99.9_us")))
    yield ("create index in a hurry, 8 sync writers: % of the idle build's speed", LEAST, 50,
           _times(100, _quotient(m.one("create-index", "build_s"),
                                 m.one(f"{load}-hurry-sync-8", "build_s"))))


def _other_changes(m):
    for what, name in (("NOT NULL", "validate-not-null"), ("CHECK", "validate-check")):
        yield (f"validate {what}, rows/s per core", LEAST, 3000000,
               _quotient(m.one(name, "rows_per_s"), os.cpu_count()))
        yield (f"validate {what}: times PostgreSQL", LEAST, 2,
               m.ratio(name, "rows_per_s", "instar", "postgres"))
    yield "drop index, ms", MOST, 50, _times(1000, m.one("drop-index", "drop_s"))
    yield ("drop index, 8 sync writers: p99 until a second later, times idle", MOST, 1.2,
           m.during("create-index-under-load-sync-8", "p99", "dropping"))
    yield ("drop table, 8 idle processes, ms", MOST, 50, m.one("drop-table", "change_ms"))
    yield ("drop table, 8 sync writers of another one, ms", MOST, 50,
           m.one("drop-table-under-load", "change_ms"))
    yield ("drop table, 8 sync writers of another one: p99, times idle", MOST, 1.2,
           m.during("drop-table-under-load", "p99"))
    yield ("an index built again after its drop: % of the size before", MOST, 105,
           m.one("disk-after-build", "built_again_percent"))
    yield ("add a column with a default, 8 idle processes, ms", MOST, 10,
           m.one("add-column", "change_ms"))
    yield ("the same with 10^7 rows, ms", MOST, 10, m.one("growth-add-column-1e7", "change_ms"))
    yield ("one step of a change, 8 idle processes, ms", MOST, 1,
           m.one("stage-roll-out", "step_ms"))
    yield ("create index on an empty table, 8 idle processes, ms", MOST, 20,
           m.one("empty-table-8-nodes", "change_ms"))


def _commits(m):
    yield ("durable commits, 1 process: times append + fdatasync", LEAST, 0.9,
           m.ratio("commits-sync-1", "commits_per_s", "instar", "device", "rate"))
    for clients, bound in ((8, 3), (32, 4)):
        yield (f"durable commits, {clients} processes: times PostgreSQL", LEAST, bound,
               m.ratio(f"commits-sync-{clients}", "commits_per_s", "instar", "postgres"))
    yield ("async commits of 1 process, 1/s", LEAST, 250000,
           m.one("commits-async-1", "commits_per_s"))
    yield ("async commits of 1 process for a minute, 1/s", LEAST, 250000,
           m.one("commits-async-sustained", "commits_per_s"))
    yield ("async commits: 8 processes, times 1 process", LEAST, 0.8,
           _quotient(m.one("commits-async-8", "commits_per_s"),
                     m.one("commits-async-1", "commits_per_s")))
    checked = m.one("lease-overhead", "one_row_us")
    without = m.one("lease-overhead", "one_row_us", "unleased")
    both = checked is not None and without is not None
    yield ("lease checks, % of a commit", MOST, 3,
           (checked - without) * 100 / checked if both else None)


def _reads(m):
    floors = {"point-read": ("point read", "reads_per_s", 0.7), "scan": ("scan", "rows_per_s", 0.5)}
    for name, (words, metric, bound) in floors.items():
        floor = m.one(name, metric, "lmdb")
        yield f"{words}: times raw LMDB", LEAST, bound, _quotient(m.one(name, metric), floor)
        yield (f"{words} beside 100,000 commits/s: times raw LMDB alone", LEAST, bound,
               _quotient(m.one(f"{name}-beside-commits", metric), floor))
        yield (f"{words}: commits/s that passed beside it", LEAST, 95000,
               m.one(f"{name}-beside-commits", "commits_per_s"))


def _sizes(m):
    yield ("disk: rows and index, times raw LMDB's size", MOST, 1.2,
           m.ratio("disk-after-build", "bytes_per_row", "instar", "lmdb"))
    yield ("disk: log, MiB", MOST, SEGMENTS * SEGMENT_MIB, m.one("disk-after-build", "log_mib"))
    yield ("growth: rows/s of a build at 10^7, times those at 10^6", LEAST, 0.85,
           _quotient(m.one("growth-create-index-1e7", "build_rows_per_s"),
                     m.one("growth-create-index-1e6", "build_rows_per_s")))
    yield ("growth: async commits/s at 10^7 rows, times those at 10^5", LEAST, 0.9,
           _quotient(m.one("growth-commits-1e7", "commits_per_s"),
                     m.one("growth-commits-1e5", "commits_per_s")))
    yield "open after a clean close, ms", MOST, 100, m.one("open", "open_ms")
    yield "open after a kill, ms", MOST, 2000, m.one("open-after-kill", "open_ms")


def judged(found):
    """name, required, measured, met; None where there is no measurement, with the reason."""
    m = _Medians(found)
    lines = (line for part in (_builds, _beside_writers, _other_changes, _commits, _reads, _sizes)
             for line in part(m))
    return [_judge(*line) for line in lines]


def _judge(name, sense, bound, measured):
    met = None
    if measured is not None:
        met = measured <= bound if sense == MOST else measured >= bound
    return {"name": name, "required": f"{sense} {bound:g}", "measured": measured, "met": met,
            "why": None if measured is not None else "no clean sample, or no part of this run"}
