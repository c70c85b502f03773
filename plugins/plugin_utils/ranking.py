# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of a benchmark beside each other: those of one profile, engine, model and workload. All pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.history import siblings
from ansible_collections.inference.fleet.plugins.module_utils.results.words import aligned


def ranking(documents: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the groups of hosts that may be compared, as plain data, hosts from the fastest to the slowest.

    *documents* are result documents; one whose raw output was left out will do.
    """
    return [
        {**dataclasses.asdict(group), "rows": [dataclasses.asdict(row) for row in group.rows]}
        for group in siblings.rank(documents)
    ]


def table(groups: Sequence[Mapping[str, Any]]) -> str:
    """Return the ranking as text: a table a group of two or more, the slow hosts named below it."""
    return "\n\n".join(_group(group) for group in groups if len(group["rows"]) > 1)


def _group(group: Mapping[str, Any]) -> str:
    workload = group["workload"]
    mark = "SIMULATED  " if group["simulated"] else ""
    head = (
        f"{mark}{group['profile']}, {group['engine']}, {group['model']}, {workload.get('input_length')} in, "
        f"{workload.get('output_length')} out, {workload.get('max_concurrency')} at once"
    )
    rows = [("RANK", "HOST", "OUTPUT TOK/S", "OF MEDIAN", "")]
    rows += [
        (
            str(row["rank"]),
            row["host"],
            f"{row['value']:.1f}",
            f"{row['ratio']:.1%}",
            "SLOWER" if row["slower"] else "",
        )
        for row in group["rows"]
    ]
    slow = [f"SLOWER {row['host']}: {row['sentence']}" for row in group["rows"] if row["slower"]]
    return "\n".join([head, *aligned(rows), *slow])
