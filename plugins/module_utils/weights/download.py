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
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

# What serving does not read. Weights in other forms are left out where there are safetensors.
NEVER = ("original/*", "consolidated*", "*.onnx", "*.h5", "*.msgpack", "*.tflite", "*.ot", "*.mlmodel")
OTHER_FORMS = ("*.bin", "*.pt", "*.pth", "*.gguf")
TELL_EVERY = 1.0
# Linux's prctl(2): the signal that comes when the parent dies.
_PR_SET_PDEATHSIG = 1


def wanted(names: Iterable[str]) -> list[str]:
    """Return the files of a repository that serving reads.

    >>> wanted(["config.json", "a.safetensors", "a.bin", "original/b.pth"])
    ['a.safetensors', 'config.json']
    >>> wanted(["a.bin"])
    ['a.bin']
    """
    kept = {name for name in names if not _matches(name, NEVER)}
    if any(name.endswith(".safetensors") for name in kept):
        kept = {name for name in kept if not _matches(name, OTHER_FORMS)}
    return sorted(kept)


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


def kind(error: BaseException) -> str:
    """Return what went wrong, in a word."""
    chain = list(_chain(error))
    if any(isinstance(item, OSError) and item.errno == errno.ENOSPC for item in chain):
        return "disk"
    names = {type(item).__name__ for item in chain}
    for name, word in (
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
        _say(error=kind(error), text=f"{type(error).__name__}: {error}")
        os._exit(1)
    # Threads of the library may still wait on the network.
    os._exit(0)


def _download(job: dict[str, Any]) -> str:
    from huggingface_hub import HfApi, snapshot_download

    token = job["token"] or False
    info = HfApi(token=token).model_info(job["model"], revision=job["revision"], files_metadata=True)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    names = wanted(sizes)
    cache = Path(job["cache_dir"]) / f"models--{job['model'].replace('/', '--')}"
    total = sum(sizes[name] for name in names)
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
