# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules engine and engine_info do on a host: options in, result out.

Most runs only look and find nothing to do. What such a run does not need is imported where it is used: on a host, that
is compiled anew each time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.containers import plan, secrets, slots, state
from ansible_collections.inference.fleet.plugins.module_utils.containers.compare import diff
from ansible_collections.inference.fleet.plugins.module_utils.containers.daemon import Daemon, Login, digest
from ansible_collections.inference.fleet.plugins.module_utils.containers.look import Look, Looker
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import LABEL, Observed
from ansible_collections.inference.fleet.plugins.module_utils.containers.slots import Listed, Slot
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ContainerSpec
from ansible_collections.inference.fleet.plugins.module_utils.containers.wanted import (
    FAIL,
    SKIP,
    Build,
    Cards,
    Preflight,
    Probe,
    Timeouts,
    Wanted,
    Weights,
    unknown,
)
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.client import Client, EndpointError, serves
from ansible_collections.inference.fleet.plugins.module_utils.engines import ENGINES, common
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError, as_told
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress
from ansible_collections.inference.fleet.plugins.module_utils.serving import deployment as deployments
from ansible_collections.inference.fleet.plugins.module_utils.serving.boot import STEP, DropIn
from ansible_collections.inference.fleet.plugins.module_utils.serving.deployment import Deployment, deployment
from ansible_collections.inference.fleet.plugins.module_utils.serving.entries import slot
from ansible_collections.inference.fleet.plugins.module_utils.serving.placement import placed, query
from ansible_collections.inference.fleet.plugins.module_utils.serving.request import request

# What a warm-up asks for: long enough to compile what a prompt and its answer need, short enough to end soon.
WARM_UP_WORDS = 1000
WARM_UP_TOKENS = 32


def run(
    params: Mapping[str, Any],
    check_mode: bool,
    siblings: Sequence[Slot] = (),
    ran: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Do what the module engine was asked for; return its result.

    *siblings* are the other slots of the same task: while it only looks, what one of them has now is no reason to
    refuse this one. *ran* are the ids of the containers that ran when the task began.
    """
    progress = Progress(params["progress_file"], params.get("progress_name"))
    daemon = Daemon(params["docker_host"], progress.say, _login(params))
    wanted, probe = _wanted(params)
    stage = params.get("stage")
    wanted = wanted._replace(siblings=tuple(siblings), spares_siblings=check_mode, ran=ran)
    serving = wanted.state in (plan.PRESENT, plan.RESTARTED)
    wall = None
    if params.get("group") or state.firewall(slot(params).name).is_file():
        from ansible_collections.inference.fleet.plugins.module_utils.serving import firewall

        wall = firewall.other(params, slot(params).name)
    rules = wall.diff() if wall else {}
    if check_mode:
        looker = Looker(daemon, wanted, probe)
        look = looker.look()
    else:
        from ansible_collections.inference.fleet.plugins.module_utils.containers.turn import Turn

        looker = turn = Turn(daemon, wanted, probe, progress)
        if wall and serving:
            # Before the engine listens.
            (wall.put_until_settled if stage else wall.put)()
        try:
            with _holding(turn, wanted):
                look = turn.stage(stage, params["stage_timeout"]) if stage else turn.apply()
        except PermissionError:
            raise
        except OSError as error:
            raise as_told(error) from error
        if stage in (plan.KEEPS, plan.GOES_BACK):
            firewall.Firewall(slot(params).name, None).settle(back=stage == plan.GOES_BACK)
    takes = _takes(params, daemon) if wanted.state == plan.PREFETCHED else None
    images: list[str] = []
    if wanted.state == plan.ABSENT and params["remove_images"]:
        from ansible_collections.inference.fleet.plugins.module_utils.containers.acting import ActingDaemon

        images = ActingDaemon(daemon).remove_images(wanted.container, look.current, only_look=check_mode)
    if wall and not serving and not check_mode:
        wall.put()
    boot = DropIn(
        slot(params).name, wanted.container, params["docker_host"], wanted=serving and params["start_after_mounts"]
    )
    reordered = (serving or wanted.state == plan.ABSENT) and boot.differs
    if reordered and not check_mode:
        looker.warnings += boot.put()
    # Where nothing was done, the look tells it.
    as_found = check_mode or (look.current is not None and not look.steps)
    container = look.current if as_found else looker.container()
    return {
        "changed": look.changed or bool(images) or reordered or bool(wall),
        "warnings": looker.warnings,
        "steps": [
            *([wall.step] if wall and serving else []),
            *look.steps,
            *([STEP] if reordered else []),
            *([wall.step] if wall and not serving else []),
            *(f"remove image {image}" for image in images),
        ],
        "ready": look.ready if check_mode or stage else bool(container and container.running),
        **(_of_group(look.current, looker.missing, wanted) if params.get("group") else {}),
        "engine": describe(container) if container else {},
        **({"takes": takes} if takes else {}),
        # Of an engine of several hosts they go when all of it serves.
        "others": [_other(item) for item in looker.others()] if serving and stage in (None, plan.KEEPS) else [],
        "diff": _diff(look, images, rules),
    }


@contextmanager
def _holding(looker: Looker, wanted: Wanted) -> Iterator[None]:
    """Have other hosts see what of a shared cache the engine reads: before it is made, and until it is removed."""
    from ansible_collections.inference.fleet.plugins.module_utils.serving import caches

    before = looker.container()
    known: dict[str, list[ContainerSpec]] = {wanted.container.name: [wanted.container]}
    if before:
        # Another model of the slot has another name.
        known.setdefault(before.name, []).append(before.spec)
    if wanted.state in (plan.PRESENT, plan.RESTARTED):
        warning = caches.hold(wanted.container.name, wanted.container)
        looker.warnings += [warning] if warning else []
    try:
        yield
    finally:
        # A daemon that is gone says nothing of its containers.
        with suppress(FleetError):
            now = looker.container()
            for name, specs in known.items():
                caches.settle(name, specs, now.spec if now and now.name == name else None)


def _takes(params: Mapping[str, Any], daemon: Daemon) -> dict[str, Any]:
    """Return what an engine is, and what of it has to be brought to this host."""
    from ansible_collections.inference.fleet.plugins.module_utils.serving import needs

    asked = request(params)
    result = deployment(asked, placed(asked))
    return needs.takes(params["docker_host"], result, daemon.image(result.container.image) is not None)


def _other(item: Listed) -> dict[str, Any]:
    """Return what to know of an engine that the task does not name."""
    return {"name": item.name, "slot": slots.slot_of(item.labels, item.name), "state": item.state}


def containers(params: Mapping[str, Any], places: Sequence[Slot]) -> list[Observed | None]:
    """Return the containers that the slots of one task have now."""
    daemon = Daemon(params["docker_host"])
    groups = slots.assign(places, daemon.listed())
    return [daemon.container(group.current.id) if group.current else None for group in groups]


def _login(params: Mapping[str, Any]) -> Login | None:
    username, password = params["registry_username"], params["registry_password"]
    if bool(username) != bool(password):
        raise FleetError("a registry takes registry_username and registry_password together. Set the other one too.")
    return Login(username, password) if username else None


def wanted_container(params: Mapping[str, Any]) -> ContainerSpec:
    """Return the container that the options ask for on this host."""
    return _wanted(params)[0].container


def describe(container: Observed) -> dict[str, Any]:
    """Return an engine as the modules return it, asking it for its version where it runs."""
    return deployments.describe(container, digest(container), _version(container))


def _wanted(params: Mapping[str, Any]) -> tuple[Wanted, Probe]:
    place = slot(params)
    limits = {kind: params[f"{kind}_timeout"] for kind in ("pull", "weights", "start", "ready", "stop")}
    timeouts = Timeouts(**limits)
    if params["state"] in (plan.ABSENT, plan.STOPPED):
        # Neither needs to know what the container would be; nor may a missing GPU stand in their way.
        container = ContainerSpec(name=place.container, image=params["image"] or "", command=())
        wanted = Wanted(params["state"], place, container, timeouts=timeouts)
        return wanted, Probe(lambda container, within: None, ENGINES[params["engine"]].log)
    asked = request(params)
    result = deployment(asked, placed(asked))
    wanted = Wanted(
        state=params["state"],
        slot=place,
        container=result.container,
        pull=params["pull"],
        build=_build(result),
        weights=_weights(result, timeouts.weights, params["weights_max_rate"] * 1e6) if params["prefetch"] else None,
        recreate=params["recreate"],
        timeouts=timeouts,
        preflight=_preflight(params, result),
        prune=params["prune"],
        cards=cards(params),
        warnings=result.warnings,
    )
    return wanted, Probe(readiness_of, result.engine.log, _warm_up(params))


def _build(result: Deployment) -> Build | None:
    build = result.engine.image_build()
    # An image that the user names is the user's.
    if build is None or result.container.image != build.reference:
        return None
    return Build(build.entrypoint, build.write, result.request.engine)


def _weights(result: Deployment, timeout: float, max_rate: float) -> Weights | None:
    weights, asked = result.weights, result.request
    if weights is None:
        return None

    def here() -> bool:
        from ansible_collections.inference.fleet.plugins.module_utils.serving import needs

        return needs.has_weights(asked, weights)

    def fetch(say: Callable[[str], None], stop: threading.Event) -> str | None:
        from ansible_collections.inference.fleet.plugins.module_utils.serving import needs

        return needs.fetch_weights(asked, weights, timeout, max_rate, say, stop)

    return Weights(here, fetch)


def cards(params: Mapping[str, Any]) -> Cards:
    """Return what tells the host's GPUs, which is asked only where they matter."""
    # Of another machine's GPUs nothing is known here.
    return (lambda: query().gpus) if params["docker_host"].startswith("unix://") else unknown


def _preflight(params: Mapping[str, Any], result: Deployment) -> Preflight | None:
    # Of another machine's ports, disks and GPUs nothing is known here.
    if params["preflight"] == SKIP or not params["docker_host"].startswith("unix://"):
        return None

    def problems(image: Mapping[str, Any] | None, ours: Sequence[Observed], spared: frozenset[str]) -> list[str]:
        from ansible_collections.inference.fleet.plugins.module_utils.serving import needs

        fetch_only = params["state"] == plan.PREFETCHED
        return needs.problems(params["docker_host"], result, image, ours, spared, fetch_only)

    return Preflight(problems, strict=params["preflight"] == FAIL)


def readiness_of(container: Observed, within: float | None) -> str | None:
    """Tell what a container's endpoint lacks, asked where and as the container itself says."""
    endpoint, key, group = deployments.endpoint(container), api_key(container), deployments.group_of(container)
    if group.get("rank"):
        # Another host answers requests.
        return None
    if group and within is None:
        from ansible_collections.inference.fleet.plugins.module_utils.serving.head import lacks
        from ansible_collections.inference.fleet.plugins.module_utils.serving.tasks import task_of

        return lacks(endpoint, key, task_of(container))
    if within is None:
        answer = serves(endpoint.url, endpoint.served_model_name, key)
    else:
        from ansible_collections.inference.fleet.plugins.module_utils.endpoint.generation import readiness
        from ansible_collections.inference.fleet.plugins.module_utils.serving.tasks import task_of

        answer = readiness(
            endpoint.url, endpoint.served_model_name, key, completion_timeout=within, task=task_of(container)
        )
    if answer.final:
        raise FleetError(answer.reason)
    return None if answer.ready else answer.reason


def _of_group(container: Observed | None, missing: str | None, wanted: Wanted) -> dict[str, Any]:
    """Return what hosts that serve together have to know of each other, beside the rest of a result."""
    unwell = ""
    if container is not None and missing is not None:
        from ansible_collections.inference.fleet.plugins.module_utils.serving import head

        endpoint, key = deployments.endpoint(container), api_key(container)
        unwell = head.unwell(container, endpoint, key, missing, wanted.timeouts.ready)
    return {"unwell": unwell, "interrupted": state.way_back(wanted.slot.name) is not None}


def _warm_up(params: Mapping[str, Any]) -> Callable[[Observed, float], None] | None:
    concurrency = params["warm_up_concurrency"]
    if not concurrency:
        return None

    def run(container: Observed, limit: float) -> None:
        from ansible_collections.inference.fleet.plugins.module_utils.endpoint.generation import warm_up
        from ansible_collections.inference.fleet.plugins.module_utils.serving.tasks import task_of

        endpoint = deployments.endpoint(container)
        try:
            warm_up(
                endpoint.url,
                endpoint.served_model_name,
                api_key(container),
                concurrency=concurrency,
                requests=2 * concurrency,
                input_words=WARM_UP_WORDS,
                output_tokens=WARM_UP_TOKENS,
                timeout=limit,
                task=task_of(container),
            )
        except EndpointError as error:
            raise FleetError(f"the warm-up with {concurrency} requests at once failed: {error}") from error

    return run


def _version(container: Observed) -> str | None:
    """Ask a running engine for its version; one that does not answer has none to tell."""
    module = ENGINES.get(container.spec.labels.get(LABEL, ""))
    endpoint = deployments.endpoint(container)
    if not (module and endpoint.url and container.running):
        return None
    try:
        return module.parse_version(Client(endpoint.url, api_key(container), timeout=5).get_json(module.VERSION_PATH))
    except EndpointError:
        return None


def api_key(container: Observed) -> str | None:
    """Read the key of an engine from its own files."""
    return common.read_api_key(secrets.read(container.secrets_source))


def _diff(look: Look, images: Sequence[str], rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return what changes, in the form of Ansible's diff mode.

    *images* are those that are removed, *rules* the firewall's before and after, where they change.
    """
    started_at = look.current.started_at if look.current else ""
    moves = plan.diff(look.situation, look.steps, look.status, started_at)
    fields = diff(list(look.changes))
    before, after = ({**moves[side], **fields[side]} for side in ("before", "after"))
    if images:
        before["images"], after["images"] = list(images), []
    if rules:
        before["firewall"], after["firewall"] = rules["before"], rules["after"]
    return {"before": before, "after": after}
