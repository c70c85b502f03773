# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a latency is spread over its requests: counts in fixed logarithmic buckets, small enough for every document.

Bucket C(i) holds values from C(10 ** (i / PER_DECADE)) up to C(10 ** ((i + 1) / PER_DECADE)) ms. As all documents have
the same buckets, histograms add up and compare.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

# A bucket's upper end is 12 % above its lower one.
PER_DECADE = 20
# Smaller values, and 0, are in the bucket of this one, in ms.
SMALLEST = 0.001


def histogram(values: Iterable[float]) -> dict[str, Any] | None:
    """Return ``{"per_decade", "first", "counts"}`` of values in ms; None where there are none.

    *first* is the number of the first bucket, *counts* what each bucket from there on holds.

    >>> histogram([1.0, 1.05, 1.3])
    {'per_decade': 20, 'first': 0, 'counts': [2, 0, 1]}
    """
    found: dict[int, int] = {}
    for value in values:
        bucket = math.floor(PER_DECADE * math.log10(max(value, SMALLEST)) + 1e-9)
        found[bucket] = found.get(bucket, 0) + 1
    if not found:
        return None
    first, last = min(found), max(found)
    return {
        "per_decade": PER_DECADE,
        "first": first,
        "counts": [found.get(bucket, 0) for bucket in range(first, last + 1)],
    }


def bounds(kept: Mapping[str, Any]) -> list[tuple[float, float, int]]:
    """Return the lower end, the upper end, both in ms, and the count of each bucket of a histogram."""
    per_decade, first = kept["per_decade"], kept["first"]
    return [
        (10 ** ((first + index) / per_decade), 10 ** ((first + index + 1) / per_decade), count)
        for index, count in enumerate(kept["counts"])
    ]
