# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which exception of a log is nearest to the cause."""

from __future__ import annotations

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.diagnosis import lines
from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.exceptions import first_to_fail, raised
from ansible_collections.inference.fleet.plugins.module_utils.engines import vllm

LOG = vllm.log()


def told(log: str) -> str:
    return (LOG.explain(log, 1) or "").partition("what failed first")[2]


def test_an_exception_without_text() -> None:
    log = (
        "(Worker_TP0 pid=7) ERROR 11-26 10:00:00 [x.py:1] Traceback (most recent call last):\n"
        "(Worker_TP0 pid=7) ERROR 11-26 10:00:00 [x.py:1]     assert a == b\n"
        "(Worker_TP0 pid=7) ERROR 11-26 10:00:00 [x.py:1] AssertionError\n"
        "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed: {}\n"
    )
    assert told(log) == " in Worker_TP0 was 'AssertionError'"


def test_an_exception_over_several_lines() -> None:
    log = (
        "(APIServer pid=72) pydantic_core._pydantic_core.ValidationError: 2 validation errors for ModelConfig\n"
        "(APIServer pid=72)   Value error, one thing\n"
        "(APIServer pid=72) and what it means [type=value_error, input_value=ArgsKwargs(), input_type=ArgsKwargs]\n"
        "(APIServer pid=72)     For further information visit https://errors.pydantic.dev/2.12/v/value_error\n"
    )
    assert told(log) == " in APIServer was 'ValidationError: Value error, one thing and what it means'"


def test_the_last_of_a_chain() -> None:
    log = (
        "Traceback (most recent call last):\n"
        "    open(x)\n"
        "KeyError: 'inner'\n"
        "\n"
        "During handling of the above exception, another exception occurred:\n"
        "\n"
        "Traceback (most recent call last):\n"
        "    raise Unheard(x)\n"
        "engine.errors.Unheard: outer\n"
    )
    assert told(log) == " was 'Unheard: outer'"


def test_the_first_process_and_not_the_first_error() -> None:
    log = (
        "(Worker_TP1 pid=8) ERROR 11-26 10:00:00 [x.py:1] Traceback (most recent call last):\n"
        "(Worker_TP0 pid=7) ERROR 11-26 10:00:00 [x.py:1] Traceback (most recent call last):\n"
        "(Worker_TP1 pid=8) ERROR 11-26 10:00:00 [x.py:1] ValueError: of the second worker\n"
        "(Worker_TP0 pid=7) ERROR 11-26 10:00:01 [x.py:1] ValueError: of the first worker\n"
        "(EngineCore pid=3) ERROR 11-26 10:00:02 [y.py:1] Exception: WorkerProc initialization failed due to an "
        "exception in a background process. See stack trace for root cause.\n"
    )
    assert told(log) == " in Worker_TP1 was 'ValueError: of the second worker'"


def test_one_that_was_survived_does_not_count() -> None:
    log = (
        "(APIServer pid=1) Traceback (most recent call last):\n"
        "(APIServer pid=1) ImportError: something optional\n"
        "(APIServer pid=1) INFO 11-26 10:00:00 [x.py:1] Using max model len 32768\n"
        "(EngineCore pid=3) ERROR 11-26 10:00:02 [y.py:1] TypeError: the real one\n"
        "(APIServer pid=1) INFO 11-26 10:00:03 [x.py:1] Shutting down\n"
    )
    assert told(log) == " in EngineCore was 'TypeError: the real one'"


def test_a_survived_one_alone_is_no_cause() -> None:
    log = (
        "(APIServer pid=1) ImportError: something optional\n"
        "(APIServer pid=1) INFO 11-26 10:00:00 [x.py:1] Using max model len 32768\n"
    )
    assert LOG.explain(log, 1) is None


def test_a_long_message_is_cut() -> None:
    quoted = raised(list(lines.read(f"ValueError: {'x' * 999}")))[0].quoted()
    assert quoted.endswith(" …")
    assert len(quoted) <= 302


@pytest.mark.parametrize(
    "line",
    [
        "INFO 11-26 10:00:00 [x.py:1] ValueError: quoted in news",
        "Consider `OSError: [Errno 24] Too many open files`",
        "AssertionError",
        "Note: nothing",
    ],
)
def test_what_is_no_exception(line: str) -> None:
    assert raised(list(lines.read(line))) == []


def test_an_echo_is_no_cause_where_nothing_else_is_left_of_a_log() -> None:
    assert LOG.explain("RuntimeError: Engine core initialization failed. See root cause above.\n", 1) is None


def test_an_echo_of_the_same_process() -> None:
    log = (
        "(EngineCore pid=3) ERROR 11-26 10:00:02 [y.py:1] TypeError: the real one\n"
        "(EngineCore pid=3) EOFError\n"
        "(EngineCore pid=3) RuntimeError: Executor failed.\n"
    )
    assert told(log) == " in EngineCore was 'TypeError: the real one'"


def test_only_echoes_are_no_cause() -> None:
    found = raised(list(lines.read("RuntimeError: Engine core initialization failed. See root cause above.")))
    assert first_to_fail(found, LOG.echoes) == []


def test_terminal_colours_and_returns_are_no_text() -> None:
    (one, two) = lines.read("\x1b[31mERROR\x1b[0m: a\rb\n")
    assert (one.level, one.text, two.text) == ("ERROR", "a", "b")


def test_last_lines_skip_empty_ones() -> None:
    assert lines.last("a\n\nb\n \nc\n", 2) == ["b", "c"]
