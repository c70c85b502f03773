# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What closes a playbook, from results as the modules return them."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.plugin_utils import summary
from ansible_collections.inference.fleet.plugins.plugin_utils.summary import HostRecord

ENGINE = "inference.fleet.engine"
DESCRIBED = {
    "name": "qwen3-coder-next",
    "engine": "vllm",
    "version": "0.32.0",
    "model": "Qwen/Qwen3-Coder-Next",
    "served_model_name": "qwen3-coder-next",
    "profile": "h100x4",
    "simulated": False,
    "state": "running",
    "url": "http://127.0.0.1:8000",
    "image": {"reference": "vllm/vllm-openai:latest", "digest": "sha256:" + "ab" * 32, "id": "sha256:" + "cd" * 32},
    "argv": ["--api-key", "a-secret-4711"],
    "environment": {"TOKEN": "a-secret-4711"},
}
SAME = {"exists": True, "status": "running"}
LOOK = {"changed": False, "engine": DESCRIBED, "steps": [], "ready": True, "diff": {"before": SAME, "after": SAME}}
UPGRADE = {
    **LOOK,
    "changed": True,
    "steps": ["pull the image", "replace the container", "wait until the endpoint is ready"],
    "diff": {"before": {**SAME, "image": "a:1", "command": []}, "after": {**SAME, "image": "a:2", "command": ["--x"]}},
}
ROLLED_BACK = (
    "the engine in qwen3-coder-next ended with exit code 1 before it was ready. Its last lines:\nboom\n"
    "The container before it was put back and serves again."
)


def made(records: list[HostRecord], check_mode: bool = False, started: list[str] | None = None) -> dict[str, Any]:
    names = [record.name for record in records] if started is None else started
    return summary.document(
        "deploy", records, names, check_mode=check_mode, started_at="2026-11-24T00:00:00Z", seconds=61.4
    )


def noted(name: str, *results: dict[str, Any], action: str = ENGINE) -> HostRecord:
    record = HostRecord(name)
    for result in results:
        summary.note(record, action, "Bring the engine to its wanted state", result)
    return record


def test_a_fleet_has_a_row_an_engine_and_its_failures_last() -> None:
    failed = noted("h2", LOOK)
    summary.note_failure(failed, ENGINE, "Bring the engine to its wanted state", {"msg": ROLLED_BACK})
    dead = HostRecord("h3")
    lost = "Task failed: Failed to connect to the host via ssh: ssh: connect to host 10.0.0.3 port 22: timed out"
    summary.note_unreachable(dead, "Look", {"msg": lost})
    records = [dead, failed, HostRecord("h4"), noted("h1", UPGRADE), noted("h0", LOOK)]

    document = made(records, started=["h0", "h1", "h2", "h3"])

    assert [host["outcome"] for host in document["hosts"]] == [
        "ok", "changed", "not started", "unreachable", "failed",
    ]  # fmt: skip
    assert not document["ok"]
    lines = summary.table(document).splitlines()
    assert lines[0].split() == ["HOST", "PROFILE", "ENGINE", "DIGEST", "STATE", "CHANGED", "SECONDS", "ENDPOINT"]
    as_it_is = ["h100x4", "vllm", "0.32.0", "abababababab"]
    assert lines[1].split() == ["h0", *as_it_is, "ready", "-", "0.0", "http://127.0.0.1:8000"]
    assert lines[2].split() == ["h1", *as_it_is, "ready", "image,", "command", "0.0", "http://127.0.0.1:8000"]
    assert lines[5].split()[:6] == ["h2", *as_it_is, "FAILED"]
    assert "deploy: 1 ok, 1 changed, 1 not started, 1 unreachable, 1 failed, in 61 s" in lines
    text = "\n".join(lines)
    assert "UNREACHABLE h3: ssh: connect to host 10.0.0.3 port 22: timed out\n    To do: See that it is up" in text
    assert text.index("FAILED h2: the engine in qwen3-coder-next ended") > text.index("UNREACHABLE h3")
    assert "To do: Its old engine serves. Mend the cause, then run again." in text
    assert text.endswith("Again for these alone: -l h4,h3,h2")
    # A gateway that was told of these alone would forget the others.
    assert "Again for these" not in summary.table({**document, "playbook": "gateway"})


def test_hosts_that_serve_one_model_are_run_again_for_together() -> None:
    group = {"rank": 0, "size": 2, "names": ["h0", "h1"]}
    failed = noted("h0", {**LOOK, "engine": {**LOOK["engine"], "group": group}})
    summary.note_failure(failed, ENGINE, "Bring the engine to its wanted state", {"msg": ROLLED_BACK})

    document = made([noted("h1", LOOK), noted("h2", LOOK), failed], started=["h0", "h1", "h2"])

    assert summary.table(document).endswith("Again for these alone: -l h0,h1")


def test_check_mode_tells_what_would_change_by_field() -> None:
    document = made([noted("h1", UPGRADE), noted("h0", LOOK)], check_mode=True)
    assert document["ok"]
    assert [host["outcome"] for host in document["hosts"]] == ["ok", "would change"]
    assert "would change: image, command" in summary.table(document)
    assert "check mode: nothing was done" in summary.table(document)


def test_a_look_that_finds_a_difference_is_no_change_of_the_host() -> None:
    look = {**UPGRADE, "changed": False}
    assert made([noted("h1", look)])["hosts"][0]["outcome"] == "ok"
    several = {**look, "instances": [{**UPGRADE, "name": "first"}, {**LOOK, "name": "second"}]}
    assert made([noted("h1", several)])["hosts"][0]["outcome"] == "ok"
    assert made([noted("h1", look, UPGRADE)])["hosts"][0]["changes"] == ["image", "command"]


def test_no_secret_and_nothing_else_of_a_result_gets_in() -> None:
    document = made([noted("h1", {**UPGRADE, "invocation": {"module_args": {"api_key": "a-secret-4711"}}})])
    assert "4711" not in json.dumps(document) + summary.table(document)


def test_several_engines_of_a_host_have_a_row_each() -> None:
    parts = [
        {**LOOK, "name": "first", "engine": {**DESCRIBED, "name": "first"}},
        {**UPGRADE, "name": "second", "engine": {**DESCRIBED, "name": "second", "url": "http://127.0.0.1:8001"}},
    ]
    record = noted("h1", {"changed": True, "engine": DESCRIBED, "steps": [], "instances": parts})
    record.tasks.append("Install docker.io")
    record.checks.append({"url": "http://127.0.0.1:8001", "passed": 8, "of": 8})
    host = made([record])["hosts"][0]
    assert host["changes"] == ["second: image", "second: command", "Install docker.io"]
    document = made([record])
    run = {"url": "http://127.0.0.1:8001", "variant": None, "output_throughput": 379.4}
    of_no_engine = {"url": "http://10.0.0.9:80", "variant": None, "output_throughput": 11.0}
    document["hosts"][0]["benchmarks"] = [run, of_no_engine, {**run, "variant": "SGLang"}]
    first, second = summary.table(document).splitlines()[1:3]
    assert first.split()[0] == "h1"
    assert "Install docker.io" in first
    assert second.split()[0] == "h100x4"
    assert ("ready, 11 tok/s  " in first, "ready, 8 of 8 checks, 379 tok/s  " in second) == (True, True)
    assert second.split()[-3:] == ["image,", "command", "http://127.0.0.1:8001"]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"diff": {"before": {"exists": False}, "after": {"exists": True, "image": "a"}}}, ["created"]),
        ({"diff": {"before": {"exists": True}, "after": {"exists": False}}}, ["removed"]),
        (
            {"diff": {"before": {"exists": True, "status": "exited"}, "after": {"exists": True, "status": "running"}}},
            ["started"],
        ),
        ({"diff": {"before": SAME, "after": SAME}, "steps": ["restart the container"]}, ["restart the container"]),
        ({"diff": {"before": {**SAME, "shm_bytes": 1}, "after": SAME}}, ["shm_bytes"]),
        ({"steps": ["pull the image"]}, ["pull the image"]),
    ],
)
def test_what_became_of_a_container_in_words(result: dict[str, Any], words: list[str]) -> None:
    assert summary.fields(result) == words


def test_new_engines_of_a_host_are_told_by_name() -> None:
    new = {**LOOK, "changed": True, "engine": {}, "diff": {"before": {"exists": False}, "after": {"exists": True}}}
    parts = [{**new, "name": "first"}, {**new, "name": "second"}]
    document = made([noted("h1", {**new, "instances": parts})], check_mode=True)
    assert document["hosts"][0]["changes"] == ["first: created", "second: created"]
    assert "would change: first: created, second: created" in summary.table(document)


def test_what_a_role_says_that_it_would_do_is_told() -> None:
    record = HostRecord("h1")
    would = {"changed": True, "msg": "Would install docker.io and start Docker Engine."}
    summary.note(record, "ansible.builtin.debug", "Say what would be done", would)
    summary.note(record, "ansible.builtin.debug", "Show", {"changed": True, "msg": "anything, a key even"})
    summary.note(record, "ansible.builtin.apt", "Install", {"changed": True, "msg": "anything, a key even"})
    assert record.tasks == ["install docker.io and start Docker Engine", "Show", "Install"]


def test_a_torn_down_engine_is_absent() -> None:
    gone = {**LOOK, "changed": True, "engine": {}, "ready": False, "diff": {"before": SAME, "after": {"exists": False}}}
    host = made([noted("h1", {**gone, "name": "mine"})])["hosts"][0]
    assert [(engine["name"], engine["state"]) for engine in host["engines"]] == [("mine", "absent")]
    assert host["changes"] == ["removed"]


def test_checks_are_counted() -> None:
    checks = [{"status": "ok", "ok": True}, {"status": "failed", "ok": False}, {"status": "skipped", "ok": True}]
    result = {"checks": checks, "url": "http://127.0.0.1:8000"}
    record = noted("h1", result, action="inference.fleet.endpoint_check")
    line = summary.table(made([record])).splitlines()[1]
    assert "1 of 2 checks" in line
    assert line.endswith("http://127.0.0.1:8000")


def test_hosts_with_nothing_to_tell_make_no_table() -> None:
    assert summary.table(made([HostRecord("h1")])) == ""


def test_a_long_reason_is_cut_in_the_table_and_whole_in_the_document() -> None:
    record = HostRecord("h1")
    summary.note_failure(record, "ansible.builtin.apt", "Install", {"msg": "\n".join(map(str, range(40)))})
    document = made([record])
    assert document["hosts"][0]["reason"].endswith("\n39")
    assert "... and 28 more lines" in summary.table(document)
    assert "Mend what the task 'Install' says" in summary.table(document)


def test_of_a_command_what_it_said_is_told() -> None:
    record = HostRecord("h1")
    summary.note_failure(record, "x", "Install", {"msg": "non-zero return code", "stderr": "no room\n", "rc": 1})
    assert record.reason == "no room"


def test_of_a_loop_the_items_that_failed_are_told() -> None:
    items = [{"msg": "fine"}, {"failed": True, "msg": "no room"}, {"failed": True, "msg": "no network"}]
    record = HostRecord("h1")
    summary.note_failure(record, "x", "Fetch", {"msg": "One or more items failed", "results": items})
    assert record.reason == "no room\nno network"


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("ubuntu@10.0.0.3: Permission denied (publickey).", "ansible_user"),
        ("Host key verification failed.", "known_hosts"),
        ("ssh: Could not resolve hostname h9: Name or service not known", "ansible_host"),
        ("Connection reset by peer", "See that it is up"),
    ],
)
def test_what_to_do_about_a_host_that_cannot_be_reached(said: str, remedy: str) -> None:
    record = HostRecord("h1")
    summary.note_unreachable(record, "Look", {"msg": said})
    assert remedy in (summary.remedy(record) or "")


@pytest.mark.parametrize(
    ("bind_address", "address", "endpoint"),
    [
        ("127.0.0.1", "10.0.0.5", "http://127.0.0.1:8000"),
        ("0.0.0.0", "10.0.0.5", "http://10.0.0.5:8000"),
        ("::", "fd00::5", "http://[fd00::5]:8000"),
        # A host that is this machine has no address for others.
        ("0.0.0.0", "", "http://127.0.0.1:8000"),
        (None, "10.0.0.5", "http://127.0.0.1:8000"),
    ],
)
def test_an_engine_that_others_reach_has_the_hosts_address(bind_address: Any, address: str, endpoint: str) -> None:
    record = noted("h1", {**LOOK, "engine": {**DESCRIBED, "bind_address": bind_address}})
    record.address = address
    document = made([record])
    assert document["hosts"][0]["engines"][0]["endpoint"] == endpoint
    assert summary.table(document).splitlines()[1].endswith(endpoint)


def test_what_is_past_its_lease_is_named():
    now = datetime(2026, 11, 26, 9, tzinfo=timezone.utc)
    leases = {
        "over": "2026-11-26T08:59:59Z",
        "just": "2026-11-26T09:00:00Z",
        "later": "2026-11-26T09:00:01Z",
        "none": None,
    }
    told = summary.overdue(leases, now)
    assert told.startswith("Past the end of its lease, and billing: over (2026-11-26T08:59:59Z), just (")
    assert "later" not in told
    assert "none" not in told
    assert summary.overdue({"later": "2026-11-26T09:00:01Z"}, now) == ""
