# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of faults see of a host, and a disk that they may take away."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

import requests
from conftest import NAME
from docker_engine import DockerEngine
from module_process import ModuleProcess

from ansible_collections.inference.fleet.plugins.module_utils.containers import state

CHANGED = {"extra_args": ["--max-model-len", "9000"]}
# The daemon's calls of an upgrade, up to the new engine's start.
UPGRADE = ["create", "stop", "rename", "rename", "start"]


class Host:
    """What can be seen of the host from outside."""

    def __init__(self, engine: DockerEngine, process: ModuleProcess) -> None:
        self.engine = engine
        self.url = f"http://127.0.0.1:{process.defaults['port']}"

    def containers(self) -> dict[str, str]:
        """Return the names of all containers, with their states."""
        return {item.name: item.status for item in self.engine.client.containers.list(all=True)}

    def id(self) -> str:
        return self.engine.client.containers.get(NAME).id

    def max_model_len(self, key: str = "none") -> int:
        """Ask the endpoint for the one setting that the tests change."""
        headers = {"Authorization": f"Bearer {key}"}
        return requests.get(f"{self.url}/v1/models", headers=headers, timeout=60).json()["data"][0]["max_model_len"]

    def secrets(self) -> set[str]:
        return {str(path) for path in (state.STATE_DIR / NAME).glob("secrets-*")}

    def clean(self, where: str = "") -> None:
        """Check that there is the one container, that it serves, and that no file is an orphan."""
        assert self.containers() == {NAME: "running"}, where
        assert requests.get(f"{self.url}/health", timeout=60).status_code == 200
        labels = self.engine.client.containers.get(NAME).labels
        assert self.secrets() == {labels[name] for name in labels if name == "inference.fleet.secrets"}, where


class SmallDisk:
    """A disk of the tests' own for what the module keeps on the host."""

    def __init__(self, path: Path) -> None:
        self.path, self.covered = path, False
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(path)], check=True)

    def fill(self) -> None:
        with suppress(OSError), (self.path / "filler").open("wb", buffering=0) as stream:
            while True:
                stream.write(b"x" * 4096)

    def be_read_only(self) -> None:
        # Laid over it: a disk that a run has a file open on for writing cannot be remounted.
        subprocess.run(["mount", "--bind", str(self.path), str(self.path)], check=True)
        self.covered = True
        subprocess.run(["mount", "-o", "remount,bind,ro", str(self.path)], check=True)

    def mend(self) -> None:
        if self.covered:
            subprocess.run(["umount", "--lazy", str(self.path)], check=True)
            self.covered = False
        (self.path / "filler").unlink(missing_ok=True)


def verb(call: str) -> str:
    """What a call of the daemon's does, as in UPGRADE."""
    return call.partition("?")[0].rsplit("/", 1)[-1]
