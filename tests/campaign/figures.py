# SPDX-License-Identifier: Apache-2.0
"""What the campaigns have done, one line a run, and the tables that are made of it.

docs/reliability.tsv: campaign, size, first and last seed, how much, of what, violations, seconds,
date, commit. docs/planted.tsv: planted bug, found by, by which test, seconds, date, commit. A
commit with a + had changes besides.
"""
import dataclasses
import fcntl
import pathlib
import re
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SUITE = "campaign-sanitizers"  # that a finder without a campaign's name is of
OURS = ("docs/reliability.tsv", "docs/planted.tsv", "docs/reliability.md")


class Line:
    def line(self):
        return "\t".join(str(value) for value in dataclasses.astuple(self))


@dataclasses.dataclass
class Row(Line):
    campaign: str
    size: str
    first: int
    last: int
    count: int
    unit: str
    violations: int
    seconds: int
    date: str = ""
    commit: str = ""


@dataclasses.dataclass
class Found(Line):
    """A planted bug: who found it, by which of its tests. No test: it was not found."""
    bug: str
    finder: str
    test: str
    seconds: int
    date: str = ""
    commit: str = ""


def git(root, *words):
    out = subprocess.run(["git", "-C", root, *words], capture_output=True, text=True)
    return out.stdout.rstrip() if out.returncode == 0 else ""


def commit_of(root):
    commit = git(root, "rev-parse", "--short=10", "HEAD")
    changed = [line[3:] for line in git(root, "status", "--porcelain").splitlines()]
    return commit + ("+" if any(path not in OURS for path in changed) else "")


def typed(kind, line):
    values = line.split("\t")
    fields = dataclasses.fields(kind)
    return kind(*(field.type(value) for field, value in zip(fields, values)))


def load(path, kind):
    lines = path.read_text().splitlines() if path.exists() else []
    return [typed(kind, line) for line in lines if line and not line.startswith("#")]


class Book:
    def __init__(self, root):
        self.root = root
        self.path = root / "docs/reliability.tsv"

    def next_seed(self, campaign):
        return max([row.last + 1 for row in load(self.path, Row) if row.campaign == campaign],
                   default=1)

    def add(self, row):
        row.date, row.commit = time.strftime("%Y-%m-%d"), commit_of(self.root)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(row.line() + "\n")


def note_planted(root, found):
    """The newest figure of each bug and finder; those that no patch names any more go."""
    path = root / "docs/planted.tsv"
    with open(path, "a", encoding="utf-8") as lock:  # two runs may end at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_planted(root, path, found)


def write_planted(root, path, found):
    kept = {(f.bug, f.finder): f for f in load(path, Found)}
    for one in found:
        one.date, one.commit = time.strftime("%Y-%m-%d"), commit_of(root)
        kept[one.bug, one.finder] = one
    there = {(p.stem, finder) for p in (root / "tests/planted").glob("*.patch")
             for finder in re.findall(r"^Found by: (.*)$", p.read_text(), re.MULTILINE)}
    head = [line for line in (path.read_text().splitlines() if path.exists() else [])
            if line.startswith("#")]
    rows = [kept[key].line() for key in sorted(kept) if key in there]
    path.write_text("\n".join(head + rows) + "\n")


# ---- tables ---------------------------------------------------------------------------------


def ranges(rows):
    """Seeds of all rows in words: "1–4, 9"."""
    seeds = sorted({seed for row in rows for seed in range(row.first, row.last + 1)})
    words = []
    for at, seed in enumerate(seeds):
        if at > 0 and seeds[at - 1] == seed - 1:
            words[-1][1] = seed
        else:
            words.append([seed, seed])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in words)


def campaign_table(rows):
    lines = ["| campaign | sizes run | seeds | done | violations | minutes | last run | commit |",
             "|---|---|---|---|---|---|---|---|"]
    for name in dict.fromkeys(row.campaign for row in rows):
        mine = [row for row in rows if row.campaign == name]
        sizes = ", ".join(dict.fromkeys(row.size for row in mine))
        lines.append(f"| `{name}` | {sizes} | {ranges(mine)} | "
                     f"{sum(r.count for r in mine):,} {mine[-1].unit} | "
                     f"{sum(r.violations for r in mine)} | "
                     f"{sum(r.seconds for r in mine) / 60:.0f} | {mine[-1].date} | "
                     f"`{mine[-1].commit}` |")
    return lines


def rule_of(root, bug):
    text = (root / "tests/planted" / f"{bug}.patch").read_text()
    return re.search(r"^Rule: (.*)$", text, re.MULTILINE)[1]


def finder_words(finder):
    own = finder.startswith("campaign-")
    return f"`{finder}`" if own else f"`{SUITE}`, `{finder}`"


def found_words(rows):
    hits = [row for row in rows if row.test]
    if not hits:
        return "**not found** by " + ", ".join(row.finder for row in rows)
    return "; ".join(f"{finder_words(row.finder)} in {row.seconds} s (`{row.test}`)"
                     for row in hits)


def planted_table(root, found):
    lines = ["| bug | the rule that is taken out | found by | date | commit |",
             "|---|---|---|---|---|"]
    for bug in sorted({one.bug for one in found}):
        rows = [one for one in found if one.bug == bug]
        newest = max(rows, key=lambda row: row.date)
        lines.append(f"| {bug} | {rule_of(root, bug)} | {found_words(rows)} | {newest.date} | "
                     f"`{newest.commit}` |")
    return lines


def fill(text, mark, lines):
    """The part between two marks, made anew."""
    pattern = re.compile(rf"(<!-- {mark}: .*? -->\n).*?(<!-- end of {mark} -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"docs/reliability.md has no part {mark}")
    return pattern.sub(lambda m: m[1] + "\n".join(lines) + "\n" + m[2], text)


def report(root, check):
    path = root / "docs/reliability.md"
    text = path.read_text()
    there = {p.stem for p in (root / "tests/planted").glob("*.patch")}
    found = [f for f in load(root / "docs/planted.tsv", Found) if f.bug in there]
    wanted = fill(text, "campaigns", campaign_table(load(root / "docs/reliability.tsv", Row)))
    wanted = fill(wanted, "planted", planted_table(root, found))
    if check:
        if text != wanted:
            print("docs/reliability.md: not what its data say — make reliability")
        return 0 if text == wanted else 1
    path.write_text(wanted)
    return 0
