# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The difference between a wanted and an observed container, field by field. All pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import (
    HIDDEN,
    LABEL_PREFIX,
    LABEL_SECRETS,
    Observed,
    masked,
    without_void_limits,
)
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ContainerSpec

# How a change is made: a new container, an update of the running one, or a file that the engine reads when it needs it.
RECREATE = "recreate"
UPDATE = "update"
REWRITE = "rewrite"


@dataclass(frozen=True)
class Change:
    """One field that differs: what it is, what it shall be, and what it takes."""

    field: str
    before: Any
    after: Any
    how: str = RECREATE


@dataclass(frozen=True)
class _Field:
    name: str
    show: Callable[[Any], Any]
    how: str = RECREATE


def _list(values: Any) -> list[str]:
    return [str(value) for value in values]


_FIELDS = (
    _Field("command", list),
    _Field("entrypoint", lambda value: None if value is None else list(value)),
    _Field("environment", masked),
    _Field("mounts", _list),
    _Field("ports", _list),
    _Field("gpus", lambda value: None if value is None else str(value)),
    _Field("ipc_mode", str),
    _Field("shm_bytes", int),
    _Field("ulimits", _list),
    _Field("network", str),
    _Field("restart_policy", str, UPDATE),
    _Field("memory_bytes", int, UPDATE),
    _Field("nano_cpus", int, UPDATE),
    _Field("cpuset_cpus", str, UPDATE),
    _Field("swap_bytes", int, UPDATE),
    _Field("pids_limit", int, UPDATE),
    _Field("cpu_shares", int, UPDATE),
    _Field("cpuset_mems", str, UPDATE),
)


def compare(
    wanted: ContainerSpec, observed: Observed, wanted_image_id: str | None, secrets: Mapping[str, str]
) -> list[Change]:
    """Return what differs, in the order of the fields.

    *wanted_image_id* is the id that the wanted reference has on the host, or ``None`` where it is
    not there. *secrets* are the contents of the observed container's secret files.
    """
    changes = []
    if not same_image(wanted, observed, wanted_image_id):
        changes.append(Change("image", observed.spec.image, wanted.image))
    wanted = _beside_image(wanted, observed)
    for field in _FIELDS:
        before, after = getattr(observed.spec, field.name), getattr(wanted, field.name)
        if before != after:
            changes.append(Change(field.name, field.show(before), field.show(after), field.how))
    if observed.networks != networks(wanted):
        changes.append(Change("networks", list(observed.networks), list(networks(wanted)), UPDATE))
    before, after = _different(our_labels(observed.spec), our_labels(wanted))
    if before != after:
        changes.append(Change("labels", before, after, UPDATE))
    for name in sorted({*wanted.secrets, *secrets}):
        before, after = secrets.get(name), wanted.secrets.get(name)
        if before != after:
            # Without the directory's mount there is no file to rewrite.
            live = name in wanted.live_secrets and bool(secrets) and after is not None
            changes.append(
                Change(
                    f"file {name}",
                    None if before is None else HIDDEN,
                    None if after is None else f"{HIDDEN}, new",
                    REWRITE if live else RECREATE,
                )
            )
    return changes


def networks(spec: ContainerSpec) -> tuple[str, ...]:
    """Return the networks that a container is attached to by its mode."""
    return () if spec.network.startswith("container:") else (spec.network,)


def our_labels(spec: ContainerSpec) -> dict[str, str]:
    """Return the labels that describe the engine. Others are nobody's business here."""
    return {
        name: value for name, value in spec.labels.items() if name.startswith(LABEL_PREFIX) and name != LABEL_SECRETS
    }


def _different(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what differs between two mappings, on either side."""
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    return (
        {name: before[name] for name in names if name in before},
        {name: after[name] for name in names if name in after},
    )


def _beside_image(wanted: ContainerSpec, observed: Observed) -> ContainerSpec:
    """Take off the wanted side what the image fills in, as :func:`.observe.observe` took it off the other."""
    return replace(
        without_void_limits(wanted, observed.host),
        entrypoint=None if wanted.entrypoint == observed.image_entrypoint else wanted.entrypoint,
        environment={
            name: value
            for name, value in wanted.environment.items()
            if f"{name}={value}" not in observed.image_environment
        },
        mounts=tuple(sorted(wanted.mounts)),
        ports=tuple(sorted(wanted.ports)),
        ulimits=tuple(sorted(wanted.ulimits)),
    )


def same_image(wanted: ContainerSpec, observed: Observed, wanted_image_id: str | None) -> bool:
    """Tell whether the container runs the wanted image.

    The same content is the same image, whatever it is called. The same reference is too, unless
    it is known to mean another content now: *wanted_image_id* is given only where that matters.
    """
    if wanted_image_id is not None:
        return wanted_image_id == observed.image_id
    return wanted.image == observed.spec.image


def diff(changes: list[Change]) -> dict[str, Any]:
    """Return changes in the form of Ansible's diff mode."""
    return {
        "before": {change.field: change.before for change in changes},
        "after": {change.field: change.after for change in changes},
    }
