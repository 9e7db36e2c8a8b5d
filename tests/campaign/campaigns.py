# SPDX-License-Identifier: Apache-2.0
"""The campaigns: which programs each is made of, and how much of it each size is.

A seed is the unit. It decides all that a program leaves to chance, so a seed that found something
finds it again, and runs over other seeds add up.
"""
import dataclasses
import re
import time

from campaign.figures import ROOT
from runner import item


@dataclasses.dataclass(frozen=True)
class Size:
    seeds: int
    seconds: int = 0  # of each fuzz target, of a soak


@dataclasses.dataclass(frozen=True)
class Program:
    """A test program: what it takes from the environment, and how it says what it has done."""
    path: str  # below the build folder
    env: tuple
    counts: str  # a number in its output; all of them are added up
    seconds: int


@dataclasses.dataclass(frozen=True)
class Campaign:
    name: str
    unit: str
    sizes: dict
    programs: tuple = ()


# A seed of each takes some two minutes on two cores.
POWER_CUT = Campaign(
    "power-cut", "states",
    {"pr": Size(1), "nightly": Size(21), "release": Size(210)},
    (Program("release/tests/crash/powercut_test", (("INSTAR_POWERCUT_STATES", "24000"),),
             r"(\d+) states looked at", 3000),
     Program("release/tests/crash/powercut_backup_test", (("INSTAR_POWERCUT_STATES", "24000"),),
             r"(\d+) states looked at", 900),
     Program("release/tests/crash/powercut_control_test", (), r"found after (\d+) states", 900)))
KILL = Campaign(
    "kill", "kills",
    {"pr": Size(1), "nightly": Size(25), "release": Size(250)},
    (Program("release/tests/crash/kill_test", (("INSTAR_KILLS", "200"),), r"commits, (\d+) kills",
             1800),
     Program("release/tests/crash/roles_test", (("INSTAR_KILLS", "100"),),
             r"commits, (\d+) kills", 1800)))
# A seed is 80,000 transactions, and takes some ten seconds.
HISTORY = Campaign(
    "history", "transactions",
    {"pr": Size(2), "nightly": Size(63), "release": Size(1250)},
    (Program("release/tests/crash/history_test", (("INSTAR_HISTORY_TXNS", "8000"),),
             r"(\d+) transactions, ", 900),))
# A seed is 1,000 worlds, each of some 10,000 steps; half a minute on two quiet cores.
SIM = Campaign(
    "sim", "worlds",
    {"pr": Size(10), "nightly": Size(150), "release": Size(5000)},
    (Program("release/tests/sim/worlds_test",
             (("INSTAR_SIM_WORLDS", "1000"), ("INSTAR_SIM_LANES", "0")), r"^(\d+) worlds: ",
             1800),))
CHANGE = Campaign(
    "change", "changes",
    {"pr": Size(3), "nightly": Size(130), "release": Size(1300)},
    (Program("release/tests/scenario/change_fire_test", (("INSTAR_FIRE_RUNS", "100"),),
             r"^run \d+(): ", 3000),
     Program("release/tests/scenario/alter_fire_test", (("INSTAR_FIRE_ROUNDS", "24"),),
             r"(\d+) alterations", 900),
     Program("release/tests/scenario/rekey_fire_test", (("INSTAR_FIRE_RUNS", "10"),),
             r"(\d+) changes of a primary key", 900),
     # Seeds 1 to 30 are all cases; others repeat these, but what the oracle does is always new.
     Program("release/tests/ddl/stages_test", (), r"(\d+) operations", 900),
     Program("release/tests/ddl/troubles_test", (("INSTAR_DDL_SHARE", "30"),), r"^(\d+) cases",
             3000),
     Program("release/tests/ddl/pairs_test", (("INSTAR_DDL_SHARE", "30"),), r"^(\d+) cases",
             3000),
     Program("release/tests/ddl/queue_test", (("INSTAR_DDL_SHARE", "30"),), r"^(\d+) cases",
             3000),
     Program("release/tests/ddl/store_calls_test", (("INSTAR_DDL_SHARE", "30"),), r"^(\d+) cases",
             3000),
     Program("release/tests/ddl/oracle_test", (("INSTAR_DDL_SHARE", "1"),), r"^(\d+) cases",
             3000)))
CORRUPT = Campaign(
    "corrupt", "corruptions",
    {"pr": Size(1), "nightly": Size(10), "release": Size(100)},
    (Program("release/tests/crash/corrupt_test",
             (("INSTAR_CORRUPT_CASES", "20000"), ("INSTAR_CORRUPT_EVERY_BYTE", "1")),
             r"(\d+) corruptions", 3000),))
# A range of cases that are spread over all: a hundred seeds or so take each operation once. And
# each place that calls for one, by an error of the seed's.
SYSCALL = Campaign(
    "syscall", "cases",
    {"pr": Size(1), "nightly": Size(60), "release": Size(600)},
    (Program("release/tests/fault/syscall_test",
             (("INSTAR_SYSCALLS", "400"), ("INSTAR_SYSCALL_SITES", "4096")),
             r"(\d+) of \d+ (?:cases|places) tried", 1800),
     Program("asan/tests/fault/syscall_test", (("INSTAR_SYSCALLS", "60"),),
             r"(\d+) of \d+ (?:cases|places) tried", 1800)))
# The same for allocations, under the sanitizers; and each one of each call, which has no seed.
ALLOC = Campaign(
    "alloc", "requests",
    {"pr": Size(1), "nightly": Size(50), "release": Size(500)},
    (Program("asan/tests/fault/alloc_test", (("INSTAR_ALLOCS", "120"),),
             r"(\d+) of \d+ cases tried", 1800),
     Program("asan/tests/fault/alloc_calls_test", (), r"^(\d+) requests of", 900)))
SOAK = Campaign(
    "soak", "seconds",
    {"pr": Size(1, 60), "nightly": Size(1, 3600), "release": Size(1, 86400)},
    (Program("release/tests/crash/soak_test", (),
             r"(\d+) seconds, with", 100000),))
# Surroundings are few: each seed is all of them.
HOSTILE = Campaign(
    "hostile", "surroundings",
    {"pr": Size(1), "nightly": Size(5), "release": Size(20)},
    (Program("release/tests/fault/hostile_test", (), r"^(\d+) hostile", 300),
     Program("release/tests/fault/surroundings_test", (), r"^(\d+) hostile", 900),
     *(Program(f"release/tests/unit/{name}_test", (), r"Passing: (\d+)", 300)
       for name in ("store_hazards_places", "store_hazards_fork", "store_hazards_readers",
                    "store_open", "store_control", "api_open", "api_handle"))))
# Shell tests of the tool that belong to it; each is one.
HOSTILE_SCRIPTS = ("cli/places", "cli/hardening", "fault/images")
# A seed is twenty runs, half a second each.
CLOCK = Campaign(
    "clock", "runs",
    {"pr": Size(1), "nightly": Size(25), "release": Size(250)},
    (Program("release/tests/scenario/clock_test", (("INSTAR_CLOCK_RUNS", "20"),), r"^(\d+) runs$",
             900),))
# A seed is the whole suite, sanitized, ten minutes; and what is watched for races and by Valgrind.
SANITIZERS = Campaign(
    "sanitizers", "tests", {"pr": Size(1), "nightly": Size(5), "release": Size(20)})
# Nightly: all targets one after the other in less than ninety minutes.
FUZZ = Campaign(
    "fuzz", "executions",
    {"pr": Size(1, 60), "nightly": Size(1, 400), "release": Size(1, 14400)})

# A seed is so many streams of so many steps, beside each of the two, and so many expressions.
STREAMS, STEPS, EXPRESSIONS = 50, 200, 2000
DIFFERENTIAL = Campaign(
    "differential", "steps", {"pr": Size(4), "nightly": Size(200), "release": Size(4000)})

ALL = {c.name: c for c in
       (POWER_CUT, KILL, HISTORY, SIM, CHANGE, CORRUPT, SYSCALL, ALLOC, SOAK, HOSTILE, CLOCK,
        SANITIZERS, FUZZ, DIFFERENTIAL)}


class Counted(item.Criterion):
    """A test program whose output is kept."""

    def __init__(self, build, program, seed, seconds):
        super().__init__(program.path, build / program.path, program.seconds)
        self.env = {"INSTAR_SEED": str(seed), **dict(program.env)}
        if seconds:
            self.env["INSTAR_SECONDS"] = str(seconds)
        self.output = ""

    def judge(self, status, output, folder):
        self.output = output
        return super().judge(status, output, folder)


class Watched(item.Criterion):
    """A test program in a build that finds races, or under Valgrind; its tests are counted."""

    output = ""

    def __init__(self, build, binary, seed):
        super().__init__(str(binary.relative_to(build)).replace("/tests", "", 1), binary, 900)
        self.env = {"INSTAR_SEED": str(seed), "TSAN_OPTIONS": "die_after_fork=0:exitcode=66"}
        if binary.is_relative_to(build / "memcheck"):
            self.words = ["valgrind", "-q", "--error-exitcode=9", "--leak-check=full",
                          "--errors-for-leak-kinds=definite,indirect", binary]

    def judge(self, status, output, folder):
        passed, failures = super().judge(status, output, folder)
        self.output = f"{output}\n{passed} tests passed\n"
        return passed, failures


def sanitized(args, seed):
    # All test programs and shell tests, by the sanitizers' build; then those of the other builds.
    yield (Heard("suite", [ROOT / "tests/run", "--build", args.build, "--variant", "asan"], 3000,
                 env={"INSTAR_SEED": str(seed)}), r"^(\d+) passed, ")
    for binary in args.program:
        yield Watched(args.build, binary.resolve(), seed), r"^(\d+) tests passed$"


class Heard(item.Command):
    """A command whose output is kept."""

    output = ""

    def judge(self, status, output, folder):
        self.output = output
        return super().judge(status, output, folder)


class Fuzzed(Heard):
    """A fuzz target for so many seconds; what it finds goes to its corpus in the build folder."""

    def __init__(self, build, target, seed, seconds):
        name = target.stem.removesuffix("_fuzz")
        corpus = build / "fuzz/corpus" / name
        corpus.mkdir(parents=True, exist_ok=True)
        dictionary = ROOT / "fuzz/dict" / f"{name}.dict"
        super().__init__(f"fuzz/{name}", [
            target, f"-seed={seed}", f"-max_total_time={seconds}", "-timeout=1",
            "-malloc_limit_mb=64", "-print_final_stats=1", f"-artifact_prefix={build}/fuzz/",
            *([f"-dict={dictionary}"] if dictionary.exists() else []),
            corpus, ROOT / "fuzz/corpus" / name], seconds + 300)


def count(pattern, output):
    """What was done: the sum of the numbers, or where there are none, how often it was said."""
    found = re.findall(pattern, output, re.MULTILINE)
    return sum(int(n) if n else 1 for n in found)


def compared(build, seed):
    """Streams and expressions beside PostgreSQL, and streams beside SQLite."""
    folder = ROOT / "tests/differential"
    yield (Heard("differential/streams", [
        folder / "stream.py", "--program", build / "release/tests/bin/stream",
        "--seed", str(1 + (seed - 1) * STREAMS), "--count", str(STREAMS),
        "--length", str(STEPS)], 3000), r", (\d+) steps \(")
    yield (Heard("differential/sqlite", [
        folder / "sqlite.py", "--program", build / "release/tests/bin/stream",
        "--seed", str(1 + (seed - 1) * STREAMS), "--count", str(STREAMS),
        "--length", str(STEPS)], 3000), r", (\d+) steps \(")
    yield (Heard("differential/expressions", [
        folder / "expression.py", "--program", build / "release/tests/bin/evaluate",
        "--seed", str(seed), "--count", str(EXPRESSIONS)], 1800),
        r": (\d+) expressions over")


def shell_tests(args):
    env = {"INSTAR": str(args.build / "asan/instar"), "INSTAR_BUILD": str(args.build)}
    for name in HOSTILE_SCRIPTS:
        yield (Heard(name, ["bash", ROOT / f"tests/{name}.sh"], 600, env=env),
               r"^()ok$")


def items_of(campaign, args, seed):
    if campaign is DIFFERENTIAL:
        yield from compared(args.build, seed)
        return
    if campaign is FUZZ:
        seconds = args.seconds or campaign.sizes[args.size].seconds
        for source in sorted((ROOT / "fuzz").glob("*_fuzz.c")):
            target = args.build / "fuzz" / source.stem
            yield (Fuzzed(args.build, target, seed, seconds),
                   r"stat::number_of_executed_units: (\d+)")
        return
    if campaign is SANITIZERS:
        yield from sanitized(args, seed)
        return
    seconds = args.seconds or campaign.sizes[args.size].seconds
    for program in campaign.programs:
        yield Counted(args.build, program, seed, seconds), program.counts
    if campaign is HOSTILE:
        yield from shell_tests(args)


def run_seed(campaign, args, seed, scratch):
    """All programs with this seed: how much was done, and the failures."""
    began, total, failures = time.monotonic(), 0, []
    for one, pattern in items_of(campaign, args, seed):
        folder = scratch / str(seed)
        folder.mkdir(exist_ok=True)
        result = one.run(folder)
        seen = count(pattern, one.output)
        total += seen
        failures += result.failures
        if not result.failures and seen == 0:
            failures.append(item.Failure(one.name, "", "does not say how much it has done",
                                         item.tail(one.output), one.replay()))
        for failure in result.failures:
            print(failure, flush=True)
        if campaign is SOAK and not failures:
            print(one.output, end="", flush=True)
    print(f"seed {seed}: {total} {campaign.unit}, {len(failures)} violations, "
          f"{time.monotonic() - began:.0f} s", flush=True)
    if failures:
        print(f"replay: make campaign-{campaign.name} SEED={seed} SEEDS=1"
              + (f" SIZE={args.size}" if campaign is FUZZ else ""), flush=True)
    return total, failures
