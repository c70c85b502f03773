# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a model is for, told by its files: what its endpoint is asked to see that it serves follows from it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import LABEL_PREFIX, Observed
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.generation import (
    CHAT,
    COMPLETION,
    EMBEDDING,
    RERANK,
    TRANSCRIPTION,
)
from ansible_collections.inference.fleet.plugins.module_utils.engines.common import HF_HOME
from ansible_collections.inference.fleet.plugins.module_utils.extra_args import value
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights, is_hub_name

# What the files of a model for sentences, and of one with a tokenizer of its maker's own form, are called.
_SENTENCES, _TEKKEN = "modules.json", "tekken.json"
_TEMPLATES = frozenset({"chat_template.jinja", "chat_template.json", _TEKKEN})


def task_of(container: Observed) -> str:
    """Return what a container's model is for, as its label says, or its files; chat where neither tells."""
    argv, told = container.spec.command, container.spec.labels.get(f"{LABEL_PREFIX}task")
    if told:
        return told
    if "--is-embedding" in argv or value(argv, "--runner") == "pooling":
        return EMBEDDING
    directory = _directory(container)
    if directory is None:
        return CHAT
    tokenizer = _read(directory / "tokenizer_config.json")
    try:
        names = {path.name for path in directory.iterdir()}
    except OSError:
        return CHAT
    templated = bool(tokenizer.get("chat_template")) or not tokenizer or value(argv, "--chat-template") is not None
    return task(_read(directory / "config.json"), names, templated)


def task(config: Mapping[str, Any], names: Collection[str], templated: bool) -> str:
    """Return what a model is for, from its config.json, its files' names, and whether it has a chat template. Pure.

    >>> task({"architectures": ["XLMRobertaForSequenceClassification"]}, (), False)
    'rerank'
    """
    architecture = next(iter(config.get("architectures") or ()), "")
    if architecture.startswith("Whisper") or architecture.endswith("ForSpeechSeq2Seq"):
        return TRANSCRIPTION
    if architecture.endswith("ForSequenceClassification"):
        return RERANK
    if _SENTENCES in names or (architecture.endswith("Model") and "CausalLM" not in architecture):
        return EMBEDDING
    if architecture.endswith("ForCausalLM") and not templated and not _TEMPLATES & set(names):
        return COMPLETION
    return CHAT


def _directory(container: Observed) -> Path | None:
    """Return the directory of a container's model on its host."""
    model = container.spec.labels.get(f"{LABEL_PREFIX}model", "")
    if is_hub_name(model):
        cache = next((mount.source for mount in container.spec.mounts if mount.target == HF_HOME), None)
        return _snapshot(Path(cache) / "hub" / Weights(model).folder, container.spec.command) if cache else None
    inside = PurePosixPath(model)
    for mount in container.spec.mounts:
        if inside.is_absolute() and inside.is_relative_to(mount.target):
            return Path(mount.source) / inside.relative_to(mount.target)
    return None


def _snapshot(folder: Path, argv: Collection[str]) -> Path:
    revision = value(tuple(argv), "--revision") or "main"
    # Else it is a commit already, or nothing is there.
    with suppress(OSError, ValueError):
        revision = (folder / "refs" / revision).read_text(encoding="ascii").strip()
    return folder / "snapshots" / revision


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
