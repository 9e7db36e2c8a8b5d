# SPDX-License-Identifier: Apache-2.0
"""Named points: where the engine has one, some test kills or holds a process there."""
import re

from tidy_rules.tree import Finding

# Those of the steps of a change stand in a list.
POINT = re.compile(r'os_point\("([\w.]+)"\)|\bX\(\w+, "(\w+\.\w+)"\)')
NAME = re.compile(r'"([a-z_]+\.[a-z_]+)"')
PLANS = "tests/ddl/plans/"
STEP = re.compile(r"^([a-z_]+\.[a-z_]+) ", re.M)


def named_in_tests(tree):
    """By its name in a test's source: what a patch or a comment says of it kills nobody. Or in the
    plan of an operation, at each of whose points tests/ddl/troubles_test.c kills."""
    named = {name for s in tree.c if s.below("tests") for name in NAME.findall(s.text)}
    for path in tree.paths:
        if path.startswith(PLANS):
            named.update(STEP.findall((tree.root / path).read_text()))
    return named


def points_in_tests(tree):
    named = named_in_tests(tree)
    for source in tree.engine:
        for number, line in enumerate(source.lines, 1):
            for match in POINT.finditer(line):
                name = match[1] or match[2]
                if name not in named:
                    yield Finding(source.path, number, f'no test names the point "{name}"',
                                  "kill a process there in a test")


RULES = [points_in_tests]
