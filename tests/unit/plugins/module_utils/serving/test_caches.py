# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes of a host's caches, and what never does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ContainerSpec, Mount
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.serving import caches
from ansible_collections.inference.fleet.plugins.module_utils.serving.deployment import deployment
from ansible_collections.inference.fleet.plugins.module_utils.serving.placement import placement
from ansible_collections.inference.fleet.plugins.module_utils.serving.request import Request
from ansible_collections.inference.fleet.plugins.module_utils.weights import leases


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


# What other hosts have


def engine(cache: Path, model: str = "org/mine") -> ContainerSpec:
    asked = Request(
        engine="vllm",
        model=model,
        served_model_name="mine",
        cache_dir=str(cache),
        compile_cache_dir=str(cache / "deep/compiled"),
        profile="cpu",
    )
    return deployment(asked, placement(asked, [])).container


def as_host(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(leases, "host_id", lambda: f"{name}-id")
    monkeypatch.setattr(leases.socket, "gethostname", lambda: name)
    monkeypatch.setattr(leases, "_place", lambda: name)


def test_what_another_host_serves_stays_until_its_engine_is_removed(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / "deep/compiled/vllm").mkdir(parents=True)
    paths = caches.found(str(cache), ["org/mine"], str(cache / "deep/compiled"))
    as_host(monkeypatch, "gpu-1")
    assert caches.hold("mine", engine(cache)) is None
    caches.refuse_leased(paths, [])
    as_host(monkeypatch, "gpu-2")
    for path in paths:
        with pytest.raises(FleetError, match=r"used by gpu-1 \(serves org/mine as mine, \d s ago\)"):
            caches.refuse_leased([path], [])
        with pytest.raises(FleetError, match="used by gpu-1"):
            caches.remove(path)
        assert path.is_dir()
    caches.refuse_leased(caches.found(str(cache), ["org/other"], None), [])
    caches.refuse_leased(paths, ["gpu-1"])

    # Another model in the same container's place.
    as_host(monkeypatch, "gpu-1")
    caches.hold("mine", engine(cache, "org/other"))
    caches.settle("mine", [engine(cache), engine(cache, "org/other")], engine(cache, "org/other"))
    as_host(monkeypatch, "gpu-2")
    caches.refuse_leased(paths[:1], [])
    with pytest.raises(FleetError, match="used by gpu-1"):
        caches.refuse_leased(caches.found(str(cache), ["org/other"], None), [])
    as_host(monkeypatch, "gpu-1")
    caches.settle("mine", [engine(cache, "org/other")], None)
    as_host(monkeypatch, "gpu-2")
    for path in caches.found(str(cache), ["org/mine", "org/other"], str(cache / "deep/compiled")):
        caches.remove(path)
    assert sorted(path.name for path in cache.rglob("*")) == ["deep", "hub"]


def test_a_host_that_comes_while_it_is_removed_has_it_back(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = cache / "hub/models--org--mine"
    rename = Path.rename

    def late(self: Path, target: Path) -> Path:
        as_host(monkeypatch, "gpu-1")
        caches.hold("mine", engine(cache))
        as_host(monkeypatch, "gpu-2")
        monkeypatch.setattr(Path, "rename", rename)
        return rename(self, target)

    as_host(monkeypatch, "gpu-2")
    monkeypatch.setattr(Path, "rename", late)
    with pytest.raises(FleetError, match="used by gpu-1"):
        caches.remove(path)
    assert (path / "snapshots/a").read_bytes() == b"x" * 1000


def test_a_removal_that_was_cut_off_is_finished_by_the_next(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        caches.shutil, "rmtree", lambda path: (nothing for nothing in ()).throw(OSError(5, "Input/output error", "f"))
    )
    with pytest.raises(FleetError, match="next run goes on with it"):
        caches.remove(cache / "hub/models--org--mine")
    monkeypatch.undo()
    assert not (cache / "hub/models--org--mine").exists()
    (begun,) = caches.found(str(cache), ["org/mine"], None)
    caches.refuse_leased([begun], [])
    caches.remove(begun)
    assert [each.name for each in (cache / "hub").iterdir()] == ["models--org--other"]


def test_a_cache_that_cannot_be_written_is_a_warning(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    # As on a read-only mount; root may write wherever the mode says no.
    monkeypatch.setattr(
        leases.os, "open", lambda *args, **named: (nothing for nothing in ()).throw(OSError(30, "Read-only"))
    )
    warning = caches.hold("mine", engine(cache))
    assert warning == (
        f"could not write to the cache {cache}/deep: Read-only. could not write to the cache {cache}: Read-only. "
        "Hosts that share it cannot see that mine reads it, and may remove it."
    )


def test_only_a_compile_cache_of_the_collection_s_has_a_lease(cache: Path) -> None:
    spec = ContainerSpec(
        name="mine",
        image="",
        command=(),
        mounts=(
            Mount("/root/data", "/srv/data"),
            Mount("/root/.cache/vllm", "/srv/vllm"),
            Mount("/root/.triton", "/x/y/z"),
        ),
    )
    assert caches._read_by(spec) == []
