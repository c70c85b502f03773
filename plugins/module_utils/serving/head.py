# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an engine of several hosts serves, asked at its head.

A head whose member is gone goes on saying that it is well, until a request needs the member. So it is asked for one.
"""

from __future__ import annotations

import time

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import load
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import Observed
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.client import Client, EndpointError, serves
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.generation import readiness
from ansible_collections.inference.fleet.plugins.module_utils.serving.deployment import Endpoint

# How long a head may take for one token, in seconds, where it is not seen to be at others.
ANSWERS_WITHIN = 60


def lacks(endpoint: Endpoint, api_key: str | None, task: str, within: float = ANSWERS_WITHIN) -> str | None:
    """Return what a head lacks to serve; None where it answers a request, or is at the requests of others."""
    before = _generated(endpoint.url, api_key)
    found = readiness(endpoint.url, endpoint.served_model_name, api_key, completion_timeout=within, task=task)
    if found.ready:
        return None
    after = _generated(endpoint.url, api_key)
    return None if before is not None and after is not None and after > before else found.reason


def _generated(url: str, api_key: str | None) -> int | None:
    """Return how many tokens an engine says that it has generated."""
    try:
        text = Client(url, api_key, timeout=5).get("/metrics").text
    except EndpointError:
        return None
    found = load.parse(text)
    return found.totals.generated_tokens if found else None


def unwell(container: Observed, endpoint: Endpoint, api_key: str | None, missing: str, ready_timeout: float) -> str:
    """Return why a running head will not serve again by itself; nothing where it does, or may only be starting."""
    if not (container.running and endpoint.url):
        return ""
    if serves(endpoint.url, endpoint.served_model_name, api_key).ready:
        return f"the head says that it is well, and does not answer a request: {missing}"
    seconds = container.runs_for(time.time())
    if seconds > ready_timeout:
        return f"the head has run for {seconds:.0f} s and does not serve: {missing}"
    return ""
