# SPDX-License-Identifier: Apache-2.0
"""Calls and patterns that are not used here, each with what is used in its place."""
from tidy_rules.tree import APART, Finding


def calls(names):
    """The call of a plain function: no member, no part of a longer name."""
    return rf"(?<![\w.])(?<!->)\b({'|'.join(names.split())})\s*\("


def anywhere(source):
    return True


def all_but_bench(source):
    """The benchmark may give LMDB its fastest and least safe settings."""
    return not source.below("bench")


def engine(source):
    return source.below("engine")


def outside_base(source):
    return source.below("engine") and source.layer != "base"


def above_base(source):
    """What stands on base/; a library apart has only instar.h and the C library."""
    return outside_base(source) and source.layer not in APART


def engine_or_tests(source):
    return outside_base(source) or source.below("tests")


def outside_catalog(source):
    return source.layer not in (None, "catalog", *APART)


def above_catalog(source):
    """Below it a stage is something else: that of a tree."""
    return source.layer in ("lease", "txn", "change", "api")


STAGE = r"\bINSTAR_STAGE_[A-Z_]+"
ASK = "ask catalog_may_…: only catalog/stage.def knows what a stage allows"

# where, pattern, what, remedy
BANNED = [
    (anywhere, calls("strcpy strcat stpcpy gets"), "{}() knows no end of its buffer",
     "use snprintf or memcpy with a checked size"),
    (anywhere, calls("sprintf vsprintf"), "{}() knows no end of its buffer",
     "use snprintf or vsnprintf"),
    (anywhere, calls("atoi atol atoll atof"), "{}() cannot fail", "use strtoll and check its end"),
    (anywhere, calls("strtok"), "{}() keeps hidden state", "use strtok_r or strcspn"),
    (engine, calls("system popen"), "{}() runs a shell", "an engine starts no programs"),
    (engine, calls("signal sigaction"), "{}() changes the host's signals",
     "a library leaves signals to its host"),
    (above_base, calls("malloc calloc realloc reallocarray free strdup strndup asprintf"),
     "{}() escapes the allocation faults of the tests",
     "use base_alloc, base_realloc, base_free or base_strdup"),
    (outside_base, calls("assert"), "{}() vanishes in release builds", "use base_assert"),
    (outside_base, calls("abort exit _exit"), "{}() ends the host's process",
     "return a status, or base_assert for our own mistakes"),
    (outside_base, calls("printf fprintf puts fputs perror"), "{}() prints from a library",
     "put the words into struct base_err, or the caller's error"),
    (above_base, calls("open openat open64 creat read write pread pwrite preadv pwritev close "
                       "ftruncate truncate fallocate posix_fallocate fsync fdatasync "
                       "sync_file_range rename renameat unlink unlinkat mkdir mkdirat rmdir stat "
                       "fstat fstatat lstat opendir readdir fopen fread fwrite fcntl flock ioctl "
                       "statfs fstatfs"),
     "{}() outside engine/base", "use the os_ function, where tests attach faults"),
    (above_base, calls("mmap munmap msync mremap madvise mprotect"),
     "{}() outside engine/base", "use os_map and os_unmap"),
    (above_base, calls("clock_gettime gettimeofday time clock"), "{}() outside engine/base",
     "use os_now_ns or os_realtime_us, where tests attach a virtual clock"),
    (above_base, calls(r"pthread_(?:mutex|cond|rwlock|spin|create|join|detach)\w* fork syscall"),
     "{}() outside engine/base", "use os_mutex, os_plain_mutex, os_cond or os_thread"),
    (above_base, calls("getpid gettid getrandom rand random srand sched_yield"),
     "{}() outside engine/base", "use os_pid or os_random"),
    (engine_or_tests, calls("sleep usleep nanosleep clock_nanosleep"), "{}() waits for luck",
     "await the event: a condition, a futex, a pipe"),
    (all_but_bench, r"\b(MDB_NOSYNC|MDB_NOMETASYNC|MDB_MAPASYNC|MDB_WRITEMAP|MDB_NOMEMINIT)\b",
     "{} gives up what a commit promises", "never set it: H-21, H-22 and H-27 in docs/hazards.md"),
    (outside_catalog,
     rf"(?:[=!]=|[<>]=?)\s*({STAGE})|({STAGE})\s*(?:[=!]=|[<>]=?)|\bcase\s+({STAGE})",
     "{} is compared", ASK),
    (above_catalog, r"\b(\w*stage)\s*(?:[=!]=|[<>]=?)|switch\s*\([^)]*(stage)\)",
     "{} is compared", ASK),
]


def banned_calls(tree):
    for source in tree.c:
        told = set()  # two patterns may find the same
        own = {function.name for function in source.functions if function.static}
        for applies, pattern, what, remedy in BANNED:
            if not applies(source):
                continue
            for line, match in source.matches(pattern):
                word = next(group for group in match.groups() if group)
                if word not in own and (line, remedy) not in told:
                    told.add((line, remedy))
                    yield Finding(source.path, line, what.format(word), remedy)


RULES = [banned_calls]
