# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept and shown of a benchmark, without its secrets. Pure functions."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

HIDDEN = "***"
_SECRET_NAME = re.compile(
    r"(^|[_-])(api[_-]?key|key|(hf|hub|access|auth|bearer)[_-]?(hub[_-]?)?token|token|secret|password|passwd|credentials?|authorization)$",
    re.IGNORECASE,
)
# A header as clients take it: Authorization=Bearer KEY, or Authorization: Bearer KEY.
_HEADER = re.compile(r"([A-Za-z][\w-]*)(=|: ?)\S")


def redact(value: Any, secrets: Sequence[str]) -> Any:
    """Return *value* with known secrets, and strings that are named like one, hidden.

    Numbers that JSON does not have, such as a client's infinite request rate, become text.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
        return value
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if isinstance(item, str) and item and _SECRET_NAME.search(str(key)) else redact(item, secrets)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_hidden_item(value, index, item) or redact(item, secrets) for index, item in enumerate(value)]
    return value


def _hidden_item(items: Sequence[Any], index: int, item: Any) -> str | None:
    """Return what to show of an item that is a secret; None of others.

    As arguments have it, C(--api-key KEY), C(--api-key=KEY) or C(--header Authorization=KEY), and as pairs do.
    """
    if not isinstance(item, str):
        return None
    name, equals, _value = item.partition("=")
    if equals and name.startswith("--") and _SECRET_NAME.search(name):
        return f"{name}={HIDDEN}"
    header = _HEADER.match(item)
    if header and _SECRET_NAME.search(header[1]):
        return f"{header[1]}{header[2]}{HIDDEN}"
    before = items[index - 1] if index else None
    if not isinstance(before, str) or "=" in before or not _SECRET_NAME.search(before):
        return None
    if (before.startswith("--") and not item.startswith("-")) or len(items) == 2:
        return HIDDEN
    return None


def without_secrets(environment: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that are not named like a secret."""
    return {name: str(value) for name, value in environment.items() if not _SECRET_NAME.search(name)}
