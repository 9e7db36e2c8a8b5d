# SPDX-License-Identifier: Apache-2.0
"""Planted bugs: each patch says what it takes out and who is to find that, and still applies."""
import os
import pathlib
import re
import subprocess

from tidy_rules.tree import Finding

FOLDER = "tests/planted"


def heads(tree, path, text):
    if not re.search(r"^Rule: \S", text, re.MULTILINE):
        yield Finding(path, 1, "no line \"Rule: …\"", "say in our words what is taken out")
    finders = re.findall(r"^Found by: (\S+)", text, re.MULTILINE)
    if not finders:
        yield Finding(path, 1, "no line \"Found by: …\"", "name the test program or the campaign")
    for name in finders:
        source = f"tests/{name}" + (".sh" if name.startswith("cli/") else ".c")
        if not name.startswith("campaign-") and source not in tree.paths:
            yield Finding(path, 1, f"{source} is not there", "name a test program that is")


def planted_patches(tree):
    env = dict(os.environ, GIT_CEILING_DIRECTORIES=str(tree.root.parent))
    for path in tree.paths:
        if not path.startswith(FOLDER + "/") or pathlib.PurePath(path).suffix != ".patch":
            continue
        yield from heads(tree, path, (tree.root / path).read_text())
        out = subprocess.run(["git", "apply", "--check", path], cwd=tree.root, env=env,
                             capture_output=True, text=True)
        if out.returncode != 0:
            yield Finding(path, 1, f"does not apply: {' '.join(out.stderr.split())}",
                          "plant the same bug in the source as it is now")


RULES = [planted_patches]
