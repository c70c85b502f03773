# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rent.yml as a process, against a Lambda Cloud over real HTTP: whatever becomes of it, nothing is left running.

The machines are this one: what is asked of them does not matter here. tests/fleet rents real SSH hosts.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

ROOT = Path(__file__).resolve().parents[3]
RIG = ROOT / "tests/rigs/lambda_cloud"
FAKE = RIG / "fake.py"
sys.path.insert(0, str(RIG))

import ssh  # noqa: E402  (its folder is on the path only now)

from ansible_collections.inference.fleet.tests.patience import PATIENCE, until  # noqa: E402  (likewise)

KEY = "secret_lambda-key_0123456789abcdef"
ADDRESSES = [f"127.0.0.{number}" for number in range(41, 45)]
# A limit for what has to come; it is as quick as the machine is.
STATION = """\
- name: Station
  hosts: lambda_launched
  gather_facts: false
  tasks:
    - name: Say who is here
      ansible.builtin.debug:
        msg: "{{ inventory_hostname }} costs {{ lambda_cloud.hourly_usd }}"
"""
BLOCKED = """\
    - name: Say that the station was reached
      ansible.builtin.copy:
        content: here
        dest: "{{ marker }}"
        mode: "0600"
      delegate_to: localhost
    - name: Go on for long
      ansible.builtin.command: sleep 600
"""


@pytest.fixture(scope="module")
def ssh_port() -> Iterator[int]:
    """A port at which the machines' addresses say that they are SSH servers."""
    with ssh.answering(ADDRESSES) as port:
        yield port


class Cloud:
    """The fake as a process, and playbooks that speak with it."""

    def __init__(self, folder: Path, port: int, *options: str) -> None:
        self.folder, self.port = folder, port
        hosts = [word for address in ADDRESSES for word in ("--host", address)]
        self._process = subprocess.Popen(
            [sys.executable, FAKE, "--key", KEY, *hosts, *options], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        self.url = self._process.stdout.readline().strip()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)

    @property
    def counts(self) -> dict[str, float]:
        """How many run and were launched, what they have cost, how many requests hang."""
        return requests.get(self.url.replace("/api/v1", "/state"), timeout=60).json()

    @property
    def state(self) -> dict[str, float]:
        """How many run, and how many were ever launched."""
        return {key: value for key, value in self.counts.items() if key in ("running", "launched")}

    def start(self, playbook: str, *options: str, control_host: str = "state", **variables: Any) -> Any:
        """Start a playbook as a user types it, on a control host that is a folder of its own for what it knows."""
        given = {
            "lambda_name": "coder",
            "lambda_instance_types": ["gpu_4x_h100_sxm5"],
            "lambda_ssh_port": self.port,
            "lambda_request_interval": 0.01,
            "lambda_launch_interval": 0.01,
            "lambda_settle_timeout": 3,
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "fleet_dir": str(self.folder),
            **variables,
        }
        environment = {
            **os.environ,
            "LAMBDA_API_KEY": KEY,
            "LAMBDA_API_URL": self.url,
            "XDG_STATE_HOME": str(self.folder / control_host),
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        }
        command = [
            "ansible-playbook",
            f"inference.fleet.{playbook}",
            "-i",
            "localhost,",
            "-e",
            json.dumps(given),
            *options,
        ]
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def play(self, playbook: str, *options: str, **variables: Any) -> tuple[int, str]:
        """Run a playbook to its end."""
        process = self.start(playbook, *options, **variables)
        printed, _none = process.communicate(timeout=600)
        assert KEY not in printed
        return process.returncode, printed

    def crash(self, control_host: str = "state") -> None:
        """Kill every process of a control host, as a power cut does: Ansible, its stations, its guard."""
        sign = f"XDG_STATE_HOME={self.folder / control_host}".encode()
        for environ in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if sign in environ.read_bytes().split(b"\0"):
                    os.kill(int(environ.parent.name), signal.SIGKILL)

    def station(self, name: str, *tasks: str) -> str:
        """Write a playbook that rent.yml may run."""
        path = self.folder / f"{name}.yml"
        path.write_text(STATION + "".join(tasks), encoding="utf-8")
        return str(path)

    def guard_log(self) -> str:
        return "".join(path.read_text() for path in (self.folder / "state").rglob("guards/*.log"))


@pytest.fixture
def cloud(tmp_path: Path, ssh_port: int) -> Iterator[Cloud]:
    found = Cloud(tmp_path, ssh_port)
    try:
        yield found
    finally:
        found.stop()
        for path in tmp_path.rglob("*"):
            assert not path.is_file() or KEY.encode() not in path.read_bytes(), f"the key is in {path}"


def test_it_rents_works_and_gives_back(cloud: Cloud) -> None:
    code, printed = cloud.play("rent", lambda_stations=[cloud.station("work")])
    assert code == 0, printed
    assert "coder costs 16.36" in printed
    assert "since its launch. Still billing: no instance, US$ 0.00 an hour." in printed
    assert cloud.state == {"running": 0, "launched": 1}
    assert not list((cloud.folder / "state").rglob("guards/coder.*[0-9]"))


def test_check_mode_says_what_it_would_rent(cloud: Cloud) -> None:
    code, printed = cloud.play("rent", "--check", lambda_stations=[cloud.station("work")])
    assert code == 0, printed
    assert "Would launch coder: gpu_4x_h100_sxm5 in us-west-1, US$ 16.36 an hour." in printed
    assert cloud.state == {"running": 0, "launched": 0}


def test_a_station_that_fails_ends_it_too(cloud: Cloud) -> None:
    failing = cloud.station("sick", "    - name: Fail\n      ansible.builtin.fail:\n        msg: this GPU is sick\n")
    after = cloud.station("after", "    - name: Say\n      ansible.builtin.debug:\n        msg: the station after it\n")
    code, printed = cloud.play("rent", lambda_stations=[failing, after])
    assert code != 0
    assert "this GPU is sick" in printed
    assert "the station after it" not in printed
    assert "Ended coder, US$" in printed
    assert cloud.state == {"running": 0, "launched": 1}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda each: each.name)
def test_a_run_that_is_cut_off_leaves_nothing(cloud: Cloud, how: signal.Signals) -> None:
    marker = cloud.folder / "marker"
    process = cloud.start("rent", lambda_stations=[cloud.station("long", BLOCKED)], marker=str(marker))
    until(lambda: marker.exists() or process.poll() is not None, "the station was reached")
    assert marker.exists(), process.communicate()[0]
    assert cloud.state["running"] == 1
    # As a terminal does: all of its group.
    (os.killpg if how is signal.SIGINT else os.kill)(process.pid, how)
    until(lambda: cloud.state["running"] == 0, "nothing runs any more")
    process.communicate(timeout=PATIENCE)
    until(lambda: "ended coder" in cloud.guard_log(), "the guard says so")
    assert cloud.state == {"running": 0, "launched": 1}


def test_a_run_that_is_killed_while_its_machine_boots_leaves_nothing(tmp_path: Path, ssh_port: int) -> None:
    cloud = Cloud(tmp_path, ssh_port, "--boot-seconds", "3600")
    try:
        process = cloud.start("rent", lambda_stations=[])
        until(lambda: cloud.state["running"] or process.poll() is not None, "it was launched")
        process.kill()
        until(lambda: cloud.state == {"running": 0, "launched": 1}, "nothing runs any more")
        process.communicate(timeout=PATIENCE)
    finally:
        cloud.stop()


def stations() -> list[str]:
    """Return what rent.yml does, by name."""
    defaults = yaml.safe_load((ROOT / "roles/lambda/defaults/main.yml").read_text())
    own = [name.removeprefix("inference.fleet.") for name in defaults["lambda_stations"]]
    return ["launch", "boot", *own, "terminate"]


# Where Ansible waits while it is killed: for an answer of the cloud, for a machine, or for a station's task.
WAITS = {
    "launch": ("--fault", "POST", "instance-operations/launch", "hang-after"),
    "boot": ("--boot-seconds", "3600"),
    "terminate": ("--fault", "POST", "instance-operations/terminate", "hang-before"),
}


@pytest.mark.parametrize("name", stations())
def test_where_the_control_host_dies_at_a_station_the_reaper_ends_it(tmp_path: Path, ssh_port: int, name: str) -> None:
    cloud, began = Cloud(tmp_path, ssh_port, *WAITS.get(name, ())), time.time()
    try:
        marker = tmp_path / "marker"
        blocked = [] if name in WAITS else [cloud.station(name, BLOCKED)]
        process = cloud.start("rent", lambda_lease="1s", lambda_stations=blocked, marker=str(marker))

        def is_there() -> bool:
            return marker.exists() or (cloud.counts["running"] if name == "boot" else cloud.counts["hanging"]) > 0

        until(lambda: is_there() or process.poll() is not None, f"it is at {name}")
        assert process.poll() is None, process.communicate()[0]
        cloud.crash()
        process.communicate(timeout=PATIENCE)
        assert cloud.state == {"running": 1, "launched": 1}, "nothing is left that could have ended it"
        code, printed = cloud.play("reap", control_host="another")
        assert code == 0, printed
        (told,) = re.findall(r"Ended coder, US\$ (\d+\.\d\d) since its launch\. Still billing: no instance", printed)
        found = cloud.counts
        assert (found["running"], found["launched"]) == (0, 1)
        # From when the launch was asked for until the end was seen, which is more than is billed.
        at_most = (time.time() - began) / 3600 * 16.36
        assert 0 < found["dollars"] - 0.005 <= float(told) <= at_most + 0.005
    finally:
        cloud.stop()


def test_where_the_guard_is_gone_too_the_lease_ends_it(cloud: Cloud) -> None:
    code, printed = cloud.play("launch", lambda_lease="1s")
    assert code == 0, printed
    assert cloud.state["running"] == 1
    until(lambda: "Ended coder" in cloud.play("reap")[1], "it is past its lease")
    assert cloud.state == {"running": 0, "launched": 1}


def test_what_was_not_rented_is_left_alone(cloud: Cloud) -> None:
    code, printed = cloud.play("launch")
    assert code == 0, printed
    code, printed = cloud.play("launch")
    assert code == 0, printed
    assert cloud.state == {"running": 1, "launched": 1}
    code, printed = cloud.play("rent", lambda_stations=[])
    assert code != 0
    assert "coder runs without the end" in printed
    assert cloud.state["running"] == 1
    code, printed = cloud.play("terminate")
    assert code == 0, printed
    assert cloud.state["running"] == 0


def test_the_inventory_makes_groups_and_asks_nobody_while_it_is_fresh(cloud: Cloud) -> None:
    assert cloud.play("launch", lambda_lease="2h", lambda_tags={"team": "ml"})[0] == 0
    source = cloud.folder / "lambda.yml"
    source.write_text(
        "plugin: inference.fleet.lambda_cloud\nrequest_interval: 0.01\ncache: true\n"
        f"cache_plugin: ansible.builtin.jsonfile\ncache_connection: {cloud.folder / 'cache'}\n"
        "keyed_groups:\n  - {key: lambda_cloud.instance_type, prefix: type}\n",
        encoding="utf-8",
    )
    environment = {
        **os.environ,
        "LAMBDA_API_KEY": KEY,
        "LAMBDA_API_URL": cloud.url,
        "XDG_STATE_HOME": str(cloud.folder / "state"),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
    }

    def listed() -> dict[str, Any]:
        command = ["ansible-inventory", "-i", str(source), "--list"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert KEY not in done.stdout
        assert "jupyter" not in done.stdout
        # What came from the API is marked as not to be templated.
        return json.loads(done.stdout, object_hook=lambda each: each.get("__ansible_unsafe", each))

    found = listed()
    for group in ("h100", "h100x4", "region_us_west_1", "status_active", "tag_team_ml", "type_gpu_4x_h100_sxm5"):
        assert found[group]["hosts"] == ["coder"], group
    variables = found["_meta"]["hostvars"]["coder"]
    assert variables["ansible_host"] in ADDRESSES
    assert variables["ansible_user"] == "ubuntu"
    assert f"HostKeyAlias=lambda-{variables['lambda_cloud']['id']}" in variables["ansible_ssh_common_args"]
    cloud.stop()
    assert listed()["h100"]["hosts"] == ["coder"], "nobody is there to be asked"
