# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a model is for, by its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import Observed
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ContainerSpec, Mount
from ansible_collections.inference.fleet.plugins.module_utils.engines.common import HF_HOME
from ansible_collections.inference.fleet.plugins.module_utils.serving import tasks

TEMPLATE = {"chat_template": "{{ messages }}"}


def files(directory: Path, architecture: str, tokenizer: Any = None, *more: str) -> None:
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    if tokenizer is not None:
        (directory / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    for name in more:
        (directory / name).touch()


def container(model: str, *argv: str, mounts: tuple[Mount, ...] = (), **labels: str) -> Observed:
    named = {f"inference.fleet.{name}": value for name, value in {"model": model, **labels}.items()}
    spec = ContainerSpec("e", "image", argv, mounts=mounts, labels=named)
    return Observed("id", "e", "image", spec, "running", 0, False, 0, "", "", "")


@pytest.mark.parametrize(
    ("architecture", "tokenizer", "more", "expected"),
    [
        ("Qwen3NextForCausalLM", TEMPLATE, (), "chat"),
        ("Qwen3NextForCausalLM", {}, ("chat_template.jinja",), "chat"),
        ("MistralForCausalLM", {"x": 1}, ("tekken.json",), "chat"),
        ("LlamaForCausalLM", {"x": 1}, (), "completion"),
        ("Qwen2_5_VLForConditionalGeneration", {"x": 1}, (), "chat"),
        ("BertModel", {"x": 1}, (), "embedding"),
        ("Qwen3ForCausalLM", TEMPLATE, ("modules.json",), "embedding"),
        ("XLMRobertaForSequenceClassification", {"x": 1}, (), "rerank"),
        ("WhisperForConditionalGeneration", {"x": 1}, (), "transcription"),
    ],
)
def test_a_model_of_the_hub_and_one_in_a_directory(
    tmp_path: Path, architecture: str, tokenizer: Any, more: tuple[str, ...], expected: str
) -> None:
    hub = tmp_path / "cache/hub/models--org--m"
    (hub / "refs").mkdir(parents=True)
    (hub / "refs/main").write_text("abc\n")
    files(hub / "snapshots/abc", architecture, tokenizer, *more)
    files(tmp_path / "models/m", architecture, tokenizer, *more)
    cached, local = Mount(HF_HOME, str(tmp_path / "cache")), Mount("/models", str(tmp_path / "models"))

    assert tasks.task_of(container("org/m", mounts=(cached,))) == expected
    assert tasks.task_of(container("org/m", "--revision", "abc", mounts=(cached,))) == expected
    assert tasks.task_of(container("/models/m", mounts=(local,))) == expected


def test_what_a_user_says_counts(tmp_path: Path) -> None:
    files(tmp_path / "m", "LlamaForCausalLM", {"x": 1})
    mount = (Mount("/models", str(tmp_path)),)
    assert tasks.task_of(container("/models/m", mounts=mount)) == "completion"
    assert tasks.task_of(container("/models/m", mounts=mount, task="chat")) == "chat"
    assert tasks.task_of(container("/models/m", "--chat-template", "/x", mounts=mount)) == "chat"
    assert tasks.task_of(container("/models/m", "--runner=pooling", mounts=mount)) == "embedding"
    assert tasks.task_of(container("/models/m", "--is-embedding", mounts=mount)) == "embedding"


def test_where_nothing_tells_it_is_asked_for_a_chat_completion(tmp_path: Path) -> None:
    assert tasks.task_of(container("org/m")) == "chat"
    assert tasks.task_of(container("org/m", mounts=(Mount(HF_HOME, str(tmp_path)),))) == "chat"
    files(tmp_path / "m", "LlamaForCausalLM")
    assert tasks.task_of(container("/models/m", mounts=(Mount("/models", str(tmp_path)),))) == "chat"
