# SPDX-License-Identifier: Apache-2.0
"""Named points: where the engine has one, some test kills or holds a process there."""
import re

from tidy_rules.tree import Finding

# Those of the steps of a change stand in tables.
POINT = re.compile(r'os_point\("([\w.]+)"\)|"(change\.\w+)"')
NAME = re.compile(r'"([a-z_]+\.[a-z_]+)"')


def points_in_tests(tree):
    """By its name in a test's source: what a patch or a comment says of it kills nobody."""
    named = {name for s in tree.c if s.below("tests") for name in NAME.findall(s.text)}
    for source in tree.engine:
        for number, line in enumerate(source.lines, 1):
            for match in POINT.finditer(line):
                name = match[1] or match[2]
                if name not in named:
                    yield Finding(source.path, number, f'no test names the point "{name}"',
                                  "kill a process there in a test")


RULES = [points_in_tests]
