# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module and its role as Ansible runs them, against a real server."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import yaml

from ansible_collections.inference.fleet.plugins.module_utils.endpoint import levels
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.checks import CHECKS
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.serving import traces
from ansible_collections.inference.fleet.plugins.modules import endpoint_check as module

ROOT = Path(__file__).resolve().parents[4]
KEY = "a-secret-4711"

_PATH = Path(__file__).parents[1] / "module_utils" / "endpoint" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("endpoint_conftest", _PATH)
fakes = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = fakes
_SPEC.loader.exec_module(fakes)
serve, nowhere = fakes.serve, fakes.nowhere
MODEL = fakes.MODEL


def params(url, **more):
    return {
        "url": url, "served_model_name": MODEL, "api_key": None, "checks": [], "skip": [], "timeout": 30, "wait": 0,
        "strict": True, "levels": [], "task": "chat", "trained": True, "container_name": None, "docker_host": "unix:///var/run/docker.sock",
        "open_paths": ["/health"], **more,
    }  # fmt: skip


def test_the_documentation_names_every_check():
    options = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert options["checks"]["choices"] == options["skip"]["choices"] == list(levels.NAMES)
    assert options["levels"]["choices"] == [*levels.LEVELS, "all"]
    specs = yaml.safe_load((ROOT / "roles/verify/meta/argument_specs.yml").read_text())
    role = specs["argument_specs"]["main"]["options"]
    assert role["verify_checks"]["choices"] == role["verify_skip"]["choices"] == list(levels.NAMES)
    assert role["verify_levels"]["choices"] == [*levels.LEVELS, "all"]
    defaults = yaml.safe_load((ROOT / "roles/verify/defaults/main.yml").read_text())
    assert {name: option["default"] for name, option in role.items()} == defaults


def test_a_healthy_endpoint(serve):
    server = serve()
    outcome = module.check(params(server.url), check_mode=False)
    assert outcome["ok"]
    assert not outcome["changed"]
    assert [line.split()[:2] for line in outcome["lines"]][:2] == [["ok", "health"], ["ok", "model"]]
    assert outcome["url"] == server.url
    assert len(outcome["lines"]) == len(outcome["checks"]) == len(CHECKS)


def test_levels_and_checks_by_name(serve):
    outcome = module.check(params(serve().url, levels=["basic"], checks=["tool_call"]), check_mode=False)
    assert [check["name"] for check in outcome["checks"]] == ["health", "model", "completion", "stream", "tool_call"]
    assert outcome["junit"].startswith("<?xml")


def test_an_endpoint_on_loopback_is_tried_at_the_host_s_other_addresses(serve):
    server = serve()
    told = [
        {"addr_info": [{"local": "127.0.0.1"}, {"local": "127.0.0.9"}, {"local": "fe80::1"}, {"local": "192.0.2.1"}]}
    ]
    port = server.server_port
    assert traces.elsewhere(f"http://127.0.0.1:{port}", told) == (f"http://192.0.2.1:{port}",)
    assert traces.elsewhere(f"http://[::1]:{port}", [{"addr_info": [{"local": "fd00::2"}]}]) == (
        f"http://[fd00::2]:{port}",
    )
    assert traces.elsewhere("http://192.0.2.1:8000", told) == ()


def test_a_container_that_is_not_there_is_told(serve):
    class Daemon:
        def inspection(self, name):
            return None

    with pytest.raises(FleetError, match="There is no container x"):
        traces.traces(Daemon(), "x")


def test_a_failing_endpoint(serve):
    outcome = module.check(params(serve().url, served_model_name="x", checks=["model"]), check_mode=False)
    assert not outcome["ok"]
    assert outcome["checks"][0]["wanted"] == "x in GET /v1/models"
    assert outcome["checks"][0]["found"] == f"GET /v1/models lists {MODEL}"


@pytest.mark.parametrize("name", [{}, {"served_model_name": "x"}])
def test_check_mode_judges_what_is_there(serve, name):
    chosen = params(serve().url, checks=["health", "model"], **name)
    assert module.check(chosen, check_mode=True)["ok"] == module.check(chosen, check_mode=False)["ok"] == (not name)


def test_check_mode_does_not_judge_what_was_not_deployed(nowhere):
    outcome = module.check(params(nowhere, wait=2), check_mode=True)
    assert outcome["ok"]
    assert outcome["checks"] == []
    assert outcome["lines"] == [f"not run  nothing listens on {nowhere}, and check mode deploys nothing"]
    assert not module.check(params(nowhere), check_mode=False)["ok"]


@pytest.mark.parametrize("wrong", [{"timeout": 0}, {"url": "http://a:8000/v1"}, {"api_key": f"{KEY}\n"}])
def test_options_that_cannot_be(serve, wrong):
    with pytest.raises(FleetError) as raised:
        module.check(params(serve().url, **wrong) if "url" not in wrong else params(**wrong), check_mode=False)
    assert "wanted" in str(raised.value)
    assert KEY not in str(raised.value)
