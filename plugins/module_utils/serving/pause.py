# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have an engine make room for a while, and then the very same container serve again, as it was.

That it is to have its slot again is written on the host before it is stopped, so that whoever comes next knows it.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import load
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint
from ansible_collections.inference.fleet.plugins.module_utils.containers import slots, state
from ansible_collections.inference.fleet.plugins.module_utils.containers.acting import ActingDaemon
from ansible_collections.inference.fleet.plugins.module_utils.containers.daemon import Daemon
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import LABEL, Observed
from ansible_collections.inference.fleet.plugins.module_utils.containers.waiting import Waiting
from ansible_collections.inference.fleet.plugins.module_utils.containers.wanted import Probe
from ansible_collections.inference.fleet.plugins.module_utils.engines import ENGINES
from ansible_collections.inference.fleet.plugins.module_utils.errors import BusyError, FleetError
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress
from ansible_collections.inference.fleet.plugins.module_utils.serving import deployment as deployments
from ansible_collections.inference.fleet.plugins.module_utils.serving import run as serving

PAUSED, RESUMED, RELEASED = "paused", "resumed", "released"
STATES = (PAUSED, RESUMED, RELEASED)


def run(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Do what the module engine_pause was asked for; return its result."""
    progress = Progress(params["progress_file"])
    daemon = ActingDaemon(Daemon(params["docker_host"], progress.say))
    with _lock(params["slot"]):
        if params["state"] == PAUSED:
            return _pause(params, check_mode, daemon, progress)
        if params["state"] == RESUMED:
            return _resume(params, check_mode, daemon, progress)
        kept = state.paused(params["slot"])
        if kept and not check_mode:
            state.forget_paused(params["slot"])
        return _result(bool(kept), kept)


def _pause(params: Mapping[str, Any], check_mode: bool, daemon: ActingDaemon, progress: Progress) -> dict[str, Any]:
    slot = params["slot"]
    current = _current(daemon, slot)
    if current is None or not current.running:
        kept = state.paused(slot)
        if kept and current and current.id != kept["id"]:
            # Somebody put another engine there meanwhile, and stopped it.
            kept = None
        return _result(False, kept)
    url = deployments.endpoint(current)
    endpoint = Endpoint(url.url, "", url.served_model_name, "")
    try:
        note = load.require_idle(endpoint, serving.api_key(current), params["wait_idle"], progress.say)
    except BusyError as error:
        if params["busy"] == "skip":
            return {**_result(False, None), "skipped": True, "skip_reason": str(error)}
        raise
    if not check_mode:
        progress.say(f"stopping {current.name}, which is to serve again afterwards")
        state.set_paused(slot, current)
        daemon.stop(current.id, params["stop_timeout"])
    kept = {"id": current.id, "name": current.name}
    return _result(True, kept, [note] if note else [])


def _resume(params: Mapping[str, Any], check_mode: bool, daemon: ActingDaemon, progress: Progress) -> dict[str, Any]:
    slot = params["slot"]
    kept = state.paused(slot)
    if kept is None:
        return _result(False, None)
    container = daemon.container(kept["id"])
    if container is None:
        if not check_mode:
            state.forget_paused(slot)
        gone = f"{kept['name']}, which had slot {slot} until {kept['since']}, is not there any more: it was removed."
        return _result(True, None, [gone])
    if check_mode:
        return _result(True, kept)

    def start() -> None:
        daemon.start(container.id, params["start_timeout"])

    module = ENGINES[container.spec.labels[LABEL]]
    waiting = Waiting(daemon, Probe(serving.readiness_of, module.log), progress, params["ready_timeout"], start)
    progress.say(f"starting {container.name}, which served before")
    try:
        start()
        began = waiting.start()
        with progress.heartbeat(began.words):
            waiting.wait(container.id, began)
    except FleetError as error:
        raise FleetError(
            f"{container.name}, which served before, was started again and does not serve: {error}\n"
            f"Its container is kept. Mend the cause, then run again; or deploy it anew.",
            **error.details,
        ) from error
    state.forget_paused(slot)
    return _result(True, kept)


def _current(daemon: Daemon, slot: str) -> Observed | None:
    # By its slot alone: neither a name nor a port is meant.
    (group,) = slots.assign(
        [slots.Slot(slot, slot, int(slot) if slot.isdecimal() else None, named=True)], daemon.listed()
    )
    return daemon.container(group.current.id) if group.current else None


def _result(changed: bool, kept: Mapping[str, str] | None, warnings: list[str] | None = None) -> dict[str, Any]:
    return {"changed": changed, "container": dict(kept) if kept else {}, "warnings": warnings or []}


@contextmanager
def _lock(slot: str) -> Iterator[None]:
    """Let nobody else work on the slot meanwhile."""
    with state.lock_path(slot).open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FleetError(f"another run works on slot {slot} now. Wait for it, or end it, and run again.") from None
        yield
