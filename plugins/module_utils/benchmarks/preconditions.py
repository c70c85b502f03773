# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to hold before a benchmark starts, and what a server says when one has failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint, Workload
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.client import (
    REQUESTS_IMPORT_ERROR,
    EndpointError,
)
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.generation import CHAT, GenerationClient
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

# Room for a chat template around each prompt, in tokens.
TEMPLATE_ROOM = 64
_TIMEOUT = 20


def require_chat(engine: Mapping[str, Any] | None) -> None:
    """Raise FleetError for an engine whose model is known to answer no chat, which is what every client sends."""
    task = (engine or {}).get("task") or CHAT
    if task != CHAT:
        raise FleetError(
            f"wanted a chat model to benchmark, found {engine['model']} at {engine['url']}, which is for {task}: every "
            "client here sends chat completions, so this endpoint cannot be measured. Leave it out of the benchmark; "
            "where it does chat, say so: set the engine's task to chat."
        )


def require_ready(endpoint: Endpoint, workload: Workload, api_key: str | None = None) -> None:
    """Raise FleetError unless each engine serves the model, with a context long enough for the workload."""
    for one in endpoint.each:
        _require_ready(one, workload, api_key)


def _require_ready(endpoint: Endpoint, workload: Workload, api_key: str | None) -> None:
    try:
        models = {str(model.get("id")): model for model in _client(endpoint, api_key).models()}
    except EndpointError as error:
        message = f"wanted an endpoint to benchmark at {endpoint.url}, but {str(error).rstrip('.')}."
        if error.status in (401, 403):
            raise FleetError(f"{message} Give the endpoint's key as api_key.") from error
        raise FleetError(f"{message} Deploy an engine, or check the url.") from error
    if endpoint.served_model_name not in models:
        served = ", ".join(sorted(models)) or "none"
        raise FleetError(
            f"wanted model {endpoint.served_model_name} at {endpoint.url}, found: {served}. "
            "Set served_model_name to one that is served."
        )
    longest = models[endpoint.served_model_name].get("max_model_len")
    wanted = workload.longest + TEMPLATE_ROOM
    if isinstance(longest, int) and longest < wanted:
        ratio = workload.random_range_ratio
        ranged = f", up to {1 + ratio:g} times that" if ratio else ""
        raise FleetError(
            f"the workload needs a context of {wanted} tokens ({workload.input_length} in, "
            f"{workload.output_length} out{ranged}, {TEMPLATE_ROOM} for the chat template), "
            f"but {endpoint.served_model_name} at {endpoint.url} has {longest}. "
            "Ask for less, or deploy with a longer context."
        )


def ask_once(endpoint: Endpoint, workload: Workload, api_key: str | None = None) -> str:
    """Send one request of the workload's kind, with one token of output, and say how the server answers it.

    For messages about a failed run: it raises nothing.
    """
    prompt = "hello " * max(1, workload.input_length // 2)
    try:
        _client(endpoint, api_key).chat(endpoint.served_model_name, prompt, 1)
    except EndpointError as error:
        return str(error).rstrip(".")
    return "200 to one request of the same kind, with one token of output, sent afterwards"


def _client(endpoint: Endpoint, api_key: str | None) -> GenerationClient:
    if REQUESTS_IMPORT_ERROR is not None:
        raise FleetError("a benchmark needs the Python package requests on the host: install python3-requests.")
    return GenerationClient(endpoint.url, api_key, timeout=_TIMEOUT)
