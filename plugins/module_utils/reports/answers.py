# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first screen of the page: its answers in words and one picture, and what its table is changed with."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.reports import fleet, picture, rent
from ansible_collections.inference.fleet.plugins.module_utils.reports.overview import Report
from ansible_collections.inference.fleet.plugins.module_utils.results import words


def first_sentence(text: str) -> str:
    """Return a text's first sentence, for a first look; all of it stands further down.

    >>> first_sentence("vLLM: 2.5 ms to 3.1 ms. With it: driver.")
    'vLLM: 2.5 ms to 3.1 ms.'
    """
    return re.split(r"(?<=[.!?])\s", words.clean(text), maxsplit=1)[0]


def screen(report: Report, run_anchor: Callable[[str], str]) -> dict[str, Any]:
    """Return the first screen as the template shows it."""
    news, rows = fleet.news(report), rent.table(report.every)
    drawn, states = _drawn(rows), fleet.health(report, news)
    scores = [rent.scores(row, report.evaluations) for row in rows]
    label = "Output tokens a second per GPU against those for each user. The table beside it has the figures."
    return {
        "news": news,
        "of": lambda item: _of(report, item),
        "chosen": report.facets.data((host, state.simulated) for state in states for host, _items in state.unwell),
        "health": states,
        "rows": rows,
        "scores": scores,
        "scored": any(scores),
        "choices": rent.choices(rows),
        "columns": rent.COLUMNS,
        "questions": len({row.question for row in rows}),
        "pictured": drawn[0].question if drawn else (),
        "data": _rent_data(rows, scores, run_anchor),
        "picture": picture.curves(
            [rent.curve(row) for row in drawn], label, [report.facets.of_runs(row.runs) for row in drawn]
        )
        if drawn
        else None,
    }


def _of(report: Report, item: fleet.News) -> Any:
    """Return the attributes of what was found: its host's, and the time since which it is so."""
    return report.facets.of_host(item.host, item.simulated, item.since)


def _rent_data(
    rows: Sequence[rent.Configuration], scores: Sequence[Sequence[rent.Score]], run_anchor: Callable[[str], str]
) -> dict[str, Any]:
    """Return what the table of what to rent is changed with: each row's loads as they are shown, and their order."""
    offers = [offer for row in rows for offer in row.offers if not offer.why_not]
    limits = []
    for key, column in zip(("tpot", "ttft"), rent.LIMITED, strict=True):
        found = {offer.figures[column.key] for offer in offers}
        # Rounded upwards, so that a limit is kept by the load that it is made of.
        steps = sorted({_step(figure) for figure in found if figure is not None})
        limits.append({"key": key, "name": column.title, "steps": steps})
    return {
        "limits": limits,
        "questions": list(dict.fromkeys(words.clean(", ".join(row.question)) for row in rows)),
        "rows": [
            {
                "question": words.clean(", ".join(row.question)),
                "offers": [_rent_offer(row, offer, run_anchor) for offer in row.offers],
                # What rows are sorted by.
                "score": found[0].value if found else None,
            }
            for row, found in zip(rows, scores, strict=True)
        ],
    }


def _rent_offer(row: rent.Configuration, offer: rent.Offer, run_anchor: Callable[[str], str]) -> dict[str, Any]:
    figures = [offer.figures[column.key] for column in rent.COLUMNS]
    why_not = first_sentence(offer.why_not)
    return {
        "order": offer.order,
        "unfit": bool(offer.why_not),
        "limited": [offer.figures[column.key] for column in rent.LIMITED],
        "run": "#" + run_anchor(offer.any["run_id"]),
        "said": words.clean(rent.sentence(row, offer)),
        "cells": [words.clean(offer.load), *map(words.number, figures), why_not or "yes"],
        "values": [offer.any["workload"].get("max_concurrency"), *figures, why_not or "yes"],
    }


def _step(figure: float) -> float:
    """Return a figure rounded upwards to two digits.

    >>> _step(14.21), _step(4310.8)
    (15, 4400)
    """
    size = 10 ** (math.floor(math.log10(figure)) - 1) if figure > 0 else 1
    step = math.ceil(figure / size - 1e-9) * size
    return round(step) if size >= 1 else round(step, 6)


def _drawn(rows: Sequence[rent.Configuration]) -> list[rent.Configuration]:
    """Return the rows that the first screen's picture shows: those of the question that most of the measured ask."""
    known = [row for row in rows if rent.curve(row).points]
    if not known:
        return []
    asked = Counter((row.simulated, row.question) for row in known)
    simulated, question = min(asked, key=lambda key: (key[0], -asked[key], key))
    return [row for row in known if row.question == question and row.simulated is simulated][: picture.MOST]
