# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run was measured on: the things that may make one host, or one day, slower than another. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]

_WIDTH = 60


def _gpu(key: str) -> Callable[[Document], Any]:
    """Return what reads one property of the GPUs, equal ones once."""

    def read(document: Document) -> Any:
        found = [gpu.get(key) for gpu in document["hardware"].get("gpus") or ()]
        known = {json.dumps(value): value for value in found if value is not None}
        return tuple(known.values()) or None

    return read


def _image(document: Document) -> Any:
    return (document["engine"].get("image") or {}).get("digest")


# In the order in which a reader would look.
_FACTS: tuple[tuple[str, Callable[[Document], Any]], ...] = (
    ("engine version", lambda document: document["engine"].get("version")),
    ("image digest", _image),
    ("engine arguments", lambda document: tuple(document["engine"].get("argv") or ())),
    ("engine environment", lambda document: document["engine"].get("environment") or {}),
    ("model revision", lambda document: document["model"].get("revision")),
    ("driver", lambda document: document["hardware"].get("driver_version")),
    ("CUDA version", lambda document: document["hardware"].get("cuda_version")),
    ("kernel", lambda document: document["hardware"].get("kernel")),
    ("GPU", _gpu("name")),
    ("GPU power limit (W)", _gpu("power_limit_w")),
    ("GPU clock limit (MHz)", _gpu("clock_max_sm_mhz")),
    ("benchmark client", lambda document: document["client"]["name"]),
    ("benchmark client version", lambda document: document["client"].get("version")),
    ("warm-up", lambda document: document["warm"]),
)
# Runs of other versions are no measure for a host.
VERSIONS = ("engine version", "image digest", "model revision", "driver", "benchmark client", "warm-up")


def facts(document: Document) -> dict[str, Any]:
    """Return what the run was measured on, by its name; None where a document does not say it."""
    return {name: read(document) for name, read in _FACTS}


def versions(document: Document) -> tuple[str, ...]:
    """Return the facts that must be the same of two runs before one is a measure for the other."""
    return tuple(str(read(document)) for name, read in _FACTS if name in VERSIONS)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what differs between two runs' facts: C(what), C(before) and C(after), as short texts.

    Of arguments and environment only those that differ are told. What one of the two does not know is no difference.
    """
    found = []
    for name, was in before.items():
        now = after.get(name)
        if was == now or was is None or now is None:
            continue
        if name == "engine arguments":
            was, now = _without_common(_options(was), _options(now))
        elif name == "engine environment":
            was, now = _without_common(*([f"{key}={value}" for key, value in side.items()] for side in (was, now)))
        if was != now:
            found.append({"what": name, "before": _text(was), "after": _text(now)})
    return found


def _options(argv: Sequence[str]) -> list[str]:
    """Return each option with its values as one text: in another order they are the same arguments."""
    options: list[str] = []
    for word in argv:
        if word.startswith("-") or not options:
            options.append(word)
        else:
            options[-1] += f" {word}"
    return options


def _without_common(before: Sequence[str], after: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(item for item in before if item not in after), tuple(item for item in after if item not in before)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(_text, value)) or "none"
    text = str(value)
    if text.startswith("sha256:"):
        return text[:19]
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
