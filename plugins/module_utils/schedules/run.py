# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a timer starts on the control host: the playbooks of one schedule, once at a time.

    schedule.py run NAME        run it; what it prints goes to the journal
    schedule.py run NAME --cron the same under cron, which has no limits, no environment file and no hook of its own
    schedule.py failed NAME     tell the hooks that a run failed
    schedule.py check NAME      run nothing, and say what would keep its playbooks from finding their hosts

It is installed as a file of its own: standard library only, and nothing of the collection.
"""

# Runs outside modules too, where there is no run_command.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import argparse
import collections
import contextlib
import fcntl
import json
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

# Exit codes: as of sysexits.h where a run of the schedule is under way, and as of timeout(1).
OVERLAPS = 75
TIMED_OUT = 124
WEBHOOK_URL = "INFERENCE_FLEET_WEBHOOK_URL"
WEBHOOK_TOKEN = "INFERENCE_FLEET_WEBHOOK_TOKEN"
# Lines of the run that a hook gets.
TAIL = 50
# Seconds that a playbook which is told to end may take, and that a hook may.
_ENDING = 20
_HOOK_SECONDS = 60
_TRIES = 3
_RESULTS = {TIMED_OUT: "timeout"}


def main(argv: list[str] | None = None) -> int:
    """Run one command, and return its exit code."""
    parser = argparse.ArgumentParser(prog="schedule.py", description="Run a schedule of inference.fleet.")
    parser.add_argument("command", choices=["run", "failed", "check"])
    parser.add_argument("name")
    parser.add_argument("--cron", action="store_true", help="started by cron")
    parser.add_argument("--config", type=Path, default=Path("/etc/inference.fleet/schedule"))
    parser.add_argument("--state", type=Path, default=Path("/var/lib/inference-fleet-schedule"))
    options = parser.parse_args(argv)
    plan = json.loads((options.config / f"{options.name}.json").read_text(encoding="utf-8"))
    if options.cron:
        os.environ.update(read_environment((options.config / "environment").read_text(encoding="utf-8")))
    if options.command == "failed":
        return tell(plan, by_systemd(plan))
    if options.command == "check":
        return check(plan)
    run = Run(plan, options.state)
    if not options.cron:
        return run.once()
    time.sleep(random.uniform(0, plan["randomized_delay"]))
    code = run.once()
    if code not in (0, OVERLAPS):
        tell(plan, {"result": _RESULTS.get(code, "exit-code"), "exit_status": code, "journal": list(run.tail)})
    return code


def say(plan: dict[str, Any], text: str) -> str:
    """Print one line for the journal, at once, and return it."""
    line = f"schedule {plan['schedule']}: {text}"
    put(f"{line}\n")
    return line


def put(line: str) -> None:
    """Print a line at once. Where nobody reads it any more, as when no syslog daemon runs, it goes nowhere."""
    try:
        sys.stdout.write(line)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def check(plan: dict[str, Any]) -> int:
    """Let each playbook list its hosts; return 0 where all of them do."""
    fault = 0
    for playbook in plan["playbooks"]:
        try:
            done = subprocess.run(
                [*playbook["argv"], "--list-hosts"],
                cwd=plan["directory"],
                env=environment(plan),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
            code, said = done.returncode, (done.stderr or done.stdout).strip()
        except OSError as error:
            code, said = 127, str(error)
        if code:
            fault = 1
            # Of several lines, those before the error are warnings, and those after it explain.
            reason = said[max(0, said.find("[ERROR]"), said.find("ERROR!")) :].splitlines()[0:1] or ["it said nothing"]
            say(plan, _without(f"{playbook['name']}: {reason[0]}", _secrets(plan)))
    return fault


def environment(plan: dict[str, Any]) -> dict[str, str]:
    """Return what playbooks have in their environment. The hook's own secrets are none of Ansible's business."""
    own = {name: value for name, value in os.environ.items() if name not in (WEBHOOK_URL, WEBHOOK_TOKEN)}
    return {**own, **plan["environment"], "PWD": plan["directory"]}


def read_environment(text: str) -> dict[str, str]:
    """Return the variables of an environment file as systemd reads it."""
    pairs = (shlex.split(line)[0].partition("=") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value for name, _equals, value in pairs}


class Run:
    """One run of a schedule. C(tail) has the last lines that it printed."""

    def __init__(self, plan: dict[str, Any], state: Path) -> None:
        self.plan, self.state = plan, state
        self.tail: collections.deque[str] = collections.deque(maxlen=TAIL)
        self._child: subprocess.Popen[str] | None = None

    def once(self) -> int:
        """Run the playbooks one after the other unless a run is under way; return the first exit code that is not 0."""
        with (self.state / f"{self.plan['schedule']}.lock").open("a+", encoding="utf-8") as lock:
            lock.seek(0)
            holder = lock.read().strip()
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                say(self.plan, f"a run is under way ({holder or 'just started'}), so this one does nothing")
                return OVERLAPS
            if holder:
                self._say(f"the last run ({holder}) was cut off: it was killed, or this host went down")
            lock.truncate(0)
            lock.write(f"pid {os.getpid()}, since {_now()}")
            lock.flush()
            signal.signal(signal.SIGTERM, _terminated)
            try:
                code = self._all(lock)
            except SystemExit:
                self._say("told to end before it was done")
                raise
            finally:
                self._end_child()
                lock.truncate(0)
            return code

    def _say(self, text: str) -> None:
        self.tail.append(say(self.plan, text))

    def _all(self, lock: IO[str]) -> int:
        started = time.monotonic()
        deadline = started + self.plan["timeout"]
        first = 0
        for playbook in self.plan["playbooks"]:
            self._say(f"{playbook['name']} on {self.plan['limit']}")
            code = self._one(playbook["argv"], deadline, lock)
            if code == TIMED_OUT:
                self._say(f"not done within {self.plan['timeout']} s, so {playbook['name']} was ended")
                return code
            if code:
                self._say(f"{playbook['name']} failed with exit code {code}")
            first = first or code
        self._say(f"{'failed' if first else 'done'} after {time.monotonic() - started:.0f} s")
        return first

    def _one(self, argv: list[str], deadline: float, lock: IO[str]) -> int:
        try:
            self._child = subprocess.Popen(
                argv,
                cwd=self.plan["directory"],
                env=environment(self.plan),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
                # A playbook that outlives this process keeps the next run away.
                pass_fds=(lock.fileno(),),
            )
        except OSError as error:
            self._say(f"{argv[0]} cannot be started: {error}")
            return 127
        reader = threading.Thread(target=self._print, args=(self._child.stdout,), daemon=True)
        reader.start()
        try:
            code = self._child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            code = TIMED_OUT
        self._end_child()
        # A connection that ssh keeps may hold the pipe open for longer.
        reader.join(5)
        return code

    def _print(self, stream: IO[str]) -> None:
        for line in stream:
            self.tail.append(line.rstrip("\n"))
            put(line)

    def _end_child(self) -> None:
        if self._child is None:
            return
        child, self._child = self._child, None
        if child.poll() is None:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(_ENDING)
                    break


def _terminated(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def by_systemd(plan: dict[str, Any]) -> dict[str, Any]:
    """Return what systemd knows of the run that failed: its result, exit status and last lines."""
    shown = _output(["systemctl", "show", "-p", "Result,ExecMainStatus,InvocationID", plan["unit"]])
    known = dict(line.partition("=")[::2] for line in shown.splitlines())
    # Since version 251 the unit that failed is told in the environment: by now it may run again.
    invocation = os.environ.get("MONITOR_INVOCATION_ID") or known.get("InvocationID", "")
    status = os.environ.get("MONITOR_EXIT_STATUS") or known.get("ExecMainStatus", "")
    journal = _output(
        ["journalctl", "--quiet", "--no-pager", "-o", "cat", "-n", str(TAIL), f"_SYSTEMD_INVOCATION_ID={invocation}"]
    )
    return {
        "result": os.environ.get("MONITOR_SERVICE_RESULT") or known.get("Result", ""),
        "exit_status": int(status) if status.isdigit() else status or None,
        "journal": journal.splitlines(),
    }


def _output(argv: list[str]) -> str:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=_HOOK_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{argv[0]} told nothing: {error}"
    return done.stdout


def tell(plan: dict[str, Any], what: dict[str, Any]) -> int:
    """Give a failed run to the hooks as JSON; return 0 where all of them took it."""
    secrets = _secrets(plan)
    url = os.environ.get(WEBHOOK_URL)
    body = {
        "schedule": plan["schedule"],
        "host": socket.gethostname(),
        "unit": plan["unit"],
        "limit": plan["limit"],
        "time": _now(),
        **what,
        "journal": [_without(line, secrets) for line in what["journal"]],
    }
    data = json.dumps(body).encode()
    faults = []
    if plan["on_failure_command"]:
        faults.append(_run_command(plan, plan["on_failure_command"], data))
    if url:
        faults.append(_post(plan, url, data))
    return 1 if any(faults) else 0


def _secrets(plan: dict[str, Any]) -> list[str]:
    """Return the values that nobody may read. What is as short as a switch is none."""
    return [os.environ[name] for name in plan["secrets"] if len(os.environ.get(name, "")) > 3]


def _without(line: str, secrets: list[str]) -> str:
    for secret in secrets:
        line = line.replace(secret, "***")
    return line


def _run_command(plan: dict[str, Any], argv: list[str], data: bytes) -> bool:
    """Run the command with the JSON on its standard input; tell whether it failed."""
    try:
        code = subprocess.run(argv, input=data, timeout=_HOOK_SECONDS, check=False).returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        say(plan, f"the failure could not be told by {argv[0]}: {error}")
        return True
    say(plan, f"the failure was told by {argv[0]}" if code == 0 else f"{argv[0]} ended with exit code {code}")
    return code != 0


def _post(plan: dict[str, Any], url: str, data: bytes) -> bool:
    """Post the JSON; tell whether it failed. Of the address only the host is said: the rest may be a secret."""
    headers = {"Content-Type": "application/json"}
    token = os.environ.get(WEBHOOK_TOKEN)
    if token:
        headers["Authorization"] = f"Bearer {token}"
    host = urlsplit(url).hostname
    opener = urllib.request.build_opener()
    fault = ""
    for attempt in range(_TRIES):
        time.sleep(2 * attempt)
        try:
            with opener.open(urllib.request.Request(url, data, headers), timeout=_ENDING) as answer:
                say(plan, f"the failure was told to {host}: {answer.status}")
                return False
        except (OSError, ValueError) as error:
            fault = str(error)
            if isinstance(error, urllib.error.HTTPError) and error.code < 500:
                break
    say(plan, f"the failure could not be told to {host}: {fault}")
    return True


if __name__ == "__main__":
    raise SystemExit(main())
