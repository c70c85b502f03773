# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a benchmark client is asked to do, and to whom."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError


@dataclass(frozen=True)
class Workload:
    """Requests of one shape. The defaults are the workload of the published figures.

    Lengths are tokens a request; C(request_rate) is requests a second, None for as fast as
    C(max_concurrency) allows. With a C(random_range_ratio) r above 0, lengths differ from request to
    request, from 1 - r to 1 + r times the length asked for. The same seed gives the same prompts, for
    one client and tokenizer.
    """

    input_length: int = 8192
    output_length: int = 1024
    num_prompts: int = 512
    max_concurrency: int = 32
    request_rate: float | None = None
    seed: int = 0
    random_range_ratio: float = 0.0

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
        ratio = self.random_range_ratio
        if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 <= ratio < 1:
            raise FleetError(
                "workload: random_range_ratio must be a number from 0, all requests of one length, to below 1; "
                f"it is {ratio!r}"
            )

    @property
    def longest(self) -> int:
        """Tokens of the longest request, prompt and answer together."""
        return sum(
            math.ceil(length * (1 + self.random_range_ratio)) for length in (self.input_length, self.output_length)
        )

    def tolerance(self) -> float:
        """Return how far a sum over all requests may be from what was asked, as a fraction, for the lengths' sake.

        Four standard deviations of the mean of as many lengths, which are drawn evenly from their range.
        """
        return 4 * self.random_range_ratio / math.sqrt(3 * self.num_prompts)

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


def seed_of(run_id: str) -> int:
    """Return a run's own seed: each run has prompts of its own, and none that an engine's prefix cache may hold.

    >>> seed_of("20261126T010203Z-h1-abcdef") == seed_of("20261126T010203Z-h1-abcdef") < 2**30
    True
    """
    # Clients take seeds below 2**32; those of repeats and warm-ups are counted up from this one.
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:4], "big") % 2**30


@dataclass(frozen=True)
class Endpoint:
    """Where requests go.

    C(tokenizer) is a hub name or a directory, as the client sees it; C(model) is the hub name or directory that was
    deployed, C(served_model_name) what requests call it. C(others) are the URLs of more engines that serve the same,
    among which requests are spread.
    """

    url: str
    model: str
    served_model_name: str
    tokenizer: str
    has_api_key: bool = False
    others: tuple[str, ...] = ()

    @property
    def each(self) -> list[Endpoint]:
        """Each of the engines as an endpoint of its own."""
        return [replace(self, url=url, others=()) for url in (self.url, *self.others)]


def _require_integer(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise FleetError(f"workload: {name} must be a whole number, {least} or more; it is {value!r}")
