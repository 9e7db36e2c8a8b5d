# SPDX-License-Identifier: Apache-2.0
"""What is measured: the workloads by name, who takes part, and what there is not yet."""
import dataclasses
import fnmatch

SYSTEMS = ("instar", "unleased", "lmdb", "sqlite", "postgres", "rocksdb", "wiredtiger", "device")
ALL = ("instar", "lmdb", "sqlite", "postgres")
SERVERLESS = ("instar", "lmdb", "sqlite")
# These take part only where the user asks for them, or for the full run.
ONLY_FULL = ("rocksdb", "wiredtiger")
EACH = ALL + ONLY_FULL
# Instar with its lease checks compiled to be always true, on Instar's own store.
VARIANTS = {"unleased": "instar"}
# What a crash may take of what was acknowledged: of a commit that waited for the disk, nothing;
# of one that did not, the last ones when the machine goes down, nothing when the process does.
DISK, PROCESS, NONE = "disk", "process", "-"
# How often: in each repetition; until there is one clean sample, at most once in each repetition,
# because it takes long; so in the last repetition alone, because it changes the data; or in the
# first one alone, because it wants them as they were loaded.
EACH_TIME, ONCE, LAST, FIRST = "each time", "once", "last", "first"
MAIN = "main"  # the data of most workloads


@dataclasses.dataclass(frozen=True)
class Report:
    """A figure of a run that stands in the report under a workload's name."""
    workload: str
    metric: str
    unit: str
    better: str = "higher"


@dataclasses.dataclass(frozen=True)
class Run:
    """One call of the program; `figures` are what the report shows first, the rest follows."""
    program: str
    systems: tuple
    figures: tuple
    durability: str = NONE
    parameters: tuple = ()
    when: str = EACH_TIME
    longer: float = 1     # times as long as other measurements
    at: str = MAIN        # which data; what loads them is a run of the same name
    rows: int = None      # a number of its own
    rounds: int = 1       # in each repetition, by turns
    full: bool = False    # only where the user asks for it by name, or for the full run

    def names(self):
        return {figure.workload for figure in self.figures}

    def loads(self):
        return self.program == "load" or dict(self.parameters).get("change") == "load"


def _commits(kind, processes, systems=ALL):
    return Run("commits", systems, (Report(f"commits-{kind}-{processes}", "commits_per_s", "1/s"),),
               DISK if kind == "sync" else PROCESS,
               (("processes", processes), ("sync", int(kind == "sync"))))


def _mix(letter):
    """8 clients, who do not wait for the disk."""
    return Run("commits", EACH, (Report(f"ycsb-{letter}", "commits_per_s", "1/s"),), PROCESS,
               (("processes", 8), ("sync", 0), ("work", f"ycsb-{letter}")),
               when=LAST if letter in "de" else ONCE)


# What the foreground does: it changes the column that is indexed, changes another one, or inserts.
WORKS = {"update": "", "touch": "other-", "add": "insert-"}


# Measurements long, before the first one counts: our applier begins when two segments are full.
SETTLE = {"sync": 4, "async": 2}


def _under_load(kind, processes, systems, work="update", extra=(), full=False):
    words = "".join(f"{word.split('_')[-1]}-" for word in extra)
    name = f"create-index-under-load-{WORKS[work]}{words}{kind}-{processes}"
    return Run("create-index-under-load", systems,
               (Report(name, "kept_percent", "%"), Report(name, "with_index_percent", "%"),
                Report(name, "build_s", "s", "lower")),
               DISK if kind == "sync" else PROCESS,
               (("processes", processes), ("sync", int(kind == "sync")), ("work", work),
                ("settle", SETTLE[kind]), *((word, 1) for word in extra)),
               when=LAST if work == "add" else ONCE, longer=5, full=full)


def _change(name, change, nodes=0, figure=("change_ms", "ms", "lower"), when=EACH_TIME):
    return Run("change", ("instar", "postgres"), (Report(name, *figure),), DISK,
               (("change", change), ("processes", nodes)), when=when)


def _change_under_load(name, change, full=True, at_rate=False):
    """8 clients that update a column, and wait for the disk."""
    name += "-under-load" + ("-rate" if at_rate else "")
    return Run("change-under-load", ("instar", "postgres"),
               (Report(name, "change_ms", "ms", "lower"), Report(name, "kept_percent", "%")),
               DISK, (("change", change), ("processes", 8), ("work", "touch"),
                      ("at_rate", int(at_rate))), when=ONCE, full=full)


def _reads_beside(program, metric):
    """While 100,000 commits a second pass, or as many as the machine can."""
    name = f"{program}-beside-commits"
    return Run(program, ("instar",), (Report(name, metric, "1/s"),
                                      Report(name, "commits_per_s", "1/s")), PROCESS,
               (("processes", 1), ("sync", 0), ("rate", 100000), ("work", "touch")))


def _growth(power, full=False):
    """The same figures for another number of rows, in a store of its own."""
    at, rows = f"growth-1e{power}", 10 ** power
    common = {"when": ONCE, "at": at, "rows": rows, "full": full}

    def name(what):
        return f"growth-{what}-1e{power}"
    yield Run("load", ("instar",), (Report(name("load"), "rows_per_s", "1/s"),), PROCESS, **common)
    yield Run("create-index", ("instar",),
              (Report(name("create-index"), "build_rows_per_s", "1/s"),
               Report(name("create-index"), "private_mib", "MiB", "lower")), DISK, **common)
    if power == 7:
        yield Run("create-index", ("instar",),
                  (Report("growth-create-index-64mib-1e7", "build_rows_per_s", "1/s"),
                   Report("growth-create-index-64mib-1e7", "private_mib", "MiB", "lower")), DISK,
                  (("sort_mib", 64),), **common)
    yield Run("change", ("instar",), (Report(name("add-column"), "change_ms", "ms", "lower"),),
              DISK, (("change", "add-column"), ("processes", 8)), **common)
    yield Run("commits", ("instar",), (Report(name("commits"), "commits_per_s", "1/s"),), PROCESS,
              (("sync", 0), ("work", "add")), **common)


# In this order, for each system in turn, in each repetition. The data are loaded in the first one.
RUNS = (
    # What a store takes on the disk is told of a fresh one. PostgreSQL has one place for all.
    Run("load", SERVERLESS + ONLY_FULL, (Report("load-for-disk", "rows_per_s", "1/s"),), PROCESS,
        at="disk", rows=10 ** 6),
    Run("disk-after-build", SERVERLESS + ONLY_FULL,
        (Report("disk-after-build", "bytes_per_row", "B", "lower"),
         Report("disk-after-build", "built_again_percent", "%", "lower"),
         Report("disk-after-build", "log_mib", "MiB", "lower")), DISK, when=ONCE, at="disk",
        rows=10 ** 6),
    Run("load", EACH, (Report("load", "rows_per_s", "1/s"),), PROCESS),
    Run("point-read", EACH, (Report("point-read", "reads_per_s", "1/s"),), when=FIRST, rounds=3),
    Run("scan", EACH, (Report("scan", "rows_per_s", "1/s"),), when=FIRST, rounds=3),
    Run("disk-after-build", ("postgres",),
        (Report("disk-after-build", "bytes_per_row", "B", "lower"),
         Report("disk-after-build", "built_again_percent", "%", "lower"),
         Report("disk-after-build", "log_mib", "MiB", "lower")), DISK, when=ONCE),
    Run("open", ("instar",), (Report("open", "open_ms", "ms", "lower"),)),
    Run("open-after-kill", ("instar",), (Report("open-after-kill", "open_ms", "ms", "lower"),),
        PROCESS, (("sync", 0),)),
    _reads_beside("point-read", "reads_per_s"),
    _reads_beside("scan", "rows_per_s"),
    Run("scan", ("instar",), (Report("scan-after-updates", "rows_per_s", "1/s"),)),
    Run("create-index", EACH, (Report("create-index", "build_s", "s", "lower"),
                               Report("drop-index", "drop_s", "s", "lower")), DISK),
    Run("create-index", ("instar", "sqlite", "postgres"),
        (Report("unique-index", "build_s", "s", "lower"),), DISK, (("unique", 1),), when=ONCE),
    Run("create-index", ("instar", "postgres"),
        (Report("create-index-online", "build_s", "s", "lower"),), DISK, (("online", 1),),
        when=ONCE),
    _change("load-other", "load", figure=("rows_per_s", "1/s")),
    _change("create-index-text", "index-text"),
    _change("create-index-100-values", "index-few"),
    _change("create-index-two-columns", "index-two-columns", when=ONCE),
    _change("several-indexes", "three-indexes", when=ONCE),
    _change("validate-check", "check", figure=("rows_per_s", "1/s")),
    _change("validate-not-null", "not-null", figure=("rows_per_s", "1/s")),
    _change("add-column", "add-column", 8),
    _change("drop-column", "drop-column", 8, when=ONCE),
    _change("rename-column", "rename-column", 8, when=ONCE),
    *(_change(f"empty-table-{n}-nodes", "index-of-empty-table", n) for n in (1, 8, 32)),
    Run("roll-out", ("instar",), (Report("stage-roll-out", "step_ms", "ms", "lower"),
                                  Report("stage-roll-out", "slowest_step_ms", "ms", "lower")),
        DISK, (("processes", 8),)),
    Run("device", ("device",), (Report("commits-sync-1", "rate", "1/s"),), DISK),
    _commits("sync", 1, EACH),
    _commits("sync", 8, EACH),
    _commits("sync", 32, EACH),
    _commits("async", 1, EACH),
    _commits("async", 2, EACH),
    _commits("async", 8, EACH),
    Run("commits", EACH, (Report("read-modify-write", "commits_per_s", "1/s"),), PROCESS,
        (("sync", 0), ("work", "modify")), when=ONCE),
    Run("row-cost", ("instar", "lmdb") + ONLY_FULL,
        (Report("row-overhead", "further_row_us", "us", "lower"),
         Report("row-overhead", "one_row_us", "us", "lower")), PROCESS, (("sync", 0),),
        when=ONCE),
    # The two programs differ in the lease check alone, and use the same store.
    Run("row-cost", ("instar", "unleased"),
        (Report("lease-overhead", "one_row_us", "us", "lower"),), PROCESS, (("sync", 0),),
        longer=0.5, rounds=3),
    *(_mix(letter) for letter in "abcf"),
    _under_load("sync", 8, ("instar", "postgres")),
    _under_load("async", 32, ("instar",)),
    _under_load("async", 32, ("instar",), "touch"),
    _under_load("sync", 8, ("instar",), extra=("hurry",)),
    _under_load("sync", 8, ("instar",), extra=("at_rate",), full=True),
    _under_load("async", 32, ("instar",), extra=("at_rate",), full=True),
    _under_load("sync", 8, ("instar",), "touch", full=True),
    _under_load("sync", 8, ("instar",), extra=("unique",), full=True),
    _change_under_load("add-column", "add-column", full=False),
    _change_under_load("drop-table", "drop-other", full=False),
    *(_change_under_load(name, change, at_rate=at_rate)
      for name, change in (("drop-column", "drop-column"), ("validate-check", "check-of-t"),
                           ("validate-not-null", "not-null-of-t"),
                           ("several-indexes", "three-indexes-of-t"),
                           ("create-index-text", "index-pad-of-t")) for at_rate in (False, True)),
    Run("commits", ("instar",), (Report("commits-async-sustained", "commits_per_s", "1/s"),),
        PROCESS, (("sync", 0),), when=ONCE, longer=40, full=True),  # a minute
    *(run for power in (5, 6, 7) for run in _growth(power)),
    *_growth(8, full=True),
    _change("drop-table", "drop-table", 8, when=LAST),
    *(_mix(letter) for letter in "de"),
    _under_load("sync", 8, ("instar", "postgres"), "add", full=True),
    _under_load("async", 32, ("instar",), "add", full=True),
)

def names():
    return sorted({name for run in RUNS for name in run.names()})


def matching(pattern):
    return {name for name in names() if fnmatch.fnmatchcase(name, pattern)}


def chosen(patterns, systems, full):
    """The runs of these workloads, and the systems of each, and what loads their data."""
    wanted = set().union(*map(matching, patterns))

    def asked(run):
        return run.names() & wanted if patterns else full or not run.full

    def takes_part(system):
        if systems:
            return VARIANTS.get(system, system) in systems
        return full or system not in ONLY_FULL

    used = {(run.at, system) for run in RUNS if asked(run) and not run.loads()
            for system in run.systems}
    other = any(run.program == "change" and run.at == MAIN and asked(run) for run in RUNS)
    for run in RUNS:
        parties = [s for s in run.systems if takes_part(s)]
        if run.program == "load" and not asked(run):
            parties = [s for s in parties if (run.at, s) in used]
        if parties and (asked(run) or run.program == "load" or (run.loads() and other)):
            yield run, parties
