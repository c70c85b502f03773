# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of /v1/responses, which Codex needs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ansible_collections.inference.fleet.plugins.module_utils.endpoint import tools
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.check import Check, Target, Unmet, told
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.checks import MAX_TOKENS, PROMPT
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.said import RESPONSES, say

_LEVEL = "responses"


def _response(target: Target) -> str:
    said = say(target, RESPONSES, tools.body(RESPONSES, PROMPT, MAX_TOKENS))
    if not said.text and not said.output_tokens:
        raise Unmet("a response without text")
    return f"{told(said.output_tokens, said.text)} came back"


CHECKS: Mapping[str, Check] = {
    "response": Check(f"an answer from {RESPONSES}", _response, _LEVEL),
    "response_stream": Check(
        f"a streamed answer from {RESPONSES} in several pieces", partial(tools.in_pieces, RESPONSES, "its end"), _LEVEL
    ),
    **tools.in_protocol(RESPONSES, _LEVEL, "response_"),
}
