# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's three answers as JSON for machines; docs/report.md says what each key is."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.evaluations.kept import Told
from ansible_collections.inference.fleet.plugins.module_utils.reports import fleet, rent
from ansible_collections.inference.fleet.plugins.module_utils.reports.overview import Report

SCHEMA_VERSION = 1


def text(report: Report) -> str:
    """Return the answers as JSON. The same documents give the same text."""
    news = fleet.news(report)
    rows = rent.table(report.every)
    found = {
        "schema_version": SCHEMA_VERSION,
        "runs": len(report.documents),
        "fleet": [
            {
                "simulated": health.simulated,
                "hosts": health.hosts,
                "well": health.hosts - len(health.unwell),
                "unwell": [host for host, _items in health.unwell],
            }
            for health in fleet.health(report, news)
        ],
        "changed": [asdict(item) for item in news],
        "rent": [
            _row(row) | {"scores": [score.text for score in rent.scores(row, report.evaluations)]} for row in rows
        ],
        "evaluations": [_evaluation(told) for told in report.evaluations],
        "cheapest": [_named(choice.row, choice.row.best) for choice in rent.choices(rows)],
    }
    return json.dumps(found, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _evaluation(told: Told) -> dict[str, Any]:
    document = told.document
    return {
        "host": document["host"],
        "model": document["model"].get("id"),
        "benchmark": document["benchmark"]["name"],
        "simulated": document["simulated"],
        "run": document["run_id"],
        "score": document["score"]["value"],
        "low": document["score"]["low"],
        "high": document["score"]["high"],
        "worse": told.worse is not None,
    }


def _row(row: rent.Configuration) -> dict[str, Any]:
    return {
        "model": row.question[0],
        "requests": row.question[1],
        "configuration": row.system,
        "version": row.version,
        "precision": row.precision,
        "simulated": row.simulated,
        "offers": [
            {
                "max_concurrency": offer.any["workload"].get("max_concurrency"),
                "request_rate": offer.any["workload"].get("request_rate"),
                "hosts": offer.hosts,
                "runs": [run["run_id"] for run in offer.runs],
                "why_not": offer.why_not or None,
                **offer.figures,
            }
            for offer in row.offers
        ],
    }


def _named(row: rent.Configuration, offer: rent.Offer) -> dict[str, Any]:
    return {
        "model": row.question[0],
        "requests": row.question[1],
        "configuration": row.system,
        "version": row.version,
        "max_concurrency": offer.any["workload"].get("max_concurrency"),
        "sentence": rent.sentence(row, offer),
    }
