# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights of the Hugging Face hub in a host's cache: are they there, and if not, have them.

huggingface_hub downloads them, in a virtual environment of its own, so that they come at the same
time as the engine's image.
"""

from __future__ import annotations

import fcntl
import json
import os
import pkgutil
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.files import make_directory
from ansible_collections.inference.fleet.plugins.module_utils.progress import size
from ansible_collections.inference.fleet.plugins.module_utils.weights import download
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights

TOOL_DIR = Path("/var/lib/inference.fleet/venvs/huggingface_hub")
TOOL = "huggingface_hub>=1.0,<3"
ENDPOINT = "https://huggingface.co"
# How often the download is told of, in seconds; each tenth is told too.
TELL_EVERY = 30

_COMMIT = re.compile(r"[0-9a-f]{40}")
_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.gguf")
# The variables of an engine that a download heeds too.
_HEEDED = re.compile(r"HF_(?!TOKEN)\w+|\w+_PROXY|\w+_proxy|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE")
_TRUE = ("1", "ON", "YES", "TRUE")


class ToolError(FleetError):
    """The program that downloads cannot be had on this host."""


def commit(cache_dir: str, weights: Weights) -> str | None:
    """Return the commit that a revision means in the cache, or ``None`` where that does not know it."""
    revision = weights.revision or "main"
    if _COMMIT.fullmatch(revision):
        return revision
    try:
        return (Path(cache_dir) / "hub" / weights.folder / "refs" / revision).read_text(
            encoding="utf-8"
        ).strip() or None
    except (OSError, ValueError):
        return None


def cached(cache_dir: str, weights: Weights) -> str | None:
    """Return the commit of a model whose files are all in the cache, or ``None``. Asks nobody."""
    found = commit(cache_dir, weights)
    return found if found and _complete(Path(cache_dir) / "hub" / weights.folder / "snapshots" / found) else None


def size_gib(directory: Path) -> float | None:
    """Return the size of the weights in a directory, a snapshot of the hub's or a model's own; ``None`` without any."""
    for pattern in _WEIGHTS:
        files = list(directory.glob(pattern))
        if files:
            return sum(path.stat().st_size for path in files if path.exists()) / 2**30
    return None


def snapshot(cache_dir: str, weights: Weights) -> Path | None:
    """Return the directory of a model whose files are all in the cache, or ``None``."""
    found = cached(cache_dir, weights)
    return Path(cache_dir) / "hub" / weights.folder / "snapshots" / found if found else None


def _complete(snapshot: Path) -> bool:
    """Tell whether a snapshot has what serving takes. A link whose file was not downloaded does not exist."""
    if not (snapshot / "config.json").exists():
        return False
    for index in (snapshot / name for name in _INDEXES):
        if index.is_symlink() or index.exists():
            try:
                files = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                return False
            return bool(files) and all((snapshot / name).exists() for name in files)
    return any(path.exists() for pattern in _WEIGHTS for path in snapshot.glob(pattern))


def fetch(
    weights: Weights,
    cache_dir: str,
    *,
    token: str | None,
    environment: Mapping[str, str],
    timeout: float,
    say: Callable[[str], None],
    stop: threading.Event,
    max_rate: float = 0,
) -> None:
    """Download a model into the cache; take up what is half there. Return early when *stop* is set.

    *environment* are the engine's variables, of which HF_ENDPOINT, proxies and the like are heeded.
    *timeout* is in seconds, and *max_rate* in bytes a second, 0 being no limit. Raises
    :class:`ToolError` where the program cannot be installed, and
    :class:`FleetError` for everything else.
    """
    heeded = {name: value for name, value in environment.items() if _HEEDED.fullmatch(name)}
    if heeded.get("HF_HUB_OFFLINE", "").upper() in _TRUE:
        raise FleetError(
            f"environment sets HF_HUB_OFFLINE, and {weights} is not complete in {cache_dir}. "
            "Bring it there, or unset HF_HUB_OFFLINE."
        )
    deadline = time.monotonic() + timeout
    python = _tool(say)
    cache = Path(cache_dir) / "hub"
    make_directory(cache)
    job = {"model": weights.model, "revision": weights.revision, "cache_dir": str(cache), "token": token}
    say(f"downloading the weights of {weights}")
    where = f"{weights} from {heeded.get('HF_ENDPOINT', ENDPOINT)}"
    last: dict[str, Any] = {}
    with _swept(cache, weights), _running(python, job, {**heeded, "HF_HOME": cache_dir}) as (process, events):
        told = _Told(say)
        brake = _Brake(process.pid, cache / weights.folder, max_rate)
        while "commit" not in last and "error" not in last:
            if stop.is_set():
                return
            if time.monotonic() > deadline:
                raise FleetError(
                    f"could not download {where}: it took longer than weights_timeout, {timeout:g} s. "
                    "Files that are complete are kept, and the next run goes on from there."
                )
            brake.press()
            with suppress(queue.Empty):
                last = events.get(timeout=0.1)
            if "total" in last:
                told.tell(last["done"], last["total"])
    if "error" in last:
        raise FleetError(f"could not download {where}: {_cause(last, cache_dir, bool(token))}")


@contextmanager
def _swept(cache: Path, weights: Weights) -> Iterator[None]:
    """Leave no half files of downloads that were cut off, before and after: nothing takes them up."""
    _sweep(cache, weights)
    try:
        yield
    finally:
        _sweep(cache, weights)


def _sweep(cache: Path, weights: Weights) -> None:
    for path in (cache / weights.folder / "blobs").glob("*.incomplete"):
        lock = cache / ".locks" / weights.folder / f"{path.name.partition('.')[0]}.lock"
        # huggingface_hub holds a file's lock while it downloads: another process may be at it.
        with suppress(OSError), lock.open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


class _Brake:
    """Holds a download to a rate: it pauses the program while what came is ahead of what may.

    TCP then slows the sender down. So the limit holds for whatever way the library downloads, as an average over
    seconds.
    """

    def __init__(self, process: int, cache: Path, max_rate: float) -> None:
        self._process, self._cache, self._rate = process, cache, max_rate
        self._when, self._done = time.monotonic(), download.on_disk(cache)
        self._credit, self._paused = max_rate, False

    def press(self) -> None:
        """Pause the program, or let it go on; called often."""
        if not self._rate:
            return
        now, done = time.monotonic(), download.on_disk(self._cache)
        # What was not used for long is lost: the next second may not take it all at once.
        self._credit = min(self._credit + self._rate * (now - self._when), self._rate) - max(done - self._done, 0)
        self._when, self._done = now, done
        if (self._credit < 0) != self._paused:
            self._paused = not self._paused
            with suppress(ProcessLookupError):
                os.killpg(self._process, signal.SIGSTOP if self._paused else signal.SIGCONT)


class _Told:
    """Tells how far a download is, and not too often."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._tenth = -1
        self._when = 0.0

    def tell(self, done: int, total: int) -> None:
        tenth, now = done * 10 // total if total else 0, time.monotonic()
        if tenth != self._tenth or now - self._when > TELL_EVERY:
            self._tenth, self._when = tenth, now
            self._say(f"weights: {size(done)} of {size(total)}")


def _cause(last: Mapping[str, Any], cache_dir: str, has_token: bool) -> str:
    token = "hf_token may not read it" if has_token else "no hf_token is set"
    told = {
        "gated": f"the model is gated or private, and {token}. Accept its licence on the hub and give a fitting token.",
        "model": f"the hub has no such model, or it is private and {token}. Check the name.",
        "revision": "the hub has no such revision. Check revision.",
        "disk": f"the disk of {cache_dir} is full. Free space, or set cache_dir to a larger disk.",
        "unreachable": "the hub could not be reached. Check the host's network, or HF_ENDPOINT in environment.",
    }
    return told.get(last["error"], " ".join(str(last.get("text", "")).split())[:300])


@contextmanager
def _running(
    python: Path, job: Mapping[str, Any], environment: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen[str], queue.Queue[dict[str, Any]]]]:
    """Run the download; give its process, and what it says. It ends with this process, and when this is left."""
    source = pkgutil.get_data(download.__package__ or "", "download.py")
    inherited = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG") or _is_proxy(name)}
    quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HOME": "/nonexistent"}
    process = subprocess.Popen(
        [str(python), "-I", "-c", (source or b"").decode()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**inherited, **quiet, **environment},
        text=True,
        start_new_session=True,
        umask=0o022,
    )
    events: queue.Queue[dict[str, Any]] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process, events), daemon=True)
    reader.start()
    try:
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(job) + "\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        yield process, events
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join()


def _read(process: subprocess.Popen[str], events: queue.Queue[dict[str, Any]]) -> None:
    for line in process.stdout or ():
        with suppress(ValueError):
            events.put(json.loads(line))
    events.put({"error": "other", "text": "the download ended without a word, most likely killed. Run again."})


def _is_proxy(name: str) -> bool:
    return name.lower().endswith("_proxy")


def _tool(say: Callable[[str], None]) -> Path:
    """Return the Python that has huggingface_hub; install it at the first time."""
    python, marker = TOOL_DIR / "bin" / "python", TOOL_DIR / f".{re.sub('[^a-z0-9.]', '-', TOOL)}"
    TOOL_DIR.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with TOOL_DIR.with_name(f"{TOOL_DIR.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # The marker is made last, so an installation that was cut off is made anew.
        if not marker.exists():
            say("installing huggingface_hub, which downloads weights")
            _have_ensurepip()
            _run([sys.executable, "-m", "venv", "--clear", str(TOOL_DIR)], "make a virtual environment")
            _run(
                [str(python), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", TOOL],
                "install huggingface_hub from the host's Python package index",
            )
            marker.touch()
    return python


def _have_ensurepip() -> None:
    """Have what a virtual environment is made with, which Debian packages on its own."""
    if subprocess.run([sys.executable, "-c", "import ensurepip"], capture_output=True, check=False).returncode == 0:
        return
    install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", "python3-venv"]
    try:
        _run(install, "install python3-venv")
    except ToolError:
        _run(["apt-get", "update", "-qq"], "read the host's package lists")
        _run(install, "install python3-venv")


def _run(argv: list[str], what: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=900, check=False, env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"Could not {what}: {error}.") from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise ToolError(f"Could not {what}: {lines[-1] if lines else f'exit code {done.returncode}'}.")
