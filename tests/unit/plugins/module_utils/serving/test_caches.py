# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes of a host's caches, and what never does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.serving import caches


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with two models, whose files are links as the hub makes them."""
    for name in ("models--org--mine", "models--org--other"):
        (tmp_path / "hub" / name / "blobs").mkdir(parents=True)
        (tmp_path / "hub" / name / "blobs/1").write_bytes(b"x" * 1000)
        (tmp_path / "hub" / name / "snapshots").mkdir()
        (tmp_path / "hub" / name / "snapshots/a").symlink_to("../blobs/1")
    return tmp_path


def test_only_the_named_models_go(cache: Path) -> None:
    (path,) = caches.found(str(cache), ["org/mine", "org/absent"], None)
    assert path == cache / "hub/models--org--mine"
    os.link(path / "blobs/1", path / "blobs/again")
    assert 1000 <= caches.size(path) < 1100
    caches.remove(path)
    assert [each.name for each in (cache / "hub").iterdir()] == ["models--org--other"]
    assert caches.found(str(cache), ["org/mine"], None) == []


def test_what_was_compiled_goes_whole(cache: Path) -> None:
    compiled = cache / "compiled"
    (compiled / "vllm").mkdir(parents=True)
    assert caches.found(str(cache), [], str(compiled)) == [compiled]


@pytest.mark.parametrize("large", ["/", "/home", "/var/lib", "~", "/proc/self/../../dev/shm"])
def test_a_directory_that_holds_more_is_refused(cache: Path, large: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(cache))
    with pytest.raises(FleetError, match="Remove it by hand"):
        caches.found(str(cache), [], str(Path(large).expanduser()))


def test_a_model_in_a_directory_is_no_cache(cache: Path) -> None:
    with pytest.raises(FleetError, match="found /models/mine"):
        caches.found(str(cache), ["/models/mine"], None)


@pytest.mark.parametrize("mounted", [".", "hub/models--org--mine", "hub/models--org--mine/blobs"])
def test_what_a_container_has_stays(cache: Path, mounted: str) -> None:
    path = cache / "hub/models--org--mine"
    with pytest.raises(FleetError, match="second uses it"):
        caches.refuse_used([path], {"first": ["/elsewhere"], "second": [str(cache / mounted)]})
    caches.refuse_used([path], {"first": [str(cache / "hub/models--org--other")]})
