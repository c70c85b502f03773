# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often a comparison is wrong, and what its margin is made of."""

from __future__ import annotations

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.comparisons import verdicts
from ansible_collections.inference.fleet.tests.bench import compare


# More seeds where chance alone may make 3 of 40.
@pytest.mark.parametrize(("level", "seeds"), [("0.6 %", range(40)), ("1.2 %", range(300))])
@pytest.mark.parametrize(("rounds", "hosts"), [(2, 1), (2, 4)])
def test_a_difference_of_5_percent_is_found_and_none_is_claimed_where_there_is_none(
    level: str, seeds: range, rounds: int, hosts: int
) -> None:
    of = compare.told(level, "white", rounds, hosts, seeds)
    assert of.found >= 0.9
    assert max(of.claims.values()) <= 0.05


def test_one_round_tells_less_than_two() -> None:
    alone, twice = (
        verdicts.verdict("output_throughput", {"h": [1.0] * count}, {"h": [1.0] * count}, []) for count in (1, 2)
    )
    assert alone.margin > twice.margin > 0.02


def test_hosts_that_disagree_widen_the_margin() -> None:
    def margin(*changes: float) -> float:
        ours = {f"gpu{index}": [100 * change] * 2 for index, change in enumerate(changes)}
        theirs = {host: [100.0] * 2 for host in ours}
        return verdicts.verdict("output_throughput", ours, theirs, [ours, theirs]).margin

    assert margin(1.1, 1.1, 1.1) < margin(1.0, 1.1, 1.2)


def test_a_variant_that_no_host_has_beside_the_other_has_no_verdict() -> None:
    assert verdicts.verdict("output_throughput", {"one": [1.0]}, {"other": [1.0]}, []) is None


def test_less_is_better_where_it_is_a_latency() -> None:
    ours, theirs = {"h": [50.0, 50.0]}, {"h": [100.0, 100.0]}
    assert verdicts.verdict("mean_ttft_ms", ours, theirs, [ours, theirs]).verdict == "better"
    assert verdicts.verdict("output_throughput", ours, theirs, [ours, theirs]).verdict == "worse"
