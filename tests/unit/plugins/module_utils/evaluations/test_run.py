# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is looked at before a harness is started, and how many samples of its log are told."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.evaluations import run
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress

from .made import plan


@pytest.mark.parametrize(
    ("shebang", "python", "told"),
    [
        ("#!/nowhere/python", "/bin/sh", "/nowhere/python is gone"),
        ("#!/bin/sh", "/nowhere/python3.10", "bin/python is gone"),
    ],
)
def test_an_environment_whose_python_is_gone_is_told(tmp_path: Path, shebang: str, python: str, told: str) -> None:
    place = tmp_path / "venv/bin"
    place.mkdir(parents=True)
    (place / "inspect").write_text(f"{shebang}\n")
    (place / "inspect").chmod(0o755)
    (place / "python").symlink_to(python)
    with pytest.raises(FleetError, match=rf"does not start, as .*{told}: .*Remove {tmp_path}/venv; the role"):
        run.Evaluation(plan(), tmp_path / "work", tmp_path / "venv", "", Progress()).run(1)
    assert not (tmp_path / "work").exists()


def test_the_samples_of_a_log_are_counted_also_while_it_is_written(tmp_path: Path) -> None:
    log = tmp_path / "a.eval"
    assert run.kept_samples(None) == 0
    assert run.kept_samples(log) == 0
    with zipfile.ZipFile(log, "w") as stream:
        for name in ("_journal/start.json", "samples/1_epoch_1.json", "samples/1_epoch_2.json"):
            stream.writestr(name, "{}")
    assert run.kept_samples(log) == 2
    # One that was run again.
    with zipfile.ZipFile(log, "a") as stream, pytest.warns(UserWarning, match="Duplicate"):
        stream.writestr("samples/1_epoch_2.json", "{}")
    assert run.kept_samples(log) == 2
    log.write_bytes(log.read_bytes()[:50])
    assert run.kept_samples(log) == 0
