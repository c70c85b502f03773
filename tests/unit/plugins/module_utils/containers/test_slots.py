# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which containers are a slot's, and what part each plays: by labels, and of an earlier version's as it left them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.containers import slots
from ansible_collections.inference.fleet.plugins.module_utils.containers.slots import Group, Listed, assign, slot
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

PLACE = slot(None, None, "coder", 8000)
NAMED = slot(None, "coder", "served", 8000)


def made(name: str, place: str | None = "8000", state: str = "running", port: int = 8000, **more: Any) -> Listed:
    """Return a container of ours; without a place, one of an earlier version. Its id is its name in capitals."""
    labels = {"inference.fleet.engine": "vllm", "inference.fleet.url": f"http://127.0.0.1:{port}"}
    labels["inference.fleet.served-model-name"] = more.get("served", "coder")
    if place:
        labels |= {slots.LABEL_SLOT: place, slots.LABEL_NAME: more.get("own", name)}
    if "replaces" in more:
        labels[slots.LABEL_REPLACES] = more["replaces"]
    return Listed(name.upper(), name, labels, state, more.get("at", 1))


def parts(group: Group) -> tuple[str | None, list[str], list[str], bool]:
    return (
        group.current.name if group.current else None,
        [item.name for item in group.prepared],
        [item.name for item in group.previous],
        group.kept,
    )


def part(place: slots.Slot, *listed: Listed, **more: Any) -> tuple[str | None, list[str], list[str], bool]:
    return parts(assign([place], listed, **more)[0])


NOTHING = (None, [], [], False)


# Every state in which a run can be cut off, before each of its calls.
@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ([], NOTHING),
        ([made("coder")], ("coder", [], [], False)),
        ([made("coder", state="created")], ("coder", [], [], False)),
        (
            [made("coder"), made("coder-next", state="created", own="coder", replaces="CODER")],
            ("coder", ["coder-next"], [], False),
        ),
        (
            [made("coder", state="exited"), made("coder-next", state="created", own="coder", replaces="CODER")],
            ("coder", ["coder-next"], [], False),
        ),
        (
            [
                made("coder-previous", state="exited", own="coder"),
                made("coder-next", state="created", own="coder", replaces="CODER-PREVIOUS"),
            ],
            ("coder-previous", ["coder-next"], [], True),
        ),
        (
            [
                made("coder-previous", state="exited", own="coder"),
                made("coder", state="created", replaces="CODER-PREVIOUS"),
            ],
            ("coder-previous", ["coder"], [], True),
        ),
        (
            [made("coder-previous", state="exited", own="coder"), made("coder", replaces="CODER-PREVIOUS")],
            ("coder", [], ["coder-previous"], False),
        ),
        # Going back was cut off between the removal of the one and the name of the other.
        ([made("coder-previous", state="exited", own="coder")], ("coder-previous", [], [], True)),
        # Two runs, each cut off before the swap.
        (
            [
                made("coder"),
                made("coder-next", state="created", own="coder", replaces="CODER"),
                made("coder-next-1", state="created", own="coder", replaces="CODER"),
            ],
            ("coder", ["coder-next", "coder-next-1"], [], False),
        ),
        # A swap to another model's name.
        ([made("other", replaces="GONE")], ("other", [], [], False)),
        ([made("old", state="exited"), made("coder", replaces="OLD")], ("coder", [], ["old"], False)),
    ],
)
def test_parts_of_a_slot(listed: Sequence[Listed], expected: Any) -> None:
    assert part(PLACE, *listed) == expected
    current, prepared, previous, kept = part(PLACE, *reversed(listed))
    assert (current, sorted(prepared), previous, kept) == expected


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ([made("coder", None)], ("coder", [], [], False)),
        ([made("coder", None), made("coder-next", None, "created", at=2)], ("coder", ["coder-next"], [], False)),
        (
            [made("coder", None, "exited"), made("coder-next", None, "created", at=2)],
            ("coder", ["coder-next"], [], False),
        ),
        (
            [made("coder-previous", None, "exited"), made("coder-next", None, "created", at=2)],
            ("coder-previous", ["coder-next"], [], True),
        ),
        (
            [made("coder-previous", None, "exited"), made("coder", None, at=2)],
            ("coder", [], ["coder-previous"], False),
        ),
    ],
)
def test_parts_that_an_earlier_version_left(listed: Sequence[Listed], expected: Any) -> None:
    assert part(PLACE, *listed) == expected
    assert part(NAMED, *reversed(listed)) == expected


@pytest.mark.parametrize("place", [None, "other"])
@pytest.mark.parametrize(
    "neighbour",
    [
        {"name": "coder-next", "served": "coder-next", "port": 8001},
        {"name": "coder-next", "served": "coder-next", "port": 8001, "state": "exited"},
        {"name": "coder-previous", "served": "coder-previous", "port": 8001, "state": "exited"},
        {"name": "coder-previous", "port": 8001, "state": "exited", "at": 0},
        {"name": "coder-previous", "served": "coder-previous", "state": "exited", "at": 0},
        {"name": "coder-next", "port": 8001, "state": "created", "at": 2},
    ],
)
def test_an_engine_may_be_called_anything(neighbour: dict[str, Any], place: str | None) -> None:
    """Also what another engine's containers are called while it is replaced."""
    other = made(**{"place": place, **neighbour})
    for name in (PLACE, NAMED):
        assert part(name, made("coder", None), other) == ("coder", [], [], False)
        assert part(name, made("coder"), other) == ("coder", [], [], False)
    assert part(slot(None, "coder", "coder", 8002), other) == NOTHING
    (group,) = slots.others(assign([PLACE], [made("coder"), other]), [made("coder"), other])
    assert group.current == other


def test_a_slot_keeps_its_engine_when_the_model_changes() -> None:
    changed = slot(None, None, "small", 8000)
    assert part(changed, made("coder")) == ("coder", [], [], False)
    assert part(changed, made("coder", None)) == ("coder", [], [], False)
    named = slot("mine", None, "small", 8000)
    assert part(named, made("coder", "mine", port=9000)) == ("coder", [], [], False)
    assert part(slot(None, "first", "small", 8000), made("first", "first")) == ("first", [], [], False)


def test_an_engine_that_moves_to_another_port_keeps_its_name() -> None:
    moved = slot(None, None, "coder", 9000)
    assert part(moved, made("coder")) == ("coder", [], [], False)
    assert part(moved, made("other")) == NOTHING


def test_another_name_and_another_port_is_another_engine() -> None:
    assert part(slot(None, None, "small", 9000), made("coder")) == NOTHING
    assert part(slot(None, "small", "small", 8000), made("coder")) == NOTHING


def test_who_removes_an_engine_means_that_engine_and_not_what_serves_at_its_port() -> None:
    changed = slot(None, None, "small", 8000)
    for listed in (made("coder"), made("coder", None)):
        assert part(changed, listed, only_named=True) == NOTHING
        assert part(PLACE, listed, only_named=True) == ("coder", [], [], False)
        assert part(slot("8000", None, "small", 8000), listed, only_named=True) == ("coder", [], [], False)


def test_two_engines_of_one_task_exchange_places() -> None:
    first, second = slot(None, None, "small", 8000), slot(None, None, "coder", 8001)
    listed = [made("coder"), made("small", "8001", port=8001)]
    assert [parts(group)[0] for group in assign([first, second], listed)] == ["coder", "small"]
    old = [made("coder", None), made("small", None, port=8001, served="small")]
    assert [parts(group)[0] for group in assign([first, second], old)] == ["coder", "small"]


def test_an_engine_that_another_of_the_task_has_is_not_taken_by_its_name() -> None:
    changed, moved = slot(None, None, "small", 8000), slot(None, None, "coder", 8001)
    assert [parts(group)[0] for group in assign([moved, changed], [made("coder")])] == [None, "coder"]


def test_several_engines_of_an_earlier_version_had_a_port_in_turns() -> None:
    changed = slot(None, None, "small", 8000)
    stopped, running = made("one", None, "exited", served="one"), made("two", None, served="two")
    assert part(changed, stopped, running)[0] == "two"
    assert part(slot(None, None, "one", 8000), stopped, running)[0] == "one"


def test_two_that_do_not_follow_each_other_are_not_chosen_from() -> None:
    with pytest.raises(FleetError, match="found a and b, and neither was made to replace"):
        part(PLACE, made("a"), made("b"))


@pytest.mark.parametrize("name", ["a/b", "-a", "", "a b", "..", "a\n"])
def test_a_name_that_the_daemon_would_not_take(name: str) -> None:
    with pytest.raises(FleetError, match="Wanted letters, digits"):
        slots.slot(name or "-", "coder", "", 8000)
    with pytest.raises(FleetError, match="container_name is"):
        slots.slot("8000", name, "", 8000)


def test_engines_that_nothing_names() -> None:
    listed = [made("coder"), made("small", "8001", port=8001), made("old", None, "exited", port=8002, served="old")]
    assert slots.unnamed(listed, {"coder": "8000", "other": "8001"}) == ["old (slot 8002, exited)"]
    assert slots.unnamed(listed, {"old": "mine"}) == ["coder (slot 8000, running)", "small (slot 8001, running)"]
    assert slots.unnamed([], {}) == []
