# SPDX-License-Identifier: Apache-2.0
"""Who may see what: includes between layers, dead or hidden declarations, the folders."""
import collections
import re

from tidy_rules.tree import APART, LAYERS, Finding

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')
# The operating system has a header of its own beside base.h: it is the seam that tests replace.
NEIGHBOUR_HEADERS = {layer: {f"{layer}/{layer}.h"} for layer in LAYERS}
NEIGHBOUR_HEADERS["base"].add("base/os.h")
# Headers of other libraries, each known to one file. Who else may include it, and the remedy.
ONE_FILE = {
    # The benchmark measures LMDB itself, and the test seam stands in for its system calls.
    "lmdb.h": (("bench", "tests"), "call what store offers; one file knows LMDB"),
    "pg_query.h": ((), "call what engine/ddl offers; one file knows libpg_query"),
    "pg_query.pb-c.h": ((), "call what engine/ddl offers; one file knows libpg_query"),
}
# Called by libpg_query, in which the names of libc become these (GNUmakefile).
FOR_LIBRARY = "ddl_libc_"
# These speak to the engine as any user's program does.
OUTSIDERS = ("tools", "bench", "docs/examples")
TOP_LEVEL = {"GNUmakefile", "README.md", "LICENSE", "engine", "bench", "tests", "fuzz", "tools",
             "docs"}


def includes(source):
    for number, line in enumerate(source.lines, 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match[1], match[2]


def layer_includes(tree):
    for source in tree.engine:
        allowed = set()
        if source.layer in LAYERS:
            lower = LAYERS[:LAYERS.index(source.layer)]
            allowed = set().union(*(NEIGHBOUR_HEADERS[x] for x in lower)) if lower else set()
        for number, quote, name in includes(source):
            if quote == "<":
                if re.match(r"|".join(f"{x}/" for x in LAYERS + APART), name):
                    yield Finding(source.path, number, f"<{name}> is ours", f'write "{name}"')
                continue
            if name in ("instar.h", "instar_sql.h"):
                yield Finding(source.path, number, f'"{name}"', f"write <{name}>")
            elif name.split("/")[0] == source.layer or name in allowed:
                continue
            elif "/" not in name:
                yield Finding(source.path, number, f'include of "{name}" without its layer',
                              f'write "{source.layer}/{name}"')
            elif name.split("/")[0] in LAYERS + APART and source.layer in APART:
                yield Finding(source.path, number, f'"{name}" is not public',
                              f"{source.layer} stands on <instar.h> alone")
            elif name.split("/")[0] in LAYERS + APART:
                other = name.split("/")[0]
                lower = LAYERS[:LAYERS.index(source.layer)] if source.layer else []
                remedy = (f"include {other}/{other}.h" if other in lower else
                          f"{other} stands above {source.layer}: turn the call round"
                          ) if source.layer else "the public header stands alone"
                yield Finding(source.path, number, f'"{name}" is private to another layer', remedy)
            else:
                yield Finding(source.path, number, f'unknown include "{name}"',
                              "include a layer's header or <instar.h>")


def outsider_includes(tree):
    for source in tree.c:
        if not source.below(*OUTSIDERS):
            continue
        folder = source.path.rsplit("/", 1)[0]
        for number, quote, name in includes(source):
            own = quote == '"' and "/" not in name and f"{folder}/{name}" in tree.paths
            if (quote == '"' and not own) or name.split("/")[0] in LAYERS + APART:
                yield Finding(source.path, number, f"{name} is not public",
                              "use <instar.h> only, as a user's program does")


def known_to_one_file(tree):
    for header, (others, remedy) in ONE_FILE.items():
        places = [(s, n) for s in tree.c for n, _, name in includes(s)
                  if name.split("/")[-1] == header]
        inside = [(s, n) for s, n in places if s.path.startswith("engine/")]
        for source, number in inside[1:]:
            yield Finding(source.path, number,
                          f"{header} is included by {inside[0][0].path} already", remedy)
        for source, number in places:
            if not source.below("engine", *others):
                yield Finding(source.path, number, f"{header} outside engine/", remedy)


def dead_declarations(tree):
    """A function in a header is defined once and used somewhere; one that is used in no other file
    than its own has no place in a header."""
    defined = {}
    for source in tree.engine:
        for function in source.functions:
            if not function.static:
                defined[function.name] = (source, function)
    words = collections.Counter(w for s in tree.c for w in re.findall(r"\b[a-z]\w*\b", s.code))
    declared = set()
    for source in tree.engine:
        if not source.path.endswith(".h"):
            continue
        for number, name in source.declarations:
            repeats = name in declared
            declared.add(name)
            if name not in defined:
                yield Finding(source.path, number, f"{name} is declared and never defined",
                              "define it or delete the line")
            elif (words[name] <= 2 and not repeats and source.layer
                  and not name.startswith(FOR_LIBRARY)):
                yield Finding(source.path, number, f"{name} is declared and never used",
                              "use it or delete it")
    for name, (source, function) in defined.items():
        if name not in declared and source.path.endswith(".c"):
            yield Finding(source.path, function.first, f"{name} stands in no header",
                          "make it static")


def layer_files(tree):
    for layer in LAYERS + APART:
        for name in ("README.md", *([f"{layer}.h"] if layer in LAYERS else [])):
            if f"engine/{layer}/{name}" not in tree.paths:
                yield Finding(f"engine/{layer}/{name}", 1, "is missing",
                              "each layer has a header for its neighbours and a README.md")


def top_level(tree):
    there = {path.split("/")[0] for path in tree.paths}
    for name in sorted(there - TOP_LEVEL):
        if not name.startswith("."):
            yield Finding(name, 1, "does not belong on the top level", "move it into a folder")
    for name in sorted(TOP_LEVEL - there):
        yield Finding(name, 1, "is missing on the top level", "add it")


RULES = [layer_includes, outsider_includes, known_to_one_file, dead_declarations, layer_files,
         top_level]
