# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have weights of the Hugging Face hub in a host's cache: one download at a time, of all hosts that share it.

huggingface_hub downloads them, in a virtual environment of its own, so that they come at the same
time as the engine's image.
"""

# Runs outside modules too, where there is no run_command.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import fcntl
import json
import os
import pkgutil
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.files import make_directory
from ansible_collections.inference.fleet.plugins.module_utils.progress import size
from ansible_collections.inference.fleet.plugins.module_utils.weights import cache, download, tool
from ansible_collections.inference.fleet.plugins.module_utils.weights.leases import Lease, Leases
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights
from ansible_collections.inference.fleet.plugins.module_utils.weights.told import Say, Told, Waiting

TOOL_DIR = Path("/var/lib/inference.fleet/venvs/huggingface_hub")
ENDPOINT = "https://huggingface.co"
# Seconds after which a half file that nobody wrote to is nobody's: hosts that share a cache may not see each other.
ABANDONED = 3600

# The variables of an engine that a download heeds too.
_HEEDED = re.compile(r"HF_(?!TOKEN)\w+|\w+_PROXY|\w+_proxy|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE")
_TRUE = ("1", "ON", "YES", "TRUE")


class _Stopped(Exception):
    """Whoever wanted the download does not want it any more."""


@dataclass(frozen=True)
class _Wish:
    """What is to be downloaded, to where, and how."""

    weights: Weights
    cache_dir: str
    token: str | None
    environment: Mapping[str, str]
    timeout: float
    deadline: float
    say: Say
    stop: threading.Event
    max_rate: float

    @property
    def store(self) -> Path:
        """Where the hub's library keeps what it downloads."""
        return Path(self.cache_dir) / "hub"

    @property
    def folder(self) -> Path:
        """Where it keeps this model."""
        return self.store / self.weights.folder


def heeded(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an engine that a download heeds."""
    return {name: value for name, value in environment.items() if _HEEDED.fullmatch(name)}


def offline(environment: Mapping[str, str]) -> bool:
    """Tell whether an engine's variables forbid to ask the hub."""
    return environment.get("HF_HUB_OFFLINE", "").upper() in _TRUE


def fetch(
    weights: Weights,
    cache_dir: str,
    *,
    token: str | None,
    environment: Mapping[str, str],
    timeout: float,
    say: Say,
    stop: threading.Event,
    max_rate: float = 0,
) -> None:
    """Download a model into the cache; take up what is half there. Return early when *stop* is set.

    Where another host, or another run, brings it into this cache, that is waited for. *environment* are the engine's
    variables, of which HF_ENDPOINT, proxies and the like are heeded. *timeout* is in seconds, and *max_rate* in bytes a
    second, 0 being no limit. Raises :class:`.tool.ToolError` where the program cannot be installed, and
    :class:`FleetError` for everything else.
    """
    if offline(environment):
        raise FleetError(
            f"environment sets HF_HUB_OFFLINE, and {weights} is not complete in {cache_dir}. "
            "Bring it there, or unset HF_HUB_OFFLINE."
        )
    deadline = time.monotonic() + timeout
    wish = _Wish(weights, cache_dir, token, heeded(environment), timeout, deadline, say, stop, max_rate)
    make_directory(wish.store)
    wait = waiter(weights, cache_dir, timeout, say, stop)
    try:
        while True:
            lost = threading.Event()
            with Leases(cache_dir, weights.folder).work(f"downloads {weights}", wait, lost.set):
                if cache.cached(cache_dir, weights):
                    say(f"the weights of {weights} are there now")
                    return
                if _download(wish, tool.python(TOOL_DIR, environment, say), lost):
                    return
            say("another host went on with the download, because this one could not renew its lease on the cache")
    except _Stopped:
        return


def waiter(
    weights: Weights, cache_dir: str, timeout: float, say: Say, stop: threading.Event
) -> Callable[[Lease], None]:
    """Return what :meth:`.Leases.work` calls while another works on the weights: it says so, and gives up in time."""
    waiting, deadline = Waiting(say), time.monotonic() + timeout
    folder = Path(cache_dir) / "hub" / weights.folder

    def wait(lease: Lease) -> None:
        if stop.is_set():
            raise _Stopped
        if time.monotonic() > deadline:
            raise FleetError(
                f"waited {timeout:g} s for {lease.name}, which {lease.what} in the same cache, {cache_dir}. "
                "It still does. See how far it is there, and run again."
            )
        waiting.tell(
            f"waiting for {lease.name}, which {lease.what} in the same cache: {size(download.on_disk(folder))}"
        )

    return wait


def _download(wish: _Wish, python: Path, lost: threading.Event) -> bool:
    """Download, being the only one; tell whether it is done. It is not where the lease was lost."""
    weights = wish.weights
    _sweep(wish.store, weights, Leases(wish.cache_dir, weights.folder).now())
    job = {
        "model": weights.model,
        "revision": weights.revision,
        "form": weights.form,
        "cache_dir": str(wish.store),
        "token": wish.token,
    }
    wish.say(f"downloading the weights of {weights}")
    where = f"{weights} from {wish.environment.get('HF_ENDPOINT', ENDPOINT)}"
    last: dict[str, Any] = {}
    names: list[str] = []
    with _running(python, job, {**wish.environment, "HF_HOME": wish.cache_dir}, wish.folder) as (process, events):
        told = Told(wish.say)
        brake = _Brake(process.pid, wish.folder, wish.max_rate)
        while "commit" not in last and "error" not in last:
            if wish.stop.is_set():
                raise _Stopped
            if lost.is_set():
                return False
            if time.monotonic() > wish.deadline:
                raise FleetError(
                    f"could not download {where}: it took longer than weights_timeout, {wish.timeout:g} s. "
                    "Files that are complete are kept, and the next run goes on from there."
                )
            brake.press()
            with suppress(queue.Empty):
                last = events.get(timeout=0.1)
            names = last.get("names", names)
            if "total" in last:
                told.tell(last["done"], last["total"])
    if "error" in last:
        raise FleetError(f"could not download {where}: {_cause(last, wish.cache_dir, bool(wish.token))}")
    cache.record(wish.cache_dir, weights, last["commit"], names)
    return True


def _sweep(store: Path, weights: Weights, now: float) -> None:
    """Remove half files of downloads that were cut off: nothing takes them up.

    Whoever calls has the lease, but engines and people download too, and their locks may not be seen.
    """
    for path in (store / weights.folder / "blobs").glob("*.incomplete"):
        lock = store / ".locks" / weights.folder / f"{path.name.partition('.')[0]}.lock"
        with suppress(OSError):
            if now - path.stat().st_mtime < ABANDONED:
                continue
            # huggingface_hub holds a file's lock while it downloads: another process of this host may be at it.
            with lock.open("a") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


def _half_files(process: int, folder: Path) -> list[Path]:
    """Return the half files in a folder that a process has open: what it leaves where it is killed."""
    found = []
    with suppress(OSError):
        for link in Path(f"/proc/{process}/fd").iterdir():
            with suppress(OSError):
                path = Path(os.readlink(link))
                if path.name.endswith(".incomplete") and path.parent == (folder / "blobs").resolve():
                    found.append(path)
    return found


class _Brake:
    """Holds a download to a rate: it pauses the program while what came is ahead of what may.

    TCP then slows the sender down. So the limit holds for whatever way the library downloads, as an average over
    seconds.
    """

    def __init__(self, process: int, folder: Path, max_rate: float) -> None:
        self._process, self._folder, self._rate = process, folder, max_rate
        self._when, self._done = time.monotonic(), download.on_disk(folder)
        self._credit, self._paused = max_rate, False

    def press(self) -> None:
        """Pause the program, or let it go on; called often."""
        if not self._rate:
            return
        now, done = time.monotonic(), download.on_disk(self._folder)
        # What was not used for long is lost: the next second may not take it all at once.
        self._credit = min(self._credit + self._rate * (now - self._when), self._rate) - max(done - self._done, 0)
        self._when, self._done = now, done
        if (self._credit < 0) != self._paused:
            self._paused = not self._paused
            with suppress(ProcessLookupError):
                os.killpg(self._process, signal.SIGSTOP if self._paused else signal.SIGCONT)


def _cause(last: Mapping[str, Any], cache_dir: str, has_token: bool) -> str:
    token = "hf_token may not read it" if has_token else "no hf_token is set"
    told = {
        "gated": f"the model is gated or private, and {token}. Accept its licence on the hub and give a fitting token.",
        "model": f"the hub has no such model, or it is private and {token}. Check the name.",
        "revision": "the hub has no such revision. Check revision.",
        "room": f"{last.get('text')} in {cache_dir}. Free space, or set cache_dir to a larger disk.",
        "disk": f"the disk of {cache_dir} is full. Free space, or set cache_dir to a larger disk.",
        "unreachable": "the hub could not be reached. Check the host's network, or HF_ENDPOINT in environment.",
    }
    return told.get(last["error"], " ".join(str(last.get("text", "")).split())[:300])


@contextmanager
def _running(
    python: Path, job: Mapping[str, Any], environment: Mapping[str, str], folder: Path
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
        half = _half_files(process.pid, folder)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join()
        for path in half:
            path.unlink(missing_ok=True)


def _read(process: subprocess.Popen[str], events: queue.Queue[dict[str, Any]]) -> None:
    for line in process.stdout or ():
        with suppress(ValueError):
            events.put(json.loads(line))
    events.put({"error": "other", "text": "the download ended without a word, most likely killed. Run again."})


def _is_proxy(name: str) -> bool:
    return name.lower().endswith("_proxy")
