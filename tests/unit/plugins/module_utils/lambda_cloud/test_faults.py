# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong between a control host and the API, with what runs and what was spent at the end."""

from __future__ import annotations

import email.utils
import json

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

from .conftest import BEGIN, KEY, Account

LAUNCH = "instance-operations/launch"


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    "what", ["cut-before", "cut-after", "malformed", "500", "503", "done-500", "done-502", "done-504", "408", "429"]
)
@pytest.mark.parametrize("lag", [0.0, 60.0])
def test_a_launch_whose_answer_is_lost_is_made_once(account: Account, what: str, times: int, lag: float):
    account.cloud.lag_seconds = lag
    account.fault("POST", LAUNCH, what, times)
    found = account.launch()
    assert len(account.cloud.instances) == 1
    assert [each["id"] for each in found["instances"]] == list(account.cloud.instances)
    assert not account.launch()["changed"]
    account.run(name="h100-1", state="absent")
    assert account.cloud.running() == []
    # One machine was paid for, from its launch to its end.
    (only,) = account.cloud.instances.values()
    assert account.cloud.dollars() == pytest.approx((only.ended - only.launched) / 3600 * 4.29)


def test_a_launch_that_shows_later_than_the_api_may_take_leaves_one(account: Account):
    """It is launched again, and when the first one shows, the extra one is ended before it is handed over."""
    account.cloud.lag_seconds = 150.0
    account.fault("POST", LAUNCH, "cut-after")
    account.launch()
    assert len(account.cloud.instances) == 2
    assert len(account.cloud.running()) == 1
    # What it cost too much is minutes.
    (extra,) = [each for each in account.cloud.instances.values() if each.ended is not None]
    assert (extra.ended - extra.launched) / 3600 * 4.29 < 1.0


@pytest.mark.parametrize("header", ["7", email.utils.formatdate(BEGIN + 8, usegmt=True), None])
def test_a_read_waits_as_long_as_it_is_told(account: Account, header: str | None):
    account.fault("GET", "instances", "429", headers={"Retry-After": header} if header else {})
    account.run("instance_info")
    first, second = [each.at for each in account.cloud.exchanges if each.path == "instances"]
    assert second - first >= (7 if header else 0.5)


@pytest.mark.parametrize("what", ["cut-before", "malformed", "500", "503", "429", "408"])
def test_a_read_is_tried_again_and_then_told(account: Account, what: str):
    account.fault("GET", "instances", what, 3)
    assert account.run("instance_info")["instances"] == []
    account.fault("GET", "instances", what, 10_000)
    with pytest.raises(FleetError, match=r"GET http://\S+/instances: .*It was tried \d+ times in 300 s"):
        account.run("instance_info")


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        ("401", "global/invalid-api-key", "Give a valid key"),
        ("403", "global/account-inactive", "Verify the account"),
        ("403", "global/invalid-address", "Mend the account's billing address"),
        ("400", "global/quota-exceeded", "ask Lambda for a larger quota"),
        ("409", "global/conflict", "conflict"),
        ("404", "global/object-does-not-exist", "do what it says"),
        ("400", "instance-operations/launch/file-system-in-wrong-region", "Launch in the region of the file system"),
    ],
)
def test_a_refusal_is_told_and_nothing_runs(account: Account, status: str, code: str, words: str):
    body = {"error": {"code": code, "message": "The server's words.", "suggestion": "do what it says"}}
    account.fault("POST", LAUNCH, status, text=json.dumps(body))
    with pytest.raises(FleetError) as error:
        account.launch()
    assert "The server's words" in str(error.value)
    assert words in str(error.value)
    assert account.cloud.instances == {}
    assert account.asked("POST", LAUNCH) == 1


def test_capacity_that_goes_between_look_and_launch_is_tried_elsewhere(account: Account):
    account.cloud.listed_free = {("gpu_1x_h100_sxm5", "us-west-1"): 1, ("gpu_1x_h100_sxm5", "us-east-1"): 1}
    account.cloud.free = {("gpu_1x_h100_sxm5", "us-east-1"): 1}
    (one,) = account.launch(regions=["us-west-1", "us-east-1"])["instances"]
    assert one["region"] == "us-east-1"
    assert any("was taken meanwhile" in line for line in account.said)


def test_a_wrong_key_is_told_without_the_key(account: Account):
    with pytest.raises(FleetError) as error:
        account.api(key="wrong-" + KEY).get("instances")
    assert "LAMBDA_API_KEY" in str(error.value)
    assert KEY not in str(error.value)


@pytest.mark.parametrize("what", ["cut-before", "cut-after", "done-500", "503", "malformed"])
def test_an_end_whose_answer_is_lost_is_asked_for_again(account: Account, what: str):
    account.launch()
    account.fault("POST", "instance-operations/terminate", what, 2)
    assert account.run(name="h100-1", state="absent")["changed"]
    assert account.cloud.running() == []


def test_one_that_is_gone_already_does_not_keep_the_others(account: Account):
    account.run(name="h100", exact_count=2, instance_types=["gpu_1x_h100_sxm5"])

    def somebody_ends_one(method: str, path: str) -> None:
        if path == "instance-operations/terminate":
            account.cloud.before = lambda *unused: None
            first = next(iter(account.cloud.instances.values()))
            first.ended = account.time.now() - 10_000

    account.cloud.before = somebody_ends_one
    assert account.run(name="h100", state="absent")["changed"]
    assert account.cloud.running() == []


@pytest.mark.parametrize("lag", [0.0, 90.0])
def test_a_control_host_that_dies_after_its_launch_finds_it(account: Account, lag: float):
    """Killed between request and answer, with a list that shows the machine only later."""
    account.cloud.lag_seconds = lag

    class Killed(BaseException):
        pass

    api = account.api()
    ask = api.send

    def die(*request: object) -> None:
        ask(*request)
        raise Killed

    launcher_api = account.api
    account.api = lambda *unused, **more: api
    api.send = die
    with pytest.raises(Killed):
        account.launch()
    account.api = launcher_api
    assert len(account.cloud.running()) == 1
    found = account.launch()
    assert len(account.cloud.instances) == 1
    assert found["instances"][0]["name"] == "h100-1"


def test_what_was_spent_is_what_the_api_bills(account: Account):
    account.launch()
    account.time.sleep(3600 * 2)
    found = account.run("instance_info")
    assert found["cost_usd"] == pytest.approx(account.cloud.dollars(), abs=0.01)
    assert found["hourly_usd"] == 4.29


@pytest.mark.parametrize(
    ("module", "path", "options"),
    [
        ("ssh_key", "ssh-keys", {"name": "new", "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB== a@b"}),
        ("file_system", "filesystems", {"name": "models", "region": "us-east-1"}),
        (
            "firewall_ruleset",
            "firewall-rulesets",
            {
                "name": "vpn",
                "region": "us-east-1",
                "rules": [{"protocol": "tcp", "port_range": [443, 443], "source_network": "192.0.2.7"}],
            },
        ),
    ],
)
@pytest.mark.parametrize("what", [None, "cut-before", "cut-after", "done-503", "malformed", "500"])
def test_other_things_are_made_once_too(account: Account, module: str, path: str, options: dict, what: str | None):
    if what:
        account.fault("POST", path, what)
    assert account.run(module, check=True, **options)["changed"]
    assert account.run(module, **options)["changed"]
    assert not account.run(module, **options)["changed"]
    listed = {"ssh-keys": account.cloud.keys, "filesystems": account.cloud.file_systems}.get(
        path, account.cloud.rulesets
    )
    assert [each["name"] for each in listed].count(options["name"]) == 1
    assert account.run(module, name=options["name"], state="absent")["changed"]
    assert not account.run(module, name=options["name"], state="absent")["changed"]
