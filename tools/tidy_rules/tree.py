# SPDX-License-Identifier: Apache-2.0
"""The sources as the rules see them: lines, code without comments and strings, functions."""
import dataclasses
import functools
import os
import pathlib
import re
import subprocess

LAYERS = ["base", "store", "row", "catalog", "lease", "txn", "change", "api"]
# Libraries of their own in engine/: they speak to the core as any user's program does.
APART = ["ddl"]
C_SUFFIXES = {".c", ".h", ".def"}
# A comment, a string or a character literal; what stands in them is no code.
NOT_CODE = re.compile(r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL)
# "int name(…);", and no pointer to a function.
DECLARATION = re.compile(r"^ *[A-Za-z_][^;{}()=]*?[ *](\w+)\s*\((?!\*)[^;{}]*\)\s*;", re.MULTILINE)
ATTRIBUTE = re.compile(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)")


@dataclasses.dataclass(frozen=True, order=True)
class Finding:
    path: str
    line: int
    what: str
    remedy: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.what} — {self.remedy}"


@dataclasses.dataclass
class Function:
    """A definition in formatted code: the body's braces stand in the first column."""
    name: str
    first: int  # lines, counted from 1
    last: int
    static: bool
    parameters: int


def blank(match):
    """Blanks of the same shape, so that offsets and line numbers stay; quotes are kept."""
    text = re.sub(r"[^\n]", " ", match[0])
    return f"{match[0][0]}{text[1:-1]}{match[0][-1]}" if match[0][0] in "\"'" else text


def count_parameters(signature):
    """How many parameters stand in "name(int a, void (*b)(int, int))": those that go in. The place
    for an error and out-parameters are not what makes a call hard to read."""
    inner = signature[signature.index("(") + 1:signature.rindex(")")].strip()
    if inner in ("", "void"):
        return 0
    depth, words = 0, [""]
    for c in inner:
        depth += (c in "([{") - (c in ")]}")
        if c == "," and depth == 0:
            words.append("")
        else:
            words[-1] += c
    return sum(not re.search(r"(\*\s*err|_out(\[[^\]]*\])?)$", word.strip()) for word in words)


class Source:
    def __init__(self, root, path):
        self.path = path  # relative to the root, with slashes
        self.text = (root / path).read_text(errors="replace")
        self.lines = self.text.splitlines()

    @property
    def is_c(self):
        return pathlib.PurePath(self.path).suffix in C_SUFFIXES

    @property
    def is_script(self):
        return self.text.startswith("#!") or self.path.endswith((".py", ".sh", ".mk", "makefile"))

    @property
    def layer(self):
        parts = self.path.split("/")
        known = len(parts) > 2 and parts[0] == "engine" and parts[1] in LAYERS + APART
        return parts[1] if known else None

    def below(self, *folders):
        return any(self.path.startswith(folder + "/") for folder in folders)

    @functools.cached_property
    def code(self):
        return NOT_CODE.sub(blank, self.text) if self.is_c else self.text

    def line_of(self, offset):
        return self.code.count("\n", 0, offset) + 1

    def matches(self, pattern):
        """Line and match of each place in the code."""
        for match in re.finditer(pattern, self.code):
            yield self.line_of(match.start()), match

    @functools.cached_property
    def functions(self):
        found, lines = [], self.code.splitlines()
        for i, line in enumerate(lines):
            if line.rstrip() != "{" or i == 0:
                continue
            first = i
            while first > 0 and lines[first - 1].strip() and lines[first - 1][0] not in "#}" \
                    and not lines[first - 1].rstrip().endswith(";"):
                first -= 1
            signature = " ".join(lines[first:i])
            name = re.search(r"(\w+)\s*\(", re.sub(ATTRIBUTE, "", signature))
            last = next((j for j in range(i, len(lines)) if lines[j].startswith("}")), i)
            if name:
                tail = signature[signature.index(name[0]):]
                found.append(Function(name[1], first + 1, last + 1,
                                      re.search(r"\bstatic\b", signature) is not None,
                                      count_parameters(tail) if ")" in tail else 0))
        return found

    @functools.cached_property
    def declarations(self):
        """Line and name of each function declared in a header."""
        code = re.sub(r"^[ \t]*#(?:.*\\\n)*.*$", lambda m: re.sub(r"[^\n]", " ", m[0]), self.code,
                      flags=re.MULTILINE)
        code = re.sub(ATTRIBUTE, lambda m: " " * len(m[0]), code)
        code = re.sub(r'extern "." \{', lambda m: " " * len(m[0]), code)
        while True:  # bodies of structs and of inline functions, from the inside out
            flat = re.sub(r"\{[^{}]*\}", lambda m: ";" + re.sub(r"[^\n]", " ", m[0][1:]), code)
            if flat == code:
                break
            code = flat
        found = []
        for match in DECLARATION.finditer(code):
            if not match[0].lstrip().startswith(("typedef", "static")):
                found.append((code.count("\n", 0, match.start(1)) + 1, match[1]))
        return found


class Tree:
    def __init__(self, root):
        self.root = root
        self.paths = sorted(self.list_paths())
        self.sources = [Source(root, p) for p in self.paths
                        if pathlib.PurePath(p).suffix in C_SUFFIXES | {".py", ".sh", ".mk", ".map"}
                        or self.starts_as_script(p) or p == "GNUmakefile"]
        self.c = [s for s in self.sources if s.is_c]
        self.engine = [s for s in self.c if s.path.startswith("engine/")]

    def list_paths(self):
        """What git knows or would add; in a folder without git, everything."""
        if (self.root / ".git").exists():
            out = subprocess.run(["git", "-C", self.root, "ls-files", "-z", "--cached", "--others",
                                  "--exclude-standard"], check=True, capture_output=True).stdout
            names = [n for n in out.decode().split("\0") if n]
        else:
            names = [os.path.relpath(os.path.join(folder, f), self.root)
                     for folder, _, files in os.walk(self.root) for f in files]
        return {n for n in names if (self.root / n).is_file()}

    def starts_as_script(self, path):
        with open(self.root / path, "rb") as file:
            return file.read(2) == b"#!"
