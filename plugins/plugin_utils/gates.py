# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gates: what a document has to meet, asked in JMESPath on the control host."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.results import verdicts

try:
    import jmespath
    from jmespath.exceptions import JMESPathError
except ImportError:
    jmespath = None


def check_gates(gates: Any) -> list[dict[str, Any]]:
    """Return gates that can be judged. FleetError before an hour is spent on a run that they cannot judge."""
    if gates and jmespath is None:
        raise FleetError("gates need jmespath on the control host: pip install jmespath")
    checked = []
    for gate in gates:
        if not isinstance(gate, dict) or not gate.get("condition") or not gate.get("message"):
            raise FleetError(f"a gate needs a condition and a message, found {gate!r}")
        try:
            jmespath.compile(str(gate["condition"]))
        except JMESPathError as error:
            raise FleetError(
                f"the gate's condition {gate['condition']!r} is not JMESPath: {str(error).splitlines()[0]}"
            ) from error
        checked.append({"condition": str(gate["condition"]), "message": str(gate["message"])})
    return checked


def judge(conditions: list[dict[str, Any]], document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each gate with its outcome."""
    return verdicts.judge(conditions, document, _ask)


def _ask(condition: str, document: Any) -> Any:
    try:
        return jmespath.search(condition, document)
    except JMESPathError as error:
        return str(error).splitlines()[0]


def require_met(gates: Sequence[Mapping[str, Any]], path: Path | str) -> None:
    """Raise FleetError where gates that were judged are not met. *path* has the document."""
    missed = [gate for gate in gates if gate["passed"] is False]
    if missed:
        listed = "; ".join(
            f"{gate['message']} ({gate['condition']} gave {json.dumps(gate['value'])})" for gate in missed
        )
        raise FleetError(f"{len(missed)} of {len(gates)} gates not met: {listed}. The result is kept in {path}.")
