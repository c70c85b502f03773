# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a result document back to the command that repeats its run. Pure functions."""

from __future__ import annotations

import functools
import itertools
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import CLIENTS
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.redaction import HIDDEN
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint, Workload
from ansible_collections.inference.fleet.plugins.module_utils.engines import ENGINES
from ansible_collections.inference.fleet.plugins.module_utils.engines.common import TRUST
from ansible_collections.inference.fleet.plugins.module_utils.engines.spec import EngineSpec
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.results import words
from ansible_collections.inference.fleet.plugins.module_utils.results.series import Document
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import hosts

# Where the role installs AIPerf by default.
_AIPERF = "/opt/inference.fleet/aiperf/bin/aiperf"
_DIRECTORY = "\0"
_LOOPBACK = "127.0.0.1"
_WORKLOAD = ("input_length", "output_length", "num_prompts", "max_concurrency", "request_rate", "random_range_ratio")


@dataclass(frozen=True)
class Repeat:
    """The *command*, the role *variables* in it, and *notes* on what it cannot bring back."""

    command: str
    variables: Mapping[str, Any]
    notes: tuple[str, ...]


def repeat(document: Document) -> Repeat:
    """Return how to run a document's benchmark again, on the engine that it was run on.

    The engine comes back by the digest of its image, so that a moved tag does not matter.
    """
    notes: list[str] = []
    deployed = document["engine"]["name"] in ENGINES
    variables = _engine(document, notes) if deployed else _endpoint(document, notes)
    variables |= _benchmark(document, notes)
    playbooks = [f"inference.fleet.{name}" for name in (["deploy", "benchmark"] if deployed else ["benchmark"])]
    given = json.dumps(variables, ensure_ascii=False)
    # A host's name comes from whoever wrote the document.
    limit, given = (shlex.quote(words.clean(text)) for text in (",".join(hosts(document)) or document["host"], given))
    return Repeat(f"ansible-playbook {' '.join(playbooks)} \\\n  -l {limit} \\\n  -e {given}", variables, tuple(notes))


def pinned(image: Mapping[str, Any]) -> str | None:
    """Return an image's reference with its digest in place of its tag; as it was, where there is no digest.

    >>> pinned({"reference": "localhost:5000/vllm:v1", "digest": "sha256:ab"})
    'localhost:5000/vllm@sha256:ab'
    """
    reference, digest = image.get("reference"), image.get("digest")
    if not reference or not digest:
        return reference
    name = reference.partition("@")[0]
    repository, colon, tag = name.rpartition(":")
    return f"{repository if colon and '/' not in tag else name}@{digest}"


def _endpoint(document: Document, notes: list[str]) -> dict[str, Any]:
    notes.append("The engine was not deployed by this collection: it has to serve at this address as it did.")
    model = document["model"]
    return {
        "benchmark_url": document["engine"].get("url") or "",
        "benchmark_container_name": "",
        "benchmark_model": model["id"],
        "benchmark_served_model_name": model["served_model_name"],
    }


def _engine(document: Document, notes: list[str]) -> dict[str, Any]:
    engine, model = document["engine"], document["model"]
    module = ENGINES[engine["name"]]
    image = engine.get("image") or {}
    spec = EngineSpec(
        model=model["id"],
        served_model_name=model["served_model_name"],
        port=_port(engine.get("url")),
        tensor_parallel_size=engine.get("tensor_parallel_size") or 1,
        cache_dir="",
        revision=_option(engine.get("argv"), "--revision"),
        tool_call_parser=_option(engine.get("argv"), "--tool-call-parser"),
        served_model_aliases=_aliases(engine.get("argv")),
        simulates=document.get("simulates"),
    )
    variables: dict[str, Any] = {"engine_name": engine["name"]}
    # The simulator's image is built on the host, of the collection that runs.
    if module.DEFAULT_IMAGE and image.get("reference"):
        variables["engine_image"] = pinned(image)
        if not image.get("digest"):
            notes.append("The image's digest is not known: its tag may have moved since.")
    variables |= {"engine_model": spec.model, "engine_served_model_name": spec.served_model_name}
    revision = model.get("revision") or spec.revision
    if spec.served_model_aliases:
        variables["engine_served_model_aliases"] = list(spec.served_model_aliases)
    if revision:
        variables["engine_revision"] = revision
    if engine.get("tensor_parallel_size"):
        variables["engine_tensor_parallel_size"] = spec.tensor_parallel_size
    if engine.get("replicas"):
        variables["engine_replicas"] = engine["replicas"]
    if engine.get("group"):
        variables["engine_group"] = list(hosts(document))
    if engine.get("gpus") and "all" not in engine["gpus"]:
        variables["engine_gpus"] = list(engine["gpus"])
    if spec.tool_call_parser:
        variables["engine_tool_call_parser"] = spec.tool_call_parser
    variables["engine_port"] = spec.port
    if spec.simulates:
        variables["engine_simulates"] = dict(spec.simulates)
    found = _launched(spec, engine)
    if found is None:
        notes.append(
            "The engine's own command line is not one that this release gives it: compare it after the deploy."
        )
    else:
        extra_args, environment, has_key, trusts = found
        if not module.SIMULATED:
            # Else the model's page would say it, and may say something else by then.
            variables["engine_trust_remote_code"] = trusts
        if extra_args:
            variables["engine_extra_args"] = extra_args
        shown = {name: value for name, value in environment.items() if value != HIDDEN}
        if shown:
            variables["engine_environment"] = shown
        if len(shown) < len(environment):
            hidden = ", ".join(sorted(environment.keys() - shown.keys()))
            notes.append(f"No document keeps secrets: engine_environment has to set {hidden} as well.")
        if has_key:
            notes.append("The endpoint had an API key: engine_api_key has to come from the inventory.")
    return variables


def _launched(spec: EngineSpec, engine: Mapping[str, Any]) -> tuple[list[str], dict[str, str], bool, bool] | None:
    """Return what gives the recorded argv.

    It is the user's own arguments and variables, whether there was a key, and whether the model's code was trusted.
    """
    argv = tuple(engine.get("argv") or ())
    found = _own_arguments(
        engine["name"],
        argv,
        (spec.model, spec.served_model_name, spec.port, spec.tensor_parallel_size),
        (spec.revision, spec.tool_call_parser, json.dumps(spec.simulates and dict(spec.simulates))),
        spec.served_model_aliases,
    )
    if found is None:
        return None
    start, has_key, trusts, given = found
    recorded = engine.get("environment") or {}
    # Where the token's file is, the role says itself.
    own = {key: value for key, value in recorded.items() if given.get(key) != value and key != "HF_TOKEN_PATH"}
    return list(argv[start:]), own, has_key, trusts


@functools.lru_cache(maxsize=256)
def _own_arguments(
    name: str,
    argv: tuple[str, ...],
    needed: tuple[str, str, int, int],
    other: tuple[str | None, str | None, str],
    aliases: tuple[str, ...],
) -> tuple[int, bool, bool, dict[str, str]] | None:
    """Return where a user's own arguments begin, whether there was a key, or trust, and the engine's environment.

    The runs of a fleet have few command lines. The fewest arguments that give one are the user's.
    """
    model, served_model_name, port, size = needed
    revision, parser, simulates = other
    spec = EngineSpec(model, served_model_name, port, size, "", None, revision, parser, simulates=json.loads(simulates))
    spec = replace(spec, served_model_aliases=aliases)
    guesses = list(itertools.product(((), ("key",)), (True, False) if TRUST in argv else (False,)))
    for start in range(len(argv), -1, -1):
        for keys, trusts in guesses:
            wanted = replace(spec, extra_args=argv[start:], api_keys=keys, trust_remote_code=trusts)
            try:
                launch = ENGINES[name].launch(wanted)
            except FleetError:
                continue
            if launch.argv == argv:
                return start, bool(keys), trusts, dict(launch.environment)
    return None


def _benchmark(document: Document, notes: list[str]) -> dict[str, Any]:
    client, workload = document["client"], document["workload"]
    variables: dict[str, Any] = {"benchmark_client": client["name"]}
    if client.get("image"):
        image = document["engine"].get("image") or {}
        same = client["image"] == image.get("reference")
        variables["benchmark_client_image"] = pinned(image) if same else client["image"]
    elif client["name"] == "aiperf" and client["argv"][:1] == [_AIPERF]:
        if client.get("version"):
            variables["benchmark_client_version"] = client["version"]
    elif client["argv"]:
        variables["benchmark_client_path"] = client["argv"][0]
    if client.get("host") and client["host"] != document["host"]:
        variables["benchmark_client_host"] = client["host"]
    tokenizer = client.get("tokenizer") or document["model"]["id"]
    if document["run_id"] in tokenizer:
        # In the run's own directory stood the simulator's.
        variables["benchmark_tokenizer"] = "byte-level"
    elif tokenizer != document["model"]["id"]:
        variables["benchmark_tokenizer"] = tokenizer
    variables |= {f"benchmark_{key}": workload[key] for key in _WORKLOAD if workload.get(key) is not None}
    variables["benchmark_seed"] = workload.get("seed") or 0
    variables["benchmark_warmup"] = document["warm"]
    variables["benchmark_repeats"] = len(document["repeats"])
    points = ((document.get("sweep") or {}).get("points") or [])[1:]
    if points:
        variables["benchmark_sweep"] = [
            {key: point["workload"][key] for key in _WORKLOAD if point["workload"].get(key) is not None}
            for point in points
        ]
    if document.get("label"):
        variables["benchmark_label"] = document["label"]
    limits = {name: limit for name, limit in (document.get("slo") or {}).items() if limit is not None}
    if limits:
        variables["benchmark_slo"] = limits
    cost = (document.get("efficiency") or {}).get("price_per_hour_usd")
    # That of a group is the sum of what its hosts cost each.
    if cost and not hosts(document):
        variables["benchmark_price_per_hour"] = cost
    extra_args = _client_args(document, tokenizer, limits)
    if extra_args is None:
        notes.append("The client's own command line is not one that this release gives it: compare the two.")
    elif extra_args:
        variables["benchmark_extra_args"] = extra_args
    return variables


def _client_args(document: Document, tokenizer: str, slo: Mapping[str, float]) -> list[str] | None:
    """Return the user's own arguments at the end of the client's command line; None where it is another one."""
    client, argv, model = document["client"], list(document["client"]["argv"]), document["model"]
    if client["name"] not in CLIENTS or not argv:
        return None
    endpoint = Endpoint(
        url=document["engine"].get("url") or "",
        model=model["id"],
        served_model_name=model["served_model_name"],
        tokenizer=tokenizer,
        has_api_key=client["name"] == "aiperf" and argv[2:3] == ["--config"],
    )
    try:
        workload = Workload.of(document["workload"])
    except FleetError:
        return None
    # A client that is a Python module has had several names.
    entry = {"entry": argv[2]} if argv[1:2] == ["-m"] and len(argv) > 2 else {}
    wanted = CLIENTS[client["name"]].argv(workload, endpoint, _DIRECTORY, argv[0], (), slo, **entry)
    alike = len(argv) >= len(wanted) and all(
        mine == theirs or _DIRECTORY in mine for mine, theirs in zip(wanted, argv, strict=False)
    )
    return argv[len(wanted) :] if alike else None


def _option(argv: Sequence[str] | None, name: str) -> str | None:
    """Return the value that follows an option of a command line."""
    words_of = list(argv or ())
    if name not in words_of[:-1]:
        return None
    return words_of[words_of.index(name) + 1]


def _aliases(argv: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names that follow the first one under which a model is served."""
    following = list(argv or ())
    if "--served-model-name" not in following:
        return ()
    names = following[following.index("--served-model-name") + 1 :]
    return tuple(itertools.takewhile(lambda word: not word.startswith("--"), names))[1:]


def _port(url: str | None) -> int:
    try:
        return urlsplit(url or "").port or 8000
    except ValueError:
        return 8000
