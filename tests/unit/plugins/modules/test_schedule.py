# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module's promises that need no host; tests/schedule has those that do."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.inference.fleet.plugins.module_utils.schedules import run
from ansible_collections.inference.fleet.plugins.modules import schedule as module


def same(documented: dict[str, Any], spec: dict[str, Any]) -> None:
    assert set(documented) == set(spec)
    for name, option in spec.items():
        for key in ("type", "default", "choices", "elements", "required"):
            assert documented[name].get(key) == option.get(key), (name, key)
        same(documented[name].get("suboptions", {}), option.get("options", {}))


def test_documentation_is_the_argument_spec() -> None:
    same(yaml.safe_load(module.DOCUMENTATION)["options"], module.argument_spec())


def test_the_runner_needs_nothing_but_the_standard_library() -> None:
    imported = set()
    for node in ast.walk(ast.parse(module._runner())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.partition(".")[0])
    assert imported <= set(sys.stdlib_module_names)
    assert module._runner() == Path(run.__file__).read_text(encoding="utf-8")
