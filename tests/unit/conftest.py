# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A unit test needs nothing but .venv: what needs more fails here, and belongs to tests/integration."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).parent / "cases"
_FOREIGN = re.compile(r"(.*/)?(ansible(-\w+)?|docker|dockerd|chromium|google-chrome|aiperf|vllm)|.*/\.build/venvs/.*")
_DOCKER_SOCKETS = ("/var/run/docker.sock", "/run/docker.sock")


def _keep_to_venv(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen":
        program, argv = str(arguments[0]), [str(word) for word in arguments[1]]
        runs_ansible = argv[1:3] == ["-m", "ansible"]
        wrong = program if _FOREIGN.fullmatch(program) else " ".join(argv[:3]) if runs_ansible else None
    elif event == "socket.connect":
        wrong = str(arguments[1]) if arguments[1] in _DOCKER_SOCKETS else None
    else:
        return
    if wrong:
        raise AssertionError(f"a unit test needs nothing but .venv, and this one uses {wrong}: see tests/integration")


sys.addaudithook(_keep_to_venv)


@pytest.fixture(scope="session")
def case() -> Callable[[str], str]:
    """Return what a public case says; the first line of its file tells where it is from, and what it is to show."""

    def text(name: str) -> str:
        return (CASES / f"{name}.txt").read_text(encoding="utf-8").partition("\n")[2]

    return text
