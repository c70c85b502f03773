# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of coding clients in a real home: merged, kept, and put back to the byte."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import tomllib
import yaml

from ansible_collections.inference.fleet.plugins.module_utils.endpoint.coding_clients import CLIENTS
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.connection import PLACE, Kept
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.modules import coding_client as module

KEY = "a-secret-4711"
URL = "http://127.0.0.1:8000"
_PATH = Path(__file__).parents[1] / "module_utils" / "endpoint" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("endpoint_conftest", _PATH)
fakes = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = fakes
_SPEC.loader.exec_module(fakes)
serve = fakes.serve

# What a user may have had before.
BEFORE = {
    ".claude/settings.json": (
        '{"permissions": {"allow": ["Bash(ls:*)"]},\n   "env": {"EDITOR": "vi", "ANTHROPIC_MODEL": "opus"}}'
    ),
    ".codex/config.toml": 'model = "gpt-5"\napproval_policy = "never"\n\n[mcp_servers.docs]\ncommand = "docs"\n',
    ".config/opencode/opencode.json": '{"theme": "dark", "provider": {"other": {"name": "x"}}}',
    ".continue/config.yaml": (
        "# mine\nname: mine\nversion: 2.0.0\nschema: v1\nmodels:\n  - name: other\n    provider: ollama\n"
    ),
    ".aider.conf.yml": "# mine\ndark-mode: true\nmodel: gpt-5\n",
    ".qwen/settings.json": '{"ui": {"theme": "dark"}, "modelProviders": {"openai": [{"id": "other"}]}}',
    ".cline/data/settings/providers.json": (
        '{"version": 1, "lastUsedProvider": "cline", "providers": {"cline": {"settings": {"provider": "cline"}}}}'
    ),
}
READ = {".json": json.loads, ".toml": tomllib.loads, ".yaml": yaml.safe_load, ".yml": yaml.safe_load}


def params(client, **more):
    return {
        "client": client, "url": URL, "served_model_name": "coder", "api_key": KEY, "context_window": 100000,
        "output_limit": None, **more,
    }  # fmt: skip


def connect(home, client, check_mode=False, **more):
    return module.connect(params(client, **more), Kept(home, client), check_mode)


def everything(home):
    return {
        path.relative_to(home).as_posix(): path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and ".before" not in path.as_posix()
    }


def put(home):
    for name, text in BEFORE.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
        (home / name).chmod(0o644)


def settings(home, client):
    (path,) = [path for path in connect(home, client, check_mode=True)["files"] if "metadata" not in path]
    return READ[Path(path).suffix](Path(path).read_text())


def test_the_documentation_names_every_client():
    options = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert options["client"]["choices"] == list(CLIENTS)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("had", [True, False], ids=["with settings", "without"])
def test_settings_are_merged_once_and_put_back_to_the_byte(tmp_path, client, had):
    if had:
        put(tmp_path)
    before = everything(tmp_path)
    assert connect(tmp_path, client, check_mode=True)["changed"]
    assert everything(tmp_path) == before
    done = connect(tmp_path, client)
    assert done["changed"]
    assert (done["context_window"], done["output_limit"]) == (100000, 25000)
    after = everything(tmp_path)
    assert not connect(tmp_path, client)["changed"]
    assert everything(tmp_path) == after
    # Another endpoint takes its place, and the way back is still the same.
    assert connect(tmp_path, client, served_model_name="another", url="http://10.0.0.5:8001")["changed"]
    told = "\n".join(text.decode() for name, text in everything(tmp_path).items() if not name.startswith(PLACE))
    assert "another" in told
    assert "coder" not in told
    for path in tmp_path.rglob("*"):
        if path.is_file() and KEY.encode() in path.read_bytes():
            assert path.stat().st_mode & 0o077 == 0, path
    assert Kept(tmp_path, client).remove(True)["changed"]
    assert Kept(tmp_path, client).remove(False)["changed"]
    assert everything(tmp_path) == before
    assert not Kept(tmp_path, client).remove(False)["changed"]
    if had:
        assert {path.stat().st_mode & 0o777 for path in (tmp_path / name for name in BEFORE)} == {0o644}


@pytest.mark.parametrize("had", [True, False], ids=["with settings", "without"])
def test_a_stamp_that_the_client_renews_is_no_change_of_the_user_s(tmp_path, had):
    if had:
        put(tmp_path)
    connect(tmp_path, "cline")
    path = tmp_path / ".cline/data/settings/providers.json"
    used = json.loads(path.read_text())
    used["providers"]["openai-compatible"]["updatedAt"] = "2026-11-26T15:50:41.327Z"
    path.write_text(json.dumps(used, sort_keys=True))
    assert not connect(tmp_path, "cline")["changed"]
    assert connect(tmp_path, "cline", served_model_name="another")["changed"]
    Kept(tmp_path, "cline").remove(False)
    if had:
        assert json.loads(path.read_text()) == json.loads(BEFORE[".cline/data/settings/providers.json"])
    else:
        assert not path.exists() or KEY not in path.read_text()


def test_what_was_there_stays_beside_it(tmp_path):
    put(tmp_path)
    for client in CLIENTS:
        connect(tmp_path, client)
    claude = settings(tmp_path, "claude_code")
    assert claude["permissions"] == {"allow": ["Bash(ls:*)"]}
    assert claude["env"]["EDITOR"] == "vi"
    assert claude["env"]["ANTHROPIC_MODEL"] == "coder"
    assert claude["env"]["ANTHROPIC_BASE_URL"] == URL
    assert claude["env"]["CLAUDE_CODE_ATTRIBUTION_HEADER"] == "0"
    assert claude["env"]["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "100000"
    codex = settings(tmp_path, "codex")
    assert (codex["model"], codex["approval_policy"]) == ("coder", "never")
    assert codex["mcp_servers"] == {"docs": {"command": "docs"}}
    assert codex["model_providers"]["inference-fleet"]["base_url"] == f"{URL}/v1"
    opencode = settings(tmp_path, "opencode")
    assert (opencode["theme"], opencode["model"]) == ("dark", "inference-fleet/coder")
    assert set(opencode["provider"]) == {"other", "inference-fleet"}
    cn = settings(tmp_path, "continue")
    assert cn["version"] == "2.0.0"
    assert [model["name"] for model in cn["models"]] == ["other", "inference-fleet"]
    aider = settings(tmp_path, "aider")
    assert (aider["dark-mode"], aider["model"], aider["openai-api-base"]) == (True, "openai/coder", f"{URL}/v1")
    cline = settings(tmp_path, "cline")
    assert (cline["lastUsedProvider"], set(cline["providers"])) == ("openai-compatible", {"cline", "openai-compatible"})
    assert cline["providers"]["openai-compatible"]["settings"]["contextWindow"] == 100000
    qwen = settings(tmp_path, "qwen_code")
    assert [model["id"] for model in qwen["modelProviders"]["openai"]] == ["other", "coder"]
    assert qwen["ui"] == {"theme": "dark"}


@pytest.mark.parametrize("client", CLIENTS)
def test_what_the_user_changed_since_is_kept(tmp_path, client):
    put(tmp_path)
    path = Path(connect(tmp_path, client)["files"][0])
    text = path.read_text()
    if path.suffix == ".json":
        path.write_text(json.dumps({**json.loads(text), "mine": 1}))
    else:
        path.write_text(text + ("\n[mine]\none = 1\n" if path.suffix == ".toml" else "mine: {one: 1}\n"))
    Kept(tmp_path, client).remove(False)
    read = READ[path.suffix]
    left = read(path.read_text())
    assert left.pop("mine")
    assert left == read(BEFORE[path.relative_to(tmp_path).as_posix()])


@pytest.mark.parametrize("client", ["claude_code", "continue"])
def test_settings_that_cannot_be_read_are_left(tmp_path, client):
    put(tmp_path)
    name = {"claude_code": ".claude/settings.json", "continue": ".continue/config.yaml"}[client]
    (tmp_path / name).write_text("{ // a comment\n")
    before = everything(tmp_path)
    with pytest.raises(FleetError, match="was left as it is"):
        connect(tmp_path, client)
    assert everything(tmp_path) == before


def test_the_context_window_is_the_engine_s(serve, tmp_path):
    endpoint = serve()
    done = connect(tmp_path, "claude_code", url=endpoint.url, served_model_name="a-model", context_window=None)
    assert (done["context_window"], done["output_limit"], done["command"]) == (4096, 1024, "claude")
    with pytest.raises(FleetError, match="lists a-model, not x"):
        connect(tmp_path, "claude_code", url=endpoint.url, served_model_name="x", context_window=None)
    with pytest.raises(FleetError, match="output_limit is 5000"):
        connect(
            tmp_path,
            "claude_code",
            url=endpoint.url,
            served_model_name="a-model",
            context_window=4096,
            output_limit=5000,
        )


def test_a_linked_settings_file_stays_a_link(tmp_path):
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / ".claude").mkdir()
    (tmp_path / "dotfiles" / "claude.json").write_text("{}")
    (tmp_path / ".claude/settings.json").symlink_to("../dotfiles/claude.json")
    connect(tmp_path, "claude_code")
    assert (tmp_path / ".claude/settings.json").is_symlink()
    assert "coder" in (tmp_path / "dotfiles" / "claude.json").read_text()
    Kept(tmp_path, "claude_code").remove(False)
    assert (tmp_path / "dotfiles" / "claude.json").read_text() == "{}"
