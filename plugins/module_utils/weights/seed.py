# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host's weights for the others: shared on the local network for a while."""

# Runs outside modules too, where there is no run_command.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.weights import cache, share
from ansible_collections.inference.fleet.plugins.module_utils.weights.leases import LIFETIME, Leases
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights

DIRECTORY = Path("/run/inference.fleet")
START_TIMEOUT = 60
_LEASE = "share"


def job_path(weights: Weights, directory: Path = DIRECTORY) -> Path:
    """Return the file that a share of a model lives as long as."""
    return directory / f"share-{weights.folder}.json"


def serving(weights: Weights, token: str, directory: Path = DIRECTORY) -> int | None:
    """Return the port on which a model is shared with this token, or ``None``."""
    try:
        job = json.loads(job_path(weights, directory).read_text())
    except (OSError, ValueError):
        return None
    alive = "pid" in job and Path(f"/proc/{job['pid']}").exists()
    return job["port"] if alive and job.get("token") == token else None


def start(
    weights: Weights,
    cache_dir: str,
    *,
    address: str,
    port: int,
    token: str,
    seconds: float,
    directory: Path = DIRECTORY,
) -> int:
    """Share a model's snapshot for so many seconds; return the port.

    Raises :class:`FleetError` where it is not whole, or the port is taken.
    """
    commit = cache.in_any_form(cache_dir, weights)
    if commit is None:
        raise FleetError(f"wanted to share {weights}, found it not complete in {cache_dir}. Prefetch it there first.")
    stop(weights, directory)
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    path = job_path(weights, directory)
    job = {
        "model": weights.model,
        "folder": str(Path(cache_dir) / "hub" / weights.folder),
        "commit": commit,
        "address": address,
        "port": port,
        "token": token,
        "seconds": seconds,
        "lease": _hold(weights, cache_dir),
    }
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        json.dump(job, stream)
    source = (pkgutil.get_data(share.__package__ or "", "share.py") or b"").decode()
    log = path.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", source, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        found = serving(weights, token, directory)
        if found is not None:
            log.unlink()
            _hold(weights, cache_dir, process.pid)
            return found
        time.sleep(0.05)
    lines = log.read_text(errors="replace").strip().splitlines()
    process.kill()
    stop(weights, directory)
    raise FleetError(f"could not share {weights} on {address}, port {port}: {lines[-1] if lines else 'no word'}.")


def stop(weights: Weights, directory: Path = DIRECTORY) -> bool:
    """End the share of a model; tell whether there was one."""
    path = job_path(weights, directory)
    there = path.exists()
    with suppress(OSError, ValueError, KeyError):
        Leases(Path(json.loads(path.read_text())["folder"]).parents[1], weights.folder).release(_LEASE)
    for file in (path, path.with_suffix(".log")):
        file.unlink(missing_ok=True)
    return there


def _hold(weights: Weights, cache_dir: str, process: int | None = None) -> str:
    """Have hosts that share the cache see that it is read; return the lease's file, or nothing on a read-only cache."""
    leases = Leases(cache_dir, weights.folder)
    try:
        return str(leases.hold(_LEASE, f"hands {weights} on to other hosts", lifetime=LIFETIME, process=process))
    except FleetError:
        return ""
