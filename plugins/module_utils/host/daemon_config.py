# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker's daemon.json: read with care, added to, never rewritten."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

PATH = Path("/etc/docker/daemon.json")


def read(path: Path = PATH) -> tuple[str, dict[str, Any]]:
    """Return the file's text and what it says; nothing where there is none, or an empty one.

    Raises :class:`FleetError` where it is no JSON object, and names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return "", {}
    except (OSError, UnicodeDecodeError) as error:
        raise FleetError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    return text, parse(text, path)


def parse(text: str, path: Path = PATH) -> dict[str, Any]:
    """Return what the file's text says; an empty text says nothing."""
    if not text.strip():
        return {}
    try:
        said = json.loads(text)
    except json.JSONDecodeError as error:
        lines = text.splitlines()
        line = lines[error.lineno - 1].strip() if error.lineno <= len(lines) else ""
        raise FleetError(
            f"{path} is not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}"
            f"{f', in: {line[:80]}' if line else ''}. Mend that line; the file was left as it is."
        ) from error
    if not isinstance(said, dict):
        raise FleetError(f"{path} has to hold one JSON object, and holds a {type(said).__name__}. Mend it by hand.")
    return said


def merged(current: Mapping[str, Any], wanted: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return what stands there with what is wanted added to it: no key goes, no value changes.

    Raises :class:`FleetError` where something else stands where an object is wanted.

    >>> merged({"mtu": 1400, "runtimes": {"own": {}}}, {"mtu": 1500, "runtimes": {"nvidia": {}}})
    {'mtu': 1400, 'runtimes': {'own': {}, 'nvidia': {}}}
    """
    result = dict(current)
    for key, value in wanted.items():
        if key not in result:
            result[key] = value
        elif isinstance(value, Mapping):
            if not isinstance(result[key], Mapping):
                raise FleetError(f"daemon.json has something else than an object for {path}{key}. Mend it by hand.")
            result[key] = merged(result[key], value, f"{path}{key}.")
    return result


def render(config: Mapping[str, Any]) -> str:
    """Return the file's text, indented as NVIDIA's own tool does."""
    return json.dumps(config, indent=4, ensure_ascii=False) + "\n"
