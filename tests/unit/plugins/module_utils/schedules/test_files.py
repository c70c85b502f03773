# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands on a control host for a schedule."""

from __future__ import annotations

import doctest
import json
import subprocess
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.schedules import calendar, files, run
from ansible_collections.inference.fleet.plugins.module_utils.schedules.files import Schedule, Settings

SETTINGS = Settings(
    init=files.SYSTEMD,
    user="fleet",
    directory="/srv/fleet",
    ansible_playbook="/opt/ansible/bin/ansible-playbook",
    python="/usr/bin/python3",
    inventory=("hosts.yml",),
    results_dir="/srv/results",
    environment={"A_KEY": "quo\"ted \\\" $HOME `id` 'x' \\"},
    webhook_url="https://chat.example.com/hooks/1",
)
NIGHTLY = Schedule("nightly", "h100:!h100-3", "*-*-* 02:00", variables={"benchmark_num_prompts": 64}, wait_idle=60)


def texts(*schedules: Schedule, **changes: Any) -> dict[str, str]:
    return {file.path: file.text for file in files.wanted(schedules, replace(SETTINGS, **changes), "print()\n")}


@pytest.mark.parametrize(
    ("playbooks", "measures"),
    [
        (("evaluate", "report"), False),
        (("evaluate", "regression"), False),
        (("benchmark", "evaluate", "report"), True),
        (("evaluate", "our-own.yml"), True),
    ],
)
def test_a_schedule_that_only_evaluates_misses_no_benchmark(playbooks: tuple[str, ...], measures: bool) -> None:
    found = files.variables(replace(NIGHTLY, playbooks=playbooks), SETTINGS)
    assert ("regression_hosts" in found) is measures
    assert (found["evaluation_busy"], found["evaluation_wait_idle"]) == ("skip", 60)


@pytest.mark.parametrize("module", [calendar, files])
def test_examples_in_docstrings(module: Any) -> None:
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize(
    ("on_calendar", "fields"),
    [
        ("weekly", "0 0 * * 1"),
        ("Hourly", "0 * * * *"),
        ("Sat,Sun 04:00", "0 4 * * 6,0"),
        ("Monday..Thu,Sat *-*-* 22:05:00", "5 22 * * 1-4,6"),
        ("*-1,15 8..18/2:00", None),
        ("*-1,15 08..18:00", "0 8-18 1,15 * *"),
        ("0/6:30", "30 0-23/6 * * *"),
        ("02:00 Europe/Berlin", None),
        ("2026-12-24 02:00", None),
        ("*-*-~1 04:00", None),
        ("02:00:30", None),
        ("25:00", None),
        ("Mon *-*-01 04:00", None),
        ("Fun 04:00", None),
        ("", None),
    ],
)
def test_what_cron_can_say(on_calendar: str, fields: str | None) -> None:
    if fields:
        assert calendar.cron(on_calendar) == fields
    else:
        with pytest.raises(FleetError, match="on_calendar"):
            calendar.cron(on_calendar)


def test_no_schedule_is_no_file() -> None:
    assert files.wanted([], SETTINGS, "") == []


def test_a_schedule_of_systemd() -> None:
    found = texts(NIGHTLY)
    assert set(found) == {
        files.RUNNER,
        files.ENVIRONMENT,
        f"{files.CONFIG}/nightly.json",
        f"{files.CONFIG}/nightly.vars.json",
        f"{files.UNITS}/inference-fleet-schedule-nightly.service",
        f"{files.UNITS}/inference-fleet-schedule-nightly.timer",
        f"{files.UNITS}/inference-fleet-schedule-failed@.service",
    }
    assert all(text.startswith(files.MARK) for path, text in found.items() if not path.endswith(".json"))
    (playbook, report) = json.loads(found[f"{files.CONFIG}/nightly.json"])["playbooks"]
    assert " ".join(playbook["argv"]) == (
        "/opt/ansible/bin/ansible-playbook inference.fleet.benchmark --inventory hosts.yml --limit h100:!h100-3 "
        "--extra-vars @/etc/inference.fleet/schedule/nightly.vars.json"
    )
    assert report["argv"][1] == "inference.fleet.report"
    assert json.loads(found[f"{files.CONFIG}/nightly.vars.json"]) == {
        "benchmark_busy": "skip",
        "benchmark_num_prompts": 64,
        "benchmark_results_dir": "/srv/results",
        "benchmark_wait_idle": 60,
        "evaluation_busy": "skip",
        "evaluation_results_dir": "/srv/results",
        "evaluation_wait_idle": 60,
        "report_results_dir": "/srv/results",
        "regression_results_dir": "/srv/results",
        "regression_hosts": "{{ ansible_play_hosts_all }}",
    }
    service = found[f"{files.UNITS}/inference-fleet-schedule-nightly.service"].splitlines()
    assert "OnFailure=inference-fleet-schedule-failed@nightly.service" in service
    assert "TimeoutStartSec=14460" in service
    assert "NoNewPrivileges=true" in service
    assert "Persistent=true" in found[f"{files.UNITS}/inference-fleet-schedule-nightly.timer"].splitlines()


def test_nobody_to_tell_and_nothing_hardened() -> None:
    found = texts(NIGHTLY, webhook_url="", hardened=False)
    assert f"{files.UNITS}/inference-fleet-schedule-failed@.service" not in found
    service = found[f"{files.UNITS}/inference-fleet-schedule-nightly.service"]
    assert "OnFailure" not in service
    assert "NoNewPrivileges" not in service


def test_a_specifier_of_systemd_is_only_text() -> None:
    found = texts(replace(NIGHTLY, limit="h%i"), directory="/srv/%h")
    service = found[f"{files.UNITS}/inference-fleet-schedule-nightly.service"]
    assert "Description=Scheduled benchmark nightly of h%%i" in service
    assert "WorkingDirectory=/srv/%%h" in service


def test_a_schedule_of_cron() -> None:
    found = texts(NIGHTLY, init=files.CRON)
    line = found[f"{files.CRON_D}/inference-fleet-schedule-nightly"].splitlines()[-1]
    assert line == (
        f"0 2 * * * fleet /usr/bin/python3 {files.RUNNER} run nightly --cron 2>&1 "
        "| logger -t inference-fleet-schedule-nightly"
    )
    own = texts(replace(NIGHTLY, cron="*/5  * * * *"), init=files.CRON)
    assert "\n*/5 * * * * fleet " in own[f"{files.CRON_D}/inference-fleet-schedule-nightly"]
    with pytest.raises(FleetError, match="five fields"):
        texts(replace(NIGHTLY, cron="5 % * * *"), init=files.CRON)


def test_playbooks_by_path_and_by_full_name() -> None:
    names = ("regression", "checks/mine.yml", "my.own.playbook")
    argv = [files.playbook_argv(name, NIGHTLY, SETTINGS)[1] for name in names]
    assert argv == ["inference.fleet.regression", "checks/mine.yml", "my.own.playbook"]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Nightly"},
        {"name": "-x"},
        {"name": "a.b"},
        {"name": "a@b"},
        {"limit": " "},
        {"on_calendar": "daily\nOnCalendar=hourly"},
        {"playbooks": ()},
        {"timeout": 0},
        {"wait_idle": -1},
    ],
)
def test_what_is_no_schedule(changes: dict[str, Any]) -> None:
    with pytest.raises(FleetError):
        replace(NIGHTLY, **changes)


def test_two_of_one_name() -> None:
    with pytest.raises(FleetError, match="more than one is called nightly"):
        texts(NIGHTLY, NIGHTLY)


def test_the_environment_file_reads_as_it_was_meant() -> None:
    text = texts(NIGHTLY)[files.ENVIRONMENT]
    assert run.read_environment(text) == SETTINGS.secrets()
    # systemd's rules are those of a shell, but that nothing is expanded.
    shell = text.replace("$", "\\$").replace("`", "\\`")
    read = subprocess.run(["sh", "-c", f'{shell}\nprintf %s "$A_KEY"'], capture_output=True, text=True, check=True)
    assert read.stdout == SETTINGS.environment["A_KEY"]
    assert files.masked(text).splitlines()[1:] == ["A_KEY=(hidden)", "INFERENCE_FLEET_WEBHOOK_URL=(hidden)"]


@pytest.mark.parametrize("environment", [{"A KEY": "x"}, {"A_KEY": "x\nB_KEY=y"}])
def test_what_no_environment_file_can_hold(environment: dict[str, str]) -> None:
    with pytest.raises(FleetError, match="environment"):
        replace(SETTINGS, environment=environment)
    assert "quo" not in repr(SETTINGS)
