# SPDX-License-Identifier: Apache-2.0
"""One thing to run: a Criterion program, or a command that passes by exiting with 0.

Whatever an item does, these make it fail: a sanitizer report of any process it started, a process
it left behind, a test that was skipped, no test at all, more time than its limit.
"""
import dataclasses
import fnmatch
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import time
import uuid

# Marks each process that belongs to an item, so that leftovers are found whatever their parent.
MARK = "INSTAR_TEST_RUN"
# A process that was told to end may take so long to do it before it counts as left behind.
GRACE_SECONDS = 3
# A killed process ends at once, unless the kernel holds it; then it is killed again.
KILL_SECONDS = 1
OUTPUT_LINES_MAX = 80
LINES_BEFORE = 3
FAILURE_MARK = re.compile(r"\[(----|FAIL)\]")
REPORTS_SHOWN_MAX = 3
# No finding: in the child of a process with threads LeakSanitizer looks for the parent's threads,
# says that it may report too much, and then checks. A leak that it finds is in the same log.
FORK_NOTE = re.compile(
    r"^==\d+==Running thread \d+ was not suspended\. False leaks are possible\.$", re.MULTILINE)
# In the output only when a sanitizer could not write its log.
REPORT_WORDS = ("ERROR: AddressSanitizer", "AddressSanitizer:DEADLYSIGNAL",
                "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer", ": runtime error: ")
# "not ok - suite::name timed out (0.52s)"; the suite's name never holds a blank.
TAP_LINE = re.compile(r"^(ok|not ok) - (\S+?)::(\S+)(.*)$", re.MULTILINE)


@dataclasses.dataclass
class Failure:
    item: str
    test: str
    reason: str
    detail: str = ""
    replay: str = ""

    def title(self):
        return f"{self.item} {self.test}: {self.reason}".replace(" :", ":")

    def __str__(self):
        lines = [f"FAIL {self.title()}"]
        lines += [f"     | {line}" for line in self.detail.splitlines()]
        if self.replay:
            lines.append(f"     replay: {self.replay}")
        return "\n".join(lines)


@dataclasses.dataclass
class Result:
    item: str
    passed: int
    failures: list
    seconds: float

    def line(self):
        word = "FAIL" if self.failures else "ok  "
        count = f"{self.passed} passed"
        if self.failures:
            count += f", {len(self.failures)} failed"
        return f"{word} {self.item:<48} {count:<22} {self.seconds:7.1f} s"


def tail(text):
    """The last lines, and of those before what Criterion says of a failure, with what led to it."""
    lines = text.splitlines()
    cut = len(lines) - OUTPUT_LINES_MAX
    if cut <= 0:
        return text
    told = [i for i in range(cut) if FAILURE_MARK.match(lines[i])][:OUTPUT_LINES_MAX]
    kept = sorted({k for i in told for k in range(max(0, i - LINES_BEFORE), i + 1)})
    return "\n".join([*(lines[i] for i in kept), f"[{cut - len(kept)} lines cut]", *lines[cut:]])


def marked_processes(mark):
    """Living processes whose environment holds the mark, as (pid, command line)."""
    found = []
    wanted = f"{MARK}={mark}".encode()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            folder = pathlib.Path(entry.path)
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                found.append((int(entry.name), b" ".join(words).decode(errors="replace").strip()))
        except OSError:
            continue  # ended meanwhile, or is not ours
    return found


def await_an_end(pids, seconds):
    """Return when one of these processes has ended, or after so many seconds."""
    ends = select.poll()
    opened = []
    try:
        for pid in pids:
            opened.append(os.pidfd_open(pid))
            ends.register(opened[-1], select.POLLIN)
        ends.poll(max(seconds, 0) * 1000)
    except ProcessLookupError:
        pass  # it has ended
    finally:
        for descriptor in opened:
            os.close(descriptor)


def end_leftovers(mark, grace):
    """Wait a moment for the item's processes to end, then kill the rest and say which they were."""
    deadline = time.monotonic() + grace
    while (left := marked_processes(mark)) and time.monotonic() < deadline:
        await_an_end([pid for pid, _ in left], deadline - time.monotonic())
    described = [f"pid {pid}: {command}" for pid, command in left]
    while left:
        for pid, _ in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        await_an_end([pid for pid, _ in left], KILL_SECONDS)
        left = marked_processes(mark)
    return described


class Item:
    def __init__(self, name, words, seconds, env=None, refuse=None):
        self.name = name
        self.words = words
        self.seconds = seconds
        self.env = env or {}
        self.refuse = refuse

    def run(self, scratch):
        began = time.monotonic()
        if self.refuse:
            passed, failures = 0, [Failure(self.name, "", self.refuse)]
        else:
            folder = scratch / self.name.replace("/", "-")
            folder.mkdir()
            passed, failures = self.attempt(folder)
            shutil.rmtree(folder, ignore_errors=True)
        return Result(self.name, passed, failures, time.monotonic() - began)

    def attempt(self, folder):
        """Run it in its own folder; returns the number of passed tests and the failures."""
        for name in ("tmp", "san"):
            (folder / name).mkdir()
        words = [str(folder / "tmp") if w == "@scratch@" else str(w) for w in self.command(folder)]
        mark = uuid.uuid4().hex
        failures = []
        with open(folder / "output", "wb") as output:
            try:
                process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output,
                                           stderr=subprocess.STDOUT,
                                           env=self.environment(folder, mark))
            except OSError as error:
                return 0, [Failure(self.name, "", f"{words[0]}: {error.strerror}")]
        try:
            status = process.wait(self.seconds)
        except subprocess.TimeoutExpired:
            status = None
        left = end_leftovers(mark, GRACE_SECONDS if status is not None else 0)
        process.wait()
        text = (folder / "output").read_text(errors="replace")
        if status is None:
            failures.append(Failure(self.name, "", f"no end within {self.seconds} s",
                                    "\n".join([tail(text), "still running:", *left]),
                                    self.replay()))
        elif left:
            failures.append(Failure(self.name, "", "left processes behind", "\n".join(left),
                                    self.replay()))
        passed, failed = (0, []) if status is None else self.judge(status, text, folder)
        return passed, failures + failed + self.sanitizer_reports(text, folder)

    def environment(self, folder, mark):
        env = dict(os.environ, **self.env)
        log = f"halt_on_error=1:log_path={folder}/san/report"
        for word, extra in (("ASAN", ":detect_leaks=1"), ("UBSAN", ":print_stacktrace=1"),
                            ("TSAN", "")):
            theirs = env.get(f"{word}_OPTIONS")
            env[f"{word}_OPTIONS"] = (f"{theirs}:" if theirs else "") + log + extra
        env.update({"TMPDIR": str(folder / "tmp"), MARK: mark})
        return env

    def sanitizer_reports(self, output, folder):
        """One failure for all reports; often many processes meet the same trouble."""
        logs = [r.read_text(errors="replace") for r in sorted((folder / "san").iterdir())]
        reports = [log for log in logs if FORK_NOTE.sub("", log).strip()]
        failures = []
        if reports:
            shown = "\n".join(tail(r) for r in reports[:REPORTS_SHOWN_MAX])
            failures.append(Failure(self.name, "", f"sanitizer reports: {len(reports)}", shown,
                                    self.replay()))
        elif any(word in output for word in REPORT_WORDS):
            failures.append(Failure(self.name, "", "sanitizer reports", tail(output),
                                    self.replay()))
        return failures

    def replay(self):
        return " ".join([f"{k}={v}" for k, v in self.env.items()] + [str(w) for w in self.words])


class Command(Item):
    """Passes, as one test, by exiting with 0."""

    def command(self, folder):
        return self.words

    def judge(self, status, output, folder):
        if status == 0:
            return 1, []
        return 0, [Failure(self.name, "", describe(status), tail(output), self.replay())]


class Criterion(Item):
    """A program of Criterion tests, one at a time: the parallelism is in the runner's lanes."""

    def __init__(self, name, binary, seconds, only=None):
        super().__init__(name, [binary], seconds)
        self.only = only  # a pattern, SUITE/TEST

    def command(self, folder):
        chosen = [f"--filter={self.only}"] if self.only else []
        return [*self.words, "-j1", *chosen, f"--tap={folder}/report.tap"]

    def is_chosen(self, name):
        return not self.only or fnmatch.fnmatchcase(name, self.only)

    def judge(self, status, output, folder):
        # TAP, since Criterion 2.4.1 writes broken JSON and XML when a message holds a quote.
        try:
            report = (folder / "report.tap").read_text(errors="replace")
        except OSError:
            report = ""
        plan = re.search(r"^1\.\.(\d+)$", report, re.MULTILINE)
        tests = TAP_LINE.findall(report)
        if not plan or int(plan[1]) != len(tests):
            return 0, [Failure(self.name, "", f"{describe(status)}, report cut short", tail(output),
                               self.replay())]
        tests = [t for t in tests if self.is_chosen(f"{t[1]}/{t[2]}")]
        passed, failures = 0, []
        for verdict, suite, test, note in tests:
            if verdict == "ok" and "# SKIP" not in note:
                passed += 1
                continue
            reason = note.strip(" #") if "# SKIP" in note or "timed out" in note else "failed"
            failures.append(Failure(self.name, f"{suite}/{test}", reason, "",
                                    self.replay(f"{suite}/{test}")))
        if not tests:
            failures.append(Failure(self.name, "", "holds no test", tail(output)))
        elif status != 0 and not failures:
            failures.append(Failure(self.name, "", describe(status), tail(output), self.replay()))
        elif failures:
            failures[-1].detail = tail(output)
        return passed, failures

    def replay(self, test=None):
        words = [str(self.words[0]), "-j1"] + ([f"--filter={test}"] if test else [])
        return " ".join(words)


def describe(status):
    if status < 0:
        return f"died of {signal.Signals(-status).name}"
    return f"exit status {status}"
