# SPDX-License-Identifier: Apache-2.0
"""Mutants: conditions of the engine that are turned round, one at a time. Does a test fail?

Planted bugs are rules that somebody thought of; these are drawn by lot, from all conditions of four
layers. A seed is ten of them: all are put in an order by their hash, and seed n has the nth ten, so
that no two seeds have the same. They are built together, in one copy of the tree (mutate.py).

A program that never asks for a mutant cannot notice it. Which it asks for is seen in a run without
any, whose time is the measure for hangs; a program that fails then is not used. Programs are tried
from the nearest on - the tests of the file, of the layer, other units, then all -, first those
whose name is like the file's, then those that have killed the most so far, then the short ones,
until one fails twice running (once may be the busy machine); what is left when the time of a mutant
is over counts as survived.

Mutants that change nothing that could be seen stand in equivalent.tsv, each with its reason, and
count in neither number. The campaign passes when nine of ten of the others are killed.

The campaign "stages" takes all conditions of the file that decides what a stage of an index, a
column or a constraint allows, and which step leads to the next, and passes when all are killed.
"""
import collections
import concurrent.futures
import dataclasses
import pathlib
import re
import resource
import tempfile
import threading
import time

from campaign import figures, mutate, planted
from runner import item

LAYERS = ("store", "lease", "change", "txn")
STAGES = "engine/catalog/stage.c"
FOLDERS = ("unit", "scenario", "fault", "race", "ddl", "crash", "sim")  # of tests, in this order
A_SEED = 10
SEEDS = {"pr": 1, "nightly": 10, "release": 50}
SECONDS = {"pr": 120, "nightly": 300, "release": 600}  # of one mutant, clean runs aside
WANTED = {"mutants": 0.9, "stages": 1.0}
CLEAN_SECONDS = 900
UNKNOWN_SECONDS = 5  # of a program that was not run yet
SLOWER, SPARE_SECONDS = 4, 20  # a mutant's run may take so many times the clean one's, and these
MEMORY_BYTES = FILE_BYTES = 8 << 30


def population(root):
    """All mutants, in their turn."""
    found = []
    for layer in LAYERS:
        for path in sorted((root / "engine" / layer).glob("*.c")):
            found += mutate.Source(str(path.relative_to(root)), path.read_text()).mutants()
    return sorted(found, key=lambda one: one.turn)


def of_stages(root):
    return mutate.Source(STAGES, (root / STAGES).read_text()).mutants()


def equivalents(root):
    """Reason by identity."""
    path = root / "tests/campaign/equivalent.tsv"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return dict(line.rsplit("\t", 1) for line in lines if line)


def check(root):
    """What equivalent.tsv says of conditions that are there no more."""
    there = {one.identity for one in population(root) + of_stages(root)}
    gone = [identity for identity in equivalents(root) if identity not in there]
    for identity in gone:
        print(f"tests/campaign/equivalent.tsv: no such condition any more: {identity}")
    return 1 if gone else 0


class Copy(planted.Copy):
    """The tree with all chosen mutants in it, and its programs."""

    def __init__(self, root, build, chosen):
        super().__init__(root, build / "mutants")
        self.chosen = chosen
        by_file = collections.defaultdict(list)
        for n, one in enumerate(chosen):
            by_file[one.file].append((n, one))
        changed = {file: mutate.instrument((root / file).read_text(), ones).encode()
                   for file, ones in by_file.items()}
        for name in ("mutant.c", "mutant.h"):
            changed[f"engine/base/{name}"] = (root / "tests/campaign" / name).read_bytes()
        self.bring_up_to_date(changed)
        self.programs = [f"{folder}/{path.stem}" for folder in FOLDERS
                         for path in sorted((root / "tests" / folder).glob("*_test.c"))]

    def build_all(self):
        helpers = [f"bin/{path.stem}"
                   for path in (self.root / "tests/support/programs").glob("*.c")]
        return self.make([f"release/tests/{name}" for name in self.programs + helpers])

    def run(self, program, seconds, env, scratch):
        one = item.Criterion(program, self.build / "release/tests" / program, seconds)
        one.words.append("--fail-fast")
        one.env = env
        return one.run(pathlib.Path(tempfile.mkdtemp(dir=scratch)))


class Clean:
    """What each program does without a mutant: run once, when it is wanted."""

    def __init__(self, copy, scratch):
        self.copy, self.scratch = copy, scratch
        self.locks = {program: threading.Lock() for program in copy.programs}
        self.asked, self.seconds, self.failed = {}, {}, []
        self.kills = collections.Counter()

    def look(self, program):
        with self.locks[program]:
            if program in self.asked:
                return
            note = self.scratch / (program.replace("/", "-") + ".asked")
            note.write_bytes(bytes(len(self.copy.chosen)))
            result = self.copy.run(program, CLEAN_SECONDS, {"INSTAR_MUTANTS_ASKED": str(note)},
                                   self.scratch)
            if result.failures:
                self.failed.append(program)
                print(f"{program} fails without a mutant, and is not used:\n"
                      f"{result.failures[-1]}", flush=True)
            self.seconds[program] = result.seconds
            self.asked[program] = b"" if result.failures else note.read_bytes()

    def asks(self, program, n):
        self.look(program)
        return n < len(self.asked[program]) and self.asked[program][n] != 0


def rings(programs, one):
    """The programs in groups, from the nearest on."""
    layer, stem = pathlib.Path(one.file).parts[1:]
    own = f"unit/{layer}_{pathlib.Path(stem).stem.split('_')[0]}"
    left = list(programs)
    for prefix in (own, f"unit/{layer}_", "unit/", ""):
        yield [program for program in left if program.startswith(prefix)]
        left = [program for program in left if not program.startswith(prefix)]


@dataclasses.dataclass
class Verdict:
    state: str  # killed, survived, equivalent
    words: str


def alike(one, program):
    """How many words of the file's name are in the program's."""
    return len(set(pathlib.Path(one.file).stem.split("_")) & set(re.split("[_/]", program)))


def in_turn(clean, one):
    """The programs, each chosen by what is known when the one before is done."""
    for ring in rings(clean.copy.programs, one):
        while ring:
            ring.sort(key=lambda p: (-alike(one, p), -clean.kills[p],
                                     clean.seconds.get(p, UNKNOWN_SECONDS)))
            yield ring.pop(0)


def hunt(clean, n, one, limit, scratch):
    """Run what may notice the mutant until something does."""
    spent, tried = 0, 0
    for program in in_turn(clean, one):
        if spent >= limit:
            return Verdict("survived", f"{tried} programs, then its time was over")
        if not clean.asks(program, n):
            continue
        tried += 1
        seconds = SLOWER * clean.seconds[program] + SPARE_SECONDS
        for _ in range(2):
            result = clean.copy.run(program, round(seconds), {"INSTAR_MUTANT": str(n)}, scratch)
            spent += result.seconds
            if not result.failures:
                break
        else:
            clean.kills[program] += 1
            return Verdict("killed", f"by {program} ({planted.failure_words(result)})")
    return Verdict("survived", f"{tried} programs" if tried else "no program reaches it")


def judge(clean, n, args, known, deadline, scratch):
    one = clean.copy.chosen[n]
    began = time.monotonic()
    if deadline and began > deadline:
        return None
    if one.identity in known:
        verdict = Verdict("equivalent", known[one.identity])
    else:
        verdict = hunt(clean, n, one, args.seconds or SECONDS[args.size], scratch)
    state = verdict.state.upper() if verdict.state == "survived" else verdict.state
    print(f"{one.name}: {state}, {verdict.words} [{time.monotonic() - began:.0f} s]", flush=True)
    if verdict.state == "survived":
        print(f"    in {one.function}: {one.text}\n"
              f"    replay: make campaign-mutants ONLY={one.name}", flush=True)
    return verdict


def judge_all(copy, args, scratch):
    """A verdict for each, None where the time was over before it began."""
    clean = Clean(copy, scratch)
    known = equivalents(copy.root)
    deadline = time.monotonic() + args.minutes * 60 if args.minutes else None
    with concurrent.futures.ThreadPoolExecutor(args.lanes) as pool:
        verdicts = list(pool.map(
            lambda n: judge(clean, n, args, known, deadline, scratch), range(len(copy.chosen))))
    return verdicts, clean.failed


def bound_children():
    """A mutant may ask for memory or write to a file without end."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))


def choose(root, args, first, seeds):
    stages = of_stages(root)
    everything = population(root)
    if args.only:
        return [one for one in everything + stages if one.name.startswith(tuple(args.only))]
    if args.name == "stages":
        print(f"campaign stages, size {args.size}: {len(stages)} mutants of {STAGES}", flush=True)
        return stages
    chosen = everything[(first - 1) * A_SEED:(first - 1 + seeds) * A_SEED]
    print(f"campaign mutants, size {args.size}: seeds {first} to {first + seeds - 1}, "
          f"{len(chosen)} of {len(everything)} mutants", flush=True)
    return chosen


def run(root, args):
    book = figures.Book(root)
    first = args.seed if args.seed is not None else book.next_seed(args.name)
    seeds = args.seeds or SEEDS[args.size] if args.name == "mutants" else 1
    chosen = choose(root, args, first, seeds)
    began = time.monotonic()
    copy = Copy(root, args.build, chosen)
    made = copy.build_all()
    if not chosen or made.returncode != 0:
        print(f"no such mutant, or it does not compile:\n{made.stderr[-4000:]}")
        return 1
    bound_children()
    with tempfile.TemporaryDirectory(prefix="instar-mutants-") as scratch:
        verdicts, broken = judge_all(copy, args, pathlib.Path(scratch))
    done = seeds
    if None in verdicts and not args.only:
        done = verdicts.index(None) // A_SEED if args.name == "mutants" else 0
        verdicts = verdicts[:done * A_SEED]
    states = collections.Counter(verdict.state for verdict in verdicts if verdict)
    killed, survived = states["killed"], states["survived"]
    if done and not args.only:
        book.add(figures.Row(args.name, args.size, first, first + done - 1, killed + survived,
                             "mutants", survived, round(time.monotonic() - began)))
    share = killed / max(killed + survived, 1)
    print(f"{killed + survived} mutants, {killed} killed ({100 * share:.1f} %), {survived} "
          f"survived; {states['equivalent']} equivalent ones besides; "
          f"{time.monotonic() - began:.0f} s")
    return 1 if broken or share < WANTED[args.name] else 0
