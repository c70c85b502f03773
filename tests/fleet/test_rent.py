# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rent.yml whole: a machine from a Lambda Cloud of the tests' own, which is a real host over SSH, and back.

The inventory, the host key and the user are those that the collection makes; only the key file is the test's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from ansible_collections.inference.fleet.tests.fleet.small import SMALL

ROOT = Path(__file__).resolve().parents[2]
FLEET = ROOT / "tests/fleet/fleet"
FAKE = ROOT / "tests/rigs/lambda_cloud/fake.py"
NAME = "rented"
KEY = "secret_lambda-key_0123456789abcdef"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    subprocess.run([str(FLEET), "up", "1", "--kind", "h100", "--name", NAME], check=True)
    inventory = json.loads((ROOT / f".build/fleet-{NAME}/inventory.yml").read_text().removeprefix("---\n"))
    (variables,) = inventory["all"]["children"]["h100"]["hosts"].values()
    yield variables["ansible_host"]
    subprocess.run([str(FLEET), "down", "--name", NAME], check=True)


@pytest.fixture(scope="module")
def cloud(address: str) -> Iterator[str]:
    command = [sys.executable, FAKE, "--key", KEY, "--host", address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.terminate()


def play(cloud: str, folder: Path, *words: str, fails: bool = False, **more: Any) -> str:
    """Run ansible-playbook with the rented host's key, and return what it printed."""
    variables = {
        **SMALL,
        "lambda_name": "coder",
        "lambda_instance_types": ["gpu_4x_h100_sxm5"],
        "lambda_request_interval": 0.01,
        "lambda_launch_interval": 0.01,
        "fleet_dir": str(folder),
        **more,
    }
    done = subprocess.run(
        [
            *("ansible-playbook", *words, "-e", json.dumps(variables)),
            *("--private-key", str(ROOT / f".build/fleet-{NAME}/id_ed25519")),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "LAMBDA_API_KEY": KEY,
            "LAMBDA_API_URL": cloud,
            "XDG_STATE_HOME": str(folder / "state"),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert bool(done.returncode) is fails, done.stdout + done.stderr
    assert KEY not in done.stdout + done.stderr
    return done.stdout


def on(*command: str) -> str:
    return subprocess.run(["docker", "exec", f"{host()}", *command], check=True, capture_output=True, text=True).stdout


def host() -> str:
    """Return the container of the rented host, whose name the rig makes."""
    inventory = json.loads((ROOT / f".build/fleet-{NAME}/inventory.yml").read_text().removeprefix("---\n"))
    (name,) = inventory["all"]["children"]["h100"]["hosts"]
    return name


def running(cloud: str) -> int:
    return requests.get(cloud.replace("/api/v1", "/state"), timeout=60).json()["running"]


def test_rent_serves_proves_and_gives_back_twice_at_one_address(cloud: str, tmp_path: Path) -> None:
    printed = play(cloud, tmp_path, "inference.fleet.rent", "-i", "localhost,")
    (result,) = (tmp_path / "results").glob("*.json")
    document = json.loads(result.read_text(encoding="utf-8"))
    assert (document["host"], document["simulated"]) == ("coder", True)
    assert document["quality"]["completed"] == 8
    # In order: proved, measured and kept, reported, and only then given back.
    said = ("Acceptance of coder", "Check the endpoint", f"Result: {result}", "Write the report", "Ended coder, US$")
    assert sorted(said, key=printed.index) == list(said)
    assert (tmp_path / "reports/index.html").exists()
    assert "since its launch. Still billing: no instance, US$ 0.00 an hour." in printed
    assert running(cloud) == 0
    # The cloud gives the address to the next machine, which has a host key of its own.
    on("sh", "-c", "rm /etc/ssh/ssh_host_*; ssh-keygen -A >/dev/null; systemctl restart ssh")
    printed = play(
        cloud, tmp_path, "inference.fleet.rent", "-i", "localhost,", lambda_stations=["inference.fleet.verify"]
    )
    assert "Ended coder, US$" in printed
    assert running(cloud) == 0
    known = (tmp_path / "state/inference.fleet/lambda/known_hosts").read_text()
    assert len({line.split()[0] for line in known.splitlines()}) == 2


def test_a_host_whose_gpu_is_sick_is_given_back_at_once(cloud: str, tmp_path: Path) -> None:
    on("sh", "-c", "cp /etc/stub-gpus /root/; echo h100x4 ecc=2 >/etc/stub-gpus")
    try:
        # The usual engine: its image would be pulled, were it not for the look before.
        printed = play(cloud, tmp_path, "inference.fleet.rent", "-i", "localhost,", fails=True, engine_name="vllm")
    finally:
        on("cp", "/root/stub-gpus", "/etc/stub-gpus")
    assert "GPU 2, health: 3 uncorrected ECC errors" in printed
    assert "Have it replaced, or give it back." in printed
    assert "Have image and weights" not in printed
    assert "Ended coder, US$" in printed
    assert running(cloud) == 0
    (path,) = (tmp_path / "results/acceptance").glob("*.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    assert (document["verdict"], document["measured"], len(document["gpus"])) == ("sick", False, 4)


def test_the_inventory_alone_is_enough_to_deploy(cloud: str, tmp_path: Path) -> None:
    play(cloud, tmp_path, "inference.fleet.launch", "-i", "localhost,")
    inventory = tmp_path / "lambda.yml"
    inventory.write_text("plugin: inference.fleet.lambda_cloud\nrequest_interval: 0.01\n", encoding="utf-8")
    printed = play(cloud, tmp_path, "inference.fleet.deploy", "-i", str(inventory), "-l", "h100")
    assert "coder" in printed
    assert json.loads(on("docker", "inspect", "qwen3-coder-next"))[0]["State"]["Running"]
    again = play(cloud, tmp_path, "inference.fleet.deploy", "-i", str(inventory), "-l", "h100")
    assert "changed=0" in again
    printed = play(cloud, tmp_path, "inference.fleet.terminate", "-i", "localhost,")
    assert "Ended coder, US$" in printed
