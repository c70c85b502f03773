# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""daemon.json is added to, and a broken one is named by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host import daemon_config

NVIDIA = {"runtimes": {"nvidia": {"args": [], "path": "nvidia-container-runtime"}}}


@pytest.mark.parametrize(
    ("current", "result"),
    [
        ({}, NVIDIA),
        ({"mtu": 1400}, {"mtu": 1400, **NVIDIA}),
        (
            {"runtimes": {"crun": {"path": "/usr/bin/crun"}}, "live-restore": True},
            {"runtimes": {"crun": {"path": "/usr/bin/crun"}, **NVIDIA["runtimes"]}, "live-restore": True},
        ),
        # The user's own path stays.
        (
            {"runtimes": {"nvidia": {"path": "/opt/own"}}},
            {"runtimes": {"nvidia": {"path": "/opt/own", "args": []}}},
        ),
    ],
)
def test_what_stands_there_stays(current: dict[str, object], result: dict[str, object]) -> None:
    assert daemon_config.merged(current, NVIDIA) == result
    assert daemon_config.merged(result, NVIDIA) == result


def test_something_else_in_the_place_of_an_object_is_left_alone() -> None:
    with pytest.raises(FleetError, match="something else than an object for runtimes"):
        daemon_config.merged({"runtimes": ["nvidia"]}, NVIDIA)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{\n  "mtu": 1400,\n}\n', "line 3, column 1"),
        ('{\n  "mtu": 1400\n  "debug": true\n}\n', "line 3, column 3: Expecting ',' delimiter, in: \"debug\": true"),
        ("[]", "has to hold one JSON object, and holds a list"),
    ],
)
def test_a_broken_file_is_named_by_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "daemon.json").write_text(text)

    with pytest.raises(FleetError) as error:
        daemon_config.read(tmp_path / "daemon.json")

    assert said in str(error.value)
    assert str(tmp_path / "daemon.json") in str(error.value)


def test_no_file_and_an_empty_one_say_nothing(tmp_path: Path) -> None:
    assert daemon_config.read(tmp_path / "none") == ("", {})
    (tmp_path / "daemon.json").write_text("\n")
    assert daemon_config.read(tmp_path / "daemon.json") == ("\n", {})
