# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator: the collection's own server, which rehearses a fleet before GPUs are rented.

It answers like vLLM, as fast as the published row that it follows. Nothing measured on it is a
measurement.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.inference.fleet.plugins.module_utils.endpoint import guard
from ansible_collections.inference.fleet.plugins.module_utils.engines import common
from ansible_collections.inference.fleet.plugins.module_utils.engines.spec import (
    SECRETS_DIR,
    EngineSpec,
    ImageBuild,
    Launch,
    Parallel,
)
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.extra_args import refuse_managed
from ansible_collections.inference.fleet.plugins.module_utils.results.published import published
from ansible_collections.inference.fleet.plugins.module_utils.simulator import rootfs

if TYPE_CHECKING:
    from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.log import Log

NAME = "simulator"
DEFAULT_IMAGE = None
IMAGE_GIB = None
VERSION_PATH = "/version"
SIMULATED = True
MANAGED_FLAGS = {
    "--host": "bind_address",
    "--port": "port",
    "--model": "model",
    "--served-model-name": "served_model_name",
    "--figures": "simulates",
    "--api-key-file": "api_key",
}
CONTEXT_FLAG: str | None = None
SPREAD_FLAGS: dict[str, str] = {}
GROUP_FLAGS = dict.fromkeys(("--nnodes", "--node-rank", "--master-addr", "--master-port"), "group")
REPOSITORY = "inference-fleet/simulator"


def launch(spec: EngineSpec) -> Launch:
    """Return how to start the simulator."""
    refuse_managed(spec.extra_args, {**MANAGED_FLAGS, **(GROUP_FLAGS if spec.group else {})})
    followed = spec.simulates or {}
    row = published(followed.get("engine", ""), followed.get("profile", ""))
    if row is None:
        raise FleetError(
            f"simulates names no published row: engine {followed.get('engine')!r}, "
            f"profile {followed.get('profile')!r}. "
            "Wanted: engine vllm or sglang, and profile b200x2, h100x4 or a100x4."
        )
    argv = common.listens(spec) + (common.nodes_and_master(spec.group) if spec.group else [])
    argv += ["--model", spec.model, "--served-model-name", spec.served_model_name, *spec.served_model_aliases]
    figures = {key: row[key] for key in ("id", "cold", "workload", "metrics")}
    argv += ["--figures", json.dumps(figures, sort_keys=True)]
    argv += ["--api-key-file", f"{SECRETS_DIR}/{guard.FILE}"] if spec.api_keys else []
    argv += spec.extra_args
    return Launch(
        argv=tuple(argv),
        environment=dict(spec.environment),
        secrets=common.api_key_file(spec),
        needs_gpus=False,
    )


def spread(sizes: Mapping[str, Any]) -> list[str]:
    """Return nothing: the simulator has no GPUs to spread a model over."""
    return []


def parallel(tensor: int, extra_args: Sequence[str]) -> Parallel:
    """Return how the simulator spreads a model: it has no GPUs to spread it over."""
    return Parallel(tensor=tensor)


def misfit(config: Mapping[str, Any], spread: Parallel, most: int) -> str | None:
    """Say that every spread will do."""
    return None


def log() -> Log:
    """Return how to read the simulator's log. Only what reads one loads it."""
    from ansible_collections.inference.fleet.plugins.module_utils.engines.logs import simulator

    return simulator.LOG


parse_version = common.parse_version


def image_build() -> ImageBuild:
    """Return the image, made of the host's own Python and one file."""
    return ImageBuild(
        reference=f"{REPOSITORY}:{rootfs.tag()}",
        entrypoint=tuple(rootfs.entrypoint()),
        write=rootfs.write_rootfs,
    )
