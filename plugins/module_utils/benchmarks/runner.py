# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a benchmark client on the host as a process, so that nothing of it is left behind."""

# Runs outside modules too, where there is no run_command.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

POLL_SECONDS = 0.5
LOG = "output.log"
# Of a line of a client's output in a message, in characters: vLLM prints all of its options in one.
_WIDTH = 300

_VERSION = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
_MODULE = """
import importlib.util, sys
def there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
print(next(filter(there, sys.argv[1:]), ""))
"""

# Runs the client in its own process group and kills the group when the pipe on stdin closes, which also happens when
# the module that holds the other end is killed outright.
_GUARD = """
import os, signal, subprocess, sys, threading
client = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
def watch():
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
code = client.wait()
sys.stdout.flush()
os._exit(code if code >= 0 else 128 - code)
"""


@dataclass(frozen=True)
class Ended:
    """How a client ended. Whether it did its work is another question: see its output."""

    exit_code: int
    log: str


class TimeLimitError(FleetError):
    """A client was killed at its time limit."""


class Python(ABC):
    """What has a Python of its own, which can be asked."""

    def version(self, distribution: str) -> str | None:
        """Return the version of a distribution; None where it is not there, or nothing tells."""
        return self._python(_VERSION, distribution)

    def module(self, names: Sequence[str]) -> str | None:
        """Return the first of the names of modules that there is; None where none is, or nothing tells."""
        return self._python(_MODULE, *names)

    @abstractmethod
    def _python(self, code: str, *arguments: str) -> str | None:
        """Return what a short program says; None where there is no Python, or it failed."""


class ProcessRunner(Python):
    """Runs clients that are installed on the host."""

    def __init__(self, executable: str) -> None:
        found = shutil.which(executable)
        if found is None:
            raise FleetError(
                f"the benchmark client {executable} is not on this host, or cannot be executed. "
                "Give client_path (the executable) or client_image (an image that has it)."
            )
        self.executable = found
        self.image_id = None
        self.pid: int | None = None

    def _python(self, code: str, *arguments: str) -> str | None:
        python = Path(self.executable).parent / "python3"
        if not python.exists():
            return None
        try:
            answer = subprocess.run(
                [str(python), "-I", "-c", code, *arguments],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return answer.stdout.strip() or None

    def run(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        timeout: float,
        tick: Callable[[str], None],
    ) -> Ended:
        """Run a command until it ends; call *tick* with its output now and then.

        When the time is over, or anything is raised, every process of it is killed. FleetError on a time-out.
        """
        path = directory / LOG
        with path.open("wb") as log:
            guard = subprocess.Popen(
                [sys.executable, "-I", "-c", _GUARD, *argv],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        self.pid = guard.pid
        with terminated_as_error():
            try:
                return follow(guard.poll, lambda: read_log(path), timeout, tick)
            finally:
                self.pid = None
                # The group outlives its leader where the client left processes.
                with suppress(ProcessLookupError):
                    os.killpg(guard.pid, signal.SIGKILL)
                guard.wait()
                guard.stdin.close()


def follow(
    poll: Callable[[], int | None], read: Callable[[], str], timeout: float, tick: Callable[[str], None]
) -> Ended:
    deadline = time.monotonic() + timeout
    while (code := poll()) is None:
        if time.monotonic() > deadline:
            raise TimeLimitError(
                f"the benchmark client was still running after its time limit, {timeout:g} s, and was killed",
                log=read(),
            )
        tick(read())
        time.sleep(POLL_SECONDS)
    return Ended(code, read())


def last_lines(log: str, count: int = 12) -> str:
    """Return the last lines of a client's output as a person would see them: of a progress bar, its last state."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", log)
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in plain.replace("\r\n", "\n").split("\n")]
    return "\n".join([line if len(line) <= _WIDTH else f"{line[:_WIDTH]} ..." for line in lines if line][-count:])


def read_log(path: Path) -> str:
    # A client that logs much must not fill the memory.
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 256 * 1024))
        return stream.read().decode("utf-8", "replace")


@contextmanager
def terminated_as_error() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise, so that what cleans up does its work."""

    def interrupt(number: int, frame: object) -> None:
        raise FleetError(f"the benchmark was interrupted by {signal.Signals(number).name}")

    before = {}
    with suppress(ValueError):  # not the main thread
        before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
