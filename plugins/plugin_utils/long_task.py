# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An action that runs a module for minutes or hours, speaks while it lasts, and survives a lost connection."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

display = Display()

# One poll waits on the host this long for news, so that a quiet hour costs few connections.
POLL_SECONDS = 15
# The async wrapper kills at its own limit; the module's own time-outs, with their better messages, come first.
GRACE_SECONDS = 60
_MARK = "--- inference.fleet job ---"

# Waits for news (new progress, or an end), then prints the new progress, a mark, and how the job is:
# "running", "ended" (its result is there) or "gone" (no process and no result).
_POLL = r"""
progress={progress}; job={job}; seen={seen}; n=0
: > "$progress.asked"
size() {{ stat -c %s "$progress" 2>/dev/null || echo 0; }}
unfinished() {{ grep -qsE '"finished": *(false|0)' "$job" && grep -qs ansible_job_id "$job"; }}
while [ "$n" -lt {ticks} ] && [ "$(size)" -le "$seen" ] && unfinished; do sleep 0.5; n=$((n+1)); done
if ! unfinished; then state=ended
elif grep -qsxzF {wrapper} /proc/[0-9]*/cmdline; then state=running
elif unfinished; then state=gone
else state=ended; fi
[ -f "$progress" ] && tail -c "+$((seen+1))" "$progress"
printf '%s\n%s\n' '{mark}' "$state"
"""


class LongTaskAction(ActionBase):
    """Base of the actions for long work."""

    _supports_check_mode = True
    _supports_diff = True
    _supports_async = False
    # Whether the work ends where this action is interrupted; else it goes on, and the next run takes it up.
    _ends_when_interrupted = False

    def say(self, task_vars: dict[str, Any], text: str) -> None:
        """Print one line for the task's host, at once."""
        display.display(f"[{task_vars.get('inventory_hostname', 'host')}] {text}")

    def run_long(
        self, module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any], timeout: int
    ) -> dict[str, Any]:
        """Run a module detached on the host, print its progress, and return its result.

        The module must have the option C(progress_file). *timeout* is in seconds, the module's own
        time-outs included. A connection that breaks is taken up again until *timeout* is over; the
        work goes on meanwhile. In check mode, and on a connection that cannot detach, the module
        just runs.
        """
        if self._task.check_mode or self._connection.has_native_async:
            return self._execute_module(module_name=module_name, module_args=module_args, task_vars=task_vars)

        progress_name = f"inference.fleet.{secrets.token_hex(8)}.progress"
        async_dir = self.get_shell_option("async_dir", default="~/.ansible_async")
        args = dict(module_args, progress_file=f"{async_dir}/{progress_name}")
        started = self._start(module_name, args, task_vars, timeout + GRACE_SECONDS)
        if started.get("failed") or "results_file" not in started:
            return started
        job_file = started["results_file"]
        progress_file = f"{job_file.rsplit('/', 1)[0]}/{progress_name}"
        with self._watched(progress_file):
            state = self._follow(started["ansible_job_id"], job_file, progress_file, task_vars, timeout + GRACE_SECONDS)
        result = self._finish(state, module_name, started, task_vars)
        if state == "ended":
            files = (job_file, progress_file, f"{progress_file}.asked")
            self._low_level_execute_command(f"rm -f {shlex.join(files)}")
        return result

    @contextmanager
    def _watched(self, progress_file: str) -> Iterator[None]:
        """Tell the work on the host to end where this process is killed meanwhile, as Ctrl-C has Ansible do.

        A process of its own tells it: a killed one cannot. Other connections than these could not be used by two.
        """
        if not self._ends_when_interrupted or self._connection.transport not in ("ssh", "local"):
            yield
            return
        news, end = os.pipe()
        watcher = os.fork()
        if not watcher:
            try:
                # Ansible kills a worker with its group.
                os.setsid()
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_DFL)
                os.close(end)
                if not os.read(news, 1):
                    with suppress(AnsibleConnectionFailure):
                        self._low_level_execute_command(f": > {shlex.quote(progress_file)}.stop")
            finally:
                os._exit(0)
        os.close(news)
        try:
            yield
            os.write(end, b"1")
        finally:
            os.close(end)
            os.waitpid(watcher, 0)

    def _start(self, module_name: str, args: dict[str, Any], task_vars: dict[str, Any], limit: int) -> dict[str, Any]:
        # The wrapper reads its time limit from the task.
        self._task.async_val = limit
        try:
            return self._execute_module(module_name=module_name, module_args=args, task_vars=task_vars, wrap_async=True)
        finally:
            self._task.async_val = 0

    def _follow(self, jid: str, job_file: str, progress_file: str, task_vars: dict[str, Any], limit: int) -> str:
        """Print progress until the job is over; return ``ended``, ``gone`` or ``lost``."""
        deadline = time.monotonic() + limit
        run = os.getppid()
        seen = 0
        connected = True
        while time.monotonic() < deadline:
            if self._ends_when_interrupted and os.getppid() != run:
                # Ansible was killed, and nobody is there to be told. What watches this process tells the host.
                os._exit(1)
            script = _POLL.strip().format(
                progress=shlex.quote(progress_file),
                job=shlex.quote(job_file),
                seen=seen,
                ticks=POLL_SECONDS * 2,
                wrapper=shlex.quote(jid.split(".", 1)[0]),
                mark=_MARK,
            )
            try:
                answer = self._low_level_execute_command(script)
            except AnsibleConnectionFailure as error:
                if connected:
                    self.say(task_vars, f"connection lost ({_first_line(error)}); the work goes on, trying again")
                connected = False
                time.sleep(5)
                self._reset_connection()
                continue
            # A terminal, which SSH asks for, ends lines its own way.
            text, _mark, state = answer["stdout"].replace("\r\n", "\n").rpartition(_MARK)
            if state.strip() not in ("running", "ended", "gone"):
                # A shell that was cut off half-way: nothing was counted as seen, so ask again.
                time.sleep(1)
                continue
            if not connected:
                self.say(task_vars, "connection is back")
                connected = True
            complete = text[: text.rfind("\n") + 1]
            for line in complete.splitlines():
                self.say(task_vars, line)
            seen += len(complete.encode())
            if state.strip() != "running":
                return state.strip()
        return "lost"

    def _reset_connection(self) -> None:
        try:
            self._connection.reset()
        except Exception as error:  # a plugin without reset() raises what it likes; the next poll tells
            display.vvv(f"connection reset: {error}")

    def _finish(
        self, state: str, module_name: str, started: dict[str, Any], task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        host = task_vars.get("inventory_hostname", "the host")
        if state == "ended":
            result = self._execute_module(
                module_name="ansible.legacy.async_status",
                module_args={
                    "jid": started["ansible_job_id"],
                    "mode": "status",
                    "_async_dir": started["results_file"].rsplit("/", 1)[0],
                },
                task_vars=task_vars,
            )
            for key in ("ansible_job_id", "results_file", "started", "finished"):
                result.pop(key, None)
            if result.get("failed") and "cmd" in result and "data" in result:
                return {
                    "failed": True,
                    "msg": f"{module_name} on {host} ended without a result, most likely killed. "
                    "Run the playbook again: it takes up what was left.",
                    "output": result.get("data"),
                    "error_output": result.get("stderr"),
                }
            return result
        if state == "gone":
            reason = (
                f"{module_name} on {host} is no longer running and left no result: "
                "the host was restarted, or the process killed"
            )
        else:
            reason = (
                f"{module_name} on {host} did not end within its time limit, or {host} could not be reached any more"
            )
        return {
            "failed": True,
            "msg": f"{reason}. Run the playbook again: it takes up what was left. "
            f"The job's file on {host} is {started['results_file']}.",
        }


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
