# SPDX-License-Identifier: Apache-2.0
"""Planted bugs: proof that the campaigns can find what they are there for.

Each tests/planted/NN-name.patch takes one rule out. Its head says which, and who is to find it:

    Rule: LOG-6: the flusher loads tail before it syncs
    Found by: unit/store_flush_test
    Found by: campaign-power-cut powercut/commits_and_segments

A finder is a campaign (its first program, with a seed's worth), or of the campaign sanitizers a
program of the suite, or a shell test of the tool (cli/NAME), in the sanitizers' build; a name
behind it is a filter, so that no time goes into what is known to have no part in it. Finders are
asked in this order, and each may take ten minutes. A patch that does
not apply or compile, or that nobody finds, makes the run fail: then it is the campaign that must be
mended.

A run goes on where an earlier one stopped: a bug that was found is passed over as long as nothing
that is compiled or run has changed since; --only plants it again. Each finder has to pass without
a bug first. --ask shows whether another campaign would find it, which is then worth a line in its
head.
"""
import os
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

from campaign import campaigns, figures
from runner import item

LIMIT_SECONDS = 600
UNIT_SECONDS = 150  # they take seconds; what hangs is found, too
SAMPLE = 5  # of them in the small size


class Bug:
    def __init__(self, path):
        text = path.read_text()
        self.path, self.name = path, path.stem
        self.finders = re.findall(r"^Found by: (.*)$", text, re.MULTILINE)
        self.files = re.findall(r"^\+\+\+ b/(.*)$", text, re.MULTILINE)


class Finder:
    """One line "Found by", as a program to build and to run."""

    def __init__(self, line):
        self.line = line
        self.name, _, self.filter = line.partition(" ")
        self.seconds, self.env = LIMIT_SECONDS, {}
        if self.name.startswith("campaign-"):
            program = campaigns.ALL[self.name.removeprefix("campaign-")].programs[0]
            self.path, self.env = program.path, dict(program.env)
        elif self.name.startswith("cli/"):
            self.path = "asan/instar"
        else:
            self.path = f"asan/tests/{self.name}"
            if self.name.startswith("unit/"):
                self.seconds = UNIT_SECONDS

    @property
    def folder(self):
        """Of its sources."""
        if self.name.startswith("cli/"):
            return "tests/cli"
        return "/".join(self.path.split("/")[1:-1])

    def run(self, build, root, seed, scratch):
        if self.name.startswith("cli/"):
            env = {"INSTAR": str(build / self.path), "INSTAR_BUILD": str(build)}
            return item.Command(self.name, ["bash", root / f"tests/{self.name}.sh"], self.seconds,
                                env=env).run(scratch)
        one = item.Criterion(self.line.replace(" ", "-").replace("/", "-").replace("*", ""),
                             build / self.path, self.seconds, self.filter)
        one.env = {"INSTAR_SEED": str(seed), **self.env}
        return one.run(scratch)


class Copy:
    """The tree in a folder of its own, and what was built of it: kept from run to run."""

    def __init__(self, root, folder):
        self.root = root
        self.tree, self.build = folder / "tree", folder / "build"

    def put(self, path, data):
        to = self.tree / path
        if not to.exists() or to.read_bytes() != data:
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(data)
            if (self.root / path).exists():
                to.chmod((self.root / path).stat().st_mode & 0o777)

    def bring_up_to_date(self, changed=None):
        """Make it the same as the tree, but for the files whose content is given."""
        changed = changed or {}
        listed = subprocess.run(["git", "-C", self.root, "ls-files", "-z", "--cached", "--others",
                                 "--exclude-standard"], check=True, capture_output=True).stdout
        wanted = {name for name in listed.decode().split("\0")
                  if name and (self.root / name).is_file()}
        wanted |= changed.keys()
        for name in wanted:
            self.put(name, changed.get(name) or (self.root / name).read_bytes())
        for folder, _, names in os.walk(self.tree):
            for name in names:
                if os.path.relpath(os.path.join(folder, name), self.tree) not in wanted:
                    os.unlink(os.path.join(folder, name))

    def apply(self, bug):
        # The copy may lie inside the repository; git must not take it for a part of that.
        env = dict(os.environ, GIT_CEILING_DIRECTORIES=str(self.tree.parent))
        return subprocess.run(["git", "apply", bug.path], cwd=self.tree, env=env,
                              capture_output=True, text=True)

    def take_back(self, bug):
        for name in bug.files:
            self.put(name, (self.root / name).read_bytes())

    def make(self, paths):
        env = {key: value for key, value in os.environ.items() if key != "MAKEFLAGS"}
        env.update(INSTAR_SETUP_DONE="1", MAKELEVEL="0")
        return subprocess.run(["make", "-s", f"BUILD={self.build}",
                               *[str(self.build / path) for path in sorted(paths)]],
                              cwd=self.tree, env=env, capture_output=True, text=True)


def choose(root, args):
    bugs = [Bug(path) for path in sorted((root / "tests/planted").glob("*.patch"))]
    if args.only:
        return [b for b in bugs if any(b.name.startswith(word) for word in args.only)]
    if args.size == "pr":
        first = (args.seed or int(time.strftime("%j"))) * SAMPLE
        print(f"SEED={first // SAMPLE}")
        return [bugs[(first + i) % len(bugs)] for i in range(min(SAMPLE, len(bugs)))]
    return bugs


class Before:
    """What an earlier run has found, where all that its verdict depends on is the same."""

    def __init__(self, root):
        self.root, self.same = root, {}
        self.rows = [row for row in figures.load(root / "docs/planted.tsv", figures.Found)
                     if row.test and not row.commit.endswith("+")]

    def unchanged(self, commit, path):
        if (commit, path) not in self.same:
            self.same[commit, path] = subprocess.run(
                ["git", "-C", self.root, "diff", "--quiet", commit, "--", path],
                capture_output=True).returncode == 0
        return self.same[commit, path]

    def row_of(self, bug):
        for row in self.rows:
            if row.bug == bug.name and row.finder in bug.finders:
                folder = Finder(row.finder).folder
                if all(self.unchanged(row.commit, path) for path in
                       ("engine", "tests/support", folder, bug.path.relative_to(self.root))):
                    return row
        return None


def failure_words(result):
    failure = result.failures[0]
    return failure.test or failure.reason


def fails_without(copy, finders, args, scratch):
    """Those that find something where there is no bug: what they then say of one proves nothing."""
    failing = []
    for finder in finders:
        folder = pathlib.Path(tempfile.mkdtemp(dir=scratch))
        result = finder.run(copy.build, copy.root, args.seed or 1, folder)
        if result.failures:
            print(f"{finder.line}: fails without a bug ({failure_words(result)})", flush=True)
            failing.append(finder.line)
    return failing


def hunt(copy, bug, args, scratch):
    """The Found rows of this bug, and what stands in the way, if something does."""
    applied = copy.apply(bug)
    if applied.returncode != 0:
        return [], f"does not apply: {applied.stderr.strip()}"
    rows = []
    for finder in [Finder(line) for line in args.ask or bug.finders]:
        made = copy.make([finder.path])
        if made.returncode != 0:
            return rows, f"does not compile: {made.stderr.strip()[-2000:]}"
        folder = pathlib.Path(tempfile.mkdtemp(dir=scratch))
        result = finder.run(copy.build, copy.root, args.seed or 1, folder)
        test = failure_words(result) if result.failures else ""
        rows.append(figures.Found(bug.name, finder.line, test, round(result.seconds)))
        if test and not args.all_finders:
            break
    return rows, ""


def show(bug, rows, trouble, seconds):
    hits = [row for row in rows if row.test]
    if trouble:
        text = trouble
    elif hits:
        text = "; ".join(f"found by {row.finder} ({row.test}) in {row.seconds} s" for row in hits)
        missed = [row.finder for row in rows if not row.test]
        text += f"; not by {', '.join(missed)}" if missed else ""
    else:
        text = "NOT FOUND by " + ", ".join(row.finder for row in rows)
    print(f"{bug.name}: {text} [{seconds:.0f} s in all]", flush=True)


def last_line(wanted, seconds, failed):
    text = f"{wanted} planted bugs: {len(seconds)} found, {len(failed)} not found"
    if wanted > len(seconds) + len(failed):
        text += f", {wanted - len(seconds) - len(failed)} not tried: run it again to go on"
    if seconds:
        text += f"; median {statistics.median(seconds):.0f} s, longest {max(seconds):.0f} s"
    return text + "".join(f"\n  not found: {name}" for name in failed)


def run(root, args):
    copy = Copy(root, args.build / "planted")
    copy.bring_up_to_date()
    bugs = choose(root, args)
    earlier = Before(root)
    before = [] if args.only or args.ask else [row for row in map(earlier.row_of, bugs) if row]
    left = [bug for bug in bugs if bug.name not in {row.bug for row in before}]
    if before:
        print(f"{len(before)} of {len(bugs)} were found on sources that are the same", flush=True)
    finders = [Finder(line) for line in sorted({line for bug in left
                                                for line in args.ask or bug.finders})]
    clean = copy.make({finder.path for finder in finders})
    if clean.returncode != 0:
        print(f"the tree without a bug does not compile:\n{clean.stderr}")
        return 1
    started, failed = time.monotonic(), []
    seconds = [row.seconds for row in before]
    with tempfile.TemporaryDirectory(prefix="instar-planted-") as scratch:
        if fails_without(copy, finders, args, scratch):
            return 1
        for bug in left:
            began = time.monotonic()
            if args.minutes and began - started > args.minutes * 60:
                break
            try:
                rows, trouble = hunt(copy, bug, args, scratch)
            finally:
                copy.take_back(bug)
            show(bug, rows, trouble, time.monotonic() - began)
            hits = [row.seconds for row in rows if row.test]
            if trouble or not hits:
                failed.append(bug.name)
            else:
                seconds.append(min(hits))
            figures.note_planted(root, [] if trouble else rows)
    print(last_line(len(bugs), seconds, failed))
    return 0 if bugs and len(seconds) == len(bugs) else 1
