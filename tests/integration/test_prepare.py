# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook prepare, on three hosts that are this machine with a cache of weights each."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from docker_engine import DockerEngine

from ansible_collections.inference.fleet.plugins.module_utils.weights import cache, seed
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights

ROOT = Path(__file__).resolve().parents[2]
# The host's directory of jobs is one for every run of the tests.
WEIGHTS = Weights(f"org/tiny-{os.getpid()}")
COMMIT = "5" * 40
TOKEN = "planted-token-4711"


def seeded(cache: Path, weights: Weights = WEIGHTS) -> None:
    """Make a cache as huggingface_hub does."""
    folder = cache / "hub" / weights.folder
    for name, content in {"config.json": b"{}", "model.safetensors": os.urandom(5_000_000)}.items():
        digest = hashlib.sha256(content) if len(content) > 100 else hashlib.sha1(b"blob %d\0" % len(content) + content)
        for directory in ("blobs", "refs", f"snapshots/{COMMIT}"):
            (folder / directory).mkdir(parents=True, exist_ok=True)
        (folder / "blobs" / digest.hexdigest()).write_bytes(content)
        (folder / "snapshots" / COMMIT / name).symlink_to(f"../../blobs/{digest.hexdigest()}")
    (folder / "refs" / "main").write_text(COMMIT)


def test_one_host_s_weights_are_handed_on_to_the_others(
    docker_engine: DockerEngine, free_port: int, tmp_path: Path
) -> None:
    seeded(tmp_path / "a")
    variables = {
        "ansible_connection": "local",
        "ansible_become": False,
        "ansible_python_interpreter": sys.executable,
        "engine_name": "simulator",
        "engine_model": WEIGHTS.model,
        "engine_docker_host": docker_engine.url,
        "host_ignored_checks": ["os", "python", "privileges", "docker_sdk", "docker_config"],
        "prepare_seed_address": "127.0.0.1",
        "prepare_seed_port": free_port,
        "prepare_hosts_at_once": 1,
    }
    hosts = {name: {"engine_cache_dir": str(tmp_path / name)} for name in "abc"}
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": variables}}))

    # The word that they agree on, to be looked for.
    planted = tmp_path / "token.json"
    planted.write_text(json.dumps({"prepare_token": TOKEN}))

    def play(seed_host: str) -> tuple[int, str]:
        options = ["-e", f"prepare_seed_host={seed_host}", "-e", f"@{planted}"]
        done = subprocess.run(
            ["ansible-playbook", "-vvvv", "-i", str(inventory), str(ROOT / "playbooks/prepare.yml"), *options],
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    code, output = play("a")

    assert code == 0, output
    for name in "bc":
        assert cache.cached(str(tmp_path / name), WEIGHTS) == COMMIT
        assert f"[{name}] weights: 5 MiB of 5 MiB" in output
    assert not seed.job_path(WEIGHTS).exists()
    assert docker_engine.client.containers.list(all=True) == []
    assert TOKEN not in output

    code, output = play("a")

    assert code == 0
    assert re.findall(r"^[abc] +: .* changed=(\d)", output, re.MULTILINE) == ["0", "0", "0"], output

    code, output = play("elsewhere")

    assert code != 0
    assert "wanted one of the play's hosts, which are a, b, c" in output
