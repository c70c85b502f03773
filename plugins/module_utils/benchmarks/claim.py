# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One benchmark or evaluation at a time of an endpoint's host: two at once would measure each other."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.inference.fleet.plugins.module_utils.errors import BusyError
from ansible_collections.inference.fleet.plugins.module_utils.host import locks
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress

# A control host asks after its run every quarter of a minute. One that has not for this long, in seconds, has gone.
_GONE = 60
# How long a run that is told to end may take, in seconds.
_ENDING = 30
# Seconds from one look at another's run to the next.
_AGAIN = 1.0
BENCHMARK, EVALUATION = "benchmark", "evaluation"


@contextmanager
def claimed(
    folder: Path, url: str, run_id: str, progress: Progress, wait: float = 0, what: str = BENCHMARK
) -> Iterator[None]:
    """Hold the right to benchmark the host of *url*, or to do what else uses its engine, as long as it lasts.

    A run whose control host has gone is ended for it. BusyError where another is under way for longer than *wait*
    seconds.
    """
    host = re.sub(r"[^A-Za-z0-9.-]+", "-", urlsplit(url).hostname or "host")
    path = folder / f".{host}.lock"
    with path.open("a+", encoding="utf-8") as lock:
        deadline = time.monotonic() + wait
        while not locks.taken(lock):
            try:
                _oust(lock, url)
                break
            except BusyError:
                progress.require_asked()
                if time.monotonic() >= deadline:
                    raise
                progress.say(f"waiting for up to {wait:g} s for another {_holder(lock)[3]} of this host to end")
                time.sleep(min(_AGAIN, max(0.0, deadline - time.monotonic())))
        lock.truncate(0)
        json.dump({"pid": os.getpid(), "run_id": run_id, "asked": progress.asked_path, "what": what}, lock)
        lock.flush()
        # The lock goes with the process, however it ends. The file stays: removing it would race with the next run.
        yield


def _holder(lock: Any) -> tuple[int, str, str | None, str]:
    """Return who has the lock: process, run, the file that its control host touches, and what it does."""
    lock.seek(0)
    try:
        holder = json.loads(lock.read())
        return int(holder["pid"]), holder["run_id"], holder["asked"], holder.get("what", BENCHMARK)
    except (ValueError, KeyError, TypeError):
        # It has the lock and has not yet said who it is.
        return 0, "just started", None, BENCHMARK


def _oust(lock: Any, url: str) -> None:
    pid, run_id, asked, what = _holder(lock)
    if pid and asked and _age(asked) > _GONE:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _ENDING
        while time.monotonic() < deadline:
            if locks.taken(lock):
                return
            time.sleep(0.2)
    hint = f", or end it there: kill {pid}" if pid else ""
    raise BusyError(f"another {what} of {url} is under way ({run_id}): two would measure each other. Wait{hint}.")


def _age(path: str) -> float:
    try:
        return time.time() - Path(path).stat().st_mtime
    except OSError:
        return float("inf")
