# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's variables say of its endpoints, to every role and filter alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.inference import fleet
from ansible_collections.inference.fleet.plugins.filter.scrape_targets import scrape_targets
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.modules import engine as engine_module
from ansible_collections.inference.fleet.plugins.plugin_utils import endpoints

COLLECTION = Path(next(iter(fleet.__path__)))


def one(**variables: Any) -> dict[str, Any]:
    (found,) = endpoints.endpoints("gpu1", {f"engine_{name}": value for name, value in variables.items()})
    return found


def test_a_host_without_a_variable_serves_the_seed_case() -> None:
    found = one()
    spec = engine_module.argument_spec()
    for name in ("port", "bind_address", "model", "served_model_name", "cache_dir", "compile_cache_dir", "docker_host"):
        assert found[name] == spec[name]["default"], name
    assert (found["name"], found["engine"], found["api_key"]) == ("qwen3-coder-next", "vllm", "")
    assert (found["url"], found["external_url"]) == ("http://127.0.0.1:8000", "")


@pytest.mark.parametrize(
    ("bound", "url", "external"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000", ""),
        ("::1", "http://[::1]:8000", ""),
        ("localhost", "http://localhost:8000", ""),
        ("0.0.0.0", "http://127.0.0.1:8000", "http://192.0.2.7:8000"),
        ("", "http://127.0.0.1:8000", "http://192.0.2.7:8000"),
        # Docker publishes it for IPv6 alone.
        ("::", "http://[::1]:8000", "http://192.0.2.7:8000"),
        ("0:0::0", "http://[::1]:8000", "http://192.0.2.7:8000"),
        ("10.0.0.5", "http://10.0.0.5:8000", "http://10.0.0.5:8000"),
        ("[FD00:0::5]", "http://[fd00::5]:8000", "http://[fd00::5]:8000"),
    ],
)
def test_where_an_endpoint_is_reached(bound: str, url: str, external: str) -> None:
    variables = {"engine_bind_address": bound, "ansible_host": "192.0.2.7"}
    (found,) = endpoints.endpoints("gpu1", variables)
    assert (found["url"], found["external_url"]) == (url, external)


@pytest.mark.parametrize(
    ("variables", "external"),
    [
        ({}, "http://gpu1:8000"),
        ({"ansible_host": "fd00::7"}, "http://[fd00::7]:8000"),
        ({"ansible_host": "10.0.0.7", "engine_external_address": "gpu1.example.com"}, "http://gpu1.example.com:8000"),
        ({"ansible_connection": "local"}, "http://127.0.0.1:8000"),
    ],
)
def test_the_address_of_a_host(variables: dict[str, str], external: str) -> None:
    (found,) = endpoints.endpoints("gpu1", {"engine_bind_address": "0.0.0.0", **variables})
    assert found["external_url"] == external


def test_each_entry_takes_the_rest_from_the_host() -> None:
    first, second, third = endpoints.endpoints(
        "gpu1",
        {
            "engine_container_name": "the-host-s",
            "engine_api_key": "k",
            "engine_bind_address": "10.0.0.5",
            "engine_instances": [
                {"container_name": "first", "port": "8001"},
                {
                    "served_model_name": "org/small",
                    "model": "org/s",
                    "port": 8002,
                    "engine": "sglang",
                    "api_key": "own",
                },
                {"port": 8003, "bind_address": "::1"},
            ],
        },
    )
    assert (first["name"], first["url"], first["api_key"]) == ("first", "http://10.0.0.5:8001", "k")
    assert (second["name"], second["served_model_name"]) == ("org-small", "org/small")
    assert (second["engine"], second["model"], second["api_key"]) == ("sglang", "org/s", "own")
    assert (third["name"], third["external_url"]) == ("the-host-s", "")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"port": "80 00"}, "gpu1: engine_port: wanted a port from 1 to 65535, found '80 00'"),
        ({"instances": [{"port": 0}]}, "gpu1: engine_port: wanted"),
        ({"instances": {"port": 1}}, "gpu1: engine_instances: wanted a list of dictionaries"),
        ({"instances": [{"port": 1}, {"port": 2}]}, "gpu1: instances: wanted a container_name of its own"),
    ],
)
def test_what_cannot_be(variables: dict[str, Any], said: str) -> None:
    with pytest.raises(FleetError, match=said):
        one(**variables)


def test_scrape_targets_know_every_engine_of_a_host() -> None:
    entries = [{"container_name": "a"}, {"container_name": "b", "port": 8001, "bind_address": "127.0.0.1"}]
    hostvars = {"gpu1": {"engine_bind_address": "10.0.0.5", "engine_instances": [*entries, {"port": 8002}]}}
    assert [item["targets"] for item in scrape_targets(hostvars, hostvars)] == [["10.0.0.5:8000"], ["10.0.0.5:8002"]]


def test_the_lookup_sees_what_a_task_sees(tmp_path: Path) -> None:
    def write(name: str, *hosts: str) -> dict[str, Any]:
        terms = "".join(f", '{host}'" for host in hosts)
        content = f"{{{{ query('inference.fleet.endpoints'{terms}) | to_json }}}}"
        return {"ansible.builtin.copy": {"content": content, "dest": f"{tmp_path}/{name}", "mode": "0600"}}

    play = {
        "hosts": "gpu1",
        "gather_facts": False,
        "vars": {"engine_served_model_name": "from the play", "base": 9000},
        "connection": "local",
        "tasks": [
            {**write("own"), "vars": {"engine_port": "{{ base + 1 }}"}},
            write("both", "gpu1", "gpu2"),
            write("none", "gpu3"),
        ],
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    (tmp_path / "hosts").write_text("gpu1\ngpu2 engine_port='{{ 8000 + 7 }}' engine_bind_address=10.0.0.5\n")
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            "-i",
            "hosts",
            "play.yml",
            "-e",
            f"ansible_python_interpreter={sys.executable}",
        ],
        cwd=tmp_path,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2]),
            "ANSIBLE_HOME": str(tmp_path / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "no host of the inventory is called gpu3" in " ".join((done.stdout + done.stderr).split())
    (own,) = json.loads((tmp_path / "own").read_text())
    assert (own["url"], own["served_model_name"]) == ("http://127.0.0.1:9001", "from the play")
    assert [(found["host"], found["url"]) for found in json.loads((tmp_path / "both").read_text())] == [
        ("gpu1", "http://127.0.0.1:8000"),
        ("gpu2", "http://10.0.0.5:8007"),
    ]
