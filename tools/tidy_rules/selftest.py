# SPDX-License-Identifier: Apache-2.0
"""Proves that each rule fires: a small clean tree, and one violation at a time planted in it."""
import pathlib
import subprocess
import tempfile

from tidy_rules.shape import FILE_LINES_MAX, FUNCTION_LINES_MAX
from tidy_rules.tree import APART, LAYERS

SPDX = "SPDX-License-Identifier: Apache-2.0"
TOP = f"/* {SPDX} */\n"
NOTE = "TO" "DO"
STORE_H = "engine/store/store.h"
STORE_C = "engine/store/store.c"
INSTAR_H = "engine/include/instar.h"

CLEAN = {f"engine/{layer}/{layer}.h": TOP for layer in LAYERS}
CLEAN |= {f"engine/{layer}/README.md": "words\n" for layer in LAYERS + APART}
CLEAN |= {name: f"# {SPDX}\n" for name in
          ("GNUmakefile", "README.md", "LICENSE", "bench/README.md", "fuzz/README.md",
           "docs/README.md", "tools/README.md")}
CLEAN |= {
    ".clang-format": "BasedOnStyle: LLVM\nIndentWidth: 4\nBreakBeforeBraces: Linux\n"
                     "ColumnLimit: 100\nPointerAlignment: Right\n"
                     "AllowShortFunctionsOnASingleLine: None\n",
    INSTAR_H: TOP + 'extern "C" {\n__attribute__((visibility("default"))) '
                    "int instar_add(int a);\n}\n",
    "engine/base/os.h": TOP,
    STORE_H: TOP + '#include "base/base.h"\n#include "base/os.h"\n'
                   "struct s {\n    int member;\n};\nint store_add(int a);\n",
    STORE_C: TOP + '#include "store/store.h"\n#include <instar.h>\n#include <lmdb.h>\n\n'
                   "static int more(int a)\n{\n    return a; /* strcpy(a, b) in words */\n}\n\n"
                   "int store_add(int a)\n{\n    return more(a);\n}\n\n"
                   "int instar_add(int a)\n{\n    return store_add(a);\n}\n",
    "tests/unit/a_test.c": TOP,
    "tools/instar/main.c": TOP + '#include "cli.h"\n#include <instar.h>\n',
    "tools/instar/cli.h": TOP,
}


def body(lines):
    return "\nstatic void f(void)\n{\n" + "    ;\n" * lines + "}\n"


def call(text):
    return f"\nstatic void f(void)\n{{\n    {text};\n}}\n"


PATCH = f"--- a/{STORE_C}\n+++ b/{STORE_C}\n@@ -12,3 +12,3 @@\n {{\n-    return more(a);\n" \
        "+    return a;\n }\n"

# file, text added to it (None: the file is deleted), the line of the finding, part of its text.
PLANTED = [
    # includes
    ("engine/base/base.c", TOP + '#include "store/store.h"\n', 2, "turn the call round"),
    ("engine/row/row.c", TOP + '#include "store/store_impl.h"\n', 2, "include store/store.h"),
    ("engine/row/row.c", TOP + '#include "row_impl.h"\n', 2, 'write "row/row_impl.h"'),
    ("engine/row/row.c", TOP + '#include "instar.h"\n', 2, "write <instar.h>"),
    ("engine/row/row.c", TOP + '#include <base/base.h>\n', 2, 'write "base/base.h"'),
    ("engine/row/row.c", TOP + '#include "other/thing.h"\n', 2, "unknown include"),
    (INSTAR_H, '#include "base/base.h"\n', 5, "the public header stands alone"),
    ("tools/instar/a.c", TOP + '#include "base/base.h"\n', 2, "is not public"),
    ("bench/a.c", TOP + '#include <base/base.h>\n', 2, "is not public"),
    ("docs/examples/a.c", TOP + '#include "engine/base/base.h"\n', 2, "is not public"),
    ("engine/store/trees.c", TOP + "#include <lmdb.h>\n", 2, "included by engine/store/store.c"),
    ("tools/instar/a.c", TOP + "#include <lmdb.h>\n", 2, "lmdb.h outside"),
    ("tests/unit/b_test.c", TOP + "#include <pg_query.h>\n", 2, "pg_query.h outside"),
    ("engine/ddl/a.c", TOP + '#include "base/base.h"\n', 2, "stands on <instar.h> alone"),
    ("engine/api/a.c", TOP + '#include "ddl/ddl_impl.h"\n', 2, "is private"),
    # declarations
    (STORE_H, "int store_gone(int a);\n", 8, "declared and never defined"),
    ("engine/txn/txn.h", "int txn_lone(int a);\n\nint txn_lone(int a)\n{\n    return a;\n}\n", 2,
     "declared and never used"),
    (STORE_C, "\nint store_hidden(int a)\n{\n    return a;\n}\n", 21, "stands in no header"),
    # folders
    ("engine/row/README.md", None, 1, "is missing"),
    ("engine/row/row.h", None, 1, "is missing"),
    ("scripts/a.sh", f"#!/bin/sh\n# {SPDX}\n", 1, "does not belong"),
    ("LICENSE", None, 1, "missing on the top level"),
    # banned
    ("tests/unit/b_test.c", TOP + call("strcpy(a, b)"), 5, "strcpy"),
    ("tools/instar/a.c", TOP + call("strcat(a, b)"), 5, "strcat"),
    ("tools/instar/a.c", TOP + call('sprintf(a, "b")'), 5, "sprintf"),
    ("tools/instar/a.c", TOP + call("gets(a)"), 5, "gets"),
    ("tools/instar/a.c", TOP + call("int x = atoi(a)"), 5, "strtoll"),
    ("tools/instar/a.c", TOP + call("strtok(a, b)"), 5, "strtok_r"),
    ("engine/row/row.c", TOP + call("system(a)"), 5, "starts no programs"),
    ("engine/row/row.c", TOP + call("sigaction(a, b, c)"), 5, "signals"),
    ("engine/row/row.c", TOP + call("free(a)"), 5, "base_free"),
    ("engine/row/row.c", TOP + call("assert(a)"), 5, "base_assert"),
    ("engine/row/row.c", TOP + call("abort()"), 5, "return a status"),
    ("engine/row/row.c", TOP + call("fprintf(stderr, a)"), 5, "struct base_err"),
    ("engine/ddl/a.c", TOP + call("exit(a)"), 5, "return a status"),
    ("engine/row/row.c", TOP + call("pwrite(a, b, c, d)"), 5, "use the os_ function"),
    ("engine/row/row.c", TOP + call("open(a, b)"), 5, "use the os_ function"),
    ("engine/row/row.c", TOP + call("fsync(a)"), 5, "use the os_ function"),
    ("engine/row/row.c", TOP + call("mmap(a)"), 5, "use os_map"),
    ("engine/row/row.c", TOP + call("clock_gettime(a, b)"), 5, "virtual clock"),
    ("engine/row/row.c", TOP + call("pthread_mutex_lock(a)"), 5, "os_plain_mutex"),
    ("engine/row/row.c", TOP + call("getpid()"), 5, "os_pid"),
    ("engine/row/row.c", TOP + call("usleep(1)"), 5, "await the event"),
    ("tests/unit/b_test.c", TOP + call("sleep(1)"), 5, "await the event"),
    ("tests/unit/b_test.c", TOP + call("int x = MDB_NOSYNC"), 5, "never set it"),
    ("engine/row/row.c", TOP + call("int x = MDB_WRITEMAP"), 5, "never set it"),
    ("engine/row/row.c", TOP + call("int x = MDB_NOMEMINIT"), 5, "never set it"),
    ("engine/row/row.c", TOP + call("int x = y == INSTAR_STAGE_PUBLIC"), 5, "ask catalog_may_"),
    ("engine/txn/txn.c", TOP + call("int x = a->stage == y"), 5, "ask catalog_may_"),
    # points
    ("engine/row/row.c", TOP + call('os_point("row.read")'), 5, "no test names the point"),
    ("engine/change/a.def", TOP + 'X(STEP, "change.step")\n', 2, 'the point "change.step"'),
    # shape
    ("tools/instar/a.c", TOP + "int  a;\n", 2, "make format"),
    ("tools/instar/a.c", TOP + "/* a comment that nobody looks at */\n" * FILE_LINES_MAX,
     FILE_LINES_MAX, "lines in one file"),
    ("tools/instar/a.c", TOP + body(FUNCTION_LINES_MAX), 3, "give its parts names"),
    ("tools/instar/a.c", TOP + "\nint f(int a, int b, int c, int d, int (*e)(int), int g, int h)\n"
     "{\n    return a;\n}\n", 3, "7 parameters"),
    ("tests/cli/a.sh", f"#!/bin/sh\n# {SPDX}\n: " + "x" * 100 + "\n", 3, "characters in a line"),
    ("tools/instar/a.c", "int a;\n", 1, "no licence line"),
    ("tools/instar/a.c", "/* words */\n" + TOP, 1, "licence line is not the first"),
    ("tools/a", "#!/bin/sh\n", 1, "no licence line"),
    ("tools/instar/a.c", TOP + f"/* {NOTE} */\n", 2, "open an issue"),
    ("tests/cli/a.sh", f"#!/bin/sh\n# {SPDX} \n", 2, "blanks at the end"),
    ("tools/instar/a.c", TOP + "/*\ta */\n", 2, "a tab"),
    ("tests/cli/a.sh", f"#!/bin/sh\n# {SPDX}", 2, "no newline"),
    # planted bugs
    ("tests/planted/1.patch", "Rule: a\nFound by: unit/a_test\n" + PATCH.replace("more(", "less("),
     1, "does not apply"),
    ("tests/planted/1.patch", "Rule: a\nFound by: unit/b_test\n" + PATCH, 1, "is not there"),
    ("tests/planted/1.patch", "Rule: a\n" + PATCH, 1, "name the test program"),
    ("tests/planted/1.patch", "Found by: campaign-kill\n" + PATCH, 1, "say in our words"),
    # what bad input gets
    ("docs/reliability.md", "<!-- bad input: -->\n| NULL | an error | `a/none` |\n", 2,
     "no test a/none"),
    ("docs/reliability.md", "<!-- bad input: -->\n| NULL | an error | `cli/a.sh words` |\n", 2,
     "no test cli/a.sh"),
    ("docs/reliability.md", "<!-- bad input: -->\n| NULL | an error | none |\n", 2, "no test is"),
]

LIBRARY = """
#include <stdio.h>
#define V __attribute__((visibility("default")))
V int instar_add(int a) { char b[99]; return snprintf(b, sizeof(b), "%d", a) + b[a]; }
"""
VERSIONS = "INSTAR_1 { global: instar_*; other; local: *; };"
HARDENED = ["-O2", "-D_FORTIFY_SOURCE=2", "-fstack-protector-all", "-Wl,-z,relro,-z,now",
            "-Wl,--version-script=map"]
# What is compiled, the options it is compiled with, part of the finding (None: clean).
LIBRARIES = [
    (LIBRARY, HARDENED, None),
    (LIBRARY + "V int other(void) { return 0; }", HARDENED, "exports other"),
    (LIBRARY.replace("instar_add", "instar_sub"), HARDENED, "instar_add is declared but not"),
    (LIBRARY, HARDENED[:4], "without a version"),
    (LIBRARY, [*HARDENED, "-fno-stack-protector"], "without -fstack-protector"),
    (LIBRARY, [*HARDENED, "-U_FORTIFY_SOURCE"], "without -D_FORTIFY_SOURCE=2"),
    (LIBRARY, [*HARDENED, "-Wl,-z,lazy"], "without -z now"),
    (LIBRARY, [*HARDENED, "-Wl,-z,norelro"], "without -z relro"),
    (LIBRARY, [*HARDENED, "-Wl,-z,execstack"], "executable stack"),
]


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def planted(findings, path, text, line, part):
    """The complaint when planting this text does not give exactly the finding."""
    with tempfile.TemporaryDirectory(prefix="instar-tidy-") as name:
        root = pathlib.Path(name)
        write(root, CLEAN)
        if text is None:
            (root / path).unlink()
        else:
            write(root, {path: CLEAN.get(path, "") + text})
        found = findings(root)
    right = [f for f in found if (f.path.split("/")[0] if "/" not in f.path else f.path) in
             (path, path.split("/")[0]) and f.line == line and part in str(f)]
    if right:
        return None
    return f"{path}: expected line {line} and '{part}', found {[str(f) for f in found]}"


def library(findings, root, source, options, part):
    write(root, {"l.c": source, "map": VERSIONS})
    subprocess.run(["gcc", "-shared", "-fPIC", *options, "l.c", "-o", "libinstar.so.0"], cwd=root,
                   check=True)
    found = [str(f) for f in findings(root, root / "libinstar.so.0")
             if f.path in (INSTAR_H, "GNUmakefile")]
    if (part is None and not found) or (part and any(part in f for f in found)):
        return None
    return f"library: expected '{part}', found {found}"


def main(findings):
    wrong = []
    with tempfile.TemporaryDirectory(prefix="instar-tidy-") as name:
        root = pathlib.Path(name)
        write(root, CLEAN)
        wrong += [f"clean tree: {finding}" for finding in findings(root)]
        write(root, {INSTAR_H: TOP + "#define INSTAR_API __attribute__((used))\n"
                     "INSTAR_API int instar_add(int a);\n"})
        wrong += [library(findings, root, *case) for case in LIBRARIES]
    wrong += [planted(findings, *case) for case in PLANTED]
    wrong = [w for w in wrong if w]
    for complaint in wrong:
        print(f"tools/tidy: self-test: {complaint}")
    if not wrong:
        print(f"tools/tidy: self-test, {len(PLANTED) + len(LIBRARIES)} planted violations found")
    return 1 if wrong else 0
