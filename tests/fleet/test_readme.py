# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""README's way from nothing to a report, typed as it is printed: in an empty home, to a host over SSH.

The checkout's own commit stands for the address of its repository, a host of the rig for the one in the inventory, and
beside it are variables for a host that has no GPU.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ansible_collections.inference.fleet.tests.fleet.small import SMALL

ROOT = Path(__file__).resolve().parents[2]
FLEET = ROOT / "tests/fleet/fleet"
NAME = "readme"
README = (ROOT / "README.md").read_text(encoding="utf-8")
REPOSITORY = "git+https://github.com/inference-fleet/inference.fleet"


@pytest.fixture(scope="module")
def host() -> Iterator[dict[str, str]]:
    subprocess.run([str(FLEET), "up", "1", "--kind", "h100", "--name", NAME], check=True)
    inventory = json.loads((ROOT / f".build/fleet-{NAME}/inventory.yml").read_text().removeprefix("---\n"))
    (variables,) = inventory["all"]["children"]["h100"]["hosts"].values()
    yield {**inventory["all"]["vars"], **variables}
    subprocess.run([str(FLEET), "down", "--name", NAME], check=True)


def section(heading: str) -> str:
    return README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_readme_from_nothing_to_a_report(host: dict[str, str], tmp_path: Path) -> None:
    text = section("Use it on GPU hosts")
    console = "".join(re.findall(r"^```console\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))
    (inventory,) = re.findall(r"^```yaml\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert console.count("ansible-playbook inference.fleet.") == 5
    written = yaml.safe_load(inventory)
    written["h100"]["hosts"]["h100-1"].update(host)
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(written))
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/h100.yml").write_text(yaml.safe_dump(SMALL))
    assert REPOSITORY in console
    done = subprocess.run(
        ["bash", "-euxc", console.replace(REPOSITORY, f"git+file://{ROOT}")],
        cwd=tmp_path,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "VIRTUAL_ENV"))},
            "HOME": str(tmp_path),
            # A python3 that is new enough, as the reader has one.
            "PATH": f"{Path(sys.base_prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert "1 of 1 hosts are ready" in done.stdout or "h100-1" in done.stdout
    (result,) = (tmp_path / "results").glob("*.json")
    assert json.loads(result.read_text())["simulated"] is True
    assert (tmp_path / "reports/index.html").exists()
    assert "8 of 8 checks" in done.stdout
