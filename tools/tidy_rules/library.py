# SPDX-License-Identifier: Apache-2.0
"""What the built library offers, and whether it was linked with its hardening."""
import re
import subprocess

from tidy_rules.points import POINT
from tidy_rules.tree import Finding

# What declares the functions of a library, and the map that it is linked with.
CORE = ("engine/include/instar.h", "engine/instar.map")
SQL = ("engine/include/instar_sql.h", "engine/instar-sql.map")


def tool(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def exports(tree, library):
    path, version_map = SQL if library.name.startswith("libinstar-sql") else CORE
    header = next(s for s in tree.sources if s.path == path)
    declared = {m[1]: line for line, m in header.matches(
        r"\bINSTAR_API\b[^;()]*?\b(instar_\w+)\s*\(")}
    for line, name in header.declarations:
        if name not in declared:
            yield Finding(path, line, f"{name} without INSTAR_API",
                          "add it: nothing else is exported")
    out = tool("nm", "-D", "--defined-only", "--with-symbol-versions", str(library))
    # "0000000000001160 T name@@INSTAR_1"; A is the name of the version node itself.
    exported = {m[1]: m[2] for m in re.finditer(r"^[0-9a-f]+ [B-Zi] ([^@\s]+)(@\S+)?$", out,
                                                re.MULTILINE)}
    for name, line in sorted(declared.items()):
        if name not in exported:
            yield Finding(path, line, f"{name} is declared but not exported", "define it")
    for name, version in sorted(exported.items()):
        if name not in declared:
            yield Finding(path, 1, f"{library.name} exports {name}",
                          "declare it with INSTAR_API or make it static")
        elif not version:
            yield Finding(path, declared[name], f"{name} is exported without a version",
                          f"link with {version_map}")


def hardening(tree, library):
    tests = [(library, "shared library")]
    if library.with_name("instar").exists():
        tests.append((library.with_name("instar"), "program"))
    for file, kind in tests:
        headers = tool("readelf", "-W", "-h", "-l", "-d", "-s", str(file))
        wanted = [("GNU_RELRO", "-z relro"), ("BIND_NOW", "-z now"), (r"Type: +DYN", "-pie"),
                  ("__stack_chk_fail", "-fstack-protector-strong"),
                  ("_chk@", "-D_FORTIFY_SOURCE=2")]
        for pattern, flag in wanted:
            if not re.search(pattern, headers):
                yield Finding("GNUmakefile", 1, f"the {kind} {file.name} is built without {flag}",
                              "give the flag back")
        if re.search(r"GNU_STACK.* RWE", headers):
            yield Finding("GNUmakefile", 1, f"the {kind} {file.name} has an executable stack",
                          "link with -z noexecstack")


def seam(tree, library):
    """The hooks of base/os are the tests' own."""
    files = [library, *(p for p in [library.with_name("instar")] if p.exists())]
    points = {(m[1] or m[2]).encode() for s in tree.engine for m in POINT.finditer(s.text)}
    for file in files:
        for name in sorted(set(re.findall(r"\bos_(?:hooks\w*|point_hit)", tool("nm", str(file))))):
            yield Finding("engine/base/os.h", 1, f"{file.name} holds {name}",
                          "compile it with INSTAR_TEST alone")
        content = file.read_bytes()
        for name in sorted(p for p in points if p + b"\0" in content):
            yield Finding("engine/base/os.h", 1, f"{file.name} knows the point {name.decode()}",
                          "remove the section of points where it is linked")


RULES = [exports, hardening, seam]
