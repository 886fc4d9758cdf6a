#!/usr/bin/env python3
"""What a load costs the processes that serve it: CPU, memory and bytes on the wire, on Linux.

    python3 loadtests/cost.py gateway=PID scoring=PID redis=PID -- \\
        k6 run -e BASE_URL=http://127.0.0.1:8080 -e RATE=50 loadtests/ramp.js

Runs the k6 command, then prints for each process the CPU seconds it took a thousand rank requests
(so many cores serve a thousand a second, were they busy all the time), its resident memory at the
end, and the bytes it received and sent over TCP a request.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """Of one process since it began."""

    cpu_s: float
    resident_bytes: int


def usage(pid: int) -> Usage:
    """Of a process up to now."""
    process = pathlib.Path(f"/proc/{pid}")
    # Fields after the name, which may hold spaces: utime and stime are the 14th and 15th of all.
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    resident = int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return Usage((int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND, resident)


class Wire:
    """Bytes over the TCP connections of processes, as `ss` counts them, looked at again and again:
    what a connection carried is gone with it."""

    def __init__(self, pids: dict[str, int]):
        self.pids = pids
        # By process and connection: received, sent.
        self.seen: dict[tuple[str, str], tuple[int, int]] = {}
        self.look()
        self.before = dict(self.seen)

    def look(self) -> None:
        """Notes what each connection has carried."""
        lines = subprocess.run(["ss", "-tinpHO"], capture_output=True, text=True, check=True)
        for line in lines.stdout.splitlines():
            for name, pid in self.pids.items():
                if f"pid={pid}," in line:
                    ends = " ".join(line.split()[3:5])
                    self.seen[name, ends] = (
                        count(line, "bytes_received"),
                        count(line, "bytes_sent"),
                    )

    def total(self, name: str, direction: int) -> int:
        """Received (0) or sent (1) since this was made."""
        return sum(
            now[direction] - self.before.get(key, (0, 0))[direction] for key, now in self.seen.items() if key[0] == name
        )


def count(line: str, key: str) -> int:
    """A number of a line of `ss`; 0 where it has none."""
    found = re.search(rf"\b{key}:(\d+)", line)
    return int(found[1]) if found else 0


def main(arguments: list[str]) -> int:
    """Runs the command and prints what it cost."""
    if "--" not in arguments or arguments.index("--") == 0:
        print(__doc__, file=sys.stderr)
        return 64
    at = arguments.index("--")
    pids = {name: int(pid) for name, pid in (part.split("=", 1) for part in arguments[:at])}
    command = arguments[at + 1 :]
    with tempfile.TemporaryDirectory() as folder:
        export = pathlib.Path(folder) / "summary.json"
        before = {name: usage(pid) for name, pid in pids.items()}
        wire = Wire(pids)
        k6 = subprocess.Popen([*command, "--summary-export", str(export)])
        while k6.poll() is None:
            wire.look()
            time.sleep(0.25)
        after = {name: usage(pid) for name, pid in pids.items()}
        metrics = json.loads(export.read_text())["metrics"]
    asked = metrics["plugrank_failed"]
    # A rate's passes and fails, summed, are the requests.
    requests = asked["passes"] + asked["fails"]
    print(f"{requests} rank requests; a thousand of them, and a request:")
    print(f"{'process':<12}{'CPU s':>9}{'resident MiB':>14}{'received B':>12}{'sent B':>9}")
    for name in pids:
        was, is_ = before[name], after[name]
        print(
            f"{name:<12}{1000 * (is_.cpu_s - was.cpu_s) / requests:>9.3f}"
            f"{is_.resident_bytes / 2**20:>14.0f}"
            f"{wire.total(name, 0) / requests:>12.0f}{wire.total(name, 1) / requests:>9.0f}"
        )
    return k6.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
