# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recording as a real process of its own, of the stub of nvidia-smi."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.host import gpu_recording
from ansible_collections.inference.fleet.plugins.modules import gpu_recording as module
from ansible_collections.inference.fleet.tests.patience import until

STUB = Path(__file__).resolve().parents[4] / "tests/fleet/stubs"


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    (tmp_path / "gpus").write_text("h100x2", encoding="utf-8")
    monkeypatch.setenv("STUB_GPUS", str(tmp_path / "gpus"))
    monkeypatch.setenv("PATH", f"{STUB}:{os.environ['PATH']}")
    defaults = {name: option.get("default") for name, option in module.argument_spec().items()}
    return {**defaults, "name": "h1-0", "work_dir": str(tmp_path / "recordings")}


def recorders(folder: Path) -> list[int]:
    """Return the processes that have a recording's folder among their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_what_gpus_did_is_told_for_the_time_that_is_asked_for(options: dict[str, Any]) -> None:
    folder = Path(options["work_dir"]) / "h1-0"
    assert module.run(options, check_mode=False) == {"changed": True, "recording": True}
    begin = time.time()
    until(lambda: len((folder / "lines").read_text(encoding="utf-8").splitlines()) > 5)
    end = time.time()
    smi = (folder / "lines").read_text(encoding="utf-8").split(" ")[2].rstrip(",")
    uuids = {line.split(", ")[1] for line in (folder / "lines").read_text(encoding="utf-8").splitlines()}
    hardware = {"gpus": [{"index": int(smi), "uuid": sorted(uuids)[0]}, {"index": 1, "uuid": sorted(uuids)[1]}]}
    window = {"begin": begin - 1, "end": end, "duration_s": end - begin}
    asked = {
        **options,
        "state": "finished",
        "windows": [window, None],
        "hardware": hardware,
        "engine": {"gpus": ["all"]},
    }

    found = module.run(asked, check_mode=False)

    first, second = found["windows"]
    assert {gpu["uuid"] for gpu in first["gpus"]} == uuids
    assert (first["missing_gpus"], second) == ([], None)
    assert not folder.exists()
    until(lambda: not recorders(folder))
    assert module.run(asked, check_mode=False) == {"changed": False, "recording": False}


def test_it_ends_by_itself_and_with_the_next_one(options: dict[str, Any]) -> None:
    folder = Path(options["work_dir"]) / "h1-0"
    module.run(options, check_mode=False)
    (first,) = until(lambda: recorders(folder))
    module.run(options, check_mode=False)
    until(lambda: recorders(folder) not in ([], [first]))

    module.run({**options, "limit": 0}, check_mode=False)
    until(lambda: not recorders(folder))
    list(gpu_recording.finish(folder))
    assert not folder.exists()


def test_without_nvidia_smi_there_is_none(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.gpu_recording.gpu_samples, "search_path", lambda: "/nonexistent")
    assert module.run(options, check_mode=False) == {"changed": False, "recording": False}
    assert not Path(options["work_dir"]).exists()


def test_check_mode_starts_nothing(options: dict[str, Any]) -> None:
    assert module.run(options, check_mode=True) == {"changed": True}
    assert not Path(options["work_dir"]).exists()
