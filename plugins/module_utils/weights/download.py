# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Download a model from the hub, as a program of its own: it runs in the virtual environment that has huggingface_hub.

Its job comes as one JSON object on the first line of standard input, the token included, so that the
token stands in no argument and no variable. It ends when standard input closes: whoever started it is
gone. Lines of JSON on standard output tell how far it is, and last ``{"commit": ...}`` or
``{"error": KIND, "text": ...}``.
"""

from __future__ import annotations

import ctypes
import errno
import fnmatch
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

# What no engine reads, and what is a model's weights: all else is small, and taken.
NEVER = ("original/*", "*.onnx", "*.h5", "*.msgpack", "*.tflite", "*.ot", "*.mlmodel")
WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.gguf")
MISTRALS = ("consolidated*.safetensors",)
# For each form the patterns that an engine tries in turn. Sources: the loaders of vLLM 0.32.0 and SGLang 0.5.23.
FORMS = {
    "auto": (MISTRALS, ("*.safetensors",), ("*.bin",), WEIGHTS),
    "hub": (("*.safetensors",), ("*.bin",), WEIGHTS),
    "mistral": (MISTRALS,),
    "pt": (("*.pt",),),
    "bin": (("*.bin",),),
    "none": (),
}
TELL_EVERY = 1.0
# Linux's prctl(2): the signal that comes when the parent dies.
_PR_SET_PDEATHSIG = 1


def wanted(names: Iterable[str], form: str = "hub") -> list[str]:
    """Return the files of a repository that an engine reads which loads the weights in a form.

    >>> wanted(["config.json", "a.safetensors", "a.bin", "original/b.pth"])
    ['a.safetensors', 'config.json']
    >>> wanted(["a.bin"])
    ['a.bin']
    >>> both = ["model-1.safetensors", "consolidated.safetensors", "params.json"]
    >>> wanted(both), wanted(both, "auto")
    (['model-1.safetensors', 'params.json'], ['consolidated.safetensors', 'params.json'])
    """
    kept = {name for name in names if not _matches(name, NEVER)}
    heavy = {name for name in kept if _matches(name, WEIGHTS)}
    for patterns in FORMS[form]:
        fitting = {name for name in heavy if _matches(name, patterns)}
        if patterns is not MISTRALS:
            # The same weights once more; a model may have no others.
            fitting = {name for name in fitting if not _matches(name, MISTRALS)} or fitting
        if fitting:
            return sorted(kept - heavy | fitting)
    return sorted(kept - heavy)


def is_weights(name: str) -> bool:
    """Tell whether a file is of a model's weights."""
    return _matches(name, WEIGHTS)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def on_disk(cache: Path) -> int:
    """Return the bytes of a repository that the cache has, half files included."""
    total = 0
    for path in (cache / "blobs").glob("*"):
        # A half file may become a whole one under another name meanwhile.
        try:
            total += path.stat().st_size
        except OSError:
            continue
    return total


def missing(folder: Path, commit: str, files: Iterable[tuple[str, str, int]]) -> int:
    """Return the bytes of files that a repository's folder in a cache has not; each is (name, blob, size)."""
    places = (
        (folder / "snapshots" / commit / name, folder / "blobs" / (blob or " "), size) for name, blob, size in files
    )
    return sum(size for link, blob, size in places if not (link.exists() or blob.exists()))


class NoRoomError(Exception):
    """What is to come is larger than the disk's free space."""


def kind(error: BaseException) -> str:
    """Return what went wrong, in a word."""
    chain = list(_chain(error))
    if any(isinstance(item, OSError) and item.errno == errno.ENOSPC for item in chain):
        return "disk"
    names = {type(item).__name__ for item in chain}
    for name, word in (
        ("NoRoomError", "room"),
        ("GatedRepoError", "gated"),
        ("RevisionNotFoundError", "revision"),
        ("RepositoryNotFoundError", "model"),
        ("HFValidationError", "model"),
    ):
        if name in names:
            return word
    statuses = {getattr(getattr(item, "response", None), "status_code", None) for item in chain}
    if statuses & {401, 403}:
        return "gated"
    if names & {"ConnectError", "ConnectTimeout", "ConnectionError", "LocalEntryNotFoundError", "NewConnectionError"}:
        return "unreachable"
    return "other"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def main() -> None:
    """Do the job."""
    # While it is paused it cannot see its input close.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _say(commit=_download(job))
    except Exception as error:
        _say(
            error=kind(error), text=str(error) if isinstance(error, NoRoomError) else f"{type(error).__name__}: {error}"
        )
        os._exit(1)
    # Threads of the library may still wait on the network.
    os._exit(0)


def _told(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _download(job: dict[str, Any]) -> str:
    from huggingface_hub import HfApi, snapshot_download

    token = job["token"] or False
    info = HfApi(token=token).model_info(job["model"], revision=job["revision"], files_metadata=True)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    names = wanted(sizes, job["form"])
    cache = Path(job["cache_dir"]) / f"models--{job['model'].replace('/', '--')}"
    total = sum(sizes[name] for name in names)
    _say(names=sorted(sizes))
    blobs = {file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id or "" for file in info.siblings or []}
    due = missing(cache, info.sha or "", ((name, blobs[name], sizes[name]) for name in names))
    free = shutil.disk_usage(job["cache_dir"]).free
    if due > free:
        raise NoRoomError(f"{_told(due)} are to come, and {_told(free)} are free")
    threading.Thread(target=_tell, args=(cache, total), daemon=True).start()
    snapshot_download(
        job["model"], revision=job["revision"], cache_dir=job["cache_dir"], token=token, allow_patterns=names
    )
    _say(done=total, total=total)
    return info.sha or ""


def _tell(cache: Path, total: int) -> None:
    while True:
        # Other revisions of the model may be there too.
        _say(done=min(on_disk(cache), total), total=total)
        threading.Event().wait(TELL_EVERY)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def _say(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
