# SPDX-License-Identifier: Apache-2.0
"""What is measured: the workloads by name, who takes part, and what there is not yet."""
import dataclasses

SYSTEMS = ("instar", "lmdb", "sqlite", "postgres", "device")
ALL = ("instar", "lmdb", "sqlite", "postgres")
# What a crash may take of what was acknowledged: of a commit that waited for the disk, nothing;
# of one that did not, the last ones when the machine goes down, nothing when the process does.
DISK, PROCESS, NONE = "disk", "process", "-"


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
    once: bool = False  # it takes long: one clean sample will do
    longer: int = 1     # times as long as other measurements

    def names(self):
        return {figure.workload for figure in self.figures}


def _commits(kind, processes, systems=ALL):
    return Run("commits", systems, (Report(f"commits-{kind}-{processes}", "commits_per_s", "1/s"),),
               DISK if kind == "sync" else PROCESS,
               (("processes", processes), ("sync", int(kind == "sync"))))


# What the foreground does: it changes the column that is indexed, changes another one, or inserts.
WORKS = {"update": "", "touch": "other-", "add": "insert-"}


def _under_load(kind, processes, systems, work="update", at_rate=False):
    name = f"create-index-under-load-{WORKS[work]}{'rate-' if at_rate else ''}{kind}-{processes}"
    return Run("create-index-under-load", systems,
               (Report(name, "kept_percent", "%"), Report(name, "with_index_percent", "%"),
                Report(name, "build_s", "s", "lower")),
               DISK if kind == "sync" else PROCESS,
               (("processes", processes), ("sync", int(kind == "sync")), ("at_rate", int(at_rate)),
                ("work", work)),
               once=True, longer=5)


def _change(name, change, nodes=0, figure=("change_ms", "ms", "lower")):
    return Run("change", ("instar", "postgres"), (Report(name, *figure),), DISK,
               (("change", change), ("processes", nodes)))


# In this order, for each system in turn, in each repetition. The data are loaded anew each time.
RUNS = (
    Run("load", ALL, (Report("load", "rows_per_s", "1/s"),), PROCESS),
    Run("open", ("instar",), (Report("open", "open_ms", "ms", "lower"),)),
    Run("open-after-kill", ("instar",), (Report("open-after-kill", "open_ms", "ms", "lower"),),
        PROCESS, (("sync", 0),)),
    Run("point-read", ALL, (Report("point-read", "reads_per_s", "1/s"),)),
    Run("scan", ALL, (Report("scan", "rows_per_s", "1/s"),)),
    Run("create-index", ALL, (Report("create-index", "build_s", "s", "lower"),
                              Report("drop-index", "drop_s", "s", "lower")), DISK),
    Run("create-index", ("instar", "sqlite", "postgres"),
        (Report("unique-index", "build_s", "s", "lower"),), DISK, (("unique", 1),)),
    Run("create-index", ("instar", "postgres"),
        (Report("create-index-online", "build_s", "s", "lower"),), DISK, (("online", 1),)),
    _change("load-other", "load", figure=("rows_per_s", "1/s")),
    _change("create-index-text", "index-text"),
    _change("create-index-100-values", "index-few"),
    _change("create-index-two-columns", "index-two-columns"),
    _change("several-indexes", "three-indexes"),
    _change("validate-check", "check", figure=("rows_per_s", "1/s")),
    _change("validate-not-null", "not-null", figure=("rows_per_s", "1/s")),
    _change("add-column", "add-column", 8),
    _change("drop-column", "drop-column", 8),
    *(_change(f"empty-table-{n}-nodes", "index-of-empty-table", n) for n in (1, 8, 32)),
    _change("drop-table", "drop-table", 8),
    Run("device", ("device",), (Report("commits-sync-1", "rate", "1/s"),), DISK),
    *(_commits("sync", n) for n in (1, 8, 32)),
    *(_commits("async", n) for n in (1, 2, 8)),
    _under_load("sync", 8, ("instar", "postgres")),
    _under_load("async", 32, ("instar",)),
    _under_load("sync", 8, ("instar",), at_rate=True),
    _under_load("sync", 8, ("instar",), "touch"),
    _under_load("sync", 8, ("instar", "postgres"), "add"),  # the last: the table grows
)

NO_WORKLOAD = "not measured yet"
NOT_YET = {
    "read-modify-write": NO_WORKLOAD,
    "ycsb-a-to-f": NO_WORKLOAD,
    "row-and-lease-overhead": NO_WORKLOAD,
    "growth": NO_WORKLOAD,
}


def names():
    return sorted({name for run in RUNS for name in run.names()})


def chosen(workloads, systems):
    """The runs of these workloads, and the systems of each, and what loads their tables."""
    def asked(run):
        return not workloads or run.names() & set(workloads)

    other = any(run.program == "change" and asked(run) for run in RUNS)
    for run in RUNS:
        parties = [s for s in run.systems if not systems or s in systems]
        loads = run.program == "load" or ("load-other" in run.names() and other)
        if parties and (loads or asked(run)):
            yield run, parties
