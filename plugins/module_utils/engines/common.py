# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several engines share."""

from __future__ import annotations

import json
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.endpoint import guard
from ansible_collections.inference.fleet.plugins.module_utils.engines.spec import (
    SECRETS_DIR,
    EngineSpec,
    Group,
    Launch,
    SecretFile,
)
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.extra_args import value
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import (
    BIN,
    HUB,
    MISTRAL,
    NONE,
    PT,
    Weights,
    is_hub_name,
)

HOME = "/root"
HF_HOME = f"{HOME}/.cache/huggingface"
# The name under which an engine imports the guard: nobody else's.
GUARD_MODULE = "inference_fleet_guard"
# What an earlier release gave SGLang.
_CONFIG_FILE = "engine.yaml"
TRUST = "--trust-remote-code"
# What the value of --load-format loads, where that is not the hub's own form.
_FORMS = {"mistral": MISTRAL, "pt": PT, "npcache": BIN, "dummy": NONE}

_TLS = re.compile(r"--(?:enable[-_])?ssl[-_]")


def launch(
    spec: EngineSpec,
    argv: Callable[[EngineSpec], Sequence[str]],
    environment: Mapping[str, str],
    secrets: Sequence[SecretFile],
    caches: Mapping[str, str],
    form: str = HUB,
) -> Launch:
    """Return how to start an engine that takes its weights from the hub, *form* being that which it prefers.

    *argv* returns its arguments. *caches* maps a directory under the container's home, in which the engine keeps what
    it compiled, to the name of its directory on the host.
    """
    _refuse_tls(spec.extra_args)
    mounts = {HF_HOME: spec.cache_dir}
    if spec.compile_cache_dir:
        mounts |= {f"{HOME}/{path}": f"{spec.compile_cache_dir}/{name}" for path, name in caches.items()}
    return Launch(
        argv=tuple(argv(spec)),
        earlier=(tuple(argv(replace(spec, trust_remote_code=True))),) if spec.trust_remote_code is None else (),
        environment={**hub_environment(spec), **spec.environment, **environment},
        mounts=mounts,
        secrets=(*secrets, *hub_secrets(spec)),
        weights=Weights(spec.model, spec.revision, weights_form(spec.extra_args, form))
        if is_hub_name(spec.model)
        else None,
    )


def size(extra_args: Sequence[str], *flags: str) -> int:
    """Return the size that arguments give one of an engine's flags, 1 where they give none."""
    given = value(extra_args, *flags)
    if given is None:
        return 1
    if not (given.isdecimal() and int(given) > 0):
        raise FleetError(f"extra_args gives {flags[0]} {given!r}. Wanted a whole number of at least 1.")
    return int(given)


def sized(sizes: Mapping[str, Any], option: str, flag: str) -> list[str]:
    """Return the argument for a parallel size, none where it is 1, which every engine takes it for."""
    size_ = sizes.get(option) or 1
    return [flag, str(size_)] if size_ > 1 else []


def has(extra_args: Sequence[str], *flags: str) -> bool:
    """Tell whether arguments have one of an engine's switches, in whatever spelling."""
    return bool(set(flags) & {word.replace("_", "-") if word.startswith("--") else word for word in extra_args})


def weights_form(extra_args: Sequence[str], preferred: str) -> str:
    """Return the form of weights that an engine loads, as its arguments say: both engines have the same ones.

    >>> weights_form(["--tokenizer_mode", "mistral", "--config_format=mistral"], HUB)
    'mistral'
    """
    loaded = value(extra_args, "--load-format")
    if loaded in (None, "auto"):
        return MISTRAL if value(extra_args, "--config-format") == "mistral" else preferred
    return _FORMS.get(loaded, HUB)


def _refuse_tls(extra_args: Sequence[str]) -> None:
    """Refuse what would have the engine listen with TLS: it would load, and nobody here would ever find it ready."""
    flag = next((word for word in extra_args if _TLS.match(word)), None)
    if flag:
        raise FleetError(
            f"extra_args has {flag.partition('=')[0]}: the collection asks endpoints without TLS. Remove it, and put a "
            "proxy with a certificate before the endpoint."
        )


def revision_args(spec: EngineSpec) -> list[str]:
    """Return the arguments that pin the model's revision, where it is pinned."""
    return ["--revision", spec.revision] if spec.revision else []


def listens(spec: EngineSpec) -> list[str]:
    """Return the arguments for where an engine listens."""
    return ["--host", spec.listens, "--port", str(spec.port)]


def nodes(group: Group) -> list[str]:
    """Return the arguments for how many hosts serve one model, and which of them this is."""
    return ["--nnodes", str(len(group.addresses)), "--node-rank", str(group.rank)]


def nodes_and_master(group: Group) -> list[str]:
    """Return those arguments, and where the head is for its members."""
    return [*nodes(group), "--master-addr", group.addresses[0], "--master-port", str(group.port)]


def group_environment(spec: EngineSpec, own_address: str) -> dict[str, str]:
    """Return the variables that have an engine find the other hosts; *own_address* is the name of its own address."""
    if spec.group is None:
        return {}
    interfaces = ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME")
    return {own_address: spec.group.addresses[spec.group.rank], **dict.fromkeys(interfaces, spec.group.interface)}


def trust_args(spec: EngineSpec) -> list[str]:
    """Return the argument that lets an engine run code that the model's repository has, where it may."""
    return [TRUST] if spec.trust_remote_code else []


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


def hub_secrets(spec: EngineSpec) -> tuple[SecretFile, ...]:
    """Return the token's file. It is read at each download, so a new token needs no restart."""
    if not spec.hf_token:
        return ()
    return (SecretFile(name="hf_token", content=spec.hf_token, restart=False),)


def refuse_aliases(spec: EngineSpec, engine: str) -> None:
    """Refuse aliases for an engine that has one name for a model."""
    if spec.served_model_aliases:
        raise FleetError(f"served_model_aliases: {engine} serves a model by one name. Leave them out, or use vllm.")


def api_key_file(spec: EngineSpec) -> tuple[SecretFile, ...]:
    """Return the file with the API keys, one a line. It is read again when it changes."""
    if not spec.api_keys:
        return ()
    return (SecretFile(name=guard.FILE, content="\n".join(spec.api_keys), restart=False),)


def guard_environment(spec: EngineSpec) -> dict[str, str]:
    """Return the variable with which an engine finds the guard."""
    if not spec.api_keys:
        return {}
    return {"PYTHONPATH": ":".join(filter(None, (SECRETS_DIR, spec.environment.get("PYTHONPATH"))))}


def guard_files(spec: EngineSpec) -> tuple[SecretFile, ...]:
    """Return the guard and its keys, where there are any."""
    if not spec.api_keys:
        return ()
    # The guard's first version knows one key, and does right by it.
    version = 1 if len(spec.api_keys) == 1 else guard.VERSION
    return (*api_key_file(spec), source_file(guard, f"{GUARD_MODULE}.py", version))


def source_file(module: ModuleType, name: str, version: int) -> SecretFile:
    """Return a module's own text as a file that an engine imports; *version* is the oldest that does."""
    source = pkgutil.get_data(module.__package__ or "", f"{module.__name__.rpartition('.')[2]}.py")
    if source is None:
        raise FleetError(f"{module.__name__}, which guards an engine, could not be read from the collection.")
    return SecretFile(name=name, content=source.decode(), version=version)


def read_api_key(files: Mapping[str, str]) -> str | None:
    """Return the first API key of an engine from its secret files, by name."""
    if guard.FILE in files:
        return files[guard.FILE].partition("\n")[0]
    match = re.search(r'^api-key: (".*")$', files.get(_CONFIG_FILE, ""), re.MULTILINE)
    return json.loads(match.group(1)) if match else None
