# SPDX-License-Identifier: Apache-2.0
"""How the rivals are set, and the server of the one that has one.

REQUIRED is the documentation of their settings: a run refuses to report when a system says
otherwise. A key that is missing under "sync" or "async" holds for both.
"""
import os
import pwd
import shutil
import subprocess

PG_BIN = "/usr/lib/postgresql/15/bin"
# What differs from PostgreSQL's defaults.
PG_SETTINGS = {
    "shared_buffers": "2GB",
    "maintenance_work_mem": "256MB",
    "max_parallel_maintenance_workers": "2",
    "max_wal_size": "8GB",
    "max_connections": "100",
}
REQUIRED = {
    "postgres": {
        "both": {"version": "15.", "fsync": "on", "full_page_writes": "on", "autovacuum": "on",
                 "wal_sync_method": "fdatasync", "shared_buffers": "2GB",
                 "maintenance_work_mem": "256MB", "max_parallel_maintenance_workers": "2",
                 "max_wal_size": "8GB"},
        "sync": {"synchronous_commit": "on"},
        "async": {"synchronous_commit": "off"},
    },
    "sqlite": {
        "both": {"version": "3.40.", "journal_mode": "wal", "cache_size": "-2097152",
                 "mmap_size": "2147418112", "threads": "2", "temp_store": "2",
                 "page_size": "4096"},
        "sync": {"synchronous": "2"},
        "async": {"synchronous": "1"},
    },
    "lmdb": {
        "both": {"version": "0.9.", "nometasync": "0", "writemap": "0"},
        "sync": {"nosync": "0"},
        "async": {"nosync": "1"},
    },
    "rocksdb": {
        "both": {"version": "7.8.", "use_fsync": "false", "manual_wal_flush": "false",
                 "compression": "kNoCompression", "filter_policy": "bloomfilter",
                 "max_background_jobs": "2", "block_cache": "2147483648"},
        "sync": {"sync": "1"},
        "async": {"sync": "0"},
    },
    # It tells what a commit did, which is what its settings are for.
    "wiredtiger": {
        "both": {"version": "3.2.", "cache_size": "2147483648", "writes_at_commit": "1"},
        "sync": {"syncs_at_commit": "1"},
        "async": {"syncs_at_commit": "0"},
    },
    "instar": {"both": {}, "sync": {}, "async": {}},
}


class Refused(Exception):
    """A system is not what the report would say it is."""


def check(system, kind, found):
    """`found`: what the system says of itself in a session that is sync or async."""
    wanted = {**REQUIRED[system]["both"], **REQUIRED[system][kind]}
    for name, value in wanted.items():
        said = found.get(name)
        good = said is not None and (said.startswith(value) if name == "version"
                                     else said == value)
        if not good:
            raise Refused(f"{system}, {kind} session: {name} is {said}, and must be {value}")


class Postgres:
    """A server of our own, in a directory that goes away, by a user without privileges."""

    def __init__(self, scratch, settings):
        self.place = os.path.join(scratch, "postgres")
        self.data = os.path.join(self.place, "data")
        self.settings = settings
        self.running = False

    def _command(self, program, *arguments, check_it=True):
        words = [f"{PG_BIN}/{program}", *arguments]
        if os.getuid() == 0:
            words = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *words]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False, cwd=self.place, env={**os.environ, "HOME": self.place})
        if check_it and done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}\n{done.stdout}")
        return done.stdout

    def start(self):
        os.mkdir(self.place, 0o700)
        if os.getuid() == 0:
            entry = pwd.getpwnam("postgres")
            os.chown(self.place, entry.pw_uid, entry.pw_gid)
        self._command("initdb", "-D", self.data, "-U", "bench", "-A", "trust", "-E", "UTF8",
                      "--locale=C")
        settings = {**PG_SETTINGS, "unix_socket_directories": f"'{self.place}'",
                    "listen_addresses": "''", "logging_collector": "off", **self.settings}
        with open(f"{self.data}/postgresql.conf", "a", encoding="utf-8") as conf:
            conf.writelines(f"{name} = {value}\n" for name, value in settings.items())
        self.running = True  # from here on there may be something to stop
        self._command("pg_ctl", "-D", self.data, "-w", "-l", f"{self.place}/log", "start")

    def pid(self):
        with open(f"{self.data}/postmaster.pid", encoding="ascii") as file:
            return int(file.readline())

    def clear(self):
        self._command("psql", "-h", self.place, "-U", "bench", "-d", "postgres", "-q", "-c",
                      "drop table if exists t, w, u, x, e")

    def stop(self):
        if self.running:
            self._command("pg_ctl", "-D", self.data, "-m", "immediate", "stop", check_it=False)
            self.running = False


def clear(system, place):
    """Take away what an earlier repetition has loaded."""
    if os.path.isdir(place):
        shutil.rmtree(place)
    for suffix in ("", "-wal", "-shm"):
        if system == "sqlite" and os.path.exists(place + suffix):
            os.remove(place + suffix)
