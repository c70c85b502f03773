# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The actions regressions and metrics_textfile, the filter scrape_targets, and the playbook that uses all three."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from ansible_collections.inference import fleet
from ansible_collections.inference.fleet.plugins.action import metrics_textfile
from ansible_collections.inference.fleet.plugins.action import regressions as action
from ansible_collections.inference.fleet.plugins.doc_fragments import history
from ansible_collections.inference.fleet.plugins.filter.scrape_targets import scrape_targets
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.modules import metrics_textfile as textfile_module
from ansible_collections.inference.fleet.plugins.modules import regressions as module
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

COLLECTION = Path(next(iter(fleet.__path__)))
START = datetime(2026, 9, 1, 2, tzinfo=timezone.utc)
OPTIONS = {
    name: option.get("default") for name, option in action.ActionModule.ARGUMENTS.items() if name != "results_dir"
}


def fill(folder, speeds=(1.0,) * 8 + (0.9,) * 3, host="gpu7", **changes):
    documents = [
        factory.document(
            host=host, started=START + timedelta(days=day), factors=(speed, speed * 1.002, speed * 0.998), **changes
        )
        for day, speed in enumerate(speeds)
    ]
    factory.write(folder, *documents)
    return documents


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    fill(folder)
    return folder


class Chat:
    """A real HTTP server that takes what a webhook is sent; *statuses* are its answers, the last one for ever."""

    def __init__(self) -> None:
        chat = self
        self.statuses = [200]
        self.got: list[tuple[dict[str, str], dict]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                chat.got.append((dict(self.headers), json.loads(body)))
                self.send_response(chat.statuses.pop(0) if len(chat.statuses) > 1 else chat.statuses[0])
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook/sesame-17"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def chat() -> Iterator[Chat]:
    server = Chat()
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("documented", "arguments"),
    [(module, action.ActionModule.ARGUMENTS), (textfile_module, metrics_textfile.ActionModule.ARGUMENTS)],
)
def test_documentation_is_the_argument_spec(documented, arguments):
    # What both modules of the history take is documented once.
    shared = [history] if "inference.fleet.history" in documented.DOCUMENTATION else []
    texts = [*(fragment.ModuleDocFragment.DOCUMENTATION for fragment in shared), documented.DOCUMENTATION]
    options = {name: option for text in texts for name, option in yaml.safe_load(text)["options"].items()}
    assert {name: (option["type"], option.get("default")) for name, option in options.items()} == {
        name: (option["type"], option.get("default")) for name, option in arguments.items()
    }


def test_the_role_has_the_modules_defaults():
    defaults = yaml.safe_load((COLLECTION / "roles" / "regression" / "defaults" / "main.yml").read_text())
    specs = yaml.safe_load((COLLECTION / "roles" / "regression" / "meta" / "argument_specs.yml").read_text())
    options = specs["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items()} == defaults
    for name in ("minimum_change", "confirm", "max_age"):
        assert defaults[f"regression_{name}"] == OPTIONS[name]


class TestRegressions:
    def test_fails_and_says_which_and_why(self, results):
        result = action.look(results, OPTIONS)
        assert result["failed"]
        assert not result["changed"]
        assert result["msg"].startswith("1 host became slower (gpu7): gpu7, vLLM on 4")
        assert [item["metric"] for item in result["regressions"]][:2] == ["output_throughput", "mean_ttft_ms"]
        header, line = result["text"].splitlines()
        assert header == "Regressions: 1 of 1 series"
        assert line.startswith("  REGRESSION gpu7")
        assert "Also: TTFT mean 11." in line
        assert not action.look(results, {**OPTIONS, "fail": False})["failed"]

    def test_a_steady_fleet_does_not(self, tmp_path):
        fill(tmp_path, speeds=(1.0,) * 10)
        result = action.look(tmp_path, OPTIONS)
        assert "failed" not in result
        assert result["text"] == "Regressions: none of 1 series"

    def test_an_acknowledged_one_does_not(self, results):
        item = {"host": "gpu7", "since": "2026-09-09", "reason": "power limit"}
        assert action.look(results, {**OPTIONS, "acknowledged": [item]})["regressions"] == ()
        (results / "acknowledged.yml").write_text("# why\n- {host: gpu7, since: 2026-09-09, reason: power limit}\n")
        result = action.look(results, OPTIONS)
        assert "failed" not in result
        assert "  Accepted   gpu7" in result["text"]
        other = results.parent / "other.json"
        other.write_text(json.dumps({"acknowledged": [item]}))
        (results / "acknowledged.yml").unlink()
        assert "failed" not in action.look(results, {**OPTIONS, "acknowledged_file": str(other)})

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"minimum_change": {"speed": 1}}, "speed cannot be watched. What can: output_throughput"),
            ({"minimum_change": {"output_throughput": "much"}}, "wanted per cent above 0 and below 100, found 'much'"),
            ({"confirm": 0}, "confirm: wanted 1 run or more"),
            ({"acknowledged_file": "/nowhere.yml"}, "there is no /nowhere.yml on the control host"),
            ({"acknowledged": [{"host": "x"}]}, "acknowledged, number 1: since and reason must be given"),
        ],
    )
    def test_an_option_that_is_none_is_said(self, results, changes, message):
        with pytest.raises(FleetError) as raised:
            action.look(results, {**OPTIONS, **changes})
        assert message in str(raised.value)

    def test_a_file_that_is_no_yaml_is_said(self, results):
        (results / "acknowledged.yml").write_text("- host: [\n")
        with pytest.raises(FleetError, match=r"acknowledged\.yml is no YAML in line 2"):
            action.look(results, OPTIONS)

    def test_nothing_to_look_at(self, tmp_path):
        with pytest.raises(FleetError, match=r"Run the playbook benchmark\.yml first"):
            action.look(tmp_path, OPTIONS)
        assert "benchmark.yml" in action.look(tmp_path, OPTIONS, check_mode=True)["msg"]

    def test_a_damaged_document_is_told_and_kept(self, results):
        (results / "broken.json").write_text("{")
        result = action.look(results, OPTIONS)
        assert [item["file"] for item in result["damaged"]] == ["broken.json"]
        assert "broken.json" in result["warnings"][0]
        assert (results / "broken.json").exists()


class TestWebhook:
    def options(self, chat, **changes):
        return {**OPTIONS, "webhook_url": chat.url, "webhook_headers": {"X-Key": "k"}, **changes}

    def test_is_told_of_regressions(self, results, chat):
        result = action.look(results, self.options(chat))
        assert result["webhook_sent"]
        ((headers, body),) = chat.got
        assert headers["X-Key"] == "k"
        assert body["text"] == result["text"]
        assert body["regressions"][0]["host"] == "gpu7"

    def test_is_told_of_nothing_else(self, results, chat, tmp_path):
        fill(tmp_path / "steady", speeds=(1.0,) * 10)
        action.look(tmp_path / "steady", self.options(chat))
        action.look(results, self.options(chat), check_mode=True)
        assert chat.got == []

    def test_is_told_of_hosts_that_were_not_measured(self, chat, tmp_path):
        now = datetime.now(timezone.utc)
        factory.write(tmp_path / "steady", factory.document(host="gpu7", started=now - timedelta(hours=2)))
        summary = tmp_path / "summary.json"
        hosts = [{"host": "gpu8", "outcome": "failed", "reason": "no port answers"}]
        summary.write_text(json.dumps({"started_at": now.isoformat(), "hosts": hosts}))
        wanted = {"hosts": ["gpu7", "gpu8"], "summaries": [str(summary), str(tmp_path / "none")]}
        result = action.look(tmp_path / "steady", self.options(chat, **wanted))
        ((_headers, body),) = chat.got
        assert [item["host"] for item in body["absent"]] == ["gpu8"]
        assert body["absent"] == list(result["absent"])
        assert "NOT MEASURED gpu8: never measured: Failed: no port answers." in body["text"]
        assert result["failed"]
        assert "1 host was not measured. gpu8" in result["msg"]

    @pytest.mark.parametrize(
        ("statuses", "sent", "asked"), [([500, 200], True, 2), ([500], False, 2), ([404], False, 1), ([302], False, 1)]
    )
    def test_that_does_not_take_it_hides_nothing(self, results, chat, statuses, sent, asked):
        chat.statuses = statuses
        result = action.look(results, self.options(chat))
        assert (result["webhook_sent"], len(chat.got)) == (sent, asked)
        assert result["failed"]
        assert any(f"127.0.0.1 answered {statuses[0]}" in warning for warning in result["warnings"]) != sent

    @pytest.mark.parametrize("url", ["http://127.0.0.1:9/sesame-17", "sesame-17", "http://[sesame-17"])
    def test_that_is_not_there_hides_nothing_and_its_address_is_not_told(self, results, url):
        result = action.look(results, {**OPTIONS, "webhook_url": url})
        assert result["failed"]
        assert "The webhook was not told of the regressions" in result["warnings"][0]
        assert "sesame-17" not in json.dumps(result)


class TestTextfile:
    def test_is_written_where_it_changed(self, results, tmp_path):
        path = tmp_path / "new" / "fleet.prom"
        found = action.look(results, OPTIONS)["regressions"]
        checked = metrics_textfile.write(results, path, found, check_mode=True, diff_mode=True)
        assert checked["changed"]
        assert not path.exists()
        assert metrics_textfile.write(results, path, found)["changed"]
        assert path.read_text() == checked["diff"]["after"]
        assert path.stat().st_mode & 0o777 == 0o644
        assert [item.name for item in path.parent.iterdir()] == ["fleet.prom"]
        assert not metrics_textfile.write(results, path, found)["changed"]
        assert metrics_textfile.write(results, path, [])["changed"]

    def test_has_the_last_run_and_its_regressions(self, results, tmp_path):
        fill(results, speeds=(1.0,) * 3, host='gp"u\\8', simulated=True)
        path = tmp_path / "fleet.prom"
        metrics_textfile.write(results, path, action.look(results, OPTIONS)["regressions"])
        lines = path.read_text().splitlines()
        subject = action.look(results, OPTIONS)["regressions"][0]["subject"]
        of = (
            'host="gpu7",slot="8000",profile="h100x4",engine="vllm",model="Qwen/Qwen3-Coder-Next",'
            f'workload="8,192 in, 1,024 out, 512 prompts, 32 at once",label="",simulated="false",subject="{subject}"'
        )
        assert f"inference_fleet_run_output_tokens_per_second{{{of}}} 1929.33" in lines
        assert f'inference_fleet_regression{{{of},metric="output_throughput"}} 1' in lines
        assert f"inference_fleet_series_runs{{{of}}} 11" in lines
        assert any(line.startswith("inference_fleet_run_output") and 'host="gp\\"u\\\\8"' in line for line in lines)
        assert any(
            'simulated="true",subject=' in line and line.endswith('metric="output_throughput"} 0') for line in lines
        )

    def test_has_the_engine_that_was_not_measured_of_a_host_with_several(self, tmp_path):
        started = datetime.now(timezone.utc) - timedelta(hours=2)
        factory.write(tmp_path / "steady", factory.document(host="gpu7", started=started))
        several = [{"port": 8000 + number, "gpus": [number], "container_name": f"e{number}"} for number in range(2)]
        wanted = action.measured(["gpu7", "elsewhere"], {"gpu7": {"engine_instances": several}, "gpu8": {}})
        assert wanted == {"hosts": ["gpu7", "elsewhere"], action.ENGINES: {"gpu7": [8000, 8001]}}
        found = action.look(tmp_path / "steady", {**OPTIONS, **wanted})
        assert "2 hosts were not measured. gpu7, its engine at port 8001: never measured" in found["msg"]
        metrics_textfile.write(tmp_path / "steady", tmp_path / "fleet.prom", absent=found["absent"])
        text = (tmp_path / "fleet.prom").read_text()
        assert 'inference_fleet_host_not_measured{host="gpu7",port="8001"} 1' in text
        assert 'host_not_measured{host="gpu7"}' not in text

    def test_misses_no_run_of_a_host_that_another_answers_for(self):
        pair = {"engine_group": ["gpu7", "gpu8"]}
        hostvars = {"gpu7": pair, "gpu8": pair, "gpu9": {}}
        assert action.measured(["gpu7", "gpu8", "gpu9", "gone"], hostvars) == {
            "hosts": ["gpu7", "gpu9", "gone"],
            action.ENGINES: {},
        }

    def test_has_the_hosts_that_were_not_measured(self, results, tmp_path):
        found = action.look(results, {**OPTIONS, "hosts": ["gpu7", "gpu8"]})
        metrics_textfile.write(results, tmp_path / "fleet.prom", absent=found["absent"])
        lines = [line for line in (tmp_path / "fleet.prom").read_text().splitlines() if "host_not" in line]
        last = (START + timedelta(days=10)).timestamp()
        assert [line for line in lines if not line.startswith("#")] == [
            'inference_fleet_host_not_measured{host="gpu7"} 1',
            'inference_fleet_host_not_measured{host="gpu8"} 1',
            f'inference_fleet_host_not_measured_since_timestamp_seconds{{host="gpu7"}} {last:.10g}',
        ]

    @pytest.mark.parametrize("name", ["fleet.txt", "prom"])
    def test_a_name_that_node_exporter_passes_over_is_said(self, results, tmp_path, name):
        with pytest.raises(FleetError, match=r"files that end in \.prom"):
            metrics_textfile.write(results, tmp_path / name)

    def test_a_place_that_cannot_be_written_is_said(self, results, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(FleetError, match="cannot be written"):
            metrics_textfile.write(results, tmp_path / "file" / "x.prom")

    def test_regressions_that_are_none_are_said(self, results, tmp_path):
        with pytest.raises(FleetError, match="wanted what inference"):
            metrics_textfile.write(results, tmp_path / "x.prom", [{"host": "gpu7"}])


def test_scrape_targets():
    hostvars = {
        "closed": {},
        "open": {"engine_bind_address": "0.0.0.0", "ansible_host": "10.0.0.7", "engine_name": "sglang"},
        "named": {"engine_bind_address": "0.0.0.0", "engine_port": 8001},
        "one": {"engine_bind_address": "192.0.2.9", "engine_served_model_name": "m"},
        "six": {"engine_bind_address": "2001:db8::1"},
        "here": {"ansible_connection": "local"},
    }
    assert {
        item["labels"]["host"]: (item["targets"], item["labels"]["engine"])
        for item in scrape_targets(hostvars, hostvars)
    } == {
        "open": (["10.0.0.7:8000"], "sglang"),
        "named": (["named:8001"], "vllm"),
        "one": (["192.0.2.9:8000"], "vllm"),
        "six": (["[2001:db8::1]:8000"], "vllm"),
        "here": (["127.0.0.1:8000"], "vllm"),
    }
