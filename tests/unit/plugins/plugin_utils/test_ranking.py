# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet's benchmark as it closes the playbook."""

from __future__ import annotations

import json

from ansible_collections.inference.fleet.plugins.plugin_utils import ranking, summary
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

FLEET = {"h100-1": 1.0, "h100-2": 1.004, "h100-3": 0.8, "h100-4": 0.998}


def record(host: str, speed: float, **changes: object) -> summary.HostRecord:
    document = factory.document(host=host, factors=(speed, speed * 1.002, speed * 0.998), **changes)
    noted = summary.HostRecord(host)
    summary.note(
        noted, "inference.fleet.benchmark", "Benchmark", {"changed": True, "result": document, "path": "/r.json"}
    )
    return noted


def made(records: list[summary.HostRecord]) -> dict:
    return summary.document(
        "benchmark", records, [item.name for item in records], check_mode=False, started_at="now", seconds=1
    )


def test_hosts_of_one_profile_are_ranked_and_the_slow_one_is_named() -> None:
    document = made([record(host, speed) for host, speed in FLEET.items()])

    lines = summary.table(document).splitlines()

    start = next(index for index, line in enumerate(lines) if line.startswith("RANK"))
    assert [line.split()[1] for line in lines[start + 1 : start + 5]] == ["h100-2", "h100-1", "h100-4", "h100-3"]
    assert [line.endswith("SLOWER") for line in lines[start + 1 : start + 5]] == [False, False, False, True]
    assert lines[start + 5].startswith("SLOWER h100-3: ")
    assert "below the median of its 3 siblings" in lines[start + 5]
    assert document["hosts"][0]["benchmarks"][0]["path"] == "/r.json"
    json.dumps(document)


def test_what_is_simulated_says_so() -> None:
    (group,) = ranking.ranking(item.runs[0] for item in (record(host, 1.0, simulated=True) for host in FLEET))
    assert ranking.table([group]).startswith("SIMULATED  ")


def test_one_host_alone_makes_no_table() -> None:
    assert ranking.table(ranking.ranking(record("h100-1", 1.0).runs)) == ""
