# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real HAProxy on this machine, set up by the modules, in front of simulators that are processes."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gateway_rig import ANNA, BOB, ENGINE_KEY, MODEL, Engine, Gateway, Log, free_ports


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Start engines."""
    started: list[Engine] = []

    def start(model: str = MODEL, key: str = ENGINE_KEY) -> Engine:
        started.append(Engine(tmp_path, model, key))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that is not there yet, and is gone afterwards."""
    if not shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin"):
        pytest.skip("haproxy is not installed: apt-get install haproxy")
    if os.geteuid() != 0:
        pytest.skip("HAProxy becomes a user of its own, which needs root")
    if Path("/run/systemd/system").is_dir():
        pytest.skip("here the modules would write a systemd service: tests/fleet has hosts for that")
    from ansible_collections.inference.fleet.plugins.module_utils.gateway import host

    # A path of a socket is short.
    run = Path(f"/tmp/gw-{os.getpid()}-{time.monotonic_ns() % 1_000_000}")
    run.mkdir(mode=0o755)
    log = Log(run / "log.sock")
    (run / "log.sock").chmod(0o666)
    port, redirect, metrics = free_ports(3)
    clients = [
        {"name": "anna", "key": ANNA},
        {"name": "bob", "key": BOB, "models": [MODEL]},
    ]
    params = {
        **{"state": "present", "directory": str(tmp_path / "etc"), "run_directory": str(run / "run"), "host": "here"},
        **{"endpoints": [], "engines_without_tls": False, "clients": clients, "bind_addresses": ["127.0.0.1"]},
        **{"port": port, "redirect_port": redirect, "acme_port": 0, "metrics_port": metrics, "certificate": ""},
        **{"names": ["localhost", "127.0.0.1"], "affinity": "none", "max_body": 1 << 20, "max_header": 16384},
        **{"idle_timeout": 600, "max_connections": 500, "log": str(run / "log.sock")},
    }
    yield Gateway(tmp_path, port, params, log)
    host.end(params["run_directory"])
    log.close()
    shutil.rmtree(run)
