# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several engines of one model that are measured as one service."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import CLIENTS, load, service
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint, Workload
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

FIRST: dict[str, Any] = {
    "name": "qwen3-coder-next",
    "profile": "h100x4",
    "tensor_parallel_size": 4,
    "image": {"id": "sha256:1"},
    "argv": ["--model", "Qwen/Qwen3-Coder-Next", "--tensor-parallel-size", "4"],
    "gpus": ["0", "2", "4", "6"],
}
SECOND: dict[str, Any] = {**FIRST, "name": "qwen3-coder-next-2", "gpus": ["1", "3", "5", "7"]}
URL, OTHER = "http://127.0.0.1:8000", "http://127.0.0.1:8001"


def test_engines_together_have_the_gpus_and_the_profile_of_all() -> None:
    found = service.together(service.engines(FIRST, [{"url": OTHER, "engine": SECOND}]))
    assert found is not None
    assert (found["profile"], found["replicas"], found["tensor_parallel_size"]) == ("h100x8", 2, 4)
    assert sorted(found["gpus"]) == [str(index) for index in range(8)]
    assert service.together([FIRST]) == FIRST
    assert service.together([{}]) is None


def test_engines_that_run_otherwise_are_no_service() -> None:
    service.require_alike([FIRST, SECOND, {}])
    # Its port tells it from the first, and nothing else.
    service.require_alike([FIRST, {**SECOND, "argv": [*FIRST["argv"], "--port", "8001"]}])
    for other in ({"argv": [*FIRST["argv"], "--enforce-eager"]}, {"image": {"id": "sha256:3"}}, {"profile": "h100x2"}):
        with pytest.raises(FleetError, match=r"found that qwen3-coder-next-2 has another .* than qwen3-coder-next\."):
            service.require_alike([FIRST, {**SECOND, **other}])


def test_a_client_of_one_endpoint_is_refused() -> None:
    for name, client in CLIENTS.items():
        service.require_spreading(client, [])
        if name == "aiperf":
            service.require_spreading(client, [{}])
            continue
        with pytest.raises(FleetError, match=f"requests over 2 endpoints, which aiperf does, found {name}"):
            service.require_spreading(client, [{}])


def test_requests_go_to_each_and_all_are_asked_for_their_load(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint(URL, "m", "m", "m", others=(OTHER,))
    argv = CLIENTS["aiperf"].argv(Workload(), endpoint, "/d")
    assert [argv[index + 1] for index, word in enumerate(argv) if word == "--url"] == [URL, OTHER]

    told = {
        URL: load.Load(1, 2, 0.5, load.Totals(requests=5, preemptions=1)),
        OTHER: load.Load(3, 0, 0.7, load.Totals(7)),
    }
    monkeypatch.setattr(load, "_look", lambda one, key, looks: told[one.url])
    found = load.look(endpoint, None)
    assert found == load.Load(4, 2, 0.7, load.Totals(requests=12))
    assert load.look(replace(endpoint, others=()), None) == told[URL]
    # Of one that does not tell, nothing is known of all.
    monkeypatch.setattr(load, "_look", lambda one, key, looks: told[URL] if one.url == URL else None)
    assert load.look(endpoint, None) is None
