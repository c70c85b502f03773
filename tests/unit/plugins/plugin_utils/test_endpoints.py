# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's variables say of its endpoints, to every role and filter alike."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.filter.scrape_targets import scrape_targets
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.modules import engine as engine_module
from ansible_collections.inference.fleet.plugins.plugin_utils import endpoints


def one(**variables: Any) -> dict[str, Any]:
    (found,) = endpoints.endpoints("gpu1", {f"engine_{name}": value for name, value in variables.items()})
    return found


def test_a_host_without_a_variable_serves_the_seed_case() -> None:
    found = one()
    spec = engine_module.argument_spec()
    for name in ("port", "bind_address", "model", "cache_dir", "compile_cache_dir", "docker_host"):
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


def test_a_model_is_known_by_each_of_its_names_and_by_what_it_is_for() -> None:
    found = one(served_model_name="m", served_model_aliases=["coder", "m"], task="embedding")
    assert (found["served_model_names"], found["task"]) == (["m", "coder"], "embedding")
    with pytest.raises(FleetError, match="engine_served_model_aliases: wanted a list of names, found 'coder'"):
        one(served_model_aliases="coder")


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


PAIR = {"engine_group": ["gpu1", "gpu2"], "engine_bind_address": "0.0.0.0", "engine_port": 8001}


def test_the_first_of_a_group_answers_for_all() -> None:
    (head,) = endpoints.endpoints("gpu1", PAIR)
    assert (head["external_url"], head["group"]) == ("http://gpu1:8001", ["gpu1", "gpu2"])
    assert endpoints.endpoints("gpu2", PAIR) == []
    assert [target["targets"] for target in scrape_targets(["gpu1", "gpu2"], {"gpu1": PAIR, "gpu2": PAIR})] == [
        ["gpu1:8001"]
    ]
    # What is on the host is there all the same.
    (place,) = endpoints.endpoints("gpu2", PAIR, followers=True)
    assert (place["url"], place["external_url"], place["group"]) == ("", "", ["gpu1", "gpu2"])
    assert (place["slot"], place["name"]) == (head["slot"], head["name"])
    assert endpoints.endpoints("gpu1", PAIR, followers=True) == [head]
    assert one()["group"] == []


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"engine_group": "gpu1,gpu2"},
            "gpu1: engine_group: wanted a list of hosts of the inventory, found 'gpu1,gpu2'",
        ),
        ({"engine_group": ["gpu2", "gpu3"]}, "each once and gpu1 among them, found gpu2, gpu3"),
        ({"engine_group": ["gpu1"]}, "wanted two hosts or more, each once and gpu1 among them, found gpu1"),
        ({"engine_group": ["gpu1", "gpu2", "gpu1"]}, "wanted two hosts or more"),
        ({**PAIR, "engine_instances": [{"port": 8001}]}, "wanted one engine on each host of a group, found instances"),
        ({**PAIR, "engine_replicas": "2"}, "found 2 replicas"),
    ],
)
def test_what_no_group_can_be(variables: dict[str, Any], said: str) -> None:
    with pytest.raises(FleetError, match=said):
        endpoints.endpoints("gpu1", variables)
