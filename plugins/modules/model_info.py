#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_info
version_added: "0.1.0"
short_description: Tell which models there are, and which fit a host
author: inference.fleet contributors (@inference-fleet)
description:
  - Lists the catalogue of models, and tells of each whether it fits the GPUs of the host, how it would be spread over
    them, and by what arithmetic.
  - Of a single O(model), which may be any of the hub, it asks the hub for the sizes of its files and for its
    C(config.json), or reads them where the host has them, and computes
    what is left for KV cache and the longest context.
extends_documentation_fragment: inference.fleet.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
options:
  model:
    description: Only this model, by its name in the catalogue, on the hub, or by its directory on the host.
    type: str
  catalogue:
    description: A directory of the control host with models of the user's own, as for M(inference.fleet.engine).
    type: str
  engine:
    description: The inference engine.
    type: str
    choices: [vllm, sglang]
    default: vllm
  profile:
    description: The hardware to tell for, such as V(h100x8). The host's own GPUs where it is not given.
    type: str
  context:
    description:
      - The length of requests that the KV cache is told for, in tokens. The model's longest where it is not given.
    type: int
  revision:
    description: The model's revision on the hub.
    type: str
  cache_dir:
    description: The host's directory for weights.
    type: str
    default: ~/.cache/huggingface
  hf_token:
    description: The Hugging Face token for gated models.
    type: str
  environment:
    description: Variables that say where the hub is, such as C(HF_ENDPOINT).
    type: dict
    default: {}
  models:
    description: What the catalogue has. The action sets it.
    type: list
    elements: dict
    default: []
seealso:
  - module: inference.fleet.engine
"""

EXAMPLES = r"""
- name: Tell which models fit the host's GPUs
  inference.fleet.model_info:
  register: found

- name: Tell whether a model of the hub would fit eight H100
  inference.fleet.model_info:
    model: Qwen/Qwen3-32B
    profile: h100x8
    context: 32768
"""

RETURN = r"""
profile:
  description: The hardware that is told for.
  returned: success
  type: str
  sample: h100x8
models:
  description: The models, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: "Its name, where the catalogue has it.", type: str, returned: success, sample: gpt-oss-120b}
    id: {description: Its name on the hub., type: str, returned: success, sample: openai/gpt-oss-120b}
    precision: {description: "Its precision, where it is known.", type: str, returned: success, sample: MXFP4}
    fits: {description: "Whether it fits, null where nothing tells.", type: bool, returned: success}
    gpus: {description: How many GPUs it takes., type: int, returned: success, sample: 1}
    replicas: {description: How many engines of it the GPUs hold., type: int, returned: success, sample: 8}
    tensor_parallel_size: {description: How it would be spread., type: int, returned: success, sample: 1}
    pipeline_parallel_size: {description: How it would be spread., type: int, returned: success, sample: 1}
    data_parallel_size: {description: How it would be spread., type: int, returned: success, sample: 1}
    expert_parallel: {description: How it would be spread., type: bool, returned: success, sample: false}
    weights_gib: {description: "The size of its weights in GiB, where it is known.", type: float, returned: success}
    kv_cache_tokens: {description: How many tokens the KV cache holds., type: int, returned: success}
    longest_context: {description: "The longest request that it holds, in tokens.", type: int, returned: success}
    arithmetic: {description: Why., type: str, returned: success}
lines:
  description: The same as a table for people.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils import profiles
from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host import command, gpus
from ansible_collections.inference.fleet.plugins.module_utils.host.cache_place import cache_place
from ansible_collections.inference.fleet.plugins.module_utils.models.model import Model
from ansible_collections.inference.fleet.plugins.module_utils.serving import fits
from ansible_collections.inference.fleet.plugins.module_utils.weights import files
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights, is_hub_name


def hardware(profile: str | None) -> fits.Hardware:
    """Return the hardware of a profile, or the most numerous GPUs of this host."""
    if profile:
        try:
            family, count = profiles.split(profile)
        except ValueError as error:
            raise FleetError(f"profile: {error}.") from error
        return fits.Hardware(family, count, profiles.MEMORY_MIB.get(family))
    found = gpus.query(command.run)
    if found.error:
        raise FleetError(f"nvidia-smi does not tell the host's GPUs: {found.error}. Mend the driver, or give profile.")
    families = [profiles.family(gpu["name"], gpu["memory_mib"]) for gpu in found.gpus]
    if not families:
        return fits.Hardware(profiles.CPU, 0, None)
    family = max(sorted(set(families)), key=families.count)
    sizes = [gpu["memory_mib"] for gpu, own in zip(found.gpus, families, strict=True) if own == family]
    known = [size for size in sizes if size]
    return fits.Hardware(family, len(sizes), min(known) if known else profiles.MEMORY_MIB.get(family))


def own_files(params: dict, model: str) -> files.Files | None:
    """Return the files of the one model that is asked for."""
    if not is_hub_name(model):
        return files.of_directory(Path(model))
    environment = {str(name): str(value) for name, value in params["environment"].items()}
    weights = Weights(model, params["revision"])
    return files.of_hub(cache_place(params["cache_dir"]), weights, params["hf_token"], environment)


def table(rows: list[dict]) -> list[str]:
    """Return a line a model."""
    marks = {True: "fits", False: "does not fit", None: "not known"}
    listed = [
        (
            row["name"] or row["id"],
            row["precision"] or "",
            marks[row["fits"]],
            str(row["gpus"] or ""),
            row["arithmetic"],
        )
        for row in rows
    ]
    head = ("model", "precision", "", "GPUs", "arithmetic")
    widths = [max(len(row[column]) for row in (head, *listed)) for column in range(4)]
    return ["  ".join([*map(str.ljust, row, widths), row[4]]) for row in (head, *listed)]


def run(params: dict) -> dict:
    """Return the module's result."""
    found = hardware(params["profile"])
    rows = []
    for facts in params["models"]:
        known = Model.of(facts)
        own = own_files(params, known.id) if params["model"] else None
        told = fits.fits(
            known,
            params["engine"],
            found,
            own.gib if own else None,
            own.config() if own else None,
            params["context"],
        )
        rows.append({"name": known.served_model_name, "id": known.id, "precision": known.precision, **told})
    return {"profile": found.profile, "models": rows, "lines": table(rows)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "model": {"type": "str"},
            "catalogue": {"type": "str"},
            "engine": {"type": "str", "choices": ["vllm", "sglang"], "default": "vllm"},
            "profile": {"type": "str"},
            "context": {"type": "int"},
            "revision": {"type": "str"},
            "cache_dir": {"type": "str", "default": "~/.cache/huggingface"},
            "hf_token": {"type": "str", "no_log": True},
            "environment": {"type": "dict", "default": {}},
            "models": {"type": "list", "elements": "dict", "default": []},
        },
        supports_check_mode=True,
    )
    answer(module, lambda: run(module.params))


if __name__ == "__main__":
    main()
