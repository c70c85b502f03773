# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of real processes against real servers: what counts, what does not, and that nothing is left behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import CLIENTS, counting, runner, session
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.plan import Plan
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint, Workload
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import METRICS, RepeatResult
from ansible_collections.inference.fleet.tests.patience import until

MODEL = "qwen3-coder-next"
SMALL = Workload(input_length=64, output_length=8, num_prompts=6, max_concurrency=3)
COLLECTIONS = str(Path(__file__).resolve().parents[5] / ".build" / "collections")


def plan(url: str, client: str = "vllm", tokenizer: str = "t", **more: Any) -> Plan:
    endpoint = Endpoint(url, "Qwen/Qwen3-Coder-Next", more.pop("served", MODEL), tokenizer, bool(more.get("api_key")))
    options = {"workload": SMALL, "repeats": 1, "warmup": False, "timeout": 300, "check_answers": False, **more}
    return Plan(CLIENTS[client], endpoint, **options)


def stub(path: Path, body: str) -> str:
    """Write a stub of a client, an executable that does what *body* says in its result directory."""
    path.write_text(
        f"#!{sys.executable}\nimport json, os, subprocess, sys, time\n{textwrap.dedent(body)}", encoding="utf-8"
    )
    path.chmod(0o755)
    return str(path)


def vllm_result(**changes: Any) -> dict[str, Any]:
    """Return a result as of C(vllm bench serve), for the small workload."""
    return {
        "completed": 6,
        "failed": 0,
        "duration": 2.0,
        "total_input_tokens": 6 * 74,
        "total_output_tokens": 48,
        **dict.fromkeys(METRICS, 10.0),
        **changes,
    }


def writes(value: dict[str, Any], then: str = "") -> str:
    return f"open('result.json', 'w').write({json.dumps(value)!r})\n{then}"


class Said(Progress):
    """Progress that is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def run(plan_: Plan, executable: str, tmp_path: Path) -> tuple[list[session.Repeat], list[str]]:
    progress = Said()
    measured = session.run(plan_, runner.ProcessRunner(executable), tmp_path / "work", progress)
    assert measured.failure is None
    return list(measured.points[0].repeats), progress.lines


def failure(plan_: Plan, executable: str, tmp_path: Path) -> str:
    with pytest.raises(FleetError) as caught:
        run(plan_, executable, tmp_path)
    return str(caught.value)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class TestWhatCounts:
    def faults(self, **changes: Any) -> str:
        values = {"completed": 6, "failed": 0, "total_input_tokens": 444, "total_output_tokens": 48, "duration": 1.0}
        return "; ".join(
            counting.shortfalls(RepeatResult(**{**values, **changes}, metrics={"mean_ttft_ms": 1.0}), SMALL)
        )

    def test_all_as_wanted(self) -> None:
        assert not self.faults()

    @pytest.mark.parametrize(
        ("changes", "text"),
        [
            ({"completed": 5}, "wanted 6 completed requests, found 5 completed"),
            ({"completed": 7}, "found 7 completed"),
            ({"failed": 1}, "1 failed"),
            ({"total_output_tokens": 47}, "wanted 48 output tokens"),
            ({"total_output_tokens": 49}, "found 49"),
            ({"total_input_tokens": 0}, "input tokens"),
            ({"total_input_tokens": 6 * 64 * 8}, "input tokens"),
            ({"duration": 0.0}, "times above 0"),
        ],
    )
    def test_what_is_short(self, changes: dict[str, Any], text: str) -> None:
        assert text in self.faults(**changes)


class TestRun:
    def test_warm_up_then_repeats_with_prompts_of_their_own(self, serve: Callable, tmp_path: Path) -> None:
        body = """
        seed = sys.argv[sys.argv.index('--seed') + 1]
        count = int(sys.argv[sys.argv.index('--num-prompts') + 1])
        length = int(sys.argv[sys.argv.index('--random-output-len') + 1])
        open(os.path.join('..', '..', '..', 'seeds'), 'a').write(seed + '\\n')
        """
        body += "value = " + repr(vllm_result()) + "\n"
        body = textwrap.dedent(body.replace("        ", ""))
        body += "value['total_output_tokens'] = count * length\nopen('result.json', 'w').write(json.dumps(value))\n"
        repeats, said = run(plan(serve().url, repeats=2, warmup=True), stub(tmp_path / "client", body), tmp_path)
        assert (tmp_path / "seeds").read_text(encoding="utf-8").split() == ["1000000", "0", "1"]
        assert [repeat.index for repeat in repeats] == [1, 2]
        assert said[0] == "warm-up: 6 requests, not counted"
        assert said[-1].startswith("benchmark 2/2: done in 2 s, output 10.0 tok/s")
        assert not (tmp_path / "work").exists()

    def test_all_requests_failed_and_exit_code_0(self, serve: Callable, tmp_path: Path) -> None:
        server = serve(fault="400")
        value = vllm_result(completed=0, failed=6, total_output_tokens=0)
        message = failure(
            plan(server.url), stub(tmp_path / "client", writes(value, "print('Failed requests: 6')")), tmp_path
        )
        assert "wanted 6 completed requests, found 0 completed and 6 failed" in message
        assert "exit code: 0" in message
        assert "answered 400" in message
        assert "the prompt is of no use" in message
        assert "Failed requests: 6" in message
        kept = tmp_path / "work" / "point-1" / "repeat-1"
        assert str(kept) in message
        assert json.loads((kept / "result.json").read_text(encoding="utf-8"))["failed"] == 6

    def test_a_failed_warm_up_is_told_as_one(self, serve: Callable, tmp_path: Path) -> None:
        message = failure(plan(serve().url, warmup=True), stub(tmp_path / "client", "sys.exit(3)"), tmp_path)
        assert message.startswith("warm-up does not count")
        assert "exit code 3" in message

    def test_exit_code_0_with_nothing_done(self, serve: Callable, tmp_path: Path) -> None:
        message = failure(plan(serve().url), stub(tmp_path / "client", "print('bye')"), tmp_path)
        assert "result.json was not written" in message
        assert "exit code 0" in message
        assert "bye" in message

    def test_truncated_result(self, serve: Callable, tmp_path: Path) -> None:
        body = "open('result.json', 'w').write('{\"completed\": 6, \"fai')"
        assert "not whole JSON" in failure(plan(serve().url), stub(tmp_path / "client", body), tmp_path)

    def test_a_good_result_counts_whatever_the_exit_code(self, serve: Callable, tmp_path: Path) -> None:
        repeats, _said = run(
            plan(serve().url), stub(tmp_path / "client", writes(vllm_result(), "sys.exit(1)")), tmp_path
        )
        assert repeats[0].result.completed == 6

    def test_key_is_in_no_message(self, serve: Callable, tmp_path: Path) -> None:
        body = "print('key', os.environ['OPENAI_API_KEY'], 'argv', sys.argv)"
        message = failure(
            plan(serve(api_key="sesame-17").url, api_key="sesame-17"), stub(tmp_path / "client", body), tmp_path
        )
        assert "key ***" in message
        assert "sesame-17" not in message

    def test_a_secret_header_is_in_no_message(self, serve: Callable, tmp_path: Path) -> None:
        asked = plan(serve().url, extra_args=("--header", "X-Api-Key=sesame-18"))
        with pytest.raises(FleetError) as caught:
            run(asked, stub(tmp_path / "client", ""), tmp_path)
        assert "--header 'X-Api-Key=***'" in str(caught.value)
        assert "sesame-18" not in f"{caught.value} {caught.value.details}"

    def test_missing_client(self, tmp_path: Path) -> None:
        with pytest.raises(FleetError, match="client_path"):
            runner.ProcessRunner(str(tmp_path / "nothing"))

    def test_slower_than_the_time_limit(self, serve: Callable, tmp_path: Path) -> None:
        body = """
        child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
        open('../../../pids', 'w').write(f'{os.getpid()} {child.pid}')
        print('working', flush=True)
        time.sleep(600)
        """
        message = failure(plan(serve().url, timeout=1.5), stub(tmp_path / "client", body), tmp_path)
        assert "after its time limit, 1.5 s, and was killed" in message
        assert "working" in message
        pids = [int(pid) for pid in (tmp_path / "pids").read_text(encoding="utf-8").split()]
        assert len(pids) == 2
        until(lambda: not any(alive(pid) for pid in pids))

    def test_a_client_that_leaves_a_process_behind(self, serve: Callable, tmp_path: Path) -> None:
        body = "child = subprocess.Popen(['sleep', '600'])\nopen('../../../pids', 'w').write(str(child.pid))\n"
        run(plan(serve().url), stub(tmp_path / "client", body + writes(vllm_result())), tmp_path)
        pid = int((tmp_path / "pids").read_text(encoding="utf-8"))
        until(lambda: not alive(pid))

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_a_module_that_is_killed_leaves_no_client(self, number: signal.Signals, tmp_path: Path) -> None:
        client = stub(
            tmp_path / "client",
            "child = subprocess.Popen(['sleep', '600'])\nopen('new', 'w').write(f'{os.getpid()} {child.pid}')\n"
            "os.rename('new', 'pids')\ntime.sleep(600)",
        )
        script = f"""
import sys
sys.path.insert(0, {COLLECTIONS!r})
from pathlib import Path
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.runner import ProcessRunner
ProcessRunner({client!r}).run([{client!r}], {{}}, Path({str(tmp_path)!r}), 600, lambda log: None)
"""
        module = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
        try:
            until((tmp_path / "pids").exists)
            pids = [int(pid) for pid in (tmp_path / "pids").read_text(encoding="utf-8").split()]
            assert all(alive(pid) for pid in pids)
            module.send_signal(number)
            module.wait(timeout=120)
            until(lambda: not any(alive(pid) for pid in pids))
        finally:
            module.kill()
            module.wait()


class TestPreconditions:
    def test_no_server(self, serve: Callable, tmp_path: Path) -> None:
        server = serve()
        url = server.url
        server.stop()
        message = failure(plan(url), stub(tmp_path / "client", ""), tmp_path)
        assert f"wanted an endpoint to benchmark at {url}" in message

    def test_wrong_model_name(self, serve: Callable, tmp_path: Path) -> None:
        message = failure(plan(serve().url, served="other"), stub(tmp_path / "client", ""), tmp_path)
        assert "wanted model other" in message
        assert f"found: {MODEL}" in message

    def test_context_too_short(self, serve: Callable, tmp_path: Path) -> None:
        message = failure(plan(serve(max_model_len=100).url), stub(tmp_path / "client", ""), tmp_path)
        assert "needs a context of 136 tokens" in message
        assert "has 100" in message

    def test_context_not_told(self, serve: Callable, tmp_path: Path) -> None:
        run(plan(serve(max_model_len=None).url), stub(tmp_path / "client", writes(vllm_result())), tmp_path)

    def test_key_missing(self, serve: Callable, tmp_path: Path) -> None:
        message = failure(plan(serve(api_key="k").url), stub(tmp_path / "client", ""), tmp_path)
        assert "401" in message
        assert "api_key" in message

    @pytest.mark.parametrize(("option", "value"), [("repeats", 0), ("timeout", 0)])
    def test_options_that_cannot_be(self, option: str, value: int) -> None:
        with pytest.raises(FleetError, match=option):
            plan("http://127.0.0.1:1", **{option: value})


class TestProgress:
    def test_lines_are_few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        said: list[str] = []
        moment = [0.0]
        monkeypatch.setattr(session.time, "monotonic", lambda: moment[0])
        watch = session._Watch("benchmark 1/3", 512, said.append)
        for second in range(100):
            moment[0] = float(second)
            watch.see(second * 5 or None)
        assert said[0] == "benchmark 1/3: 55 of 512 requests, 11 s"
        assert len(said) == 9

    def test_last_lines_are_as_a_person_would_see_them(self) -> None:
        log = "one\n\x1b[31mtwo\x1b[0m\n 10%|#  | 1/10\r 20%|## | 2/10\n\n"
        assert runner.last_lines(log) == "one\ntwo\n 20%|## | 2/10"
