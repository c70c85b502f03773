# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of coding clients for an endpoint: which values in which files, and the line that starts each. All pure.

A place in a file is a path of keys; an :class:`Item` is the item of a list that has a key of a value.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

PROVIDER = "inference-fleet"
JSON, YAML, TOML = "json", "yaml", "toml"


@dataclass(frozen=True)
class Item:
    """The item of a list whose *key* has this *value*."""

    key: str
    value: str


Place = tuple["str | Item", ...]


@dataclass(frozen=True)
class File:
    """A settings file below the home directory, and what is set in it."""

    path: str
    format: str
    values: Mapping[Place, Any]
    # Whether it has the key, and is nobody else's to read.
    secret: bool = False


@dataclass(frozen=True)
class Endpoint:
    """What clients have to know. *url* is without /v1, *key_file* the file that has the key, or a word for none."""

    url: str
    model: str
    key: str
    key_file: str
    context: int
    output: int


@dataclass(frozen=True)
class Client:
    """A coding client: its files, and the command that uses the endpoint."""

    files: tuple[File, ...]
    command: str
    notes: tuple[str, ...] = field(default=())


def claude_code(end: Endpoint) -> Client:
    """Claude Code: all of it stands in its settings."""
    env = {
        "ANTHROPIC_BASE_URL": end.url,
        "ANTHROPIC_MODEL": end.model,
        **{f"ANTHROPIC_DEFAULT_{kind}_MODEL": end.model for kind in ("OPUS", "SONNET", "HAIKU")},
        # Without these it takes the window for a million tokens, and asks for 32,000 to come.
        "CLAUDE_CODE_MAX_CONTEXT_TOKENS": str(end.context),
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(end.output),
        # Its billing header differs in each request, which breaks the engine's prefix cache.
        "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
        "CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    values: dict[Place, Any] = {("env", name): value for name, value in env.items()}
    values["apiKeyHelper",] = f"cat {shlex.quote(end.key_file)}"
    return Client((File(".claude/settings.json", JSON, values),), "claude")


def codex(end: Endpoint) -> Client:
    """Codex: it speaks /v1/responses, and takes the key from an environment variable."""
    provider = {
        "name": "inference.fleet",
        "base_url": f"{end.url}/v1",
        "env_key": "INFERENCE_FLEET_API_KEY",
        "wire_api": "responses",
    }
    values: dict[Place, Any] = {
        ("model",): end.model,
        ("model_provider",): PROVIDER,
        ("model_context_window",): end.context,
        ("model_max_output_tokens",): end.output,
        ("model_providers", PROVIDER): provider,
    }
    key = f'INFERENCE_FLEET_API_KEY="$(cat {shlex.quote(end.key_file)})"'
    return Client((File(".codex/config.toml", TOML, values),), f"{key} codex")


def opencode(end: Endpoint) -> Client:
    """Return the settings of opencode, which reads the key from its file."""
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "inference.fleet",
        "options": {"baseURL": f"{end.url}/v1", "apiKey": f"{{file:{end.key_file}}}"},
        "models": {end.model: {"name": end.model, "limit": {"context": end.context, "output": end.output}}},
    }
    values: dict[Place, Any] = {("provider", PROVIDER): provider, ("model",): f"{PROVIDER}/{end.model}"}
    return Client((File(".config/opencode/opencode.json", JSON, values),), "opencode")


def continue_(end: Endpoint) -> Client:
    """Return the settings of Continue, which has its models in a list."""
    model = {
        "name": PROVIDER,
        "provider": "openai",
        "model": end.model,
        "apiBase": f"{end.url}/v1",
        "apiKey": end.key,
        "roles": ["chat", "edit", "apply"],
        "capabilities": ["tool_use"],
        "defaultCompletionOptions": {"contextLength": end.context, "maxTokens": end.output},
    }
    values: dict[Place, Any] = {("models", Item("name", PROVIDER)): model}
    # A file of its own has to have these.
    defaults: dict[Place, Any] = {("name",): "inference.fleet", ("version",): "1.0.0", ("schema",): "v1"}
    file = File(
        ".continue/config.yaml", YAML, {**values, **{place: Default(told) for place, told in defaults.items()}}, True
    )
    return Client((file,), "cn", ("In an editor, choose the model inference-fleet in Continue.",))


@dataclass(frozen=True)
class Default:
    """A value that is set only where there is none."""

    value: Any


@dataclass(frozen=True)
class Stamped:
    """A mapping in which the client itself renews what stands under one key: that is no change of the user's."""

    value: Mapping[str, Any]
    key: str


def aider(end: Endpoint) -> Client:
    """Return the settings of aider, with the model's limits in a file of its own."""
    model = f"openai/{end.model}"
    limits = {
        "max_input_tokens": end.context,
        "max_output_tokens": end.output,
        "max_tokens": end.output,
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": 0,
        "output_cost_per_token": 0,
    }
    values: dict[Place, Any] = {
        ("model",): model,
        ("openai-api-base",): f"{end.url}/v1",
        ("openai-api-key",): end.key,
    }
    return Client(
        (
            File(".aider.conf.yml", YAML, values, True),
            File(".aider.model.metadata.json", JSON, {(model,): limits}),
        ),
        "aider",
    )


def qwen_code(end: Endpoint) -> Client:
    """Return the settings of Qwen Code, which has the key in the env of its settings."""
    model = {
        "id": end.model,
        "name": end.model,
        "envKey": "INFERENCE_FLEET_API_KEY",
        "baseUrl": f"{end.url}/v1",
        "generationConfig": {"contextWindowSize": end.context, "samplingParams": {"max_tokens": end.output}},
    }
    values: dict[Place, Any] = {
        ("modelProviders", "openai", Item("id", end.model)): model,
        ("env", "INFERENCE_FLEET_API_KEY"): end.key,
        ("security", "auth", "selectedType"): "openai",
        ("model", "name"): end.model,
    }
    return Client((File(".qwen/settings.json", JSON, values, True),), "qwen")


def cline(end: Endpoint) -> Client:
    """Return the settings of Cline's command line, which drops its file where an entry in it lacks anything."""
    provider = "openai-compatible"
    settings = {
        "provider": provider,
        "apiKey": end.key,
        "model": end.model,
        "baseUrl": f"{end.url}/v1",
        "contextWindow": end.context,
        "maxTokens": end.output,
    }
    entry = {"settings": settings, "updatedAt": "1970-01-01T00:00:00.000Z", "tokenSource": "manual"}
    values: dict[Place, Any] = {
        ("version",): Default(1),
        ("lastUsedProvider",): provider,
        ("providers", provider): Stamped(entry, "updatedAt"),
    }
    return Client(
        (File(".cline/data/settings/providers.json", JSON, values, True),),
        f"cline --provider {provider}",
        ("Its extension of an editor keeps its own settings: choose OpenAI Compatible there, with this URL and key.",),
    )


CLIENTS: Mapping[str, Callable[[Endpoint], Client]] = {
    "claude_code": claude_code,
    "codex": codex,
    "opencode": opencode,
    "continue": continue_,
    "aider": aider,
    "qwen_code": qwen_code,
    "cline": cline,
}
