# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the real AIPerf against real servers."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import result, runner, session
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.tests.patience import until
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.benchmarks import conftest as benchmarks
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.benchmarks.test_session import (
    SMALL,
    Said,
    failure,
    plan,
)

serve, tokenizer = benchmarks.serve, benchmarks.tokenizer


class TestAiperf:
    """The real client. Each run starts an AIPerf, which takes seconds: few runs show much."""

    def test_a_run_becomes_a_document_and_an_interrupted_one_leaves_no_process(
        self, serve: Callable, aiperf: str, tokenizer: str, tmp_path: Path, check_document: Callable
    ) -> None:
        server = serve(api_key="sesame-17")

        class Interrupted(Said):
            """A controller that goes when the second point is under way, whose answers take for ever."""

            def say(self, text: str) -> None:
                super().say(text)
                server.gap = 60 if "point 2/2" in text else server.gap

            def require_asked(self) -> None:
                if len(server.requests) > 6:
                    assert working_in(tmp_path)
                    raise FleetError("it was interrupted")

        sweep = (replace(SMALL, max_concurrency=2),)
        asked = plan(server.url, "aiperf", tokenizer, api_key="sesame-17", sweep=sweep)
        measured = session.run(asked, runner.ProcessRunner(aiperf), tmp_path / "work", Interrupted())
        until(lambda: not working_in(tmp_path))
        assert "benchmark 1/1 does not count: it was interrupted" in str(measured.failure)
        (point,) = measured.points
        found = point.repeats[0].result
        assert (found.total_input_tokens, found.total_output_tokens) == (6 * 64, 48)
        # Tokens that come at once, on a machine that does much else, have no time between them.
        assert found.metrics["mean_tpot_ms"] >= 0
        prompts = [request["messages"][0]["content"] for request in server.requests]
        assert len(prompts) == len(set(map(str, prompts))) > 6
        document = result.build(
            run_id=result.run_id("h"),
            host="h",
            plan=asked,
            client_host="h",
            measured=measured,
            started_at=session.now(),
            finished_at=session.now(),
            client_argv=asked.argv(SMALL, tmp_path, aiperf),
            client_version=runner.ProcessRunner(aiperf).version("aiperf"),
            secrets=["sesame-17"],
        )
        check_document(document)
        assert document["client"]["version"].split(".")[0] == "0"
        assert "sesame-17" not in json.dumps(document)

    def test_a_server_that_refuses_some_requests_and_dies(
        self, serve: Callable, aiperf: str, tokenizer: str, tmp_path: Path
    ) -> None:
        message = failure(plan(serve(fault="some 400, dies").url, "aiperf", tokenizer), aiperf, tmp_path)
        assert re.search(r"wanted 6 completed requests, found [1-3] completed and [3-5] failed", message)
        assert "400" in message.partition("The server answered: ")[2]
        assert "the prompt is of no use" in message

    def test_output_shorter_than_asked(self, serve: Callable, aiperf: str, tokenizer: str, tmp_path: Path) -> None:
        message = failure(plan(serve(fault="short").url, "aiperf", tokenizer), aiperf, tmp_path)
        assert "wanted 48 output tokens" in message
        assert "found 24" in message


def working_in(folder: Path) -> list[str]:
    """Return the processes, besides this one, that work in *folder* or below."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink().is_relative_to(folder) and int(process.name) != os.getpid():
                found.append((process / "cmdline").read_bytes().decode())
    return found


def test_its_transformers_reads_the_simulator_s_tokenizer(aiperf: str, tokenizer: str) -> None:
    script = """if True:
        import sys, transformers
        tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
        assert len(tokenizer.encode("x" * 8192)) == 8192
        assert tokenizer.eos_token_id == tokenizer.pad_token_id == 256
        messages = [{"role": "user", "content": "h\N{LATIN SMALL LETTER E WITH ACUTE}llo"}]
        assert tokenizer.apply_chat_template(messages, tokenize=False) == messages[0]["content"]
    """
    python = Path(aiperf).with_name("python")
    done = subprocess.run([python, "-c", script, tokenizer], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
