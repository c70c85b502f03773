# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's filters as a playbook has them."""

from __future__ import annotations

import json
import os
import subprocess
from copy import deepcopy
from pathlib import Path

from ansible_collections.inference import fleet
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.host.test_plan import (
    BARE,
    DEBIAN,
    TOOLKIT,
    checks,
)


def test_the_filter_takes_what_a_playbook_has(tmp_path: Path) -> None:
    host = {**deepcopy(BARE), "os": DEBIAN, "python": "3.9.2"}
    state = {"state": {"host": host, "checks": checks(host)}, "wishes": {"driver_repository": TOOLKIT}}
    (tmp_path / "state.json").write_text(json.dumps(state))
    plan_of = "state | inference.fleet.host_plan(wishes)"
    template = f"{{{{ ({plan_of}).repositories }}}} {{{{ ({plan_of}).beyond | map(attribute='found') | join }}}}"

    options = ["-i", "localhost,", "-e", f"@{tmp_path}/state.json", "-m", "ansible.builtin.debug"]
    done = subprocess.run(
        ["ansible", "localhost", *options, "-a", f'msg="{template}"'],
        env={**os.environ, "ANSIBLE_CONFIG": str(Path(next(iter(fleet.__path__))) / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "https://example.com/toolkit" in done.stdout, done.stdout + done.stderr
    assert "3.9.2" in done.stdout
