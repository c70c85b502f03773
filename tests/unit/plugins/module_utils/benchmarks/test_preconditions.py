# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is no endpoint to be benchmarked."""

from __future__ import annotations

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.preconditions import require_chat
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError


@pytest.mark.parametrize("engine", [None, {}, {"task": ""}, {"task": "chat"}])
def test_an_engine_that_chats_or_says_nothing(engine: dict[str, str] | None) -> None:
    require_chat(engine)


@pytest.mark.parametrize("task", ["completion", "embedding", "rerank", "transcription"])
def test_a_model_that_does_not_chat_is_told(task: str) -> None:
    engine = {"task": task, "model": "org/bge", "url": "http://127.0.0.1:8000"}
    with pytest.raises(FleetError, match=f"found org/bge at http://127.0.0.1:8000, which is for {task}: every client"):
        require_chat(engine)
