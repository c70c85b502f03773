# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the GPUs, the engine and the client's own CPU do while a client runs, sampled on the host of the client. GPUs of
another host: :mod:`.recorded`.

Figures are of the time in which requests were in flight: a client's start-up, when GPUs are idle, is left out.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import load, over_time
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.load import Load
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint
from ansible_collections.inference.fleet.plugins.module_utils.host import command, gpu_counters, gpu_samples

INTERVAL = 1.0
# Energy is told where this share of the samples that there should be is there.
COVERED = 0.8
NO_GPUS = "the GPUs were not sampled: nvidia-smi does not have them on the host of the client"


@dataclass
class Samples:
    """Everything seen during a run. Times are those of time.monotonic()."""

    gpus: list[tuple[float, gpu_samples.Sample]] = field(default_factory=list)
    # The energy of the engine's GPUs since their driver was loaded, by UUID, in joules.
    energy: list[tuple[float, str, float]] = field(default_factory=list)
    # Seconds that clocks were held down meanwhile, by UUID and reason.
    throttled: dict[str, dict[str, float]] = field(default_factory=dict)
    # The host's other GPUs.
    neighbours: list[tuple[float, gpu_samples.Sample]] = field(default_factory=list)
    engine: list[tuple[float, Load]] = field(default_factory=list)
    # All CPUs of the client together, and its busiest thread, in CPUs; the share of the host's CPUs that is busy.
    client: list[tuple[float, float, float]] = field(default_factory=list)
    host: list[tuple[float, float]] = field(default_factory=list)
    # What the time is when time.monotonic() is 0, in seconds since the epoch.
    epoch: float = 0.0

    def accept_lengths(self) -> tuple[float, ...]:
        """Return the tokens of a step of speculative decoding, as the engine told now and then while it had work."""
        looks = (look for _moment, look in self.engine if look.requests)
        return tuple(look.accept_length for look in looks if look.accept_length is not None)


class Sampler:
    """Samples in threads of its own, from entering to leaving.

    *gpus* has the UUIDs of the engine's; where its host is another, this one does not have them. *pid* gives the
    client's first process.
    """

    def __init__(
        self, endpoint: Endpoint, api_key: str | None, gpus: Sequence[str], pid: Callable[[], int | None]
    ) -> None:
        self.samples = Samples(epoch=time.time() - time.monotonic())
        self._endpoint, self._api_key, self._gpus, self._pid = endpoint, api_key, gpus, pid
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Sampler:
        self._smi = self._nvml = None
        if self._gpus:
            self._smi, self._nvml = gpu_samples.start(command.run, INTERVAL), gpu_counters.energy(INTERVAL)
            self._throttled = gpu_counters.throttled(command.run)
        for work in (self._read_gpus, self._read_energy, self._ask_engine, self._watch_cpus):
            self._threads.append(threading.Thread(target=work, daemon=True))
            self._threads[-1].start()
        return self

    def __exit__(self, *_unused: object) -> None:
        self._over.set()
        if self._gpus:
            after = gpu_counters.throttled(command.run)
            self.samples.throttled = gpu_counters.between(self._throttled, after)
        programs = [program for program in (self._smi, self._nvml) if program]
        for program in programs:
            program.kill()
        for thread in self._threads:
            thread.join(timeout=10)
        for program in programs:
            program.wait()
            if program.stdout:
                program.stdout.close()

    def _read_gpus(self) -> None:
        for line in (self._smi.stdout if self._smi else None) or ():
            sample = gpu_samples.parse(line)
            if sample:
                kept = self.samples.gpus if sample.uuid in self._gpus else self.samples.neighbours
                kept.append((time.monotonic(), sample))

    def _read_energy(self) -> None:
        for line in (self._nvml.stdout if self._nvml else None) or ():
            found = gpu_counters.parse_energy(line)
            if found and found[0] in self._gpus:
                self.samples.energy.append((time.monotonic(), *found))

    def _ask_engine(self) -> None:
        silent = 0
        # One that does not tell is not asked for ever.
        while silent < 3:
            found = load.look(self._endpoint, self._api_key)
            silent = 0 if found else silent + 1
            if found:
                self.samples.engine.append((time.monotonic(), found))
            if self._over.wait(INTERVAL):
                return

    def _watch_cpus(self) -> None:
        before, idle_before, moment_before = thread_ticks(self._pid()), host_ticks(), time.monotonic()
        while not self._over.wait(INTERVAL):
            now, idle_now, moment = thread_ticks(self._pid()), host_ticks(), time.monotonic()
            seconds = (moment - moment_before) * os.sysconf("SC_CLK_TCK")
            used = [(ticks - before.get(thread, 0)) / seconds for thread, ticks in now.items()]
            if used:
                self.samples.client.append((moment, sum(used), max(used)))
            total = idle_now[1] - idle_before[1]
            if total > 0:
                self.samples.host.append((moment, 1 - (idle_now[0] - idle_before[0]) / total))
            before, idle_before, moment_before = now, idle_now, moment


def thread_ticks(pid: int | None, proc: Path = Path("/proc")) -> dict[str, int]:
    """Return the CPU time of every thread of a process and of its descendants, in clock ticks, by thread id."""
    if pid is None:
        return {}
    children: dict[str, list[str]] = {}
    for entry in proc.iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                children.setdefault(_stat(entry)[1], []).append(entry.name)
    family, found = [str(pid)], {}
    for member in family:
        family += children.get(member, ())
        with suppress(OSError):
            for thread in (proc / member / "task").iterdir():
                with suppress(OSError, IndexError):
                    values = _stat(thread)
                    found[thread.name] = int(values[11]) + int(values[12])
    return found


def _stat(directory: Path) -> list[str]:
    """Return the fields of a stat file from the state on; the name before it may hold anything."""
    return (directory / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def host_ticks(proc: Path = Path("/proc")) -> tuple[int, int]:
    """Return the idle and the total CPU time of the host, in clock ticks."""
    values = [int(value) for value in (proc / "stat").read_text(encoding="utf-8").splitlines()[0].split()[1:9]]
    return values[3] + values[4], sum(values)


def summarise(samples: Samples, duration: float, gpus: Sequence[str] = ()) -> dict[str, Any]:
    """Return a run's telemetry for the result document; *duration* is the client's, in seconds.

    *gpus* has the UUIDs of the engine's. What was not sampled is None.
    """
    begin, end = _window(samples, duration)

    def within(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return [row[1:] for row in rows if begin <= row[0] <= end]

    engine = [row[0] for row in within(samples.engine)]
    client, host = within(samples.client), within(samples.host)
    return {
        "interval_s": INTERVAL,
        # By the clock of this host, for what other hosts write down meanwhile.
        "window": [round(samples.epoch + moment, 3) for moment in (begin, end)] if begin < end else None,
        **of_gpus(samples, begin, end, duration, gpus),
        "engine": {
            "requests": _stats(look.requests for look in engine),
            "running": _stats(look.running for look in engine),
            "waiting": _stats(look.waiting for look in engine),
            "kv_cache_usage": _stats(look.kv_cache_usage for look in engine if look.kv_cache_usage is not None),
        }
        if engine
        else None,
        "client": {"cpus": _stats(row[0] for row in client), "busiest_thread": _stats(row[1] for row in client)}
        if client
        else None,
        "host": {"cpus": os.cpu_count(), "busy": _stats(row[0] for row in host)} if host else None,
        "over_time": over_time.series(samples.gpus, samples.engine, begin, end, INTERVAL),
    }


def of_gpus(samples: Samples, begin: float, end: float, duration: float, gpus: Sequence[str] = ()) -> dict[str, Any]:
    """Return what a result document says of GPUs from *begin* to *end*, in the time of the samples."""
    sampled = [sample for moment, sample in samples.gpus if begin <= moment <= end]
    neighbours = [sample for moment, sample in samples.neighbours if begin <= moment <= end]
    return {
        "gpus": [
            _gpu(uuid, of_one, duration, samples.throttled.get(uuid), _watts(samples.energy, uuid, begin, end))
            for uuid, of_one in _by_uuid(sampled).items()
        ]
        if samples.gpus
        else None,
        "missing_gpus": sorted(set(gpus) - {sample.uuid for sample in sampled}),
        "neighbours": _neighbours(neighbours) if samples.gpus else None,
    }


def _window(samples: Samples, duration: float) -> tuple[float, float]:
    """Return when requests were in flight: the last *duration* seconds in which the engine, or the GPUs, had work.

    Where neither was seen at work nothing is within: the client's start and end would count as the run.
    """
    busy = [moment for moment, look in samples.engine if look.requests]
    busy = busy or [moment for moment, gpu in samples.gpus if gpu.figures.get("utilization_percent")]
    if not busy:
        return float("inf"), float("-inf")
    return max(busy) - duration, max(busy)


def _by_uuid(samples: Sequence[gpu_samples.Sample]) -> dict[str, list[gpu_samples.Sample]]:
    by_uuid: dict[str, list[gpu_samples.Sample]] = {}
    for sample in samples:
        by_uuid.setdefault(sample.uuid, []).append(sample)
    return by_uuid


def _neighbours(samples: Sequence[gpu_samples.Sample]) -> list[dict[str, Any]]:
    return [
        {
            "index": of_one[0].index,
            "uuid": uuid,
            "utilization_percent": _stats(
                sample.figures["utilization_percent"] for sample in of_one if "utilization_percent" in sample.figures
            ),
        }
        for uuid, of_one in _by_uuid(samples).items()
    ]


def _watts(energy: Sequence[tuple[float, str, float]], uuid: str, begin: float, end: float) -> float | None:
    """Return a GPU's mean power by its own counter of energy; None where it has none, or told too rarely."""
    told = [(moment, joules) for moment, of, joules in energy if of == uuid and begin <= moment <= end]
    if len(told) < 2 or told[-1][0] - told[0][0] < COVERED * (end - begin) or told[-1][1] < told[0][1]:
        return None
    return (told[-1][1] - told[0][1]) / (told[-1][0] - told[0][0])


def _gpu(
    uuid: str,
    samples: Sequence[gpu_samples.Sample],
    duration: float,
    throttled: Mapping[str, float] | None,
    watts: float | None,
) -> dict[str, Any]:
    figures = {
        name: _stats(sample.figures[name] for sample in samples if name in sample.figures)
        for name in gpu_samples.FIGURES.values()
    }
    reasons = sorted({reason for sample in samples for reason in sample.throttled})
    power = [sample.figures["power_w"] for sample in samples if "power_w" in sample.figures]
    source = "counter" if watts is not None else None
    if watts is None and power and len(power) >= COVERED * duration / INTERVAL:
        watts, source = sum(power) / len(power), "power"
    return {
        "index": samples[0].index,
        "uuid": uuid,
        "samples": len(samples),
        **figures,
        "throttled": {
            reason: round(sum(reason in sample.throttled for sample in samples) / len(samples), 3) for reason in reasons
        },
        "throttled_s": dict(throttled) if throttled else None,
        # The mean power over the requests' time, so that the ends of the window do not matter.
        "energy_j": round(watts * duration, 1) if watts is not None else None,
        "energy_source": source,
    }


def _stats(values: Iterable[float]) -> dict[str, float] | None:
    listed = list(values)
    if not listed:
        return None
    return {
        "mean": round(sum(listed) / len(listed), 3),
        "min": round(min(listed), 3),
        "max": round(max(listed), 3),
    }


def engine_gpus(engine: Mapping[str, Any] | None, hardware: Mapping[str, Any] | None) -> list[str]:
    """Return the UUIDs of the GPUs that an engine was given, as engine_info and host_info tell."""
    named = (engine or {}).get("gpus") or ()
    found = (hardware or {}).get("gpus") or ()
    return [gpu["uuid"] for gpu in found if "all" in named or str(gpu.get("index")) in named or gpu["uuid"] in named]
