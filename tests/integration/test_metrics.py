# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus and Grafana are given, with the real programs: Debian's, and Grafana's own schema from PyPI."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from debian_package import NotToBeHadError, unpacked

from ansible_collections.inference.fleet.plugins.action import metrics_textfile
from ansible_collections.inference.fleet.plugins.filter.scrape_targets import scrape_targets
from ansible_collections.inference.fleet.plugins.module_utils.evaluations import kept as evaluated
from ansible_collections.inference.fleet.plugins.module_utils.history import regressions
from ansible_collections.inference.fleet.plugins.module_utils.results import load, store
from ansible_collections.inference.fleet.plugins.module_utils.simulator import rootfs
from ansible_collections.inference.fleet.tests.patience import PATIENCE, until
from ansible_collections.inference.fleet.tests.ports import free_ports
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.evaluations.made import made
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "docs" / "grafana" / "inference-fleet.json"
START = datetime.now(timezone.utc) - timedelta(days=12)
FIGURES = {
    "gpus": 4,
    "output_throughput_per_gpu": 500.0,
    "tokens_per_second_per_user": 70.0,
    "gpu_power_w": {"mean": 2400.0},
    "energy_per_output_token_j": {"mean": 1.2},
    "price_per_hour_usd": 16.36,
    "cost_per_million_output_tokens_usd": 2.1,
    "cost_per_million_tokens_usd": 0.3,
}


@pytest.fixture(scope="module")
def programs() -> Path:
    """Debian's promtool, prometheus and prometheus-node-exporter."""
    try:
        return unpacked("prometheus", "prometheus", "prometheus-node-exporter") / "usr" / "bin"
    except NotToBeHadError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def textfile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The textfile of a history with a steady host, a slow one with a failed gate, and a simulated one, here."""
    folder = tmp_path_factory.mktemp("metrics")
    gates = [{"condition": "x", "message": "too slow", "value": False, "passed": False}]
    for host, speeds, changes in (
        ("gpu1", [1.0] * 9, {}),
        ("gpu7", [1.0] * 7 + [0.9] * 3, {"gates": gates}),
        ("here", [1.0] * 2, {"simulated": True}),
    ):
        for day, speed in enumerate(speeds):
            document = factory.document(
                host=host,
                started=START + timedelta(days=day),
                factors=(speed, speed * 1.002),
                efficiency=FIGURES,
                **changes,
            )
            (folder / "results").mkdir(exist_ok=True)
            store.add(document, folder / "results")
    found = regressions.find(load.load(folder / "results").documents)
    assert {item.host for item in found.regressions} == {"gpu7"}
    evaluations = [made(right, 100 - right, day, "gpu7") for day, right in enumerate((90, 91, 50), 1)]
    (folder / "results" / evaluated.FOLDER).mkdir()
    for each in evaluations:
        store.add(each, folder / "results" / evaluated.FOLDER)
    worse = [{"subject": evaluated.subject_id(each.document)} for each in evaluated.fallen(evaluations).worse]
    path = folder / "textfiles" / "inference_fleet.prom"
    metrics_textfile.write(folder / "results", path, found.as_dict()["regressions"], worse=worse)
    return path


@contextmanager
def running(log: Path, *command: object) -> Iterator[None]:
    """Run a program as long as it lasts."""
    with log.open("wb") as stream:
        process = subprocess.Popen([str(word) for word in command], stdout=stream, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE)


def documented_configuration() -> dict[str, Any]:
    """Return the Prometheus configuration of docs/history.md."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "history.md").read_text(encoding="utf-8"), re.DOTALL)
    (block,) = (block for block in blocks if "scrape_configs" in block)
    return yaml.safe_load(block)


def simulator(folder: Path, port: int) -> list[object]:
    """Return the command of a simulator, as its image has it."""
    row = {
        "id": "a fast row",
        "workload": {"input_length": 100, "output_length": 20, "num_prompts": 32, "max_concurrency": 8},
        "metrics": {"mean_ttft_ms": 2, "p99_ttft_ms": 5, "mean_tpot_ms": 1, "p99_itl_ms": 2},
    }
    for name, content in rootfs.sources().items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_bytes(content)
    served = ("--model", "Qwen/Qwen3-Coder-Next", "--served-model-name", "qwen3-coder-next")
    return [sys.executable, "-B", folder, "--port", port, *served, "--figures", json.dumps(row)]


def queries(dashboard: dict[str, Any]) -> dict[str, str]:
    """Return every query of the dashboard with its variables filled in, by the panel's title."""
    found = {panel["title"]: target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())}
    found |= {item["name"]: item["expr"] for item in dashboard["annotations"]["list"]}
    values = {"$host": ".*", "$simulated": ".*", "$__rate_interval": "10s", "$__interval": "10s"}
    for title, expression in found.items():
        for name, value in values.items():
            expression = expression.replace(name, value)
        assert "$" not in expression, title
        found[title] = expression
    return found


def test_the_textfile_is_what_promtool_wants(programs: Path, textfile: Path) -> None:
    checked = subprocess.run(
        [programs / "promtool", "check", "metrics"], input=textfile.read_bytes(), capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_prometheus_scrapes_the_fleet_and_answers_the_dashboard(programs: Path, textfile: Path, tmp_path: Path) -> None:
    exporter, engine, server = free_ports(3)
    hostvars = {"gpu7": {"engine_bind_address": "127.0.0.1", "ansible_connection": "local", "engine_port": engine}}
    (tmp_path / "targets.json").write_text(json.dumps(scrape_targets(hostvars, hostvars)))
    configuration = documented_configuration()
    history, engines = configuration["scrape_configs"]
    history["static_configs"] = [{"targets": [f"127.0.0.1:{exporter}"]}]
    engines["file_sd_configs"] = [{"files": [str(tmp_path / "targets.json")]}]
    configuration["global"] = {"scrape_interval": "1s"}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    subprocess.run([programs / "promtool", "check", "config", tmp_path / "prometheus.yml"], check=True)

    def ask(expression: str) -> list[dict[str, Any]]:
        try:
            answer = requests.get(f"http://127.0.0.1:{server}/api/v1/query", {"query": expression}, timeout=60)
        except requests.ConnectionError:
            return []
        if answer.status_code == 503:
            # It starts.
            return []
        assert answer.ok, f"{expression}: {answer.text}"
        return answer.json()["data"]["result"]

    with ExitStack() as stack:
        stack.enter_context(running(tmp_path / "engine.log", *simulator(tmp_path / "simulator", engine)))
        stack.enter_context(
            running(
                tmp_path / "exporter.log",
                programs / "prometheus-node-exporter",
                "--collector.disable-defaults",
                "--collector.textfile",
                f"--collector.textfile.directory={textfile.parent}",
                f"--web.listen-address=127.0.0.1:{exporter}",
            )
        )
        stack.enter_context(
            running(
                tmp_path / "prometheus.log",
                programs / "prometheus",
                f"--config.file={tmp_path / 'prometheus.yml'}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address=127.0.0.1:{server}",
            )
        )
        until(lambda: len(ask("up == 1")) == 2, "both targets")
        # A rate needs two scrapes.
        until(lambda: ask("rate(vllm:generation_tokens_total[10s])"), "a rate of the engine")

        (failed,) = ask("node_textfile_scrape_error")
        assert failed["value"][1] == "0"
        asked = queries(json.loads(DASHBOARD.read_text(encoding="utf-8")))
        assert len(asked) == 21
        answers = {title: ask(expression) for title, expression in asked.items()}
        silent = {title for title, found in answers.items() if not found}
        assert silent == {"Time to first token of users' requests, p99", "A host became slower"}
        assert [item["value"][1] for item in answers["Hosts that became slower"]] == ["1"]
        assert [item["value"][1] for item in answers["Hosts measured"]] == ["3"]
        assert [item["value"][1] for item in answers["Gates not met"]] == ["1"]
        assert [item["value"][1] for item in answers["Score"]] == ["0.5"]
        assert [item["value"][1] for item in answers["Models that score worse"]] == ["1"]
        assert {item["metric"].get("mark") for item in answers["Output throughput"]} == {None, "SIMULATED "}
        assert [item["metric"]["host"] for item in answers["Requests running"]] == ["gpu7"]
        assert [item["metric"]["host"] for item in answers["Output by what the last benchmark measured"]] == ["gpu7"]
        # Names that no server here has are named right all the same.
        assert all("sglang:" in asked[title] for title in asked if "vllm:" in asked[title])


def test_grafanas_schema_knows_all_of_the_dashboard() -> None:
    pytest.importorskip("grafana_foundation_sdk", reason="Grafana's schema is not installed: see requirements-dev.txt")
    from grafana_foundation_sdk.cog import encoder, plugins
    from grafana_foundation_sdk.models import dashboard

    plugins.register_default_plugins()
    ours = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    known = json.loads(encoder.JSONEncoder(sort_keys=True).encode(dashboard.Dashboard.from_json(ours)))
    assert list(lost(ours, known)) == []
    identities = [panel["id"] for panel in ours["panels"]]
    assert len(set(identities)) == len(identities)
    for panel in ours["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "${datasource}"


def lost(ours: Any, known: Any, path: str = "") -> Iterator[str]:
    """Yield what the schema does not know, or takes for something else."""
    if isinstance(ours, dict) and isinstance(known, dict):
        for key, value in ours.items():
            if key in known:
                yield from lost(value, known[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(ours, list) and isinstance(known, list) and len(ours) == len(known):
        for index, (one, other) in enumerate(zip(ours, known, strict=True)):
            yield from lost(one, other, f"{path}[{index}]")
    elif ours != known:
        yield f"{path}: {ours!r} is taken for {known!r}"
