# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the simulator says where a script has it: conversations of which each answer is written down beforehand.

A script is a JSON list of parts, each with C(when), a text, and C(turns), a list of answers. The first part whose text
is in a conversation's prompt answers it: its first turn first, its last again and again. A turn is C({"text": ...}), or
C({"calls": [{"tool": ..., "arguments": {...}}]}), or C({"refuse": ...}), which is answered with 400 and that text.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from .answers import Answer, Part
from .asked import Asked, Refused

Script = Sequence[Mapping[str, Any]]


def load(text: str) -> Script:
    """Return a script that can be played. ValueError says what is wrong with it."""
    script = json.loads(text)
    if not isinstance(script, list):
        raise ValueError("a script is a list of parts with when and turns")
    for part in script:
        if not isinstance(part, dict) or not isinstance(part.get("when"), str) or not part.get("turns"):
            raise ValueError(f"a part of a script has when, a text, and turns, at least one; not {part!r:.80}")
        for turn in part["turns"]:
            _parts(turn)
    return script


def answer(script: Script, asked: Asked) -> Answer | None:
    """Return what a script has for a request; None where it has nothing. Raises Refused where it says so."""
    for part in script:
        if part["when"] in asked.prompt:
            turn = part["turns"][min(asked.turns, len(part["turns"]) - 1)]
            if "refuse" in turn:
                raise Refused(400, str(turn["refuse"]))
            return Answer(asked.prompt_tokens, _parts(turn), "tool_calls" if "calls" in turn else "stop")
    return None


def _parts(turn: Any) -> tuple[Part, ...]:
    try:
        if "calls" in turn:
            return tuple(
                Part(json.dumps(call["arguments"]), str(call["tool"]), os.urandom(9).hex()) for call in turn["calls"]
            )
        return (Part(str(turn["refuse"] if "refuse" in turn else turn["text"])),)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"a turn of a script has text, refuse, or calls with tool and arguments; not {turn!r:.80}"
        ) from error
