#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_acceptance
version_added: "0.1.0"
short_description: Test whether a host's GPUs are sound, before anything is served
author: inference.fleet contributors (@inference-fleet)
description:
  - Looks at what the driver tells of each GPU, measures all of them at once under load, looks again, and gives a
    verdict a line.
  - Of each GPU it measures memory bandwidth, products in bf16 and fp8, a pattern over most of the free memory and what
    the host sends it, and watches clocks, temperature, power, throttling, ECC, remapped rows, Xid and PCIe. Between
    GPUs it measures each pair and NCCL's all-reduce, and looks at NVLinks and their errors; of the host how fast its
    disk reads, its CPUs' clock and its NUMA nodes.
  - A figure is held against the datasheet of the GPU's model, its siblings in the host and the fleet, and earlier tests
    of the same GPU. A model that is not known is told its figures without a verdict.
  - What measures is the torch of an engine's image, or any Python of the host that has torch. Nothing else is
    installed, and nothing stays.
  - Where a GPU is sick already nothing is measured, so that no image is pulled for it.
  - The test is kept as a document on the control host, in C(acceptance) under O(results_dir).
  - Refuses where an engine runs or something computes on a GPU. Ends where the control host is interrupted or gone.
  - GPUs that MIG divides are looked at and not measured.
requirements:
  - for O(image), a Docker daemon with the NVIDIA container toolkit, and the Docker SDK for Python 5.0.3 or newer
extends_documentation_fragment: inference.fleet.attributes
attributes:
  check_mode:
    support: full
    details: Looks at the GPUs; nothing is measured, and nothing kept.
  diff_mode:
    support: none
  idempotent:
    support: none
    details: Each call is a new test with a document of its own.
options:
  engine:
    description: The engine whose image measures, where O(image) is not given.
    type: str
    choices: [vllm, sglang]
    default: vllm
  image:
    description:
      - An image with a C(python3) that has torch. Without it that of O(engine), which is pulled where it is missing and
        the host's own C(python3) has no torch that finds GPUs.
    type: str
  python:
    description: A Python of the host that has torch. No image is then used.
    type: path
  docker_host:
    description: The URL of the Docker daemon.
    type: str
    default: unix:///var/run/docker.sock
  seconds:
    description: How long all GPUs are under load, in seconds. Heat and power tell after about a minute.
    type: int
    default: 60
  measure:
    description: Whether to measure. Otherwise the driver is asked, and the disk read.
    type: bool
    default: true
  keep:
    description:
      - Whether to keep the test as a document. V(sick) keeps it only where something is sick, and reads no disk, which
        makes it a first look.
    type: str
    choices: [always, sick]
    default: always
  cache_dir:
    description: The directory of the weights, whose file system is read.
    type: str
    default: ~/.cache/huggingface
  sick_percent:
    description: A GPU is sick that gives so much per cent less than the median of its siblings. From 10 on it is odd.
    type: float
    default: 25
  on_cpus:
    description:
      - Rehearse on CPUs, in small sizes and against no datasheet. The document is marked as simulated. Beside its
        siblings one is sick only where it gives 97 per cent less.
    type: bool
    default: false
  devices:
    description: With O(on_cpus), on how many at once, where the host has no GPU.
    type: int
    default: 1
  fail:
    description: Whether to fail where something is sick.
    type: bool
    default: true
  run_host:
    description: What the document calls the host. The action gives the inventory's name.
    type: str
  results_dir:
    description: Folder on the control host with the result documents.
    type: path
    default: results
  work_dir:
    description: Directory on the host for what is written meanwhile.
    type: path
    default: /var/tmp/inference.fleet/acceptance
  progress_file:
    description: File to which progress lines are appended. The action gives it.
    type: path
seealso:
  - module: inference.fleet.host_info
  - module: inference.fleet.gpu_container_check
"""

EXAMPLES = r"""
- name: Test the GPUs with vLLM's image
  inference.fleet.gpu_acceptance:
  become: true
  register: tested

- name: With a Python that has torch, for five minutes, and go on whatever is found
  inference.fleet.gpu_acceptance:
    python: /opt/torch/bin/python
    seconds: 300
    fail: false
  become: true
"""

RETURN = r"""
verdict:
  description: The worst of the lines - V(sound), V(odd) or V(sick).
  returned: success
  type: str
lines:
  description: A verdict a line. It is null where there is nothing to hold a figure against.
  returned: success
  type: list
  elements: dict
  sample:
    - of: GPU 3
      what: memory bandwidth
      value: 411.6
      unit: GB/s
      verdict: sick
      text: wanted 2512 or more, 75% of the 3350 of its datasheet
result:
  description: The document, which C(docs/acceptance.schema.json) defines.
  returned: success
  type: dict
path:
  description: Its path on the control host.
  returned: when it was kept
  type: str
table:
  description: The lines as text.
  returned: success
  type: str
msg:
  description: What was found, in a sentence.
  returned: success
  type: str
"""

import signal
import socket
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.acceptance import run as acceptance
from ansible_collections.inference.fleet.plugins.module_utils.acceptance import runtime
from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.result import run_id
from ansible_collections.inference.fleet.plugins.module_utils.containers import daemon
from ansible_collections.inference.fleet.plugins.module_utils.engines import engine
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.docker import DEFAULT_HOST
from ansible_collections.inference.fleet.plugins.module_utils.host.survey import survey
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress

SPEC = {
    "engine": {"type": "str", "choices": ["vllm", "sglang"], "default": "vllm"},
    "image": {"type": "str"},
    "python": {"type": "path"},
    "docker_host": {"type": "str", "default": DEFAULT_HOST},
    "seconds": {"type": "int", "default": 60},
    "measure": {"type": "bool", "default": True},
    "keep": {"type": "str", "choices": ["always", "sick"], "default": "always"},
    "cache_dir": {"type": "str", "default": "~/.cache/huggingface"},
    "sick_percent": {"type": "float", "default": 25},
    "on_cpus": {"type": "bool", "default": False},
    "devices": {"type": "int", "default": 1},
    "fail": {"type": "bool", "default": True},
    "run_host": {"type": "str"},
    "results_dir": {"type": "path", "default": "results"},
    "work_dir": {"type": "path", "default": "/var/tmp/inference.fleet/acceptance"},
    "progress_file": {"type": "path"},
}


def run(params: dict, check_mode: bool) -> dict:
    """Return the module's result. FleetError where nothing can be said of the host's GPUs."""
    hardware = survey(params["docker_host"])
    if hardware["gpus_error"]:
        raise FleetError(
            f"nvidia-smi says: {hardware['gpus_error']}. Wanted GPUs that answer. Look at dmesg for NVRM and Xid lines."
        )
    measure = params["measure"] and not check_mode
    if not hardware["gpus"] and measure and not params["on_cpus"]:
        raise FleetError(
            "the host has no GPU that nvidia-smi knows. Run the host role first, which installs the driver; "
            "on_cpus: true rehearses on CPUs."
        )
    # A rehearsal leaves the GPUs alone.
    if measure and not params["on_cpus"]:
        in_use = acceptance.busy(hardware["gpus"]) + _engines(params["docker_host"])
        if in_use:
            raise FleetError(
                f"the GPUs are in use, and a test would disturb what runs and be disturbed: {'; '.join(in_use)}. "
                "Stop that first (teardown.yml stops engines)."
            )
    host = params["run_host"] or socket.gethostname()
    plan = acceptance.Plan(
        host=host,
        run_id=run_id(host),
        seconds=max(1, params["seconds"]),
        folder=Path(params["work_dir"]),
        # A first look costs nothing.
        disk_path=None if check_mode or params["keep"] == "sick" else params["cache_dir"],
        on_cpus=params["on_cpus"],
        devices=max(1, params["devices"]),
        runtimes=(lambda say, wanted: choose(params, say, wanted)) if measure else None,
    )
    return {
        "changed": not check_mode,
        "result": acceptance.accept(plan, hardware, Progress(params["progress_file"])),
    }


def choose(params: dict, say, wanted) -> runtime.Runtime:
    """Return where to measure, without a download where there is a torch already."""
    if params["python"]:
        return runtime.HostPython(params["python"])
    if params["on_cpus"] and not params["image"]:
        raise FleetError("on_cpus wants python or image: what has torch for CPUs.")
    container = runtime.Container(
        params["image"] or engine(params["engine"]).DEFAULT_IMAGE, params["docker_host"], not params["on_cpus"]
    )
    if not container.there() and not params["image"] and runtime.has_torch("python3"):
        return runtime.HostPython("python3")
    container.pull(say, wanted)
    return container


def _engines(docker_host: str) -> list[str]:
    """Return the engines that run, in words."""
    if daemon.IMPORT_ERROR is not None:
        return []
    try:
        listed = daemon.Daemon(docker_host).listed()
    except FleetError:
        # Without Docker none runs.
        return []
    return [f"the engine {each.name}" for each in listed if each.ours and each.running]


def _end(number: int, frame: object) -> None:
    """Be ended as by an error: what was started is ended, too."""
    raise FleetError(f"it was told to end (signal {number})")


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True, mutually_exclusive=[("python", "image")])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _end)
    answer(module, lambda: run(module.params, module.check_mode))


if __name__ == "__main__":
    main()
