# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""human_eval: what a model writes is run in a container; a run whose engine died is gone on with."""

from __future__ import annotations

import os
import shutil
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.evaluations import human_eval_task
from ansible_collections.inference.fleet.plugins.modules import evaluation

from .conftest import KEY, ROOT, fakes

RIGHT = """Of course:
```python
def has_close_elements(numbers, threshold):
    return any(abs(a - b) < threshold for i, a in enumerate(numbers) for b in numbers[i + 1:])
```"""
WRONG = "```python\ndef separate_paren_groups(paren_string):\n    return []\n```"
FIRST, SECOND = "def has_close_elements", "def separate_paren_groups"


@pytest.fixture(scope="module")
def image(docker_engine: Any, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with a python3: that of the simulator, with a link of this name."""
    path = tmp_path_factory.mktemp("image") / "rootfs.tar"
    shutil.copy(archive, path)
    with tarfile.open(path) as tar:
        (python,) = {
            each.name
            for each in tar
            if os.path.basename(each.name).startswith("python3.") and each.isfile() and each.mode & 0o100
        }
    with tarfile.open(path, "a") as tar:
        link = tarfile.TarInfo("usr/local/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, f"/{python}"
        tar.addfile(link)
    name = "sandbox"
    docker_engine.client.api.import_image_from_file(str(path), repository=name, tag="1")
    return f"{name}:1"


def parameters(url: str, venv: Path, engine: Any, image: str, folder: Path, **more: Any) -> dict[str, Any]:
    given = {name: option.get("default") for name, option in evaluation.SPEC.items()}
    return {
        **given, "benchmark": "human_eval", "limit": 2, "url": url, "served_model_name": fakes.MODEL, "api_key": KEY,
        "venv": str(venv), "image": image, "docker_host": engine.url, "work_dir": str(folder / "work"),
        "lock_dir": str(folder / "lock"),
        "progress_file": str(folder / "progress"), "run_host": "here", **more,
    }  # fmt: skip


def test_right_and_wrong_answers_are_told_apart_and_a_run_whose_engine_died_goes_on(
    plays: Callable[..., str],
    simulator: Any,
    venv: Path,
    docker_engine: Any,
    image: str,
    free_port: int,
    tmp_path: Path,
    check_document: Callable,
) -> None:
    right = {"when": FIRST, "turns": [{"text": RIGHT}]}
    # An answer that nobody sees the end of.
    endless = {"when": SECOND, "turns": [{"text": WRONG + "#" * 3_000_000}]}
    # Longer than the prompt, the answer and what a simulator has by itself.
    port = ("--port", str(free_port), "--max-model-len", "8000000")
    asked = parameters(plays([right, endless], *port), venv, docker_engine, image, tmp_path)

    def dies() -> None:
        while "1 of 2 samples" not in progress(tmp_path):
            if over.wait(0.2):
                return
        for process in simulator.running:
            process.kill()
            process.wait()

    over = threading.Event()
    killer = threading.Thread(target=dies)
    killer.start()
    try:
        with pytest.raises(FleetError, match=r"is no score: the endpoint .* is gone.*goes on with it"):
            evaluation.evaluate(asked, False)
    finally:
        over.set()
        killer.join()
    # What is done is not asked for again: this engine knows nothing of it.
    url = plays(
        [{"when": SECOND, "turns": [{"text": WRONG}]}, {"when": FIRST, "turns": [{"text": "I cannot."}]}], *port
    )
    assert url == asked["url"]
    done = evaluation.evaluate(asked, False)
    assert "going on with an earlier run: 1 of 2 samples done" in progress(tmp_path)
    found = done["result"]
    check_document({**found, "log": {"file": "x", "bytes": 1, "sha256": "0" * 64}})
    assert [(each["id"], each["score"]) for each in found["samples"]] == [("HumanEval/0", 1.0), ("HumanEval/1", 0.0)]
    assert (found["score"]["value"], found["continued"]) == (0.5, 1)
    # One whose document did not get to the control host is taken as it is.
    again = evaluation.evaluate(asked, False)
    assert again["result"]["samples"] == found["samples"]
    assert "an earlier run of the same has ended, and is taken" in progress(tmp_path)
    assert docker_engine.client.containers.list(all=True, filters={"label": human_eval_task.LABEL}) == []
    assert KEY not in str(done)


def progress(folder: Path) -> str:
    path = folder / "progress"
    return path.read_text() if path.exists() else ""


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("print('word')", (True, "the test passed")),
        ("import urllib.request; urllib.request.urlopen('http://192.0.2.1', timeout=5)", "Network is unreachable"),
        ("open('/etc/x', 'w')", "Read-only file system"),
        ("import os; os.setuid(0)", "Operation not permitted"),
        ("x = b'1' * (1 << 30)", "exit code"),
        (f"import os; print(os.listdir({str(ROOT)!r}))", "No such file or directory"),
        # It ends well, and its test did not come to its end.
        ("raise SystemExit(0)", "exit code 0"),
    ],
)
def test_what_is_run_has_no_network_no_right_and_nothing_of_its_host(
    docker_engine: Any, image: str, code: str, told: Any
) -> None:
    found = human_eval_task.run(docker_engine.client, image, code, "word")
    if isinstance(told, str):
        assert found[0] is False
        assert told in found[1]
    else:
        assert found == told


def test_an_image_that_runs_nothing_is_no_wrong_answer(docker_engine: Any, archive: Path) -> None:
    docker_engine.client.api.import_image_from_file(str(archive), repository="nothing", tag="1")
    with pytest.raises(RuntimeError, match="a container of nothing:1 does not start"):
        human_eval_task.run(docker_engine.client, "nothing:1", "print(1)", "word")
