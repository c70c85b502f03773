# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a group's firewall lets in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.containers import state
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.serving import firewall

WANTED = firewall.Wanted(("10.0.0.2", "10.0.0.1", "fd00::1"), 29501, 8000)
RANGE = (32768, 60999)


def test_members_are_let_in_and_others_are_not() -> None:
    assert firewall.rules(WANTED, RANGE, {22, 40022}) == [
        'iifname "lo" accept',
        "ct state established,related accept",
        "ip saddr { 10.0.0.1, 10.0.0.2 } accept",
        "ip6 saddr { fd00::1 } accept",
        "tcp dport { 8000, 40022 } accept",
        "tcp dport { 29501, 32768-60999 } reject with tcp reset",
    ]
    # A port within the range is not named twice, which nft refuses.
    within = firewall.rules(WANTED._replace(port=40000, addresses=("fe80::1%eth0",)), RANGE)
    assert within[2:] == [
        "ip6 saddr { fe80::1 } accept",
        "tcp dport { 8000 } accept",
        "tcp dport { 32768-60999 } reject with tcp reset",
    ]


def test_a_slot_has_a_table_of_its_own() -> None:
    assert firewall.table("a-b") != firewall.table("a_b")
    assert firewall.table("a-b").replace("_", "").isalnum()


@pytest.mark.parametrize(
    ("listing", "found"),
    [
        ("", None),
        ("[]", None),
        ('{"nftables": [{"table": {"name": "t"}}]}', None),
        ('{"nftables": [{"chain": {"hook": "input", "policy": "accept"}}]}', []),
        ('{"nftables": [{"chain": {"hook": "input", "policy": "accept"}}, {"rule": {}}]}', [""]),
        ('{"nftables": [{"chain": {"hook": "input", "policy": "accept"}}, {"chain": {"name": "more"}}]}', None),
    ],
)
def test_what_is_no_table_of_ours_differs(listing: str, found: list[str] | None) -> None:
    assert firewall.comments(listing) == found


def test_where_no_table_was_put_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(argv: Sequence[str]) -> tuple[int, str, str]:
        raise AssertionError(argv)

    monkeypatch.setattr(state, "STATE_DIR", tmp_path)
    assert not firewall.Firewall("8000", None, never).differs


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((127, "", ""), "Install the package nftables"),
        ((1, "", "Operation not permitted"), "nft does not tell the firewall's rules: Operation not permitted"),
    ],
)
def test_a_host_that_cannot_close_its_ports_is_refused(answer: tuple[int, str, str], said: str) -> None:
    wall = firewall.Firewall("8000", WANTED, lambda argv: answer if argv[0] == "nft" else (0, "", ""))
    with pytest.raises(FleetError, match=said):
        _unused = wall.differs


def test_rules_are_told_apart_by_their_comments() -> None:
    listed = firewall.rules(WANTED, RANGE)
    text = firewall.ruleset("8000", listed)
    assert all(json.dumps(firewall.comment(rule)) in text for rule in listed)
    assert len({firewall.comment(rule) for rule in listed}) == len(listed)
