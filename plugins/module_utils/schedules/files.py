# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of schedules on a control host: pure functions from what is wanted to what has to stand there."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.schedules import calendar, run

SYSTEMD, CRON = "systemd", "cron"
UNITS = "/etc/systemd/system"
CRON_D = "/etc/cron.d"
CONFIG = "/etc/inference.fleet/schedule"
STATE = "/var/lib/inference-fleet-schedule"
RUNNER = "/usr/local/lib/inference.fleet/schedule.py"
ENVIRONMENT = f"{CONFIG}/environment"
PREFIX = "inference-fleet-schedule-"
# A template unit: no schedule has a name with @.
HOOK = "inference-fleet-schedule-failed@"
# Only a file that begins so is ours to change or remove.
MARK = "# Made by inference.fleet.schedule, whose next run undoes what is changed here by hand."
# For what systemd adds to a limit that the run itself keeps: its own end, and that of what it started.
_GRACE = 60
# Neither ssh, Ansible nor its plugins need more than this leaves them. PrivateTmp is not here: what keeps two
# benchmarks of the control host itself apart is a lock under /var/tmp.
_HARDENING = (
    "NoNewPrivileges=true",
    "ProtectSystem=full",
    "ProtectKernelTunables=true",
    "ProtectKernelModules=true",
    "ProtectKernelLogs=true",
    "ProtectControlGroups=true",
    "ProtectClock=true",
    "ProtectHostname=true",
    "LockPersonality=true",
    "RestrictRealtime=true",
    "RestrictSUIDSGID=true",
)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Playbooks of this collection after which a host has no run.
_NO_RUN = {"evaluate", "report", "regression"}
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Schedule:
    """One schedule. C(timeout), C(randomized_delay) and C(wait_idle) are seconds."""

    name: str
    limit: str
    on_calendar: str
    cron: str = ""
    randomized_delay: int = 0
    playbooks: tuple[str, ...] = ("benchmark", "report")
    variables: Mapping[str, Any] = field(default_factory=dict)
    timeout: int = 14400
    busy: str = "skip"
    wait_idle: int = 0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise FleetError(
                f"a schedule's name: wanted up to 64 small letters, digits, - and _ with a letter or digit first, "
                f"found {self.name!r}"
            )
        for what, text in (("limit", self.limit), ("on_calendar", self.on_calendar)):
            if not text.strip() or "\n" in text:
                raise FleetError(f"schedule {self.name}: {what} must be one line that is not empty, found {text!r}")
        if not self.playbooks:
            raise FleetError(f"schedule {self.name}: playbooks is empty, so there is nothing to run")
        if self.timeout < 1 or self.randomized_delay < 0 or self.wait_idle < 0:
            raise FleetError(f"schedule {self.name}: timeout must be 1 s or more, the other times 0 s or more")


@dataclass(frozen=True)
class Settings:
    """What the schedules of a control host have in common. C(python) runs the runner; it needs version 3.10."""

    init: str
    user: str
    directory: str
    ansible_playbook: str
    python: str
    inventory: tuple[str, ...] = ()
    collections_path: str = ""
    ansible_config: str = ""
    results_dir: str = ""
    hardened: bool = True
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    webhook_url: str = field(default="", repr=False)
    webhook_token: str = field(default="", repr=False)
    on_failure_command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value in self.secrets().items():
            if not _VARIABLE.fullmatch(name):
                raise FleetError(f"environment: {name!r} is no name of a variable")
            if any(ord(letter) < 32 for letter in value):
                raise FleetError(f"environment: the value of {name} has a line break or another control character")

    def secrets(self) -> dict[str, str]:
        """Return the variables of the environment file."""
        hook = {run.WEBHOOK_URL: self.webhook_url, run.WEBHOOK_TOKEN: self.webhook_token}
        return {**self.environment, **{name: value for name, value in hook.items() if value}}

    @property
    def tells(self) -> bool:
        """Whether anybody is told of a failure."""
        return bool(self.webhook_url or self.on_failure_command)


@dataclass(frozen=True)
class File:
    """A file that has to stand on the host. The user's own ones belong to the user of the schedules, else to root."""

    path: str
    text: str
    mode: int = 0o644
    of_user: bool = False
    secret: bool = False


def wanted(schedules: Sequence[Schedule], settings: Settings, runner: str) -> list[File]:
    """Return every file of the schedules. *runner* is the text of :mod:`.run`. No schedule, no file."""
    names = [schedule.name for schedule in schedules]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FleetError(f"every schedule needs a name of its own; more than one is called {', '.join(twice)}")
    if not schedules:
        return []
    files = [
        File(RUNNER, f"{MARK}\n{runner}"),
        File(ENVIRONMENT, environment(settings.secrets()), 0o600, of_user=True, secret=True),
    ]
    for schedule in schedules:
        base = f"{CONFIG}/{schedule.name}"
        files += [
            File(f"{base}.vars.json", _json(variables(schedule, settings)), 0o600, of_user=True),
            File(f"{base}.json", _json(plan(schedule, settings)), 0o600, of_user=True),
        ]
        if settings.init == SYSTEMD:
            unit = f"{UNITS}/{PREFIX}{schedule.name}"
            files += [File(f"{unit}.service", service(schedule, settings)), File(f"{unit}.timer", timer(schedule))]
        else:
            files.append(File(f"{CRON_D}/{PREFIX}{schedule.name}", cron_file(schedule, settings)))
    if settings.init == SYSTEMD and settings.tells:
        files.append(File(f"{UNITS}/{HOOK}.service", hook(settings)))
    return files


def unit_of(schedule: Schedule, settings: Settings) -> str:
    """Return what runs a schedule, by the name that its logs have."""
    return f"{PREFIX}{schedule.name}" + (".service" if settings.init == SYSTEMD else "")


def plan(schedule: Schedule, settings: Settings) -> dict[str, Any]:
    """Return what the runner has to do. There is no secret in it."""
    return {
        "schedule": schedule.name,
        "limit": schedule.limit,
        "unit": unit_of(schedule, settings),
        "directory": settings.directory,
        "playbooks": [{"name": name, "argv": playbook_argv(name, schedule, settings)} for name in schedule.playbooks],
        "environment": {
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
            "PATH": f"{os.path.dirname(settings.ansible_playbook)}:{_PATH}",
            "PYTHONUNBUFFERED": "1",
            **({"ANSIBLE_COLLECTIONS_PATH": settings.collections_path} if settings.collections_path else {}),
            **({"ANSIBLE_CONFIG": settings.ansible_config} if settings.ansible_config else {}),
        },
        "secrets": sorted(settings.secrets()),
        "timeout": schedule.timeout,
        "randomized_delay": schedule.randomized_delay,
        "on_failure_command": list(settings.on_failure_command),
    }


def playbook_argv(name: str, schedule: Schedule, settings: Settings) -> list[str]:
    """Return the command line of one playbook. A bare word is a playbook of this collection."""
    playbook = f"inference.fleet.{name}" if re.fullmatch(r"\w+", name) else name
    inventory = [part for source in settings.inventory for part in ("--inventory", source)]
    variables_file = f"@{CONFIG}/{schedule.name}.vars.json"
    return [settings.ansible_playbook, playbook, *inventory, "--limit", schedule.limit, "--extra-vars", variables_file]


def variables(schedule: Schedule, settings: Settings) -> dict[str, Any]:
    """Return the variables that the playbooks get: those of the schedule come last."""
    roles = ("benchmark", "evaluation", "report", "regression")
    results = dict.fromkeys((f"{role}_results_dir" for role in roles), settings.results_dir)
    return {
        "benchmark_busy": schedule.busy,
        "benchmark_wait_idle": schedule.wait_idle,
        "evaluation_busy": schedule.busy,
        "evaluation_wait_idle": schedule.wait_idle,
        # A host of the schedule without a run is told of by the playbooks report and regression.
        **({"regression_hosts": "{{ ansible_play_hosts_all }}"} if set(schedule.playbooks) - _NO_RUN else {}),
        **(results if settings.results_dir else {}),
        **schedule.variables,
    }


def service(schedule: Schedule, settings: Settings) -> str:
    """Return the service that a timer starts."""
    lines = [
        MARK,
        "[Unit]",
        f"Description=Scheduled benchmark {schedule.name} of {_unit_text(schedule.limit)}",
        "Wants=network-online.target",
        "After=network-online.target",
        *([f"OnFailure={HOOK}{schedule.name}.service"] if settings.tells else []),
        "",
        "[Service]",
        "Type=oneshot",
        *_common(schedule.name, settings),
        f"ExecStart={settings.python} {RUNNER} run {schedule.name}",
        "# A run that finds another one under way, and one that was stopped by hand.",
        f"SuccessExitStatus={run.OVERLAPS} SIGTERM 143",
        f"TimeoutStartSec={schedule.timeout + _GRACE}",
        f"TimeoutStopSec={_GRACE}",
        *(_HARDENING if settings.hardened else ()),
    ]
    return "\n".join(lines) + "\n"


def hook(settings: Settings) -> str:
    """Return the service that tells of a failed run; what stands behind the @ is the schedule."""
    lines = [
        MARK,
        "[Unit]",
        "Description=Tell that the scheduled benchmark %i failed",
        "",
        "[Service]",
        "Type=oneshot",
        *_common("%i", settings),
        "SupplementaryGroups=systemd-journal",
        f"ExecStart={settings.python} {RUNNER} failed %i",
        "TimeoutStartSec=300",
        *(_HARDENING if settings.hardened else ()),
    ]
    return "\n".join(lines) + "\n"


def _common(name: str, settings: Settings) -> list[str]:
    return [
        f"User={settings.user}",
        f"WorkingDirectory={_unit_text(settings.directory)}",
        f"EnvironmentFile={ENVIRONMENT}",
        f"SyslogIdentifier={PREFIX}{name}",
    ]


def timer(schedule: Schedule) -> str:
    """Return the timer of a schedule. It makes up for one run that was missed while the host was down."""
    lines = [
        MARK,
        "[Unit]",
        f"Description=Timer of the scheduled benchmark {schedule.name}",
        "",
        "[Timer]",
        f"OnCalendar={_unit_text(schedule.on_calendar.strip())}",
        f"RandomizedDelaySec={schedule.randomized_delay}",
        "AccuracySec=1s",
        "Persistent=true",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]
    return "\n".join(lines) + "\n"


def cron_file(schedule: Schedule, settings: Settings) -> str:
    """Return a schedule as cron has it. The runner does what systemd would: delay, limit, environment and hook."""
    fields = calendar.check_cron(schedule.cron) if schedule.cron else calendar.cron(schedule.on_calendar)
    command = f"{settings.python} {RUNNER} run {schedule.name} --cron"
    lines = [
        MARK,
        "SHELL=/bin/sh",
        f"PATH={_PATH}",
        'MAILTO=""',
        f"{fields} {settings.user} {command} 2>&1 | logger -t {PREFIX}{schedule.name}",
    ]
    return "\n".join(lines) + "\n"


def environment(secrets: Mapping[str, str]) -> str:
    """Return an environment file, as systemd and the runner read it.

    >>> print(environment({"KEY": 'a "b" $c'}), end="")
    # Made by inference.fleet.schedule, whose next run undoes what is changed here by hand.
    KEY="a \\"b\\" $c"
    """
    quoted = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in secrets.items()}
    return "\n".join([MARK, *(f'{name}="{value}"' for name, value in sorted(quoted.items()))]) + "\n"


def masked(text: str) -> str:
    """Return an environment file for a diff: names, and no values."""
    return "".join(
        line if line.startswith("#") else f"{line.partition('=')[0]}=(hidden)\n" for line in text.splitlines(True)
    )


def _unit_text(text: str) -> str:
    """Return text for a unit, in which a % begins a specifier."""
    return text.replace("%", "%%")


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1, sort_keys=True) + "\n"
