# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether hosts that serve one model together are well."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.action import doctor
from ansible_collections.inference.fleet.plugins.module_utils.host import engine_group

NAMES = ["gpu1", "gpu2"]
RUNS: dict[str, Any] = {"engines": [{"state": "running"}]}
ENDED: dict[str, Any] = {"engines": [{"state": "exited"}]}
NONE: dict[str, Any] = {"engines": []}
GONE: dict[str, Any] = {"unreachable": True, "msg": "no route"}
WELL = {"ok": True, "summary": "4 of 4 checks passed"}
FAILS = {"ok": False, "summary": "failed 1 of 4 checks: completion wanted a chat completion with text; found: 500"}


@pytest.mark.parametrize(
    ("head", "other", "answer", "ok", "found"),
    [
        (RUNS, RUNS, WELL, True, "its engine serves"),
        (NONE, NONE, {}, True, "not deployed"),
        (RUNS, ENDED, WELL, False, "gpu2 has a container that is exited"),
        (RUNS, NONE, WELL, False, "gpu2 has no container of it"),
        (ENDED, RUNS, {}, False, "gpu1 has a container that is exited"),
        (RUNS, RUNS, FAILS, False, f"the head gpu1 does not serve: {FAILS['summary']}"),
        (ENDED, ENDED, {}, False, "gpu1 has a container that is exited; gpu2 has a container that is exited"),
        # Of a host that does not answer nothing is made up.
        (RUNS, GONE, WELL, True, "its engine serves; nothing is known of gpu2"),
        (GONE, RUNS, {}, True, "nothing that is wrong; nothing is known of gpu1"),
        (GONE, ENDED, {}, False, "gpu2 has a container that is exited; nothing is known of gpu1"),
        (NONE, GONE, {}, True, "not deployed; nothing is known of gpu2"),
        (GONE, GONE, {}, True, "nothing that is wrong; nothing is known of gpu1, gpu2"),
    ],
)  # fmt: skip
def test_a_group_is_well_or_says_whose_part_is_not(
    head: dict[str, Any], other: dict[str, Any], answer: dict[str, Any], ok: bool, found: str
) -> None:
    check = engine_group.check(NAMES, {"gpu1": head, "gpu2": other}, answer)
    assert (check["ok"], check["found"]) == (ok, found)
    assert check["remedy"] == (None if ok else "Run deploy.yml with -l gpu1,gpu2: it starts the whole group anew.")


def test_each_host_of_a_group_that_was_looked_at_has_the_check() -> None:
    results = {"gpu1": {"checks": []}, "gpu2": {"unreachable": True}, "alone": {"checks": []}}
    groups = {"gpu1": NAMES, "gpu2": NAMES, "alone": []}
    found = doctor.with_groups(results, groups, {"gpu1": ENDED}, {})
    assert [check["name"] for check in found["gpu1"]["checks"]] == [engine_group.NAME]
    assert (found["gpu2"], found["alone"]) == (results["gpu2"], results["alone"])
