# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of roles as users give them: ``-e NAME=false`` is a text, which is true wherever nobody looks closer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
# What gives a text its meaning: the filters, and the modules' own options, which take a lone expression.
READ = {"bool": "bool", "int": "int", "float": "float"}
FILES = sorted([*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("roles/*/vars/*.yml"), *ROOT.glob("playbooks/**/*.yml")])


def typed() -> dict[str, str]:
    """Return the roles' variables whose type is one that a text has to be read as."""
    found = {}
    for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            for name, option in (entry.get("options") or {}).items():
                if option["type"] in READ:
                    found[name] = READ[option["type"]]
    return found


def careless(text: str, variables: dict[str, str]) -> Iterator[str]:
    """Yield each line that decides or computes with such a variable as it was given."""
    for line in map(str.rstrip, text.splitlines()):
        decides = re.match(r"\s*(when|changed_when|failed_when|check_mode|until|throttle|loop):|\s*- (?!name:)", line)
        # An option that is left out where the variable is not set has it as it was given, and reads it.
        computes = re.findall(r"\{\{[^}]*(?:default\((?!omit\) \}\})|ternary|[-+*<>]| if |range\()[^}]*\}\}", line)
        read = line if decides else " ".join(computes)
        for name, kind in variables.items():
            if re.search(rf"\b{name}\b(?! \| {kind}\b)", read) and not re.search(rf"\b{name}:|O\(.*{name}", line):
                yield line.strip()


def test_a_careless_line_is_seen() -> None:
    variables = {"a_flag": "bool", "a_number": "int"}
    for line in ("when: a_flag", "  - a_flag", "when: not a_flag", 'throttle: "{{ a_number | default(1, true) }}"'):
        assert list(careless(line, variables)), line
    for line in ("when: a_flag | bool", "- name: a_flag", 'flag: "{{ a_flag }}"', 'throttle: "{{ a_number | int }}"'):
        assert not list(careless(line, variables)), line


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_variable_given_as_text_is_read_as_its_type(path: Path) -> None:
    # The role engine hands all it has to the module, whose options read them.
    if path == ROOT / "roles/engine/tasks/bring.yml":
        text = "\n".join(path.read_text(encoding="utf-8").splitlines()[-5:])
    else:
        text = path.read_text(encoding="utf-8")
    assert list(careless(text, typed())) == []
