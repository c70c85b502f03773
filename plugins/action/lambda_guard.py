# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""End rented instances where this run of Ansible ends without having done so itself."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud import ending
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.api import Api
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.machines import grouped, machine, named
from ansible_collections.inference.fleet.plugins.plugin_utils.lambda_task import LambdaAction

# How often the guard looks whether Ansible still runs, and for how long it tries to end what it has to, in seconds.
_LOOK = 1.0
_TRIES = 3600.0
_PAUSE = 30.0


class ActionModule(LambdaAction):
    """Starts a process of its own that watches this one, or takes it back."""

    OWN: ClassVar = {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
    }

    def act_on(self, account: Api, options: dict[str, Any]) -> dict[str, Any]:
        folder = account.folder / "guards"
        # A task runs in a process of its own; its parent is the run.
        run = os.getppid()
        sign, log = folder / f"{options['name']}.{run}", folder / f"{options['name']}.log"
        present = options["state"] == "present"
        changed = present != sign.exists()
        if changed and not self._task.check_mode:
            if present:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                sign.touch(mode=0o600)
                start(account, options["name"], run, sign, log)
            else:
                sign.unlink(missing_ok=True)
        return {"changed": changed, "log": str(log)}


def start(account: Api, name: str, run: int, sign: Path, log: Path) -> None:
    """Start the guard, with nothing of this process but what it knows: its group, terminal and parent are others."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for number, path, how in ((0, os.devnull, os.O_RDONLY), (1, log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)):
            os.dup2(os.open(path, how, 0o600), number)
        os.dup2(1, 2)
        os.closerange(3, 1024)
        account.say = _log
        guard(account, name, run, sign)
    except BaseException as error:  # a forked process must not run what its parent would
        _log(f"{name}: the guard failed: {error!r}")
    finally:
        os._exit(0)


def _log(text: str) -> None:
    """Add a line to the log. Ansible has put something of its own in the place of sys.stdout."""
    os.write(1, f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n".encode())


def guard(account: Api, name: str, run: int, sign: Path) -> None:
    """Return when the run is over. What it left under the name, without having taken the guard back, is ended."""
    while _runs(run):
        if not sign.exists():
            return
        time.sleep(_LOOK)
    if not sign.exists():
        return
    account.say(f"{name}: Ansible ended without ending it; doing so now")
    deadline = time.monotonic() + _TRIES
    while True:
        try:
            # A launch may show only after a while.
            found = account.look_for(lambda: _ours(account, name) or None)
            if found:
                ending.end(account, found)
            account.say(f"{name}: ended {', '.join(each.name for each in found or ()) or 'nothing: nothing ran'}")
            sign.unlink(missing_ok=True)
            return
        except FleetError as error:
            account.say(f"{name}: {error}")
            if time.monotonic() > deadline:
                return
            time.sleep(_PAUSE)


def _ours(account: Api, name: str) -> list[Any]:
    found = [machine(raw) for raw in account.get("instances")]
    return named(found, name) + grouped(found, name)


def _runs(process: int) -> bool:
    with suppress(OSError):
        os.kill(process, 0)
        # One that ended and that nobody asked after is still there by name.
        state = Path(f"/proc/{process}/stat")
        return not state.exists() or state.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    return False
