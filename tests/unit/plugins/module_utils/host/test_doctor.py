# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The doctor's table and document, and its playbook on a real host beside one that nobody can reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.inference import fleet
from ansible_collections.inference.fleet.plugins.module_utils.host import doctor

COLLECTION = Path(next(iter(fleet.__path__)))
FACTS = {"profile": "h100x4", "driver_version": "570.86.15", "docker": {"version": "28.3.3"}}


def check(name: str, ok: bool = True, required: bool = True) -> dict[str, Any]:
    remedy = None if ok else f"Mend {name}."
    return {"name": name, "ok": ok, "required": required, "found": "little", "wanted": "more", "remedy": remedy}


def rows() -> list[doctor.Row]:
    well = {"host": FACTS, "checks": [check("os"), check("clock", ok=False, required=False)]}
    sick = {
        "host": {**FACTS, "profile": "cpu", "driver_version": None, "docker": {"version": None}},
        "checks": [check("os"), check("gpus", ok=False), check("docker", ok=False)],
    }
    return [
        doctor.row("h100-1", well),
        doctor.row("h100-2", sick),
        doctor.row("h100-3", sick, ["gpus", "docker"]),
        doctor.row("h100-4", {"unreachable": True, "msg": "Failed to connect:\n  timed out"}),
        doctor.row("h100-5", {"module_stderr": "sudo: a password is required\n", "msg": "MODULE FAILURE"}),
    ]


def test_a_row_says_that_a_host_is_well_or_what_to_mend_first() -> None:
    lines = doctor.table(rows(), lambda text, well: f"<{text}>" if well else text).splitlines()

    assert lines == [
        "HOST    PROFILE  DRIVER     DOCKER  STATE",
        "h100-1  h100x4   570.86.15  28.3.3  <ok         >  advice, clock: little.",
        "h100-2  cpu      -          -       FAILED       gpus: found little; wanted more. Mend gpus. (and 1 more)",
        "h100-3  cpu      -          -       <ok>",
        "h100-4  -        -          -       UNREACHABLE  Failed to connect: timed out",
        "h100-5  -        -          -       FAILED       sudo: a password is required",
    ]
    assert doctor.summary(rows()) == "2 of 5 hosts are ready for an engine; not: h100-2, h100-4, h100-5"


def test_the_document_has_every_host_and_every_check() -> None:
    document = doctor.document(rows())

    assert document["ok"] is False
    assert {name: (host["ok"], host["reachable"]) for name, host in document["hosts"].items()} == {
        "h100-1": (True, True),
        "h100-2": (False, True),
        "h100-3": (True, True),
        "h100-4": (False, False),
        "h100-5": (False, True),
    }
    assert document["hosts"]["h100-2"]["mend"]["name"] == "gpus"
    assert len(document["hosts"]["h100-2"]["checks"]) == 3
    assert doctor.document(rows()[:1])["ok"] is True
