# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a benchmark client is asked to do, and to whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError


@dataclass(frozen=True)
class Workload:
    """Requests of one shape. The defaults are the workload of the published figures.

    Lengths are tokens a request; C(request_rate) is requests a second, None for as fast as
    C(max_concurrency) allows. The same seed gives the same prompts, for one client and tokenizer.
    """

    input_length: int = 8192
    output_length: int = 1024
    num_prompts: int = 512
    max_concurrency: int = 32
    request_rate: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("input_length", "output_length", "num_prompts", "max_concurrency"):
            _require_integer(name, getattr(self, name), 1)
        _require_integer("seed", self.seed, 0)
        rate = self.request_rate
        if rate is not None and (
            isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < float("inf")
        ):
            raise FleetError(
                "workload: request_rate must be a number above 0, or left out to send as fast as max_concurrency "
                f"allows; it is {rate!r}"
            )

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Workload:
        """Make a workload of options; what is missing or None takes its default. FleetError for what cannot be."""
        return cls(**{field.name: options[field.name] for field in fields(cls) if options.get(field.name) is not None})

    def as_dict(self) -> dict[str, Any]:
        """Return the keys that a result document has."""
        return asdict(self)

    def with_seed(self, seed: int) -> Workload:
        """Return the same workload with other prompts."""
        return replace(self, seed=seed)

    def warmup(self) -> Workload:
        """Return the requests that warm an engine up for this workload.

        The same concurrency and the same input length, two waves, so that every shape of batch is
        met; prompts of its own, so that no measured prompt is in a prefix cache; few output tokens,
        because decoding gets warm at once.
        """
        return replace(
            self,
            num_prompts=2 * min(self.max_concurrency, self.num_prompts),
            output_length=min(self.output_length, 32),
            request_rate=None,
            seed=self.seed + WARMUP_SEED,
        )


# Far from the seeds of the repeats, which count up from the workload's.
WARMUP_SEED = 1_000_000


@dataclass(frozen=True)
class Endpoint:
    """Where requests go.

    C(tokenizer) is a hub name or a directory, as the client sees it; C(model) is the hub name or directory that was
    deployed, C(served_model_name) what requests call it.
    """

    url: str
    model: str
    served_model_name: str
    tokenizer: str
    has_api_key: bool = False


def _require_integer(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise FleetError(f"workload: {name} must be a whole number, {least} or more; it is {value!r}")
