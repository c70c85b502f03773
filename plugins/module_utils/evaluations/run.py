# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One evaluation: begin it, or go on with one that was cut off, and read what came of it.

What a run leaves is in a directory of its own, by what it asks: a second run of the same finds it. Samples that are
done are not run again, and a run whose log is whole is only read.
"""

# Runs outside modules too, where there is no run_command.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import json
import os
import pkgutil
import re
import subprocess
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import load, runner, workload
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.redaction import redact
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.client import Client, EndpointError
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.evaluations import (
    command,
    document,
    human_eval_task,
    log_reader,
)
from ansible_collections.inference.fleet.plugins.module_utils.evaluations.command import Endpoint, Plan
from ansible_collections.inference.fleet.plugins.module_utils.evaluations.suites import EXECUTABLES
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress

# How often the endpoints are asked whether they are there, in seconds, and how often they may not be.
_LOOK_EVERY, _LOOKS = 20.0, 3
_READ_SECONDS = 1800
# A hosted endpoint need not tell its models.
_NO_LIST = (404, 405)
# What the harness's own Python runs.
_PROGRAMS = (human_eval_task, log_reader)
_SAMPLES = re.compile(r"Samples:\s*(\d+)\s*/\s*(\d+)")


@dataclass(frozen=True)
class Done:
    """What came of a run that is a score. *attempts* is how many times it was begun or gone on with."""

    read: Mapping[str, Any]
    log: Path
    argv: tuple[str, ...]
    attempts: int


def progress(text: str) -> tuple[int, int] | None:
    """Return how many samples are done, and of how many, as the harness last said.

    >>> progress("Samples:   0/  5 | x\\nuser... | Steps:   3/5  60% | Samples:   1/  5 | accuracy: 0.00 |")
    (1, 5)
    """
    found = _SAMPLES.findall(text)
    return (int(found[-1][0]), int(found[-1][1])) if found else None


def interpreter(program: Path) -> Path:
    """Return what runs a script, by its first line; the program itself where it is none."""
    with program.open("rb") as stream:
        first = stream.readline(4096)
    return Path(os.fsdecode(first[2:].split()[0])) if first.startswith(b"#!") and first[2:].split() else program


def kept_samples(log: Path | None) -> int:
    """Return how many samples a log has: the harness says that late, and leaves the last ones out."""
    try:
        return len({name for name in zipfile.ZipFile(log).namelist() if name.startswith("samples/")}) if log else 0
    except (OSError, zipfile.BadZipFile):
        # It is being written.
        return 0


def require_endpoint(endpoint: Endpoint, whose: str, wanted: str) -> None:
    """Raise FleetError where an endpoint does not answer, refuses the key, or lists other models alone."""
    try:
        listed = [str(each.get("id")) for each in Client(endpoint.url, endpoint.api_key, 20).models()]
    except EndpointError as error:
        if error.status in _NO_LIST:
            return
        raise FleetError(f"{whose} at {endpoint.url} cannot be evaluated with: {error}. {wanted}") from error
    if endpoint.served_model_name not in listed:
        raise FleetError(
            f"{whose} at {endpoint.url} serves {', '.join(listed[:10])}; wanted {endpoint.served_model_name}. {wanted}"
        )


def require_idle(endpoint: Endpoint, wait: float, progress: Progress) -> None:
    """Return when nobody uses the engine, or it tells no load; BusyError after *wait* seconds."""
    name = endpoint.served_model_name
    asked = workload.Endpoint(endpoint.url, name, name, name)
    load.require_idle(asked, endpoint.api_key, wait, progress.say_asked)


def latest_log(place: Path) -> Path | None:
    """Return the newest log of a directory; None where there is none."""
    logs = sorted((place / "logs").glob("*.eval"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    return logs[-1] if logs else None


class Evaluation:
    """A plan in its directory. *venv* has the harness's environment."""

    def __init__(self, plan: Plan, place: Path, venv: Path, docker_host: str, say: Progress) -> None:
        self.plan, self.place, self._say = plan, place, say
        self._bin, self._docker_host = venv / "bin", docker_host
        self._looked, self._silent, self._told = time.monotonic(), 0, (-1, 0)
        self._begun = time.monotonic()

    def run(self, timeout: float) -> Done:
        """Run it to its end. FleetError where what came of it is no score; all that was done is kept."""
        self._prepare()
        log = latest_log(self.place)
        read = self.read(log) if log else None
        if read and not document.faults(read):
            self._say.say(f"{self.plan.suite.name}: an earlier run of the same has ended, and is taken")
            return Done(read, log, self._argv(None), self._attempts())
        if read:
            done = sum(not each["error"] for each in read["samples"])
            self._told = done, read["asked"]
            self._say.say(
                f"{self.plan.suite.name}: going on with an earlier run: {done} of {read['asked']} samples done"
            )
        ended = self._attempt(self._argv(log if read else None), timeout)
        found = latest_log(self.place)
        if found is None or found == log:
            raise self._failed("the harness left no log", ended)
        read = self.read(found)
        faults = document.faults(read)
        if faults:
            raise self._failed("; ".join(faults), ended)
        return Done(read, found, self._argv(None), self._attempts())

    def _prepare(self) -> None:
        program = self._bin / EXECUTABLES[self.plan.suite.harness]
        if not os.access(program, os.X_OK):
            raise FleetError(f"venv: there is no {program.name} in {self._bin}. The role evaluation makes it.")
        gone = next((each for each in (interpreter(program), self._bin / "python") if not each.exists()), None)
        if gone:
            raise FleetError(
                f"venv: {program} does not start, as {gone} is gone: the host's Python was upgraded, or the "
                f"environment moved. Remove {self._bin.parent}; the role evaluation makes it anew."
            )
        try:
            # Conversations are nobody else's.
            self.place.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.place / "logs").mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise FleetError(f"work_dir: {self.place} cannot be made: {error.strerror}") from error
        for program in _PROGRAMS:
            package, _dot, name = program.__name__.rpartition(".")
            (self.place / f"{name}.py").write_bytes(pkgutil.get_data(package, f"{name}.py") or b"")

    def _argv(self, log: Path | None) -> tuple[str, ...]:
        logs, bin_dir = str(self.place / "logs"), str(self._bin)
        given = command.again(self.plan, str(log), logs, bin_dir) if log else command.start(self.plan, logs, bin_dir)
        return tuple(given)

    def _attempts(self) -> int:
        return len(list(self.place.glob("attempt-*")))

    def _attempt(self, argv: tuple[str, ...], timeout: float) -> runner.Ended:
        directory = self.place / f"attempt-{self._attempts() + 1}"
        directory.mkdir(mode=0o700)
        self._say.say(f"{self.plan.suite.name}: starting {self.plan.suite.harness}")
        # The program's own place first: what a task calls is that of its environment.
        variables = command.environment(self.plan, str(self.place), self._docker_host)
        variables["PATH"] = f"{self._bin}:{os.environ.get('PATH', '')}"
        try:
            return runner.ProcessRunner(argv[0]).run(argv, variables, directory, timeout, self._tick)
        except runner.TimeLimitError as error:
            raise self._failed(f"it was not done within {timeout:g} s, and was ended", None) from error
        except FleetError as error:
            raise self._failed(str(error), None) from error

    def _tick(self, text: str) -> None:
        self._say.require_asked()
        found = progress(text)
        if found:
            # One that is run again is in it twice.
            found = min(found[1], max(found[0], kept_samples(latest_log(self.place)))), found[1]
        if found and found != self._told:
            self._told = found
            self._say.say(f"{self.plan.suite.name}: {found[0]} of {found[1]} samples")
        self._say.beat(
            lambda: (
                f"{self.plan.suite.name}: {max(0, self._told[0])} of {self._told[1] or '?'} samples after "
                f"{time.monotonic() - self._begun:.0f} s"
            )
        )
        if time.monotonic() - self._looked > _LOOK_EVERY:
            self._look()

    def _look(self) -> None:
        """Raise FleetError where the endpoint is gone: the harness would go on asking, and score silence."""
        self._looked = time.monotonic()
        try:
            Client(self.plan.endpoint.url, self.plan.endpoint.api_key, 20).models()
            self._silent = 0
        except EndpointError as error:
            self._silent = 0 if error.status in _NO_LIST else self._silent + 1
            if self._silent >= _LOOKS or error.refused:
                raise FleetError(f"the endpoint {self.plan.endpoint.url} is gone: {error}") from error

    def read(self, log: Path) -> dict[str, Any]:
        """Return what a log has. FleetError where it cannot be read."""
        swallows = self.plan.suite.swallows
        outputs = self.place.glob(f"attempt-*/{runner.LOG}")
        scan = swallows and any(swallows in path.read_text(errors="replace") for path in outputs)
        argv = [str(self._bin / "python"), str(self.place / "log_reader.py"), str(log), *(["scan"] if scan else [])]
        self._say.say(f"{self.plan.suite.name}: reading the log")
        try:
            answer = subprocess.run(argv, capture_output=True, text=True, timeout=_READ_SECONDS, check=False)
            return json.loads(answer.stdout.splitlines()[-1])
        except (OSError, subprocess.TimeoutExpired) as error:
            raise FleetError(f"the log {log} could not be read: {error}") from error
        except (ValueError, IndexError) as error:
            raise FleetError(
                f"the log {log} could not be read: {runner.last_lines(answer.stderr, 3)}. Remove {self.place} to begin "
                "anew."
            ) from error

    def _failed(self, why: str, ended: runner.Ended | None) -> FleetError:
        keys = [each.api_key for each in (self.plan.endpoint, self.plan.user) if each and each.api_key]
        newest = self.place / f"attempt-{self._attempts()}" / runner.LOG
        said = ended.log if ended else newest.read_text(errors="replace") if newest.exists() else ""
        last = redact(runner.last_lines(said, 8), keys)
        return FleetError(
            f"{self.plan.suite.name} of {self.plan.endpoint.served_model_name} is no score: {redact(why, keys)}. "
            f"What was done is kept in {self.place}: the same command goes on with it."
            + (f" Last lines of {self.plan.suite.harness}:\n{last}" if last else ""),
            kept=str(self.place),
        )
