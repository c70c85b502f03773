# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the GPUs of a host do while a client runs on another one, written down by a process of its own."""

# Runs outside modules too, where there is no run_command.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host import command, gpu_counters, gpu_samples, locks
from ansible_collections.inference.fleet.plugins.module_utils.host.command import RunCommand

_LINES, _LOCK, _STOP = "lines", "lock", "stop"
SAMPLE, ENERGY = "sample", "energy"
_PATIENCE = 30.0
# Writes each line of its programs with the time, and holds the lock as long as it runs. It ends where it is told to, at
# its limit, or with its programs, and no program outlives it: what it prints is read no more.
_PROGRAM = """
import fcntl, json, os, subprocess, sys, threading, time
folder, limit, commands = sys.argv[1], float(sys.argv[2]), json.loads(sys.argv[3])
lock = open(os.path.join(folder, "lock"), "w")
fcntl.flock(lock, fcntl.LOCK_EX)
lines = open(os.path.join(folder, "lines"), "w", buffering=1)
def copy(kind, program):
    for line in program.stdout:
        lines.write("%.3f %s %s\\n" % (time.time(), kind, line.strip()))
programs = []
for kind, argv in commands.items():
    programs.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                     text=True, errors="replace"))
    threading.Thread(target=copy, args=(kind, programs[-1]), daemon=True).start()
end = time.monotonic() + limit
while time.monotonic() < end and os.path.isdir(folder) and not os.path.exists(os.path.join(folder, "stop")):
    if all(program.poll() is not None for program in programs):
        break
    time.sleep(0.1)
for program in programs:
    program.kill()
    program.wait()
"""


def start(folder: Path, interval: float, limit: float, run_command: RunCommand = command.run) -> bool:
    """Begin to write down, every *interval* seconds, for *limit* seconds at most; False on a host without nvidia-smi.

    A recording that is there already is ended, and is gone.
    """
    _end(folder)
    shutil.rmtree(folder, ignore_errors=True)
    sampling = gpu_samples.query(run_command, interval)
    if sampling is None:
        return False
    folder.mkdir(mode=0o700, parents=True)
    commands = {SAMPLE: sampling, ENERGY: gpu_counters.energy_query(interval)}
    subprocess.Popen(
        [sys.executable, "-I", "-c", _PROGRAM, str(folder), str(limit), json.dumps(commands)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    if not _within(_PATIENCE, (folder / _LINES).exists):
        shutil.rmtree(folder, ignore_errors=True)
        raise FleetError(f"the recording of the GPUs in {folder} did not begin within {_PATIENCE:.0f} s.")
    return True


def finish(folder: Path) -> Iterator[tuple[float, str, str]]:
    """End a recording, and give its lines: the time since the epoch, SAMPLE or ENERGY, the text. It is gone then.

    Nothing where there is none.
    """
    _end(folder)
    # One may have been ended before it began, or in the middle of a line, which is its last.
    with suppress(FileNotFoundError, ValueError), (folder / _LINES).open(encoding="utf-8") as lines:
        for line in lines:
            moment, kind, text = line.rstrip("\n").split(" ", 2)
            yield float(moment), kind, text
    shutil.rmtree(folder, ignore_errors=True)


def _end(folder: Path) -> None:
    """Have the process of a recording end, where there is one."""
    if folder.is_dir():
        (folder / _STOP).touch()
        with (folder / _LOCK).open("a") as lock:
            _within(_PATIENCE, lambda: locks.taken(lock))


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
