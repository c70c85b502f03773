# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The difference between a wanted and an observed container, field by field. All pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ansible_collections.inference.fleet.plugins.module_utils.containers import normal
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import (
    HIDDEN,
    LABEL_NETWORKS,
    LABEL_PREFIX,
    LABEL_SECRETS,
    Observed,
    masked,
    without_void_limits,
)
from ansible_collections.inference.fleet.plugins.module_utils.containers.slots import IDENTITY
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ContainerSpec, Log

# How a change is made: a new container, an update of the running one, or a file that the engine reads when it needs it.
RECREATE = "recreate"
UPDATE = "update"
REWRITE = "rewrite"
_VERSION = re.compile(r"^VERSION = (\d+)$", re.MULTILINE)


class Change(NamedTuple):
    """One field that differs: what it is, what it shall be, and what it takes."""

    field: str
    before: Any
    after: Any
    how: str = RECREATE


class _Field(NamedTuple):
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
    _Field("devices", _list),
    _Field("cap_add", list),
    _Field("security_opt", list),
    _Field("user", lambda value: value),
    _Field("log", str),
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
    attach, detach = attachments(wanted, observed)
    if attach or detach:
        after = {*observed.networks, *attach} - set(detach)
        changes.append(Change("networks", list(observed.networks), sorted(after), UPDATE))
    # The daemon cannot give a container another label, and what reads a user's reads it there.
    for field, labels, how in (("labels", _told, UPDATE), ("user labels", user_labels, RECREATE)):
        before, after = _different(labels(observed.spec), labels(wanted))
        if before != after:
            changes.append(Change(field, before, after, how))
    for name in sorted({*wanted.secrets, *secrets}):
        before, after = secrets.get(name), wanted.secrets.get(name)
        if before != after and not _as_good(before, after, wanted.secret_versions.get(name)):
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


def _as_good(before: str | None, after: str | None, version: int | None) -> bool:
    """Tell whether a file that is there does what the wanted one is for, though its text is another."""
    if version is None or before is None or after is None:
        return False
    found = _VERSION.search(before)
    return (int(found[1]) if found else 1) >= version


def attachments(wanted: ContainerSpec, observed: Observed) -> tuple[list[str], list[str]]:
    """Return the networks that a container is to be attached to, and those that it is to be detached from.

    What an option declares is kept up, and what one declared and does not any more is taken back. A network that
    somebody attached by hand is theirs.
    """
    own = networks(wanted)
    attach = [name for name in own if not observed.attached(name)]
    declared = set(_declared(observed.spec)) - set(own)
    return attach, sorted(name for name in observed.networks if name in declared)


def by_hand(wanted: ContainerSpec, observed: Observed) -> list[str]:
    """Return the networks that somebody attached a container to by hand, and that its successor is to have too."""
    known = {*networks(observed.spec), *networks(wanted)}
    return [name for name in observed.networks if name not in known]


def networks(spec: ContainerSpec) -> tuple[str, ...]:
    """Return the networks that a container is attached to: that of its mode first, then those that were declared."""
    mode = () if spec.network.startswith("container:") else (spec.network,)
    return tuple(dict.fromkeys((*mode, *_declared(spec))))


def _declared(spec: ContainerSpec) -> list[str]:
    return [name for name in spec.labels.get(LABEL_NETWORKS, "").split(",") if name]


def our_labels(spec: ContainerSpec) -> dict[str, str]:
    """Return the labels that describe the engine."""
    return {
        name: value
        for name, value in spec.labels.items()
        if name.startswith(LABEL_PREFIX) and name != LABEL_SECRETS and name not in IDENTITY
    }


def _told(spec: ContainerSpec) -> dict[str, str]:
    """Return the labels that describe the engine and say something: an earlier one is taken back by an empty one."""
    return {name: value for name, value in our_labels(spec).items() if value}


def user_labels(spec: ContainerSpec) -> dict[str, str]:
    """Return the other labels. A container has them from its user: nobody can add one afterwards."""
    return {name: value for name, value in spec.labels.items() if not name.startswith(LABEL_PREFIX)}


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
        user=None if wanted.user in (None, normal.user(observed.image_user)) else wanted.user,
        log=_beside_daemon(wanted.log, observed.spec.log),
        command=observed.spec.command if observed.spec.command in wanted.earlier_commands else wanted.command,
        entrypoint=None if wanted.entrypoint == observed.image_entrypoint else wanted.entrypoint,
        labels={name: value for name, value in wanted.labels.items() if observed.image_labels.get(name) != value},
        environment={
            name: value
            for name, value in wanted.environment.items()
            if f"{name}={value}" not in observed.image_environment
        },
    )


def _beside_daemon(wanted: Log | None, observed: Log | None) -> Log | None:
    """Fill in what nobody asks of the log as the daemon did."""
    if wanted is None or observed is None:
        return observed
    return Log(wanted.driver or observed.driver, {**observed.options, **wanted.options})


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
