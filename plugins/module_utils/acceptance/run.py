# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One acceptance test of a host: look, measure under load, look again, judge. What comes of it is a document."""

# Runs outside modules too, where there is no run_command.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils import profiles
from ansible_collections.inference.fleet.plugins.module_utils.acceptance import counters, machine, runtime, verdict
from ansible_collections.inference.fleet.plugins.module_utils.acceptance.program import LATE
from ansible_collections.inference.fleet.plugins.module_utils.errors import BusyError, FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host import gpu_health, gpu_samples
from ansible_collections.inference.fleet.plugins.module_utils.host.command import RunCommand, run
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress

# Of the program, without its load: starting torch, and each stage, with GPUs that are slow but alive.
_BASE_LIMIT = 900
_INTERVAL = 1.0
_LOOK = 0.5
# For GPUs, and for CPUs in their place: sizes that take a moment.
GPU_SIZES = {
    "copy_mib": 4096,
    "matrix": 8192,
    "reduce_mib": 1024,
    "memory_share": 0.9,
    "memory_mib": 0,
    "repeats": 10,
}
CPU_SIZES = {"copy_mib": 16, "matrix": 128, "reduce_mib": 1, "memory_share": 0.0, "memory_mib": 16, "repeats": 2}
DISK_MIB, CPU_DISK_MIB, DISK_SECONDS = 4096, 64, 15.0


@dataclass(frozen=True)
class Plan:
    """What is asked for. *runtimes* gives where the program runs; it and *disk_path* may be None."""

    host: str
    run_id: str
    seconds: int
    folder: Path
    disk_path: str | None
    on_cpus: bool
    devices: int
    runtimes: Callable[[Callable[[str], None], Callable[[], None]], runtime.Runtime] | None


def busy(gpus: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what computes on GPUs, in words."""
    return [
        f"GPU {gpu['index']}: {item['name']} (process {item['pid']}"
        f"{', container ' + item['container'][:12] if item['container'] else ''})"
        for gpu in gpus
        for item in gpu["processes"]
    ]


@contextmanager
def alone(folder: Path) -> Iterator[Path]:
    """Give a folder that no other test of this host has; nothing stays of it but the lock's file."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = folder / "run"
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BusyError("another acceptance test of this host is under way. Wait for its end.") from error
        # What one that was killed left.
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(mode=0o700)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


def accept(
    plan: Plan, hardware: Mapping[str, Any], progress: Progress, run_command: RunCommand = run
) -> dict[str, Any]:
    """Return the document of a test, without what other tests tell of it. FleetError where it could not be made.

    A GPU that is sick already is not measured: that would only cost an image.
    """
    began, log = _now(), gpu_health.kernel_log()
    listed = hardware["gpus"] or [_cpu(index) for index in range(plan.devices)] if plan.on_cpus else hardware["gpus"]
    several = len(listed) > 1
    before = counters.look(run_command, several)
    gpus = [_gpu(gpu, before) for gpu in listed]
    lines = verdict.health(listed)
    document: dict[str, Any] = {
        "schema_version": 1,
        "kind": "acceptance",
        "run_id": plan.run_id,
        "host": plan.host,
        "started_at": began,
        "simulated": plan.on_cpus,
        "hardware": {key: hardware.get(key) for key in _HARDWARE},
        "seconds": plan.seconds,
        "measured": False,
        "runtime": None,
        "gpus": gpus,
        "machine": {"numa_nodes": machine.numa_nodes()},
    }
    document["hardware"]["profile"] = profiles.profile(listed) if listed else profiles.CPU
    divided = [str(gpu["index"]) for gpu in listed if gpu.get("mig_mode") == "Enabled"]
    if divided:
        text = (
            f"MIG divides GPU {', '.join(divided)}: nothing is measured. To test it whole, end that: nvidia-smi -mig 0"
        )
        lines.append(verdict.line("GPUs", "measuring", None, "", None, text))
    if verdict.worst(lines) == verdict.SICK:
        progress.say("a GPU is sick already: nothing is measured")
    else:
        mib = CPU_DISK_MIB if plan.on_cpus else DISK_MIB
        if plan.disk_path is not None:
            progress.say(f"reading the disk of {plan.disk_path}")
            document["machine"] |= machine.disk_read(plan.disk_path, mib, DISK_SECONDS, progress.require_asked)
        if plan.runtimes and gpus and not divided:
            _measure(plan, document, progress, run_command)
        if gpus:
            after, new = counters.look(run_command, several), gpu_health.xids(_new(log, gpu_health.kernel_log()))
            for gpu in gpus:
                gpu["after"] = after.get(gpu["uuid"], {})
                gpu["new_xids"] = new.get(gpu_health.bus_address(gpu["pci_bus_id"]), []) if gpu["pci_bus_id"] else []
    for gpu in gpus:
        lines += verdict.measured(gpu, plan.on_cpus)
        lines += verdict.counted(gpu, document["measured"]) if gpu["after"] else []
    lines += verdict.between(document) + verdict.host(document["machine"])
    return {**document, "finished_at": _now(), "verdicts": lines, "verdict": verdict.worst(lines)}


_HARDWARE = ("profile", "driver_version", "cuda_version", "cpu_model", "cpu_count", "memory_mib", "os", "kernel")


def _cpu(index: int) -> dict[str, Any]:
    """Return what stands for a GPU where there is none."""
    nothing = {"pci_bus_id": None, "memory_mib": None, "power_limit_w": None, "clock_max_sm_mhz": None}
    return {"index": index, "uuid": f"cpu-{index}", "name": "CPU", **nothing, **gpu_health.unknown()}


def _gpu(gpu: Mapping[str, Any], before: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    kept = ("index", "uuid", "name", "memory_mib", "pci_bus_id", "power_limit_w", "clock_max_sm_mhz")
    return {
        **{key: gpu[key] for key in kept},
        "numa_node": counters.numa_node(gpu["pci_bus_id"]),
        "figures": {},
        "error": None,
        "samples": {},
        "throttled": {},
        "sampled_s": 0.0,
        "new_xids": [],
        "before": dict(before.get(gpu["uuid"], {})),
        "during": {},
        "after": {},
    }


def _measure(plan: Plan, document: dict[str, Any], progress: Progress, run_command: RunCommand) -> None:
    """Run the program, sample meanwhile, and put what came of it into the document."""
    gpus = document["gpus"]
    if plan.runtimes is None:
        return
    chosen = plan.runtimes(progress.say, progress.require_asked)
    sizes = CPU_SIZES if plan.on_cpus else GPU_SIZES
    devices = ["cpu"] * len(gpus) if plan.on_cpus else [f"cuda:{number}" for number in range(len(gpus))]
    limit = _BASE_LIMIT + plan.seconds
    options = {"folder": "", "devices": devices, "seconds": plan.seconds, "limit": limit, "sizes": sizes}
    with alone(plan.folder) as folder:
        runtime.write_program(folder)
        (folder / "alive").touch()
        samples = _Samples(run_command)
        try:
            chosen.start(folder, {**options, "folder": str(folder)})
            code = _follow(chosen, folder, document, progress, samples, run_command, limit + 60)
        finally:
            chosen.stop()
            samples.stop()
        lines = _figures(folder)
    document |= {"measured": True, "runtime": dict(chosen.described)}
    failed: dict[str, Any] | None = None
    for found in lines:
        gpu = gpus[found["device"]]
        gpu["figures"] |= found.get("figures", {})
        if "error" in found and failed is None:
            # Others fail after it, as they wait for it.
            failed = found
            gpu["error"] = {"stage": found["stage"], "error": found["error"]}
    document["runtime"] |= {key: gpus[0]["figures"].get(key) for key in ("torch", "cuda")}
    for gpu in gpus:
        samples.put(gpu)
        for key in ("torch", "cuda"):
            gpu["figures"].pop(key, None)
    document["machine"]["cpu_mhz"] = samples.cpu()
    complete = all("load_tflop_s" in gpu["figures"] for gpu in gpus)
    if failed is None and not complete:
        why = f"was not done in {limit} s" if code == LATE else f"ended early (exit code {code})"
        stages = ", ".join(f"GPU {gpus[number]['index']}: {stage}" for number, stage in _stages(lines).items())
        raise FleetError(
            f"the measuring program {why}, in the stages {stages or 'none'}. It said: {chosen.said() or 'nothing'}"
        )
    if failed and _of_torch(failed["error"]):
        # No GPU's fault.
        raise FleetError(f"the measuring program could not start on {_where(chosen)}: {failed['error']}")


def _where(chosen: runtime.Runtime) -> str:
    return str(chosen.described["image"] or chosen.described["python"])


def _of_torch(error: str) -> bool:
    return error.startswith(("ModuleNotFoundError", "ImportError")) or "not compiled with CUDA" in error


def _follow(
    chosen: runtime.Runtime,
    folder: Path,
    document: dict[str, Any],
    progress: Progress,
    samples: _Samples,
    run_command: RunCommand,
    limit: float,
) -> int:
    """Return the program's exit code when it has ended. It is told meanwhile that it is still wanted."""
    deadline, told, looked = time.monotonic() + limit, 0, False
    gpus = document["gpus"]
    while True:
        progress.require_asked()
        os.utime(folder / "alive")
        code = chosen.poll()
        lines = _figures(folder)
        stages = _stages(lines)
        begun = [each["stage"] for each in lines if each["device"] == 0 and "stage" in each]
        for stage in begun[told:]:
            progress.say(f"{stage} for {document['seconds']} s" if stage == "load" else stage)
        told = len(begun)
        under_load = bool(stages) and all(each == "load" for each in stages.values())
        samples.keep = under_load
        if under_load and not looked and samples.seconds() >= document["seconds"] / 2:
            looked = True
            during = counters.look(run_command, len(gpus) > 1)
            for gpu in gpus:
                gpu["during"] = during.get(gpu["uuid"], {})
        if code is not None:
            return code
        if time.monotonic() > deadline:
            return LATE
        time.sleep(_LOOK)


def _figures(folder: Path) -> list[dict[str, Any]]:
    """Return the lines that the program has written so far."""
    found = []
    with suppress(OSError):
        for text in (folder / "figures").read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                found.append(json.loads(text))
    return found


def _stages(lines: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """Return the stage in which each device is."""
    return {each["device"]: each["stage"] for each in lines if "stage" in each}


class _Samples:
    """nvidia-smi's figures and the CPUs' clocks, while keep is set."""

    def __init__(self, run_command: RunCommand) -> None:
        self.keep, self._kept, self._clocks = False, [], []
        self._begun: float | None = None
        self._process: subprocess.Popen[str] | None = gpu_samples.start(run_command, _INTERVAL)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._gpus, self._cpus)]
        for thread in self._threads:
            thread.start()

    def seconds(self) -> float:
        """Return for how long the load has lasted."""
        if self._begun is None:
            self._begun = time.monotonic()
        return time.monotonic() - self._begun

    def _gpus(self) -> None:
        for line in (self._process.stdout if self._process else None) or ():
            sample = gpu_samples.parse(line)
            if sample and self.keep:
                self._kept.append(sample)

    def _cpus(self) -> None:
        while not self._over.wait(_INTERVAL):
            if self.keep:
                with suppress(OSError):
                    self._clocks += machine.cpu_mhz(Path("/proc/cpuinfo").read_text(encoding="utf-8"))

    def stop(self) -> None:
        self._over.set()
        if self._process:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(5)

    def put(self, gpu: dict[str, Any]) -> None:
        """Put what was sampled of a GPU into it."""
        own = [each for each in self._kept if each.uuid == gpu["uuid"]]
        for name in gpu_samples.FIGURES.values():
            values = [each.figures[name] for each in own if name in each.figures]
            if values:
                gpu["samples"][name] = {"min": min(values), "mean": sum(values) / len(values), "max": max(values)}
        reasons = {reason for each in own for reason in each.throttled}
        gpu["throttled"] = {
            reason: round(sum(reason in each.throttled for each in own) / len(own), 3) for reason in sorted(reasons)
        }
        gpu["sampled_s"] = len(own) * _INTERVAL

    def cpu(self) -> dict[str, float] | None:
        return {"min": min(self._clocks), "max": max(self._clocks)} if self._clocks else None


def _new(before: str, after: str) -> str:
    """Return what a kernel's log has since an earlier look; the oldest lines may be gone."""
    known = before.splitlines()
    last = known[-1] if known else None
    lines = after.splitlines()
    if last in lines:
        return "\n".join(lines[len(lines) - 1 - lines[::-1].index(last) + 1 :])
    return after if not known else "\n".join(line for line in lines if line not in set(known))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
