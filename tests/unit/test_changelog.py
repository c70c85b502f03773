# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the changelog may say before there is a release: nobody had a mistake that no release has."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SINCE_A_RELEASE = {"bugfixes", "breaking_changes", "deprecated_features", "removed_features"}


@pytest.mark.skipif(
    bool(yaml.safe_load((ROOT / "changelogs/changelog.yaml").read_text())["releases"]), reason="there is a release"
)
def test_what_was_never_released_was_never_mended() -> None:
    found = {
        path.name: sorted(SINCE_A_RELEASE & set(yaml.safe_load(path.read_text())))
        for path in (ROOT / "changelogs/fragments").glob("*.yml")
    }
    assert {name: sections for name, sections in found.items() if sections} == {}
