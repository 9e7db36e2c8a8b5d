# SPDX-License-Identifier: Apache-2.0
"""Proves that the runner notices each kind of trouble: programs that misbehave in one way each."""
import os
import pathlib
import subprocess
import sys
import tempfile

from runner import item

# In the order of the enum in cases.c: name, tests passed, the reason that must be reported.
CASES = [
    ("passes", 2, None),
    ("fails", 1, "failed"),
    ("crashes", 1, "failed"),
    ("skips", 1, "SKIP"),
    ("disabled", 1, "SKIP"),
    ("empty", 0, "holds no test"),
    ("leaks", 2, "sanitizer reports"),
    ("overflows", 1, "sanitizer reports"),
    ("child_overflows", 2, "sanitizer reports"),
    ("child_leaks", 2, "sanitizer reports"),
    ("child_reads_freed", 2, "sanitizer reports"),
    ("child_stays", 2, "left processes behind"),
    ("hangs", 0, "no end within 2 s"),
    ("threaded_child_passes", 2, None),
    ("threaded_child_leaks", 2, "sanitizer reports"),
]
COMMANDS = [
    ("command_passes", ["true"], 1, None),
    ("command_fails", ["false"], 0, "exit status 1"),
    ("command_missing", ["/nonexistent/program"], 0, "No such file"),
    ("command_reports", ["sh", "-c", "echo 'x.c:1:1: runtime error: y'"], 1, "sanitizer reports"),
]


def build(number, folder):
    binary = folder / CASES[number][0]
    source = pathlib.Path(__file__).with_name("cases.c")
    subprocess.run([os.environ.get("CC", "gcc"), "-std=gnu17", "-g", "-O1", f"-DCASE={number}",
                    "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
                    source, "-o", binary, "-lcriterion"], check=True)
    return binary


def main():
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="instar-selftest-") as name:
        folder, scratch = pathlib.Path(name), pathlib.Path(name) / "run"
        scratch.mkdir()
        checks = [(item.Criterion(case, build(number, folder), 2 if case == "hangs" else 60),
                   passed, reason) for number, (case, passed, reason) in enumerate(CASES)]
        fails = next(number for number, (case, *_) in enumerate(CASES) if case == "fails")
        checks += [(item.Criterion("chosen_passes", build(fails, folder), 60, "runner/other"), 1,
                    None),
                   (item.Criterion("chosen_fails", build(fails, folder), 60, "*/case"), 0,
                    "failed"),
                   (item.Criterion("chosen_none", build(fails, folder), 60, "runner/third"), 0,
                    "holds no test")]
        checks += [(item.Command(case, words, 10), passed, reason)
                   for case, words, passed, reason in COMMANDS]
        for thing, passed, reason in checks:
            result = thing.run(scratch)
            reasons = [failure.reason for failure in result.failures]
            if reason is None:
                good = not reasons
            else:
                good = any(reason in r for r in reasons)
            if not good or result.passed != passed:
                wrong += 1
                print(f"tests/run: {thing.name}: expected {passed} passed and "
                      f"{reason or 'no failure'}, got {result.passed} and {reasons}")
                for failure in result.failures:
                    print(failure)
    if wrong:
        return 1
    print(f"tests/run: self-test noticed all {len(checks)} cases")
    return 0


if __name__ == "__main__":
    sys.exit("run it as tests/run --self-test")
