# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The task and the role benchmark as Ansible runs them, on this machine."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.inference.fleet.tests.patience import PATIENCE, until
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.benchmarks import conftest as benchmarks
from ansible_collections.inference.fleet.tests.unit.plugins.modules import test_benchmark as unit
from ansible_collections.inference.fleet.tests.unit.plugins.modules.test_benchmark import parameters

serve, client = benchmarks.serve, unit.client

ROOT = Path(__file__).resolve().parents[3]
STUBS = ROOT / "tests" / "fleet" / "stubs"


def start_play(
    tmp_path: Path, play: dict[str, Any], hosts: dict[str, dict[str, Any]], *arguments: str, **environment: str
) -> subprocess.Popen[str]:
    """Start a play on hosts that are this machine, each with variables of its own, one after the other."""
    (tmp_path / "play.yml").write_text(
        yaml.safe_dump([{"hosts": "all", "gather_facts": False, **play}]), encoding="utf-8"
    )
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    listed = {"all": {"hosts": {host: {**local, **variables} for host, variables in hosts.items()}}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(listed), encoding="utf-8")
    program = Path(sys.executable).parent / "ansible-playbook"
    return subprocess.Popen(
        [str(program), "-i", "hosts.yml", "--forks", "1", *arguments, "play.yml"],
        cwd=tmp_path,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build" / "collections"),
            "ANSIBLE_NOCOLOR": "1",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


class TestPlay:
    """The task as Ansible runs it."""

    def options(self, tmp_path: Path, **changes: Any) -> dict[str, Any]:
        options = parameters(tmp_path, results_dir="kept", **changes)
        return {key: value for key, value in options.items() if value is not None and key != "run_host"}

    def start(self, tmp_path: Path, options: dict[str, Any]) -> subprocess.Popen[str]:
        return start_play(tmp_path, {"tasks": [{"inference.fleet.benchmark": options}]}, {"here": {}})

    def play(self, tmp_path: Path, options: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        ran = self.start(tmp_path, options)
        output, _nothing = ran.communicate()
        return subprocess.CompletedProcess(ran.args, ran.returncode, output)

    def test_a_result_that_finds_no_room_is_kept_on_the_host_and_collected_by_the_next_run(
        self, serve: Callable, client: str, tmp_path: Path, check_document: Callable
    ) -> None:
        folder = tmp_path / "kept"
        folder.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=False).returncode:
            pytest.skip("a disk that is full needs the right to mount one")
        try:
            (folder / "filler").write_bytes(b"x" * 60 * 1024)
            options = self.options(tmp_path, url=serve().url, client_path=client)
            options["gates"] = [{"condition": "metrics.output_throughput.mean > `11`", "message": "too slow"}]

            full = self.play(tmp_path, options)
            assert full.returncode == 2
            assert "No space left on device. It is kept on here as" in full.stdout
            assert [path.name for path in folder.iterdir()] == ["filler"]
            (spooled,) = (tmp_path / "work" / "finished").iterdir()
            assert spooled.stat().st_mode & 0o777 == 0o600

            # Full still: nothing is measured for nothing.
            early = self.play(tmp_path, options)
            assert early.returncode == 2
            assert "warm-up" not in early.stdout
            assert "No space left on device" in early.stdout
        finally:
            subprocess.run(["umount", folder], check=True)

        (tmp_path / "work" / "finished" / "half.json").write_text("{")
        options["gates"] = []
        after = self.play(tmp_path, options)
        assert after.returncode == 0, after.stdout
        assert "an earlier result that was still on the host is now in" in after.stdout
        assert "half.json on the host is no result, and was left there" in after.stdout
        # Each has the gates of its own run.
        first, second = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json")))
        assert first["run_id"] == spooled.stem
        for document in (first, second):
            check_document(document)
        assert [gate["passed"] for gate in first["gates"]] == [False]
        assert second["gates"] == []
        assert [path.name for path in (tmp_path / "work" / "finished").iterdir()] == ["half.json"]

    def test_what_is_kept_and_is_no_result_is_told_and_left_there(self, tmp_path: Path) -> None:
        kept = tmp_path / "half.json"
        kept.write_text("{")
        ran = self.play(tmp_path, {"kept": str(kept), "results_dir": "kept"})
        assert ran.returncode == 2
        assert f"{kept} on the host is no result, and was left there" in " ".join(ran.stdout.split())
        assert "Traceback" not in ran.stdout
        assert kept.read_text() == "{"

    def test_a_host_that_is_benchmarked_already_is_skipped_and_the_play_says_so(
        self, serve: Callable, client: str, tmp_path: Path
    ) -> None:
        (tmp_path / "work").mkdir()
        options = self.options(tmp_path, url=serve().url, client_path=client, busy="skip")
        with (tmp_path / "work" / ".127.0.0.1.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            ran = self.play(tmp_path, options)
        assert ran.returncode == 0, ran.stdout
        assert "[here] skipped: another benchmark of http://127.0.0.1:" in ran.stdout
        assert "skipped=1" in ran.stdout
        assert list((tmp_path / "kept").iterdir()) == []

    def test_ctrl_c_ends_the_client_and_leaves_no_result(self, serve: Callable, tmp_path: Path) -> None:
        client = tmp_path / "client"
        client.write_text(
            f"#!{sys.executable}\nimport os, time\n"
            f"open({str(tmp_path / 'new')!r}, 'w').write(str(os.getpid()))\n"
            f"os.rename({str(tmp_path / 'new')!r}, {str(tmp_path / 'pid')!r})\ntime.sleep(600)\n"
        )
        client.chmod(0o755)
        ran = self.start(tmp_path, self.options(tmp_path, url=serve().url, client_path=str(client)))
        try:
            until((tmp_path / "pid").exists)
            process = Path("/proc") / (tmp_path / "pid").read_text()
            assert b"client" in (process / "cmdline").read_bytes()
            os.killpg(ran.pid, signal.SIGINT)
            output, _nothing = ran.communicate(timeout=PATIENCE)
        finally:
            ran.kill()
        assert ran.returncode == 99, output
        until(lambda: not process.exists())
        assert list((tmp_path / "kept").iterdir()) == []


class TestRole:
    """The role on two hosts, and a third that its client runs on."""

    def start(self, tmp_path: Path, url: str, client: str, *arguments: str) -> subprocess.Popen[str]:
        variables = {
            "benchmark_url": url,
            "benchmark_container_name": "",
            "benchmark_client_path": client,
            "benchmark_input_length": 64,
            "benchmark_output_length": 8,
            "benchmark_num_prompts": 4,
            "benchmark_max_concurrency": 2,
            "benchmark_repeats": 1,
            "benchmark_answers": "not_applicable",
            "benchmark_gates": [
                {"condition": "metrics.output_throughput.mean > `1`", "message": "no output"},
                {"condition": "host == 'remote'", "message": "too slow"},
            ],
            "benchmark_results_dir": str(tmp_path / "kept"),
            "benchmark_work_dir": str(tmp_path / "work-{{ inventory_hostname }}"),
        }
        hosts = {
            "priced": {"benchmark_price_per_hour": 5.0},
            "remote": {"benchmark_client_host": "elsewhere"},
            "elsewhere": {},
        }
        (tmp_path / "gpus").write_text("h100x4", encoding="utf-8")
        return start_play(
            tmp_path,
            {
                "hosts": "priced:remote",
                "any_errors_fatal": True,
                "vars": variables,
                "roles": ["inference.fleet.benchmark"],
            },
            hosts,
            *arguments,
            PATH=f"{STUBS}:{os.environ['PATH']}",
            STUB_GPUS=str(tmp_path / "gpus"),
            HOME=str(tmp_path),
        )

    def test_the_gpus_of_the_engine_s_host_are_sampled_while_the_client_runs_elsewhere(
        self, serve: Callable, client: str, tmp_path: Path, check_document: Callable
    ) -> None:
        server = serve(metrics=True)
        server.gap = 0.06
        Path(client).write_text(Path(client).read_text(encoding="utf-8") + unit.BUSY_CLIENT, encoding="utf-8")
        found = {"engines": [{"name": "", "engine": "vllm", "gpus": ["0", "1"], "profile": "h100x4"}]}
        more = {"benchmark_engine_info": found, "benchmark_gates": [], "benchmark_warmup": False}
        options = ("--limit", "remote,elsewhere", "-e", json.dumps(more))
        ran = self.start(tmp_path, server.url, client, *options)
        output, _nothing = ran.communicate()
        assert ran.returncode == 0, output
        (path,) = (tmp_path / "kept").glob("*.json")
        document = json.loads(path.read_text(encoding="utf-8"))
        check_document(document)
        assert document["client"]["host"] == "elsewhere"
        (repeat,) = document["repeats"]
        assert [gpu["index"] for gpu in repeat["telemetry"]["gpus"]] == ["0", "1"]
        assert repeat["telemetry"]["missing_gpus"] == []
        assert [gpu["index"] for gpu in repeat["telemetry"]["neighbours"]] == ["2", "3"]
        assert document["efficiency"]["gpu_power_w"]["mean"] > 0
        # Nothing of it is left on either host.
        assert list((tmp_path / ".cache/inference.fleet/recordings").iterdir()) == []
        assert [list(work.iterdir()) for work in tmp_path.glob("work-*/finished")] == [[]]

        # A host that cannot record costs its energy, and no more.
        (tmp_path / "gpus").write_text("h100x4", encoding="utf-8")
        (tmp_path / ".cache/inference.fleet/recordings").rmdir()
        (tmp_path / ".cache/inference.fleet/recordings").write_text("", encoding="utf-8")
        path.unlink()
        ran = self.start(tmp_path, server.url, client, *options)
        output, _nothing = ran.communicate()
        assert ran.returncode == 0, output
        (path,) = (tmp_path / "kept").glob("*.json")
        document = json.loads(path.read_text(encoding="utf-8"))
        assert document["efficiency"]["gpu_power_w"] is None
        assert "the GPUs of remote were not recorded" in " ".join(document["quality"]["warnings"])

    def test_check_mode_asks_for_nothing_and_leaves_nothing(self, serve: Callable, client: str, tmp_path: Path) -> None:
        server = serve()
        ran = self.start(tmp_path, server.url, client, "--check", "--diff", "--limit", "remote,elsewhere", "-v")
        output, _nothing = ran.communicate()
        assert ran.returncode == 0, output
        assert "changed: [remote -> elsewhere]" in output
        assert '"--num-prompts", "4"' in output
        assert server.requests == []
        assert not list(tmp_path.glob("kept*")) + list(tmp_path.glob("work*"))

    def test_a_failed_gate_fails_the_play_after_every_document_is_kept(
        self, serve: Callable, client: str, tmp_path: Path
    ) -> None:
        ran = self.start(tmp_path, serve().url, client)
        output, _nothing = ran.communicate()
        assert ran.returncode == 2, output
        assert [list(work.iterdir()) for work in tmp_path.glob("work-*/finished")] == [[], []]
        documents = [json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "kept").glob("*.json")]
        found = {document["host"]: document for document in documents}
        gates = {host: [gate["passed"] for gate in document["gates"]] for host, document in found.items()}
        assert gates == {"priced": [True, False], "remote": [True, True]}
        assert "[priced] warm-up: 4 requests, not counted" in output
        assert output.index("Gate FAILED: too slow") < output.index("Gate met: too slow")
        assert "1 of 2 gates not met: too slow (host == 'remote' gave false). The result is kept in" in output
        assert "changed: [remote -> elsewhere]" in output
        assert {host: document["client"]["host"] for host, document in found.items()} == {
            "priced": "priced",
            "remote": "elsewhere",
        }
        assert {document["hardware"]["profile"] for document in documents} == {"h100x4"}
        # One is told its price, the other takes that of its profile.
        prices = {host: document["efficiency"]["price_per_hour_usd"] for host, document in found.items()}
        assert prices == {"priced": 5.0, "remote": 16.36}
        assert all(document["efficiency"]["cost_per_million_output_tokens_usd"] for document in documents)
