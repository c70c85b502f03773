# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One story of a fleet of four hosts behind SSH, by the collection's playbooks; each test goes on where
the last one ended. Two hosts are of Debian 12 with Docker 20.10, two of Debian 13 with Docker 26.

What is asserted is what the hosts themselves say, asked past Ansible. The engine is the simulator.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from ansible_collections.inference.fleet.tests.patience import until

ROOT = Path(__file__).resolve().parents[2]
FLEET = ROOT / "tests/fleet/fleet"
NAME = "suite"
ONE, TWO, THREE, FOUR = HOSTS = [f"{NAME}{os.environ.get('FLEET_TAG', '')}-{number}" for number in range(1, 5)]
ENGINE = "qwen3-coder-next"
KEY = "a-secret-of-4711"
# Host four has two engines, one open to others and with a key; all hosts share the flags of their group.
VARIABLES = {
    "h100": {"engine_name": "simulator", "engine_ready_timeout": 60, "engine_stop_timeout": 5},
    FOUR: {
        "engine_instances": [
            {"container_name": ENGINE},
            {
                "container_name": "second",
                "served_model_name": "org/second",
                "port": 8001,
                "bind_address": "0.0.0.0",
                "api_key": KEY,
            },
        ]
    },
}
# What a container is told at its start, and the same in other words.
SPELT = {
    "engine_cache_dir": "/srv/models",
    "engine_mounts": [{"source": "/srv", "target": "/srv/data"}],
    "engine_environment": {"TRIED": "1"},
    "engine_labels": {"team": "7"},
    "engine_memory": "512MiB",
    "engine_shm_size": "64m",
    "engine_ipc_mode": "private",
    "engine_ulimits": {"nofile": "65536:65536", "core": 0},
    "engine_cap_add": ["SYS_NICE"],
    "engine_security_opt": ["no-new-privileges"],
}
SPELT_OTHERWISE = {
    "engine_cache_dir": "/srv//models/",
    "engine_mounts": [{"source": "//srv/./", "target": "/srv//data/", "read_only": True}],
    "engine_environment": {"TRIED": 1},
    "engine_labels": {"team": 7},
    "engine_memory": "536870912",
    "engine_shm_size": "64MiB",
    "engine_ipc_mode": "private",
    "engine_ulimits": {"core": "0", "nofile": 65536},
    "engine_cap_add": ["cap_sys_nice"],
    "engine_security_opt": ["no-new-privileges:true"],
}
BROKEN = ["--no-such-option"]


@dataclass
class Run:
    """A playbook's exit code, what it printed, and its summary, by host."""

    code: int
    output: str
    summary: dict[str, Any]

    def __getitem__(self, host: str) -> dict[str, Any]:
        return next(each for each in self.summary["hosts"] if each["host"] == host)

    @property
    def outcomes(self) -> list[str]:
        return [self[host]["outcome"] for host in HOSTS]


class Fleet:
    """Four hosts, and playbook runs on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runs = itertools.count()
        children = json.loads((ROOT / f".build/fleet-{NAME}/inventory.yml").read_text().removeprefix("---\n"))
        group = children["all"]["children"]["h100"]
        group["vars"] = VARIABLES["h100"]
        group["hosts"][FOUR] |= VARIABLES[FOUR]
        # One that is cut off is told soon.
        children["all"]["vars"]["ansible_ssh_common_args"] += " -o ConnectTimeout=3"
        self._inventory = folder / "inventory.json"
        self._inventory.write_text(json.dumps(children))

    def start(self, playbook: str, *options: str, **variables: Any) -> subprocess.Popen[str]:
        command = ["ansible-playbook", "-i", str(self._inventory), str(ROOT / f"playbooks/{playbook}.yml"), *options]
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "INFERENCE_FLEET_SUMMARY": str(self.folder / "summary.json"),
            # Each run meets each host anew: a connection that was cut goes on to hang for a while after it is mended.
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / f"ssh-{next(self._runs)}"),
        }
        return subprocess.Popen(
            [*command, "-e", json.dumps(variables)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> Run:
        output, _none = process.communicate(timeout=900)
        path = self.folder / "summary.json"
        assert path.exists(), output
        summary = json.loads(path.read_text())
        path.unlink()
        assert KEY not in output + json.dumps(summary)
        return Run(process.returncode, output, summary)

    def __call__(self, playbook: str, *options: str, **variables: Any) -> Run:
        return self.finish(self.start(playbook, *options, **variables))


def on(host: str, *command: str) -> str:
    """Run a command on a host, and not by Ansible."""
    done = subprocess.run(["docker", "exec", host, *command], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def fault(what: str, host: str) -> None:
    subprocess.run([str(FLEET), what, host], check=True)


def engines(host: str) -> dict[str, tuple[str, str, str]]:
    """Return the host's containers: their name, and id, state and time of the start of each."""
    form = "{{.Name}} {{.Id}} {{.State.Status}} {{.State.StartedAt}}"
    ids = on(host, "docker", "ps", "--all", "--quiet").split()
    lines = on(host, "docker", "inspect", "--format", form, *ids).splitlines() if ids else []
    return {name.lstrip("/"): (identity, status, since) for name, identity, status, since in map(str.split, lines)}


def argv(host: str, name: str = ENGINE) -> list[str]:
    return json.loads(on(host, "docker", "inspect", "--format", "{{json .Args}}", name))


def health(host: str, port: int = 8000) -> str:
    """Return the code of the answer to /health, 000 for none."""
    url = f"http://127.0.0.1:{port}/health"
    return on(host, "curl", "--silent", "--output", "/dev/null", "--max-time", "5", "--write-out", "%{http_code}", url)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    subprocess.run([str(FLEET), "up", "4", "--kind", "h100", "--suite", "bookworm,trixie", "--name", NAME], check=True)
    try:
        yield Fleet(tmp_path_factory.mktemp("fleet"))
    finally:
        subprocess.run([str(FLEET), "down", "--name", NAME], check=True)


def test_deploy_brings_every_host_to_where_it_serves(fleet: Fleet) -> None:
    run = fleet("deploy")

    assert run.code == 0, run.output
    assert run.outcomes == ["changed"] * 4
    for host in HOSTS:
        assert health(host) == "200"
        assert set(engines(host)) == ({ENGINE} if host != FOUR else {ENGINE, "second"})
    assert health(FOUR, 8001) == "200"
    assert [engine["changes"] for engine in run[FOUR]["engines"]] == [["created"], ["created"]]
    # Both endpoints of host four were verified before the play went on.
    assert len(run[FOUR]["checks"]) == 2
    assert all(check["passed"] == check["of"] for host in HOSTS for check in run[host]["checks"])
    closed, opened = (engine["endpoint"] for engine in run[FOUR]["engines"])
    assert closed == "http://127.0.0.1:8000"
    with requests.Session() as others:
        others.trust_env = False
        assert others.get(f"{opened}/v1/models", timeout=60).status_code == 401
        models = others.get(f"{opened}/v1/models", headers={"Authorization": f"Bearer {KEY}"}, timeout=60)
        assert models.json()["data"][0]["id"] == "org/second"
        with pytest.raises(requests.ConnectionError):
            others.get(opened.replace("8001", "8000"), timeout=60)


def test_a_second_deploy_touches_nothing_and_asks_each_host_once(fleet: Fleet) -> None:
    before = {host: engines(host) for host in HOSTS}

    run = fleet("deploy", "-vvv")

    assert run.code == 0, run.output
    assert run.outcomes == ["ok"] * 4
    assert {host: engines(host) for host in HOSTS} == before
    asked = re.findall(r"^<([\d.]+)> SSH: EXEC", run.output, re.MULTILINE)
    assert len(asked) == len(set(asked)) == 4, asked


def test_other_spellings_are_no_difference_to_either_docker(fleet: Fleet) -> None:
    before = {host: engines(host) for host in HOSTS}
    versions = [on(host, "docker", "version", "--format", "{{.Server.Version}}").partition(".")[0] for host in HOSTS]
    assert versions[0] == versions[2] != versions[1] == versions[3], versions

    first = fleet("deploy", **SPELT)
    after = {host: engines(host) for host in HOSTS}
    again = fleet("deploy", **SPELT_OTHERWISE)

    assert (first.code, again.code) == (0, 0), first.output + again.output
    assert all(after[host] != before[host] for host in (ONE, TWO, THREE)), "the options are of a new container"
    assert again.outcomes == ["ok"] * 4, again.output
    assert {host: engines(host) for host in HOSTS} == after
    assert fleet("deploy").code == 0


def test_a_canary_that_fails_stops_the_rollout(fleet: Fleet) -> None:
    before = {host: engines(host) for host in HOSTS}

    run = fleet("deploy", deploy_serial=[1, "100%"], engine_extra_args=BROKEN)

    assert run.code != 0
    assert run.outcomes == ["failed", "not started", "not started", "not started"]
    assert {host: engines(host) for host in HOSTS[1:]} == {host: before[host] for host in HOSTS[1:]}
    assert engines(ONE)[ENGINE][0] == before[ONE][ENGINE][0], "the old container is back"
    assert health(ONE) == "200"
    assert f"Again for these alone: -l {TWO},{THREE},{FOUR},{ONE}" in run.output


def test_an_upgrade_of_which_one_host_fails_and_one_is_cut_off_reaches_the_others(fleet: Fleet) -> None:
    before = {host: engines(host) for host in HOSTS}
    flags = f"{{{{ (inventory_hostname == '{TWO}') | ternary({BROKEN}, ['--load-seconds', '1']) }}}}"
    fault("cut", THREE)
    try:
        run = fleet("deploy", engine_extra_args=flags)
    finally:
        fault("mend", THREE)

    assert run.code != 0
    assert run.outcomes == ["changed", "failed", "unreachable", "changed"]
    for host in (ONE, FOUR):
        assert engines(host)[ENGINE][0] != before[host][ENGINE][0]
        assert "--load-seconds" in argv(host)
        assert health(host) == "200"
    assert "--load-seconds" in argv(FOUR, "second")
    assert engines(THREE) == before[THREE]
    assert health(THREE) == "200"
    assert engines(TWO)[ENGINE][0] == before[TWO][ENGINE][0], "the old container is back"
    assert health(TWO) == "200"
    assert list(engines(TWO)) == [ENGINE]
    assert "unrecognized arguments: --no-such-option" in run[TWO]["reason"]
    assert "Its old engine serves" in run[TWO]["remedy"]
    assert re.search("timed out|Timeout", run[THREE]["reason"])
    assert run.output.rindex(f"UNREACHABLE {THREE}") < run.output.rindex(f"FAILED {TWO}")


def test_drift_is_told_field_by_field_and_repaired(fleet: Fleet) -> None:
    flags = ["--load-seconds", "1"]
    assert fleet("deploy", engine_extra_args=flags, deploy_verify=False).code == 0
    on(ONE, "docker", "rm", "--force", ENGINE)
    on(TWO, "docker", "update", "--restart", "no", ENGINE)
    on(FOUR, "docker", "stop", "--time", "2", "second")
    before = {host: engines(host) for host in HOSTS}

    told = fleet("deploy", "--check", "--diff", engine_extra_args=flags)

    assert told.code == 0, told.output
    assert told.outcomes == ["would change", "would change", "ok", "would change"]
    assert told[ONE]["changes"] == ["created"]
    assert told[TWO]["changes"] == ["restart_policy"]
    assert told[FOUR]["changes"] == ["second: started"]
    assert {host: engines(host) for host in HOSTS} == before, "check mode touched something"

    run = fleet("deploy", engine_extra_args=flags)

    assert run.code == 0, run.output
    assert [health(host) for host in HOSTS] + [health(FOUR, 8001)] == ["200"] * 5
    assert engines(TWO) == before[TWO], "a restart policy needs no restart"
    assert engines(FOUR)[ENGINE] == before[FOUR][ENGINE]
    assert on(TWO, "docker", "inspect", "--format", "{{.HostConfig.RestartPolicy.Name}}", ENGINE) == "unless-stopped"
    assert fleet("deploy", engine_extra_args=flags).outcomes == ["ok"] * 4


def test_a_host_that_is_rebooted_in_the_middle_is_told_and_finished_by_the_next_run(fleet: Fleet) -> None:
    flags = ["--load-seconds", "12"]
    old = engines(ONE)[ENGINE][0]
    running = fleet.start("deploy", "-l", ONE, engine_extra_args=flags)
    until(lambda: health(ONE) == "503", "the new engine loads")
    # However long the reboot takes to begin, the engine goes on to load.
    on(ONE, "docker", "kill", "--signal", "STOP", ENGINE)
    fault("reboot", ONE)

    run = fleet.finish(running)

    assert run.code != 0
    assert run[ONE]["outcome"] in ("failed", "unreachable")
    again = fleet("deploy", "-l", ONE, engine_extra_args=flags)
    assert again.code == 0, again.output
    assert list(engines(ONE)) == [ENGINE]
    assert engines(ONE)[ENGINE][0] != old
    assert health(ONE) == "200"


def test_teardown_asks_before_what_costs_hours(fleet: Fleet) -> None:
    hub = "/home/ubuntu/.cache/huggingface/hub"
    mine, other = f"{hub}/models--Qwen--Qwen3-Coder-Next", f"{hub}/models--org--other"
    on(TWO, "mkdir", "-p", f"{mine}/blobs", other)

    refused = fleet("teardown", "-l", TWO, "-e", "teardown_caches=true")

    assert refused.code != 0
    assert f"Set teardown_confirm=yes or teardown_confirm={TWO}" in refused[TWO]["reason"]
    assert health(TWO) == "200", "nothing was removed"
    confirmed = fleet("teardown", "-l", TWO, "-e", f"teardown_caches=true teardown_confirm={TWO}")
    assert confirmed.code == 0, confirmed.output
    assert on(TWO, "ls", hub) == "models--org--other"


def test_teardown_removes_what_is_named_and_nothing_twice(fleet: Fleet) -> None:
    settings = {"log-level": "warn", "runtimes": {"nvidia": {"path": "nvidia-container-runtime"}}}
    on(ONE, "sh", "-c", f"mkdir -p /etc/docker; echo '{json.dumps(settings)}' >/etc/docker/daemon.json")
    since = on(ONE, "systemctl", "show", "--property", "ActiveEnterTimestamp", "docker")

    # Every engine, as where an inventory does not name some any more.
    run = fleet("teardown", "-e", "teardown_all=true teardown_toolkit=true teardown_images=true")

    assert run.code == 0, run.output
    assert run.outcomes == ["changed", "changed", "changed", "changed"]
    assert all(engines(host) == {} for host in HOSTS)
    assert all(on(host, "docker", "images", "--quiet") == "" for host in HOSTS)
    assert json.loads(on(ONE, "cat", "/etc/docker/daemon.json")) == {"log-level": "warn"}
    assert "nvidia" in on(ONE, "sh", "-c", "cat /etc/docker/daemon.json.*~")
    assert on(ONE, "systemctl", "show", "--property", "ActiveEnterTimestamp", "docker") == since, "it was restarted"
    again = fleet("teardown", teardown_toolkit=True, teardown_images=True)
    assert again.outcomes == ["ok"] * 4, again.output
