# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine module as a process of its own, without a controller: quick, and it can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

_BUILD = Path(__file__).resolve().parents[2] / ".build"
PATH = str(_BUILD / "collections")
# What downloads weights is kept between runs.
TOOL_DIR = str(_BUILD / "venvs" / "huggingface_hub")
# The module's own options and defaults, and what its main() does with them.
_PROGRAM = """
import json, pathlib, sys
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.inference.fleet.plugins.module_utils import serving
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.weights import hub
from ansible_collections.inference.fleet.plugins.modules import engine
job = json.load(sys.stdin)
hub.TOOL_DIR = pathlib.Path(job["tool_dir"])
checked = ArgumentSpecValidator(engine.argument_spec()).validate(job["options"])
assert not checked.error_messages, checked.error_messages
try:
    result = serving.run(checked.validated_parameters, job["check"])
except FleetError as error:
    result = {"failed": True, "msg": str(error)}
print(json.dumps(result))
"""


class ModuleProcess:
    """Runs the module with some options; ``progress`` is the file of its progress lines."""

    def __init__(self, defaults: dict[str, Any], folder: Path) -> None:
        self.defaults = defaults
        self.progress = folder / "progress"

    def start(self, *, check: bool = False, **options: Any) -> subprocess.Popen[str]:
        """Start it in a process group of its own."""
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": PATH},
            text=True,
            start_new_session=True,
        )
        job = {
            "options": {"progress_file": str(self.progress), **self.defaults, **options},
            "check": check,
            "tool_dir": TOOL_DIR,
        }
        process.stdin.write(json.dumps(job))  # type: ignore[union-attr]
        process.stdin.close()  # type: ignore[union-attr]
        return process

    @staticmethod
    def result(process: subprocess.Popen[str]) -> dict[str, Any]:
        """Wait for its result."""
        output, errors = process.stdout.read(), process.stderr.read()  # type: ignore[union-attr]
        assert process.wait(120) == 0, errors
        return json.loads(output)

    def __call__(self, *, check: bool = False, **options: Any) -> dict[str, Any]:
        """Run it to its end."""
        return self.result(self.start(check=check, **options))

    @staticmethod
    def kill(process: subprocess.Popen[str]) -> None:
        """Kill it and its children outright."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def said(self) -> list[str]:
        """Return its progress lines."""
        return self.progress.read_text().splitlines() if self.progress.exists() else []
