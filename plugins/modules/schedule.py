#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: schedule
version_added: "0.1.0"
short_description: Run benchmarks of a fleet on a timer
author: inference.fleet contributors (@inference-fleet)
description:
  - Owns the schedules of a control host, the host that runs C(ansible-playbook) when they are due. Each is a systemd
    service and timer, or a file in C(/etc/cron.d) where no systemd runs.
  - A schedule that is no longer listed is removed, with its units, stamp and configuration. So is everything with
    O(state=absent). A file that this module did not make is never changed or removed; one that is in the way is an
    error.
  - One run of a schedule at a time. A second one says so and ends with exit code 75, which counts as no failure. Two
    schedules that meet on a host measure one after the other there, or the second leaves it out; see
    O(schedules[].wait_idle) and O(schedules[].busy).
  - Under systemd a timer makes up for a run that was missed while the control host was down, once. Cron cannot, and
    knows no time zones.
  - Whether the playbooks of a new or changed schedule find their hosts is tried at once, with C(--list-hosts). Where
    they do not, a warning says why.
  - What a run prints goes to the journal, or with cron to the system log, under C(inference-fleet-schedule-NAME).
requirements:
  - root on the control host
  - Python 3.10 or newer, ansible-core, this collection and an inventory on the control host
  - systemd 246 or newer, or a cron that reads C(/etc/cron.d), with C(logger)
extends_documentation_fragment: inference.fleet.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Of O(environment) and the webhook only the names of variables are shown.
  idempotent:
    support: full
options:
  schedules:
    description: Every schedule of this control host.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name, of small letters, digits, C(-) and C(_).
        type: str
        required: true
      limit:
        description: The hosts to benchmark, a pattern of the inventory as for C(--limit).
        type: str
        required: true
      on_calendar:
        description:
          - When it is due, as systemd's C(OnCalendar), such as V(Mon..Fri 03:30) or V(*-*-* 02:00 Europe/Berlin).
          - For cron it is translated where that is possible.
        type: str
        required: true
      cron:
        description:
          - The five fields of cron, for a control host without systemd. From O(schedules[].on_calendar) where it is not
            given.
        type: str
      randomized_delay:
        description: Up to how many seconds later it starts, by chance.
        type: int
        default: 0
      playbooks:
        description:
          - What to run, one after the other, whether the one before failed or not. The run fails with the first that
            did.
          - A bare word is a playbook of this collection. Anything else is a playbook by its path, relative to
            O(directory), or by its full name.
        type: list
        elements: str
        default: [benchmark, report]
      variables:
        description:
          - Variables for the playbooks, which override the inventory's, such as C(benchmark_num_prompts).
          - Secrets belong in the inventory, encrypted, or in O(environment).
        type: dict
        default: {}
      timeout:
        description: Seconds after which a run is ended and fails.
        type: int
        default: 14400
      busy:
        description:
          - What to do on a host whose engine serves others, or that is being benchmarked or evaluated, for longer than
            O(schedules[].wait_idle), as C(benchmark_busy) and C(evaluation_busy).
        type: str
        choices: [skip, fail]
        default: skip
      wait_idle:
        description: Seconds to wait for that to end, as C(benchmark_wait_idle) and C(evaluation_wait_idle).
        type: int
        default: 0
  state:
    description: V(absent) removes all schedules, whatever is listed.
    type: str
    choices: [present, absent]
    default: present
  user:
    description: Who runs C(ansible-playbook). The hosts are reached with this user's SSH keys.
    type: str
    default: root
  directory:
    description: Where C(ansible-playbook) runs, and finds C(ansible.cfg). The home of O(user) where it is not given.
    type: path
  ansible_playbook:
    description: The program, by its whole path. It is found on the search path where it is not given.
    type: path
  inventory:
    description: Inventories, relative to O(directory). Those of C(ansible.cfg) where there is none.
    type: list
    elements: str
    default: []
  collections_path:
    description: Where this collection is, as C(ANSIBLE_COLLECTIONS_PATH). Ansible's own places where it is not given.
    type: str
  ansible_config:
    description: The configuration file of Ansible, as C(ANSIBLE_CONFIG).
    type: path
  results_dir:
    description: Directory for result documents. C(results) in O(directory) where it is not given.
    type: path
  environment:
    description:
      - Variables of the environment of all runs, such as C(ANSIBLE_VAULT_PASSWORD_FILE), or a key that the inventory
        looks up. They stand in a file of mode 0600 that belongs to O(user), and in no unit or command line.
    type: dict
    default: {}
  webhook_url:
    description:
      - Where to post a JSON object when a run failed. It has C(schedule), C(host), C(unit), C(limit), C(time),
        C(result), C(exit_status) and C(journal), the last lines that the run printed. Values of O(environment) are
        taken out of these.
    type: str
  webhook_token:
    description: Sent with it as C(Authorization) of the kind C(Bearer).
    type: str
  on_failure_command:
    description: A command, as a list, to run when a run failed. It gets the same JSON on its standard input.
    type: list
    elements: str
    default: []
  hardened:
    description:
      - Whether systemd keeps a run from gaining privileges and from writing to system directories.
      - V(false) where the control host is itself benchmarked, over a local connection. Sudo and apt need more.
    type: bool
    default: true
  daemon_reload:
    description:
      - Whether systemd may read its units again though containers on this host use GPUs. A C(systemctl daemon-reload)
        can take the GPUs from them. New schedules need none; changed and removed ones do.
    type: bool
    default: false
seealso:
  - module: inference.fleet.benchmark
"""

EXAMPLES = r"""
- name: Benchmark the H100 hosts each night, and the others on Sundays
  inference.fleet.schedule:
    user: fleet
    directory: /srv/fleet
    ansible_playbook: /opt/ansible/bin/ansible-playbook
    inventory: [hosts.yml]
    schedules:
      - name: h100-nightly
        limit: h100
        on_calendar: "*-*-* 02:00"
        randomized_delay: 600
        wait_idle: 1800
      - name: weekly-sweep
        limit: all
        on_calendar: Sun 04:00
        timeout: 28800
        variables:
          benchmark_sweep: [{max_concurrency: 8}, {max_concurrency: 64}]
    environment:
      ANSIBLE_VAULT_PASSWORD_FILE: /etc/fleet/vault-password
    webhook_url: https://chat.example.com/hooks/fleet
  become: true

- name: Remove all schedules
  inference.fleet.schedule:
    state: absent
  become: true
"""

RETURN = r"""
init:
  description: What starts the schedules, V(systemd) or V(cron). V(null) where there is none to start.
  returned: always
  type: str
  sample: systemd
schedules:
  description: The schedules as they are now.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: h100-nightly
    unit:
      description: The name of its service, or of its lines in the system log.
      type: str
      sample: inference-fleet-schedule-h100-nightly.service
    next:
      description: When it is due next, without the random delay. V(null) with cron.
      type: str
      sample: Wed 2026-11-25 02:00:00 UTC
removed:
  description: The names of schedules that were removed.
  returned: always
  type: list
  elements: str
"""

import os
import pkgutil
import pwd
import shutil
import sys

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.command import search_path
from ansible_collections.inference.fleet.plugins.module_utils.schedules import files, host, run

# A virtual environment may go; the distribution's Python stays.
_SYSTEM_PYTHON = "/usr/bin/python3"
_WITHOUT_CATCH_UP = (
    "No systemd runs on this host, so cron starts the schedules: a run that is missed while the host is down is not "
    "made up for, and times are the host's local ones."
)
_NO_CRON = "No cron daemon runs on this host: nothing starts the schedules until one does."


def argument_spec() -> dict:
    return {
        "schedules": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": {"type": "str", "required": True},
                "limit": {"type": "str", "required": True},
                "on_calendar": {"type": "str", "required": True},
                "cron": {"type": "str"},
                "randomized_delay": {"type": "int", "default": 0},
                "playbooks": {"type": "list", "elements": "str", "default": ["benchmark", "report"]},
                "variables": {"type": "dict", "default": {}},
                "timeout": {"type": "int", "default": 14400},
                "busy": {"type": "str", "choices": ["skip", "fail"], "default": "skip"},
                "wait_idle": {"type": "int", "default": 0},
            },
        },
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "user": {"type": "str", "default": "root"},
        "directory": {"type": "path"},
        "ansible_playbook": {"type": "path"},
        "inventory": {"type": "list", "elements": "str", "default": []},
        "collections_path": {"type": "str"},
        "ansible_config": {"type": "path"},
        "results_dir": {"type": "path"},
        "environment": {"type": "dict", "default": {}, "no_log": True},
        "webhook_url": {"type": "str", "no_log": True},
        "webhook_token": {"type": "str", "no_log": True},
        "on_failure_command": {"type": "list", "elements": "str", "default": []},
        "hardened": {"type": "bool", "default": True},
        "daemon_reload": {"type": "bool", "default": False},
    }


def change(params: dict, check_mode: bool) -> dict:
    """Return the module's result. FleetError where the schedules cannot be had."""
    schedules = [] if params["state"] == "absent" else [_schedule(item) for item in params["schedules"]]
    settings = _settings(params, host.init()) if schedules else None
    warnings, times = [], {}
    if settings:
        host.check(settings)
        if settings.init == files.SYSTEMD:
            times = {schedule.name: host.next_run(schedule) for schedule in schedules}
        elif not host.cron_runs():
            warnings.append(_NO_CRON)
    wanted = files.wanted(schedules, settings, _runner()) if settings else []
    names = [schedule.name for schedule in schedules]
    difference = host.compare(wanted, settings, names, host.run_patiently)
    if difference.reload and not params["daemon_reload"] and host.gpus_in_containers():
        raise FleetError(
            "systemd would have to read its units again, but containers on this host use GPUs, which a daemon-reload "
            "can take from them. Stop the engines here first, choose another control host, or set daemon_reload to "
            "true."
        )
    if difference and not check_mode:
        host.apply(difference, settings)
        if settings:
            warnings += host.rehearse(difference, names, settings, host.run_patiently)
    if difference and settings and settings.init == files.CRON:
        warnings.append(_WITHOUT_CATCH_UP)
    return {
        "changed": bool(difference),
        "diff": difference.shown(),
        "init": settings.init if settings else None,
        "schedules": [
            {"name": item.name, "unit": files.unit_of(item, settings), "next": times.get(item.name)}
            for item in schedules
        ],
        "removed": difference.removed(),
        "warnings": warnings,
    }


def _schedule(item: dict) -> files.Schedule:
    given = {name: value for name, value in item.items() if value is not None}
    return files.Schedule(**{**given, "playbooks": tuple(item["playbooks"])})


def _settings(params: dict, init: str) -> files.Settings:
    try:
        home = pwd.getpwnam(params["user"]).pw_dir
    except KeyError:
        home = "/"  # the check says that there is no such user
    return files.Settings(
        init=init,
        user=params["user"],
        directory=params["directory"] or home,
        ansible_playbook=params["ansible_playbook"]
        or shutil.which("ansible-playbook", path=search_path())
        or "ansible-playbook",
        python=_SYSTEM_PYTHON if os.access(_SYSTEM_PYTHON, os.X_OK) else sys.executable,
        inventory=tuple(params["inventory"]),
        collections_path=params["collections_path"] or "",
        ansible_config=params["ansible_config"] or "",
        results_dir=params["results_dir"] or "",
        hardened=params["hardened"],
        environment={name: str(value) for name, value in params["environment"].items()},
        webhook_url=params["webhook_url"] or "",
        webhook_token=params["webhook_token"] or "",
        on_failure_command=tuple(params["on_failure_command"]),
    )


def _runner() -> str:
    """Return the text of what a timer starts, from wherever this module was loaded, a zip included."""
    content = pkgutil.get_data(run.__package__, "run.py")
    if content is None:
        raise FleetError("the file module_utils/schedules/run.py of the collection could not be read.")
    return content.decode()


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    answer(module, lambda: change(module.params, module.check_mode))


if __name__ == "__main__":
    main()
