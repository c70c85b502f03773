# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One story of a fleet of four hosts behind SSH, by the collection's playbooks; each test goes on where
the last one ended. Two hosts are of Debian 12 with Docker 20.10, two of Debian 13 with Docker 26.
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
from collections.abc import Iterator

import pytest
import requests

from ansible_collections.inference.fleet.tests.fleet.four import (
    BROKEN,
    ENGINE,
    FLEET,
    FOUR,
    HOSTS,
    JOURNAL,
    KEY,
    NAME,
    ONE,
    THREE,
    TWO,
    Fleet,
    argv,
    door,
    engines,
    fault,
    health,
    on,
    out,
    renew,
    told_haproxy,
)
from ansible_collections.inference.fleet.tests.integration.gateway_load import Load
from ansible_collections.inference.fleet.tests.patience import until

# What a container is told at its start, and the same in other words.
SPELT = {
    "engine_cache_dir": "/srv/models",
    "engine_mounts": [{"source": "/srv", "target": "/srv/data"}],
    "engine_environment": {"TRIED": "1"},
    "engine_labels": {"team": "7"},
    "engine_memory": "512MiB",
    "engine_shm_size": "64m",
    "engine_ipc_mode": "private",
    "engine_ulimits": {"nofile": "1000:1000", "core": 0},
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
    "engine_ulimits": {"core": "0", "nofile": 1000},
    "engine_cap_add": ["cap_sys_nice"],
    "engine_security_opt": ["no-new-privileges:true"],
}


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

    first = fleet("deploy", **SPELT, deploy_verify=False)
    after = {host: engines(host) for host in HOSTS}
    again = fleet("deploy", **SPELT_OTHERWISE, deploy_verify=False)

    assert (first.code, again.code) == (0, 0), first.output + again.output
    assert all(after[host] != before[host] for host in (ONE, TWO, THREE)), "the options are of a new container"
    assert again.outcomes == ["ok"] * 4, again.output
    assert {host: engines(host) for host in HOSTS} == after
    assert fleet("deploy", deploy_verify=False).code == 0


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


def test_no_request_is_lost_by_what_becomes_of_four_engines(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    clients = {name: f"a-key-of-the-fleet-for-{name}" for name in ("anna", "bob", "carl")}
    # Host four is the gateway, too.
    front = {
        "gateway_hosts": FOUR,
        "gateway_clients": [{"name": name, "key": key} for name, key in clients.items()],
    }
    opened = fleet("gateway", **front, gateway_engines_without_tls=True)
    assert opened.code == 0, opened.output
    # Such as no test before has left there.
    flags = ["--max-model-len", "9100"]
    load = Load(door(fleet), ENGINE, pause=0.2)
    with load.running(streams=clients.values(), short=(clients["anna"], clients["bob"])):
        load.answered()
        # From now on prompts go to the other hosts over TLS.
        assert fleet("gateway", **front).outcomes == ["changed"] * 4
        assert told_haproxy(f"show servers state model.{ENGINE}").count(" 8443 ") == 3
        assert fleet("gateway", **front).outcomes == ["ok"] * 4
        # A control host that dies with an engine out; and the run after it, one by one, of which the last fails and is
        # put back.
        dying = fleet.start("deploy", "-l", ONE, **front, engine_extra_args=[*flags, "--load-seconds", "2"])
        until(lambda: out() == {ONE})
        dying.kill()
        dying.communicate()
        each = f"{{{{ (inventory_hostname == '{FOUR}') | ternary({BROKEN}, {flags}) }}}}"
        run = fleet("deploy", **front, deploy_serial=1, engine_extra_args=each)
        assert run.outcomes == ["changed", "changed", "changed", "failed"], run.output
        assert "unrecognized arguments" in run[FOUR]["reason"]
        assert [argv(host)[-2:] == flags for host in HOSTS] == [True, True, True, False]
        assert out() == set()
        # An engine that starts, and breaks its streams off.
        run = fleet("deploy", "-l", THREE, **front, engine_extra_args=["--wrong", "broken-stream"])
        assert f"The gateways send nobody to {THREE} until" in run[THREE]["reason"], run.output
        assert out() == {THREE}
        load.answered()
        # Where the engine is as wanted, and out, the checks decide.
        on(FOUR, "sh", "-c", f'sed -i \'s/{{/{{"{TWO}:8000": "deploy",/\' /etc/inference-fleet-gateway/owners.json')
        told_haproxy(f"set server model.{ENGINE}/{TWO}:8000 state drain")
        assert out() == {TWO, THREE}
        before = engines(TWO)
        run = fleet("deploy", "-l", f"{TWO},{THREE}", **front, engine_extra_args=flags)
        assert run.code == 0, run.output
        assert engines(TWO) == before
        assert out() == set()
        # A certificate of one's own and its renewal, each with a reload; a key that is revoked, an engine that dies.
        renew(fleet)
        front["gateway_certificate"] = "/etc/ssl/private/gateway.pem"
        assert fleet("gateway", **front)[FOUR]["outcome"] == "changed"
        until(renew(fleet))
        load.revoked.add(clients["carl"])
        revoked = fleet("gateway_key", gateway_hosts=FOUR, gateway_key_name="carl", gateway_key_state="absent")
        assert revoked.code == 0, revoked.output
        load.answered()
        on(ONE, "docker", "kill", ENGINE)
        load.answered(20)
    lines = [json.loads(line) for line in on(FOUR, *JOURNAL).splitlines() if line.startswith('{"at"')]
    told = load.accounted(lines, f"{ONE}:8000")
    used = fleet("gateway_usage", gateway_hosts=FOUR, gateway_usage_directory=str(fleet.folder))
    assert used.code == 0, used.output
    rows = csv.DictReader((fleet.folder / f"gateway-usage-{FOUR}.csv").open(encoding="utf-8"))
    assert sum(int(row["requests"]) for row in rows) == load.counts["sent"]
    with capsys.disabled():
        print(f"\n    {told}")


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
