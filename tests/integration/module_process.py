# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine module without a controller: quick, and as a process of its own where it is to be killed."""

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
TOOL_DIR = _BUILD / "venvs" / "huggingface_hub"


def run(options: dict[str, Any], check: bool) -> dict[str, Any]:
    """Run the module in this process; return what it would print."""
    from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

    from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
    from ansible_collections.inference.fleet.plugins.module_utils.serving import entries, instances
    from ansible_collections.inference.fleet.plugins.module_utils.weights import hub
    from ansible_collections.inference.fleet.plugins.modules import engine

    hub.TOOL_DIR = TOOL_DIR
    checked = ArgumentSpecValidator(engine.argument_spec()).validate(options)
    assert not checked.error_messages, checked.error_messages
    try:
        result = instances.run(entries.expand(checked.validated_parameters, engine.validated), check)
    except FleetError as error:
        result = {"failed": True, "msg": str(error)}
    return json.loads(json.dumps(result))


class ModuleProcess:
    """Runs the module with some options; ``progress`` is the file of its progress lines."""

    def __init__(self, defaults: dict[str, Any], folder: Path) -> None:
        self.defaults = defaults
        self.progress = folder / "progress"

    def start(self, *, check: bool = False, **options: Any) -> subprocess.Popen[str]:
        """Start it in a process group of its own."""
        process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": PATH},
            text=True,
            start_new_session=True,
        )
        process.stdin.write(json.dumps([self._options(options), check]))  # type: ignore[union-attr]
        process.stdin.close()  # type: ignore[union-attr]
        return process

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        from ansible_collections.inference.fleet.plugins.plugin_utils import catalogue

        # As the action hands it over, which knows what the catalogue has of the model.
        return catalogue.with_models({"progress_file": str(self.progress), **self.defaults, **options})

    @staticmethod
    def result(process: subprocess.Popen[str]) -> dict[str, Any]:
        """Wait for its result."""
        output, errors = process.stdout.read(), process.stderr.read()  # type: ignore[union-attr]
        assert process.wait(120) == 0, errors
        return json.loads(output)

    def __call__(self, *, check: bool = False, **options: Any) -> dict[str, Any]:
        """Run it to its end. Nobody kills it, so it needs no process."""
        return run(self._options(options), check)

    @staticmethod
    def kill(process: subprocess.Popen[str]) -> None:
        """Kill it and its children outright."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def said(self) -> list[str]:
        """Return its progress lines."""
        return self.progress.read_text().splitlines() if self.progress.exists() else []


if __name__ == "__main__":
    print(json.dumps(run(*json.load(sys.stdin))))
