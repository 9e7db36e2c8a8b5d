# SPDX-License-Identifier: Apache-2.0
"""Who else used the processors while a sample was taken.

All processor time of the machine, less our own, that of the rival's server, and that of the
kernel's threads, which write back what we wrote, is foreign; so is what the hypervisor took.
"""
import os
import resource
import time

TICK = os.sysconf("SC_CLK_TCK")
LEAST_S = 0.05  # the clock counts hundredths of a second: less than this says nothing


def _all_seconds():
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(x) for x in file.readline().split()[1:9]]
    user, nice, system, _, _, _, _, steal = fields
    return (user + nice + system) / TICK, steal / TICK


def _processes():
    """pid: (parent, own seconds, seconds of children that are gone)."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                    fields = file.read().rsplit(")", 1)[1].split()
            except OSError:
                continue  # it has just ended
            own = (int(fields[11]) + int(fields[12])) / TICK
            found[int(name)] = (int(fields[1]), own, (int(fields[13]) + int(fields[14])) / TICK)
    return found


def _excused(server_pid):
    """Seconds of the kernel's threads, and of the server with its processes, ended ones too."""
    processes = _processes()
    kernel = sum(own for parent, own, _ in processes.values() if parent == 2)
    server = 0.0
    if server_pid in processes:
        server = processes[server_pid][1] + processes[server_pid][2]
        server += sum(own for parent, own, _ in processes.values() if parent == server_pid)
    return kernel + server


def _ours():
    return sum(sum(resource.getrusage(who)[:2])
               for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


class Watch:
    """with Watch(server_pid) as w: …; then w.foreign_percent, of all processors."""

    def __init__(self, server_pid=None):
        self.server_pid = server_pid
        self.wall_s = self.ours_s = self.foreign_s = self.steal_s = 0.0

    def _now(self):
        busy, steal = _all_seconds()
        return time.monotonic(), busy, steal, _excused(self.server_pid), _ours()

    def __enter__(self):
        self._begin = self._now()
        return self

    def __exit__(self, *_):
        delta = [b - a for a, b in zip(self._begin, self._now())]
        self.wall_s, busy, self.steal_s, excused, self.ours_s = delta
        self.foreign_s = max(0.0, busy - excused - self.ours_s)

    @property
    def foreign_percent(self):
        seconds = self.foreign_s + self.steal_s
        if seconds < LEAST_S or self.wall_s <= 0:
            return 0.0
        return seconds * 100 / (self.wall_s * os.cpu_count())
