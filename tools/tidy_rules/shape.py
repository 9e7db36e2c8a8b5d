# SPDX-License-Identifier: Apache-2.0
"""The shape of files: formatting, lengths, the licence line, notes left behind."""
import re
import subprocess

from tidy_rules.tree import Finding

FILE_LINES_MAX = 700
# The public header is the manual of the library, and a user installs and includes one file.
MANUAL = "engine/include/instar.h"
MANUAL_LINES_MAX = 1500
FUNCTION_LINES_MAX = 70
PARAMETERS_MAX = 6
LINE_CHARS_MAX = 100
LICENCE = "SPDX-License-Identifier: Apache-2.0"
NOTE = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")


def formatting(tree):
    paths = [s.path for s in tree.c if not s.path.endswith(".def")]
    # Many at once, but not more than a command line holds.
    for i in range(0, len(paths), 100):
        out = subprocess.run(["clang-format", "--dry-run", "-Werror", *paths[i:i + 100]],
                             cwd=tree.root, capture_output=True, text=True).stderr
        first = {}
        for path, line in re.findall(r"^(.+?):(\d+):\d+: error:", out, re.MULTILINE):
            first.setdefault(path, int(line))
        for path, line in first.items():
            yield Finding(path, line, "is not formatted", "make format")


def lengths(tree):
    for source in tree.sources:
        most = MANUAL_LINES_MAX if source.path == MANUAL else FILE_LINES_MAX
        if len(source.lines) > most:
            yield Finding(source.path, most, f"{len(source.lines)} lines in one file",
                          f"split it where the concept splits; {most} is the limit")
        for number, line in enumerate(source.lines, 1):
            if len(line) > LINE_CHARS_MAX:
                yield Finding(source.path, number, f"{len(line)} characters in a line",
                              f"break it; {LINE_CHARS_MAX} is the limit")
    for source in tree.c:
        for function in source.functions:
            count = function.last - function.first + 1
            if count > FUNCTION_LINES_MAX:
                yield Finding(source.path, function.first, f"{function.name} has {count} lines",
                              f"give its parts names; {FUNCTION_LINES_MAX} is the limit")
            if function.parameters > PARAMETERS_MAX and not function.name[0].isupper():
                yield Finding(source.path, function.first,
                              f"{function.name} has {function.parameters} parameters",
                              f"gather them in a struct; {PARAMETERS_MAX} is the limit")


def licence_lines(tree):
    for source in tree.sources:
        head = source.lines[:3]
        if not any(LICENCE in line for line in head):
            yield Finding(source.path, 1, "no licence line", f"begin with {LICENCE}")
        elif source.path.endswith((".c", ".h", ".def")) and head[0] != f"/* {LICENCE} */":
            yield Finding(source.path, 1, "licence line is not the first",
                          f"begin with /* {LICENCE} */")


def notes_left(tree):
    for source in tree.sources:
        for number, line in enumerate(source.lines, 1):
            match = NOTE.search(line)
            if match:
                yield Finding(source.path, number, f"{match[0]} left behind",
                              "do it, or open an issue and delete the note")


def white_space(tree):
    for source in tree.sources:
        for number, line in enumerate(source.lines, 1):
            if line != line.rstrip():
                yield Finding(source.path, number, "blanks at the end of the line", "delete them")
            elif "\t" in line and source.is_c:
                yield Finding(source.path, number, "a tab", "use blanks")
        if source.text and not source.text.endswith("\n"):
            yield Finding(source.path, len(source.lines), "no newline at the end", "add it")


RULES = [formatting, lengths, licence_lines, notes_left, white_space]
