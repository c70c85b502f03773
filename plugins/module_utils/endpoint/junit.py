# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The outcome of checks as JUnit XML, which every CI system reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree


def junit(checks: Sequence[Mapping[str, Any]], suite: str) -> str:
    """Return the checks, as the module endpoint_check returns them, as one test suite."""
    failures = sum(check["status"] == "failed" for check in checks)
    skipped = sum(check["status"] in ("skipped", "not run") for check in checks)
    seconds = sum(check["seconds"] for check in checks)
    counts = {"tests": len(checks), "failures": failures, "errors": 0, "skipped": skipped, "time": f"{seconds:.3f}"}
    root = ElementTree.Element("testsuites")
    made = ElementTree.SubElement(
        root, "testsuite", {"name": suite, **{key: str(value) for key, value in counts.items()}}
    )
    for check in checks:
        about = {"classname": check.get("level", "basic"), "name": check["name"], "time": f"{check['seconds']:.3f}"}
        case = ElementTree.SubElement(made, "testcase", about)
        if check["status"] == "failed":
            told = f"wanted {check['wanted']}; found: {check['found']}"
            ElementTree.SubElement(case, "failure", {"message": _clean(told)}).text = _clean(told)
        elif check["status"] != "ok":
            ElementTree.SubElement(case, "skipped", {"message": _clean(f"{check['status']}: {check['found']}")})
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    """Return a text with what XML cannot hold replaced: an endpoint may send anything."""
    return "".join(
        char
        if char in "\t\n\r" or " " <= char < "\ud800" or "\ue000" <= char <= "\ufffd" or char >= "\U00010000"
        else "\ufffd"
        for char in text
    )
