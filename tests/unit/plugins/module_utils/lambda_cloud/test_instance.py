# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user asks of instances, against a Lambda Cloud over real HTTP."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError


def test_a_machine_is_launched_once(account):
    found = account.launch(lease="4h", tags={"team": "ml"})
    assert found["changed"]
    (one,) = found["instances"]
    assert (one["name"], one["profile"], one["status"], one["hourly_usd"]) == ("h100-1", "h100x1", "active", 4.29)
    assert one["ip"] == "127.0.0.11"
    assert one["tags"]["team"] == "ml"
    assert any("is booting" in line for line in account.said)
    again = account.launch(lease="4h")
    assert not again["changed"]
    assert again["instances"][0]["id"] == one["id"]
    assert len(account.cloud.instances) == 1
    assert account.asked("POST", "instance-operations/launch") == 1


def test_check_mode_says_what_it_would_cost_and_launches_nothing(account):
    found = account.launch(check=True)
    assert found["changed"]
    assert found["msg"] == "Would launch h100-1: gpu_1x_h100_sxm5 in us-west-1, US$ 4.29 an hour."
    assert found["diff"]["after"]["h100-1"]["hourly_usd"] == 4.29
    assert account.cloud.instances == {}


def test_it_is_ended_and_seen_to_be(account):
    account.launch()
    assert account.run(name="h100-1", state="absent", check=True)["changed"]
    assert len(account.cloud.running()) == 1
    found = account.run(name="h100-1", state="absent")
    assert found["changed"]
    assert found["left"]["hourly_usd"] == 0
    (only,) = account.cloud.instances.values()
    spent = found["msg"].removeprefix("Ended h100-1, US$ ").partition(" ")[0]
    # It is told until the end was seen, which takes a minute.
    assert 0 <= float(spent) - account.cloud.dollars() < 4.29 / 60 + 0.01
    assert found["msg"] == f"Ended h100-1, US$ {spent} since its launch. Still billing: no instance, US$ 0.00 an hour."
    assert account.cloud.status(only) == "terminated"
    assert not account.run(name="h100-1", state="absent")["changed"]


def test_what_is_not_ours_is_ended_only_where_it_is_said_twice(account):
    api = account.api()
    body = {"name": "h100-1", "instance_type_name": "gpu_1x_h100_sxm5", "region_name": "us-west-1"}
    (other,) = api.send("POST", "instance-operations/launch", {**body, "ssh_key_names": ["laptop"]})["instance_ids"]
    # A name alone makes it nobody's.
    found = account.run(name="h100-1", state="absent")
    assert not found["changed"]
    assert "1 that is not ours" in found["msg"]
    with pytest.raises(FleetError, match=rf"not_ours: {other}"):
        account.run(id=other, state="absent")
    with pytest.raises(FleetError, match="not launched by this collection"):
        account.run(id=other, state="absent", not_ours="yes")
    assert len(account.cloud.running()) == 1
    assert account.run(id=other, state="absent", not_ours=other)["changed"]
    assert account.cloud.running() == []


def test_a_count_grows_and_ends_its_oldest(account):
    found = account.run(
        name="h100", exact_count=3, instance_types=["gpu_1x_h100_sxm5"], regions=["us-west-1"], lease="1h"
    )
    assert [one["name"] for one in found["instances"]] == ["h100-1", "h100-2", "h100-3"]
    assert not account.run(name="h100", exact_count=3)["changed"]
    found = account.run(name="h100", exact_count=2)
    assert [one["name"] for one in found["ended"]] == ["h100-1"]
    found = account.run(name="h100", exact_count=3, instance_types=["gpu_1x_h100_sxm5"])
    assert sorted(one["name"] for one in found["instances"]) == ["h100-1", "h100-2", "h100-3"]
    # The new h100-1 is the youngest.
    assert [one["name"] for one in account.run(name="h100", exact_count=2)["ended"]] == ["h100-2"]
    assert account.run(name="h100", state="absent")["changed"]
    assert account.cloud.running() == []


def test_launches_are_spaced_over_all_processes(account):
    account.run(name="h100", exact_count=3, instance_types=["gpu_1x_h100_sxm5"])
    times = [each.at for each in account.cloud.exchanges if each.path == "instance-operations/launch"]
    assert all(second - first >= 12 for first, second in itertools.pairwise(times))
    assert all(each.status == 200 for each in account.cloud.exchanges)


def test_a_machine_that_differs_is_not_replaced(account):
    account.launch()
    with pytest.raises(FleetError, match="type is gpu_1x_h100_sxm5, wanted gpu_4x_h100_sxm5"):
        account.launch(instance_types=["gpu_4x_h100_sxm5"])
    assert len(account.cloud.running()) == 1


def test_it_is_renamed(account):
    account.launch()
    found = account.run(name="h100-1", new_name="trainer")
    assert found["changed"]
    assert found["diff"] == {"before": {"name": "h100-1"}, "after": {"name": "trainer"}}
    assert [one["name"] for one in account.run("instance_info")["instances"]] == ["trainer"]
    assert not account.run(name="h100-1", new_name="trainer")["changed"]
    with pytest.raises(FleetError, match="cannot be renamed"):
        account.run(name="other", new_name="else")


def test_a_lease_ends_it_and_can_be_extended(account):
    account.launch(lease="1h")
    account.time.sleep(1800)
    assert not account.run("reap")["changed"]
    found = account.run(name="h100-1", state="extended", lease="2h")
    assert found["changed"]
    assert not account.run(name="h100-1", state="extended", lease="1h")["changed"], "a lease is never made shorter"
    account.time.sleep(3600)
    assert not account.run("reap")["changed"]
    assert not account.launch()["changed"], "it has its name still"
    account.time.sleep(3600)
    info = account.run("instance_info")
    assert info["overdue"] == ["h100-1"]
    assert account.run("reap", check=True)["changed"]
    assert len(account.cloud.running()) == 1
    found = account.run("reap")
    assert [one["name"] for one in found["ended"]] == ["h100-1"]
    # Two and a half hours, and the time to boot.
    assert found["msg"].startswith("Ended h100-1, US$ 11.")
    assert account.cloud.running() == []
    assert not account.run("reap")["changed"]


def test_what_has_no_lease_is_not_reaped(account):
    account.launch()
    account.time.sleep(1e6)
    assert not account.run("reap")["changed"]


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"max_hourly_usd": 8.0}, "max_hourly_usd is 8.00: 1 gpu_1x_h100_sxm5 at US$ 4.29 an hour would make it 8.58"),
        ({"max_instances": 1}, "max_instances is 1: 1 more would be 2"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_limits_of_money_hold_over_all_that_is_ours(account, limit, words, check):
    account.launch()
    with pytest.raises(FleetError) as error:
        account.launch(name="h100-2", check=check, **limit)
    assert words in str(error.value)
    assert "1 of ours run for US$ 4.29 an hour (h100-1)" in str(error.value)
    assert len(account.cloud.instances) == 1


def test_a_count_that_a_limit_stops_says_what_runs(account):
    with pytest.raises(
        FleetError, match=r"max_instances is 2.*Of 3 h100, 2 run and bill, US\$ 8.58 an hour: h100-1, h100-2"
    ):
        account.run(name="h100", exact_count=3, max_instances=2, instance_types=["gpu_1x_h100_sxm5"])


def test_capacity_is_tried_in_the_users_order(account):
    account.cloud.free = {("gpu_2x_b200_sxm6", "us-east-1"): 1, ("gpu_1x_h100_sxm5", "us-south-1"): 1}
    types = ["gpu_4x_h100_sxm5", "gpu_2x_b200_sxm6", "gpu_1x_h100_sxm5"]
    (one,) = account.launch(instance_types=types, regions=[])["instances"]
    assert (one["instance_type"], one["region"]) == ("gpu_2x_b200_sxm6", "us-east-1")


def test_capacity_by_price(account):
    account.cloud.free = {("gpu_2x_b200_sxm6", "us-east-1"): 1, ("gpu_1x_h100_sxm5", "us-south-1"): 1}
    (one,) = account.launch(instance_types=["gpu_2x_b200_sxm6", "gpu_1x_h100_sxm5"], regions=[], choose_by="price")[
        "instances"
    ]
    assert one["instance_type"] == "gpu_1x_h100_sxm5"


def test_no_capacity_says_where_there_is_some(account):
    account.cloud.free = {("gpu_1x_h100_sxm5", "us-east-1"): 1}
    with pytest.raises(FleetError, match=r"no gpu_1x_h100_sxm5 is free in us-west-1 .*is free in us-east-1"):
        account.launch()
    assert account.cloud.instances == {}


def test_capacity_is_waited_for_until_it_comes(account):
    account.cloud.free = {}
    account.time.at(1000, lambda: account.cloud.free.update({("gpu_1x_h100_sxm5", "us-west-1"): 1}))
    found = account.launch(wait_for_capacity=3600)
    assert found["changed"]
    assert any("waiting for it for up to 60 min" in line for line in account.said)
    assert not any(each.status == 429 for each in account.cloud.exchanges)


def test_capacity_is_waited_for_no_longer_than_was_said(account):
    account.cloud.free = {}
    with pytest.raises(FleetError, match="Nothing was launched"):
        account.launch(wait_for_capacity=600)
    assert 600 <= account.time.now() - 1_795_600_000 < 700


def test_a_machine_that_never_becomes_active_is_told_with_its_cost(account):
    account.cloud.boot_seconds = 1e6
    with pytest.raises(FleetError, match=r"h100-1 is booting.*Still running and billing, US\$ 4.29 an hour: h100-1"):
        account.launch(wait_timeout=600)
    # The next run goes on waiting, and launches nothing.
    account.cloud.boot_seconds = 700
    assert not account.launch()["changed"]
    assert len(account.cloud.instances) == 1


def test_a_machine_that_is_unhealthy_bills_and_is_told_and_ended(account):
    account.time.at(400, lambda: [setattr(each, "status", "unhealthy") for each in account.cloud.instances.values()])
    account.cloud.boot_seconds = 500
    with pytest.raises(FleetError, match=r"h100-1 is unhealthy\. Still running and billing, US\$ 4.29 an hour: h100-1"):
        account.launch(wait_timeout=600)
    assert account.run(name="h100-1", state="absent")["changed"]
    assert account.cloud.running() == []


def test_a_machine_that_is_preempted_ends_the_wait(account):
    account.time.at(400, lambda: [setattr(each, "status", "preempted") for each in account.cloud.instances.values()])
    account.cloud.boot_seconds = 500
    with pytest.raises(FleetError, match=r"h100-1 is preempted\. Nothing of it bills any more"):
        account.launch()


def test_terminate_that_lags_is_not_believed(account):
    account.launch()
    account.cloud.end_seconds = 5000
    with pytest.raises(FleetError, match=r"h100-1 \(\w+\) is terminating\. They may cost US\$ 4.29 an hour"):
        account.run(name="h100-1", state="absent", wait_timeout=600)


def test_two_control_hosts_at_once_leave_one(account):
    account.cloud.lag_seconds = 30
    other = {}

    def other_launches() -> None:
        other["result"] = account.launch(host="other")

    # The other one asks between this one's look and its launch: at its first wait.
    account.cloud.before = lambda method, path: None
    calls = []

    def before(method: str, path: str) -> None:
        if path == "instance-operations/launch" and not calls:
            calls.append(path)
            other_launches()

    account.cloud.before = before
    account.cloud.launch_seconds = 0
    found = account.launch()
    assert len(account.cloud.running()) == 1
    (kept,) = account.cloud.running()
    assert found["instances"][0]["id"] == kept.id == other["result"]["instances"][0]["id"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "a" * 60}, "is no name for an instance"),
        ({"name": "with space"}, "is no name for an instance"),
        ({"lease": "soon"}, "is no duration"),
        ({"tags": {"Bad_Key": "x"}}, "is no key"),
        ({"tags": {"inference-fleet:until": "x"}}, "the collection's own"),
        ({"ssh_key_name": "lost"}, "found no SSH key 'lost'. The account has: laptop"),
        ({"image_family": "lost"}, "It has: gpu-base-24-04, lambda-stack-24-04"),
        ({"instance_types": ["gpu_9x"]}, "no instance type gpu_9x"),
        ({"instance_types": []}, "at least one type"),
        ({"file_systems": ["lost"]}, "no file system 'lost'"),
        ({"id": "x"}, "either name or id"),
        ({"state": "extended"}, "extended wants lease"),
        ({"name": "none", "state": "restarted"}, "No instance of ours is called none"),
    ],
)
def test_what_cannot_succeed_fails_before_anything_is_launched(account, options, words):
    with pytest.raises(FleetError) as error:
        account.launch(**options)
    assert words in str(error.value)
    assert account.cloud.instances == {}


def test_a_file_system_decides_the_region(account):
    account.run("file_system", name="models", region="us-east-1")
    account.cloud.free = {("gpu_1x_h100_sxm5", region): 1 for region in ("us-west-1", "us-east-1")}
    (one,) = account.launch(regions=[], file_systems=["models"])["instances"]
    assert (one["region"], one["file_system_names"]) == ("us-east-1", ["models"])
    with pytest.raises(FleetError, match="goes only with an instance of its own region"):
        account.launch(name="h100-2", file_systems=["models"])


def test_a_restart_waits_until_it_answers_again(account):
    account.launch()
    found = account.run(name="h100-1", state="restarted")
    assert found["changed"]
    assert found["instances"][0]["status"] == "active"
    assert account.asked("POST", "instance-operations/restart") == 1
