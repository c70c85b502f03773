# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several engines share."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence

from ansible_collections.inference.fleet.plugins.module_utils.engines.spec import (
    SECRETS_DIR,
    EngineSpec,
    Launch,
    SecretFile,
)
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

HF_HOME = "/root/.cache/huggingface"

_SHARDS = re.compile(r"Loading safetensors checkpoint shards:\s+(\d+)% Completed \| (\d+)/(\d+)")


def launch(spec: EngineSpec, argv: Sequence[str]) -> Launch:
    """Return how to start an engine that takes its weights from the hub."""
    return Launch(
        argv=tuple(argv),
        environment={**hub_environment(spec), **spec.environment},
        mounts=hub_mounts(spec),
        secrets=api_key_config(spec) + hub_secrets(spec),
    )


def parse_version(body: Mapping[str, object]) -> str | None:
    """Read the engine's version from the JSON object of its version path."""
    version = body.get("version")
    return str(version) if version else None


def pulled() -> None:
    """Say that an engine's image is not built on the host."""


def hub_environment(spec: EngineSpec) -> dict[str, str]:
    """Return the environment that points an engine at the mounted weights, and at the token's file."""
    environment = {"HF_HOME": HF_HOME}
    if spec.hf_token:
        environment["HF_TOKEN_PATH"] = f"{SECRETS_DIR}/hf_token"
    return environment


def hub_mounts(spec: EngineSpec) -> dict[str, str]:
    """Return the mounts that give an engine the host's weights: container path to host path."""
    return {HF_HOME: spec.cache_dir}


def hub_secrets(spec: EngineSpec) -> tuple[SecretFile, ...]:
    """Return the token's file. It is read at each download, so a new token needs no restart."""
    if not spec.hf_token:
        return ()
    return (SecretFile(name="hf_token", content=spec.hf_token, restart=False),)


def api_key_config(spec: EngineSpec) -> tuple[SecretFile, ...]:
    """Return the engine's YAML configuration file with the API key, which keeps it out of argv."""
    if not spec.api_key:
        return ()
    # A JSON string is a YAML string, whatever characters the key has.
    return (SecretFile(name="engine.yaml", content=f"api-key: {json.dumps(spec.api_key)}\n"),)


def config_args(spec: EngineSpec) -> list[str]:
    """Return the arguments that name the configuration file, where there is one."""
    return ["--config", f"{SECRETS_DIR}/engine.yaml"] if spec.api_key else []


def refuse_managed(extra_args: Sequence[str], managed: Mapping[str, str]) -> None:
    """Raise :class:`FleetError` when extra arguments repeat flags that options set."""
    clashes = []
    for argument in extra_args:
        flag = argument.split("=", 1)[0]
        if flag.startswith("--"):
            flag = flag.replace("_", "-")
        if flag in managed:
            clashes.append(f"{flag} (set by {managed[flag]})")
    if clashes:
        raise FleetError(
            f"extra_args repeats what other options set: {', '.join(clashes)}. "
            "Remove it from extra_args and use the option named."
        )


def phase_reader(patterns: Sequence[tuple[str, str]]) -> Callable[[str], str | None]:
    """Return a function from a log line to a phase; *patterns* are (regular expression, phase) in order.

    A phase may refer to the expression's groups as {0}, {1}.
    """
    compiled = [(re.compile(pattern), text) for pattern, text in patterns]

    def phase(line: str) -> str | None:
        shards = _SHARDS.search(line)
        if shards:
            return f"loading weights: {shards[2]} of {shards[3]} shards"
        for expression, text in compiled:
            match = expression.search(line)
            if match:
                return text.format(*match.groups())
        return None

    return phase
