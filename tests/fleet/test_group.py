# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of two hosts that serve one model together, by the collection's playbooks over SSH.

One story an engine; each test goes on where the last one ended. The simulator, which starts in a second, goes through
all of it; of a real vLLM the starts take long, and GROUP_LONG=1 has it go through all of it too.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator

import pytest

from ansible_collections.inference.fleet.tests.fleet.pair import (
    FOLLOWER,
    HEAD,
    MODEL,
    PAIR,
    SIMULATOR,
    VENV,
    Group,
    on,
    pair,
    vllm,
)

HAS_VLLM = (VENV / "bin/vllm").exists() and MODEL.exists()
ONE_ENDS = {
    "engine_extra_args": f"{{{{ (inventory_hostname == '{FOLLOWER}') | ternary(['--no-such-option'], []) }}}}",
}


@pytest.fixture(scope="module")
def hosts() -> Iterator[None]:
    with pair(with_vllm=HAS_VLLM):
        yield


@pytest.fixture(scope="module", params=["simulator", "vllm"])
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "vllm" and not HAS_VLLM:
        pytest.skip("there is no vLLM for the CPU: tests/rigs/vllm_cpu/build makes one")
    return request.param


@pytest.fixture(scope="module")
def group(hosts: None, engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    print(f"\nTwo hosts, one model, by {engine}")
    its = Group(tmp_path_factory.mktemp(engine), SIMULATOR if engine == "simulator" else vllm())
    yield its
    its("teardown")


@pytest.fixture
def whole_life(engine: str) -> None:
    if engine == "vllm" and not os.environ.get("GROUP_LONG"):
        pytest.skip("GROUP_LONG=1 runs it on a real vLLM too, whose start on a CPU takes up to a minute a time")


def well(group: Group) -> None:
    """Require that every member has one container, that they run, and that a completion succeeds."""
    assert all(member.running for member in group.members()), [str(member) for member in group.members()]
    assert group.completes() == "200"


def test_deploy_starts_all_and_waits_for_a_real_completion(group: Group) -> None:
    ran = group("deploy")

    assert ran.code == 0, ran.output
    assert ran.outcomes == ["changed", "changed"]
    well(group)
    label = '{{index .Config.Labels "inference.fleet.group"}}'
    form = "{{.HostConfig.NetworkMode}} {{.HostConfig.RestartPolicy.Name}} " + label
    told = [on(host, "docker", "inspect", "--format", form, "qwen3-coder-next").split(" ", 2) for host in PAIR]
    assert [words[:2] for words in told] == [["host", "no"]] * 2
    assert [json.loads(words[2]) for words in told] == [{"rank": rank, "names": PAIR} for rank in (0, 1)]


def test_the_heads_port_for_its_members_is_closed_to_others(group: Group) -> None:
    address = group.addresses[HEAD]
    assert ":29501 " in on(HEAD, "ss", "--listening", "--tcp", "--numeric")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, 29501), timeout=60)
    socket.create_connection((address, 8000), timeout=60).close()


def test_a_second_deploy_touches_neither(group: Group) -> None:
    before = group.members()

    ran = group("deploy")

    assert (ran.code, ran.outcomes) == (0, ["ok", "ok"]), ran.output
    assert group.members() == before


def test_check_mode_tells_and_touches_nothing(group: Group) -> None:
    before = group.members()

    ran = group("deploy", "--check", "--diff", engine_labels={"team": "7"})

    assert (ran.code, ran.outcomes) == (0, ["would change", "would change"]), ran.output
    assert "team" in ran.output
    assert group.members() == before


def test_half_a_group_is_refused(group: Group) -> None:
    before = group.members()

    for options, variables in ((("-l", FOLLOWER), {}), ((), {"deploy_serial": 1})):
        ran = group("deploy", *options, **variables, engine_labels={"team": "7"})
        assert ran.code != 0, ran.output
        assert "A group is deployed as a whole" in ran.output.replace("\n", " ")
        assert group.members() == before


def test_the_head_is_verified_and_measured(group: Group) -> None:
    verified = group("verify")
    assert verified.code == 0, verified.output
    assert [len(verified[host]["checks"]) for host in PAIR] == [1, 0], "one endpoint, the head's"

    measured = group("benchmark")

    assert measured.code == 0, measured.output
    (result,) = (group.folder / "results").glob("*.json")
    document = json.loads(result.read_text(encoding="utf-8"))
    assert document["host"] == HEAD
    assert document["quality"]["completed"] == 8


def test_a_dead_member_is_found_and_all_are_started_again(group: Group) -> None:
    before = group.members()
    group.kill(FOLLOWER)

    ran = group("deploy")

    assert ran.code == 0, ran.output
    well(group)
    for was, now in zip(before, group.members(), strict=True):
        assert now.containers[0][3] > was.containers[0][3], "a half that had run on would be of another group"


@pytest.mark.usefixtures("whole_life")
def test_a_dead_head_is_found_and_all_are_started_again(group: Group) -> None:
    group.kill(HEAD)

    assert group("deploy").code == 0

    well(group)


@pytest.mark.usefixtures("whole_life")
def test_a_rebooted_member_starts_nothing_by_itself(group: Group) -> None:
    group.fault("reboot", FOLLOWER)
    on(FOLLOWER, "docker", "info")
    assert not group.members()[1].running

    assert group("deploy").code == 0

    well(group)


@pytest.mark.skipif(not os.environ.get("GROUP_LONG"), reason="GROUP_LONG=1 runs it: it waits for minutes")
def test_a_member_that_is_cut_off_stops_the_deploy_and_not_the_rest(group: Group) -> None:
    before = group.members()
    group.fault("cut", FOLLOWER)
    try:
        ran = group("deploy", engine_labels={"team": "7"})
        assert ran.code != 0, ran.output
        assert ran[FOLLOWER]["outcome"] == "unreachable"
        assert group.members() == before, "the new group could not have been whole"
    finally:
        group.fault("mend", FOLLOWER)

    assert group("deploy").code == 0

    well(group)


@pytest.mark.usefixtures("whole_life")
def test_an_upgrade_that_fails_on_one_member_goes_back_on_all(group: Group) -> None:
    before = group.members()

    ran = group("deploy", **ONE_ENDS)

    assert ran.code != 0, ran.output
    assert "--no-such-option" in ran.output
    well(group)
    for was, now in zip(before, group.members(), strict=True):
        assert now.containers[0][:2] == was.containers[0][:2], "the very containers of before"
    again = group("deploy")
    assert again.outcomes == ["ok", "ok"], again.output


def test_a_run_that_is_cut_off_is_finished_without_another_start(group: Group, engine: str) -> None:
    if engine != "simulator":
        pytest.skip("how long a start takes is the simulator's alone to say")
    slow = {"engine_extra_args": ["--load-seconds", "20"]}

    def both_started() -> bool:
        return all([each[2] for each in member.containers] == ["running", "exited"] for member in group.members())

    group.cut_off("deploy", both_started, **slow)
    left = group.members()

    ran = group("deploy", **slow)

    assert ran.code == 0, ran.output
    well(group)
    for was, now in zip(left, group.members(), strict=True):
        assert now.containers == was.containers[:1], "the very start of the run that was cut off"
    assert group("deploy", **slow).outcomes == ["ok", "ok"]


@pytest.mark.usefixtures("whole_life")
def test_one_that_says_it_is_well_and_dies_at_the_first_completion_goes_back(group: Group, engine: str) -> None:
    if engine != "vllm":
        pytest.skip("it is a fault of vLLM's CPU build")
    before = group.members()

    ran = group("deploy", engine_tensor_parallel_size=1, engine_pipeline_parallel_size=2)

    assert ran.code != 0, ran.output
    well(group)
    for was, now in zip(before, group.members(), strict=True):
        assert now.containers[0][:2] == was.containers[0][:2], "the very containers of before"


def test_teardown_leaves_nothing_on_either(group: Group) -> None:
    ran = group("teardown")

    assert ran.code == 0, ran.output
    assert [str(member) for member in group.members()] == ["none", "none"]
    assert ["inference_fleet" in on(host, "nft", "list", "tables") for host in PAIR] == [False, False]
