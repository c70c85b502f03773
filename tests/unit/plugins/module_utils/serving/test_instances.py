# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several engines of one host: what each is asked for, in which order, and what comes of it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.inference.fleet.plugins.module_utils.containers import plan
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ContainerSpec
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.serving import entries as given_entries
from ansible_collections.inference.fleet.plugins.module_utils.serving import instances
from ansible_collections.inference.fleet.plugins.module_utils.serving import run as serving
from ansible_collections.inference.fleet.plugins.modules import engine
from ansible_collections.inference.fleet.plugins.plugin_utils import instance_secrets

ROOT = Path(__file__).resolve().parents[5]
HOST = {
    "state": "present",
    "slot": None,
    "docker_host": "unix:///var/run/docker.sock",
    "container_name": "qwen3-coder-next",
    "served_model_name": "qwen3-coder-next",
    "port": 8000,
    "gpus": None,
    "api_key": None,
    "progress_file": None,
}


def expanded(*given: dict[str, Any], **host: Any) -> list[dict[str, Any]]:
    light, secret = instance_secrets.without_secrets(given)
    return given_entries.expand({**HOST, **host, "instances": light, "instance_secrets": secret}, engine.validated)


def test_a_host_without_a_list_has_the_one_engine_of_its_options() -> None:
    assert expanded() == [HOST]


def test_each_entry_has_what_it_gives_and_the_hosts_for_the_rest() -> None:
    first, second = expanded(
        {"gpus": [0, 1]}, {"served_model_name": "org/other", "port": "8001", "api_key": "key", "gpus": ["2"]}
    )
    assert first == {**HOST, "gpus": ["0", "1"]}
    assert second == {
        **HOST, "served_model_name": "org/other", "container_name": None, "port": 8001, "api_key": "key", "gpus": ["2"],
    }  # fmt: skip
    assert instances.name_of(second) == "org-other"


def test_secrets_travel_in_an_option_that_ansible_hides() -> None:
    light, secret = instance_secrets.without_secrets([{"port": 1, "api_key": "k", "hf_token": "t"}, {"port": 2}])
    assert light == [{"port": 1}, {"port": 2}]
    assert secret == [{"api_key": "k", "hf_token": "t"}, {}]
    assert engine.argument_spec()["instance_secrets"]["no_log"]
    assert {name for name, option in engine.argument_spec().items() if option.get("no_log")} == {
        "instance_secrets", *instance_secrets.SECRETS,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([{"port": 1}, {"port": 2}], "found qwen3-coder-next more than once"),
        ([{"container_name": "a", "prot": 1}], r"instances, entry a: prot\. Supported parameters include"),
        ([{"container_name": "a", "port": "no"}], "instances, entry a: argument 'port' is of type str"),
        ([{"container_name": "a", "engine": "tgi"}], "value of engine must be one of: vllm, sglang, simulator"),
        ([{"container_name": "a", "state": "absent"}], r"entry a: state\. Supported"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused_by_name(entries: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(FleetError, match=said):
        expanded(*entries)


def test_the_roles_entries_take_what_the_modules_do() -> None:
    spec = yaml.safe_load((ROOT / "roles/engine/meta/argument_specs.yml").read_text())["argument_specs"]["main"]
    role, module = spec["options"]["engine_instances"]["options"], engine.argument_spec()
    assert set(role) == set(module) - engine.PER_HOST - {"model_facts"}
    for name, option in role.items():
        assert (option.get("no_log"), option.get("elements"), option.get("choices")) == tuple(
            module[name].get(key) for key in ("no_log", "elements", "choices")
        ), name


class FakeServing:
    """Engines that are brought about at once; notes what was asked, and fails where it is told to."""

    def __init__(self, steps: dict[str, list[str]], fail: tuple[str, ...] = ()) -> None:
        self.steps, self.fail = steps, fail
        self.asked: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self.together = threading.Barrier(2, timeout=120)

    def run(self, params: dict[str, Any], check_mode: bool, siblings: Any = (), ran: Any = None) -> dict[str, Any]:
        name, steps = instances.name_of(params), self.steps[instances.name_of(params)]
        if check_mode:
            assert {name, *(item.container for item in siblings)} == set(self.steps)
        else:
            with self._lock:
                self.asked.append((params["state"], name))
            assert params["progress_name"] == name
            if plan.CREATE in steps and params["state"] == plan.PRESENT:
                self.together.wait()
            if name in self.fail and params["state"] == plan.PRESENT:
                raise FleetError("it broke")
        if params["state"] == plan.PREFETCHED:
            steps = [step for step in steps if step in plan.FETCH]
        elif not check_mode:
            steps = [step for step in steps if step not in plan.FETCH]
        return {
            "changed": bool(steps),
            "warnings": [],
            "steps": steps,
            "ready": True,
            "engine": {"name": name},
            "others": [],
            "diff": {},
        }


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> FakeServing:
    """Two engines that are to be replaced, and two new ones; one of each lacks its image."""
    fake = FakeServing(
        {
            "new-1": [plan.PULL_IMAGE, plan.CREATE, plan.WAIT],
            "old-1": [plan.REPLACE, plan.WAIT],
            "new-2": [plan.CREATE, plan.WAIT],
            "old-2": [plan.PULL_IMAGE, plan.REPLACE, plan.WAIT],
            "same": [],
        }
    )
    monkeypatch.setattr(serving, "run", fake.run)
    monkeypatch.setattr(serving, "wanted_container", lambda one: ContainerSpec(one["container_name"], "image", ()))
    monkeypatch.setattr(serving, "containers", lambda one, places: [None for _place in places])
    return fake


def go(fake: FakeServing, check_mode: bool = False) -> dict[str, Any]:
    entries = [{"container_name": name, "port": 8000 + index} for index, name in enumerate(fake.steps)]
    return instances.run(expanded(*entries), check_mode)


def test_all_is_brought_first_then_one_is_replaced_at_a_time_and_new_ones_start_together(four: FakeServing) -> None:
    result = go(four)

    assert four.asked[:4] == [
        ("prefetched", "new-1"),
        ("prefetched", "old-2"),
        ("present", "old-1"),
        ("present", "old-2"),
    ]
    # Each waited for the other.
    assert sorted(four.asked[4:]) == [("present", "new-1"), ("present", "new-2")]
    assert result["changed"]
    assert [part["name"] for part in result["instances"]] == list(four.steps)
    assert result["instances"][0]["steps"] == [plan.PULL_IMAGE, plan.CREATE, plan.WAIT]
    assert not result["instances"][4]["changed"]
    assert f"old-2: {plan.PULL_IMAGE}" in result["steps"]


def test_a_look_asks_for_all_and_does_nothing(four: FakeServing) -> None:
    assert go(four, check_mode=True)["changed"]
    assert four.asked == []


def test_after_a_replacement_that_failed_the_rest_is_left_as_it_is(four: FakeServing) -> None:
    four.fail = ("old-1",)
    with pytest.raises(FleetError, match=r"old-1: it broke\nNot touched any more: new-1, new-2, old-2\."):
        go(four)
    assert four.asked[2:] == [("present", "old-1")]


def test_of_engines_that_start_together_each_failure_is_told(four: FakeServing) -> None:
    four.fail = ("new-1", "new-2")
    with pytest.raises(FleetError, match="new-1: it broke\nnew-2: it broke"):
        go(four)
