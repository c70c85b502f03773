# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights of the Hugging Face hub in a host's cache: which are there. Asks nobody."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.host.files import make_directory
from ansible_collections.inference.fleet.plugins.module_utils.weights import download
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import (
    AUTO,
    BIN,
    COMMIT,
    HUB,
    MISTRAL,
    NONE,
    PT,
    Weights,
)

# What a repository consists of, beside its snapshots: some forms of its weights may never have been downloaded.
_RECORDS = ".inference.fleet"
_INDEXES = {
    HUB: ("model.safetensors.index.json", "pytorch_model.bin.index.json"),
    MISTRAL: ("consolidated.safetensors.index.json",),
}


def commit(cache_dir: str, weights: Weights) -> str | None:
    """Return the commit that a revision means in the cache, or ``None`` where that does not know it."""
    revision = weights.revision or "main"
    if COMMIT.fullmatch(revision):
        return revision
    try:
        return (_folder(cache_dir, weights) / "refs" / revision).read_text(encoding="utf-8").strip() or None
    except (OSError, ValueError):
        return None


def cached(cache_dir: str, weights: Weights) -> str | None:
    """Return the commit of a model whose files are all in the cache, or ``None``. Asks nobody."""
    found = commit(cache_dir, weights)
    return found if found and _complete(_folder(cache_dir, weights), found, weights.form) else None


def in_any_form(cache_dir: str, weights: Weights) -> str | None:
    """Return the commit of a model that some engine could load, or ``None``."""
    forms = (weights._replace(form=form) for form in (HUB, MISTRAL, BIN, PT))
    return next(filter(None, (cached(cache_dir, each) for each in forms)), None)


def snapshot(cache_dir: str, weights: Weights) -> Path | None:
    """Return the directory of a model whose files are all in the cache, or ``None``."""
    found = cached(cache_dir, weights)
    return _folder(cache_dir, weights) / "snapshots" / found if found else None


def size_gib(directory: Path, form: str = HUB) -> float | None:
    """Return the size of the weights in a directory, a snapshot of the hub's or a model's own; ``None`` without any."""
    try:
        names = download.wanted(os.listdir(directory), form)
    except OSError:
        return None
    files = [directory / name for name in names if download.is_weights(name)]
    return sum(path.stat().st_size for path in files if path.exists()) / 2**30 if files else None


def record(cache_dir: str, weights: Weights, found: str, names: Sequence[str]) -> None:
    """Keep what a repository consists of at a commit."""
    directory = _folder(cache_dir, weights) / _RECORDS
    make_directory(directory)
    temporary = directory / f"{found}.{os.getpid()}"
    temporary.write_text(json.dumps(sorted(names)), encoding="utf-8")
    os.replace(temporary, directory / f"{found}.json")


def _folder(cache_dir: str, weights: Weights) -> Path:
    return Path(cache_dir) / "hub" / weights.folder


def _recorded(folder: Path, found: str) -> list[str] | None:
    try:
        names = json.loads((folder / _RECORDS / f"{found}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def _complete(folder: Path, found: str, form: str) -> bool:
    """Tell whether a snapshot has what an engine takes. A link whose file was not downloaded does not exist."""
    where = folder / "snapshots" / found
    names = _recorded(folder, found)
    if names:
        return all((where / name).exists() for name in download.wanted(names, form))
    # Others brought it: what it consists of can be told by what there is.
    if form == AUTO:
        return _looks_complete(where, MISTRAL) or _looks_complete(where, HUB)
    return _looks_complete(where, form)


def _looks_complete(where: Path, form: str) -> bool:
    if not any((where / name).exists() for name in ("config.json", *(["params.json"] if form == MISTRAL else []))):
        return False
    if form == NONE:
        return True
    for index in (where / name for name in _INDEXES.get(form, ())):
        if index.is_symlink() or index.exists():
            try:
                files = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                return False
            return bool(files) and all((where / name).exists() for name in files)
    there = [path.name for path in where.iterdir() if path.exists()]
    return any(map(download.is_weights, download.wanted(there, form)))
