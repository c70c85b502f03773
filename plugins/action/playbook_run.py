# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run another playbook as a process of its own, so that this one goes on whatever becomes of it."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ansible import context
from ansible.utils.display import Display

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.plugin_utils.local_task import LocalAction

display = Display()
_PR_SET_PDEATHSIG = 1
# What a failed playbook printed last, in the failure.
_LAST_LINES = 25


class ActionModule(LocalAction):
    """Hands on the inventory, the extra variables and the vaults of this run."""

    ARGUMENTS: ClassVar = {
        "playbook": {"type": "str", "required": True},
        "inventory": {"type": "list", "elements": "path", "default": []},
        "limit": {"type": "str"},
    }

    def act(self, options: dict[str, Any]) -> dict[str, Any]:
        command = argv(options, context.CLIARGS, self._task.check_mode, self._task.diff)
        began = time.monotonic()
        lines, code = run(command)
        result: dict[str, Any] = {
            "changed": not self._task.check_mode,
            "playbook": options["playbook"],
            "rc": code,
            "seconds": round(time.monotonic() - began, 1),
        }
        if code:
            raise FleetError(
                f"{options['playbook']} failed ({code}). Its last lines:\n" + "\n".join(lines[-_LAST_LINES:]), **result
            )
        return result


def argv(options: Mapping[str, Any], cli: Mapping[str, Any], check_mode: bool, diff_mode: bool) -> list[str]:
    """Return the command line of the other playbook."""
    program = Path(sys.argv[0]).with_name("ansible-playbook")
    found = str(program) if program.is_file() else shutil.which("ansible-playbook")
    if not found:
        raise FleetError("ansible-playbook is not on PATH, and not beside the program that runs this.")
    command = [found, options["playbook"]]
    for source in (*(cli.get("inventory") or ()), *options["inventory"]):
        command += ["-i", str(source)]
    if options["limit"]:
        command += ["-l", options["limit"]]
    for given in cli.get("extra_vars") or ():
        command += ["-e", given if isinstance(given, str) else str(given)]
    for flag, name in (("--vault-id", "vault_ids"), ("--vault-password-file", "vault_password_files")):
        for given in cli.get(name) or ():
            command += [flag, given]
    if cli.get("private_key_file"):
        command += ["--private-key", cli["private_key_file"]]
    if cli.get("verbosity"):
        command.append("-" + "v" * cli["verbosity"])
    return command + ["--check"] * check_mode + ["--diff"] * diff_mode


def run(command: list[str]) -> tuple[list[str], int]:
    """Run it, print what it prints, and return its lines and its exit code. It ends where this process does."""
    lines: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        preexec_fn=_end_with_parent,
    ) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            display.display(lines[-1])
    return lines, process.returncode


def _end_with_parent() -> None:
    """Have the kernel interrupt the process where its parent is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() == 1:
            os.kill(os.getpid(), signal.SIGINT)
