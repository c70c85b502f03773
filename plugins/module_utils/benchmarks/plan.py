# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a benchmark is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.remarks import Remark
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint, Workload
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.extra_args import refuse_managed


@dataclass(frozen=True)
class Plan:
    """Everything that a benchmark is asked to do.

    C(sweep) has the workloads to run after C(workload). C(slo) has the limits, in ms, that a request must keep to count
    for goodput: C(ttft_ms), C(tpot_ms), C(e2el_ms). C(timeout) is seconds for each run of the client, C(wait_idle)
    seconds for others to leave the engine. C(max_variation) is the coefficient of variation, in per cent, above which
    repeats are flagged, C(max_prefix_cached) the share of the prompt tokens, in per cent, that may come from the
    engine's prefix cache. C(gpus) has the UUIDs of the engine's GPUs, C(remarks) what is known of every repeat
    beforehand. C(entry) is the Python module that the client is, where it has had several names. C(check_answers) says
    whether right answers can be wanted of the engine, C(min_right_answers) how many of them, in per cent.
    """

    client: ModuleType
    endpoint: Endpoint
    workload: Workload
    sweep: tuple[Workload, ...] = ()
    slo: Mapping[str, float] = field(default_factory=dict)
    gpus: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()
    entry: str | None = None
    repeats: int = 3
    warmup: bool = True
    timeout: float = 3600
    wait_idle: float = 0
    max_variation: float = 5
    max_prefix_cached: float = 5
    check_answers: bool = True
    min_right_answers: float = 75
    extra_args: tuple[str, ...] = ()
    api_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise FleetError(f"repeats must be 1 or more; it is {self.repeats}")
        if self.timeout <= 0:
            raise FleetError(f"timeout must be more than 0 s; it is {self.timeout:g}")
        for name, limit in self.slo.items():
            if limit <= 0:
                raise FleetError(f"slo: {name} must be more than 0 ms; it is {limit:g}")
        # Else the result would tell of another run than there was.
        refuse_managed(self.extra_args, self.client.MANAGED_FLAGS)

    def points(self) -> list[Workload]:
        """Return the workloads to run: the workload itself first, so that every result has it, and none twice.

        Each has seeds of its own: the prompts of a point before it may be in the engine's prefix cache.
        """
        shapes = dict.fromkeys((self.workload, *self.sweep))
        return [shape.with_seed(shape.seed + number * self.repeats) for number, shape in enumerate(shapes)]

    def argv(self, workload: Workload, directory: Path, executable: str) -> list[str]:
        """Return the client's command line for one run."""
        entry = {"entry": self.entry} if self.entry else {}
        return self.client.argv(workload, self.endpoint, str(directory), executable, self.extra_args, self.slo, **entry)
