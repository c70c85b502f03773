# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a model's answer is tested, and that only a test that came to its end counts."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.evaluations import human_eval_task

PROBLEM = {
    "prompt": 'import math\n\n\ndef helper(x):\n    return x\n\n\ndef double(x):\n    """Twice x."""\n',
    "entry_point": "double",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n",
}
RIGHT = "Here:\n```python\ndef double(x):\n    return 2 * helper(x)\n```\nand so on"


def ends(answer: str) -> bool:
    text = human_eval_task.program(PROBLEM, answer, "word-4711")
    done = subprocess.run([sys.executable, "-I", "-c", text], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip().endswith("word-4711")


@pytest.mark.parametrize(
    "answer",
    [
        RIGHT,
        "    return 2 * x\n",
        "```\n    return math.floor(2 * x)\n```",
        "<think>\n```python\ndef double(x): wrong\n```\n</think>" + RIGHT,
        "```python\nprint(1)\n```\n" + RIGHT,
        "```python\ndef double(x):\n    return x + x",
    ],
)
def test_right_answers_of_any_form_are_right(answer: str) -> None:
    assert ends(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "```python\ndef double(x):\n    return x\n```",
        "I cannot.",
        "",
        # Ending well is not the same as passing.
        "```python\nimport os\ndef double(x):\n    os._exit(0)\n```",
        "```python\nraise SystemExit(0)\ndef double(x):\n    return 2 * x\n```",
    ],
)
def test_wrong_answers_are_wrong(answer: str) -> None:
    assert not ends(answer)


def test_code_gets_nothing_of_its_host() -> None:
    limits = human_eval_task.LIMITS
    assert limits["network_mode"] == "none"
    assert limits["read_only"] is True
    assert limits["mem_limit"] == limits["memswap_limit"]
    assert not {"volumes", "mounts", "binds", "privileged"} & set(limits)
