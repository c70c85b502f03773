# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a thousand runs, read as text and by a real browser."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.reports import html, markdown, overview, tables
from ansible_collections.inference.fleet.plugins.module_utils.results import load
from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

MOST = 2_000_000
# A name that a table could not hold in one line.
LONG = "gpu-" + "0123456789" * 9
CHANGED, SLOW = "gpu03", "gpu07"


@pytest.fixture(scope="module")
def report():
    documents = factory.fleet()
    simulated = factory.document(
        host=LONG, simulated=True, num_prompts=64, started=datetime(2026, 11, 25, 23, tzinfo=timezone.utc)
    )
    damaged = [load.Damaged("<b>half.json", "the file is empty")]
    return overview.report([*documents, simulated], PUBLISHED, damaged)


@pytest.fixture(scope="module")
def page(report):
    return html.page(report, tables.text(report))


def section(page, name):
    """Return a section's text as a reader sees it."""
    found = re.search(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL)
    assert found, name
    return " ".join(re.sub(r"<svg.*?</svg>|<[^>]*>", " ", found.group(1), flags=re.DOTALL).split())


def test_a_thousand_runs_are_one_small_page_that_tells_what_matters(page, report):
    assert len(report.documents) == 1001
    assert len(page.encode()) < MOST, f"{len(page.encode()):,} bytes"

    state = section(page, "fleet")
    assert "38 of 40 hosts well" in state
    assert re.findall(r"% (gpu\d+) ", state) == [CHANGED, SLOW]
    changed = section(page, "changed")
    assert f"{CHANGED} , since 2026-11-17 00:21 UTC. vLLM on 4\N{MULTIPLICATION SIGN} H100: Output" in changed
    assert "With it: driver 570.124.06 to 580.65.06." in changed
    # One event for all its figures, and nobody else is accused.
    assert "Also TTFT mean +1" in changed
    assert re.findall(r"% (gpu\d+) ", changed) == [SLOW, CHANGED]
    assert "the cheapest is vLLM on" in section(page, "rent")
    assert "SIMULATED" in section(page, "rent")

    published = section(page, "published")
    assert "20 hosts median of their latest runs" in published
    assert "SIMULATED" in published
    assert "no run of ours yet" in published
    assert "16.36 2.1" in section(page, "cost")
    # In flight, per GPU, per user, TTFT, cost, best: the third point is worse than the second in both.
    points = re.findall(r"\b(8|32|64|128) ([\d.]+) ([\d.]+) ([\d.,]+) ([\d.]+)( yes)?", section(page, "sweeps"))
    assert [(point[0], point[1], point[2], bool(point[5])) for point in points[:4]] == [
        ("8", "225", "125", True),
        ("32", "536", "70.4", True),
        ("64", "500", "50.0", False),
        ("128", "975", "33.3", True),
    ]
    assert "half.json" in page
    assert "<b>half.json" not in page


def test_every_run_can_be_opened_and_repeated(page, report):
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1))
    assert {run[0] for run in data["runs"]} == {document["run_id"] for document in report.documents}
    rows = set(re.findall(r'<tr id="(run-[^"]+)">', page))
    # The later points of a sweep have rows of their own, which open their run.
    assert {row.partition("--point-")[0] for row in rows} == {html.anchor(document) for document in report.documents}
    commands = [data["pool"][run[7][0]][1].replace("\1", run[1]) for run in data["runs"]]
    assert all(
        command.startswith("ansible-playbook inference.fleet.deploy inference.fleet.benchmark") for command in commands
    )
    assert f"-l {CHANGED} " in commands[3]
    # Nothing in vLLM's runs is beyond what the command brings back.
    vllm = {document["run_id"] for document in report.documents if document["engine"]["name"] == "vllm"}
    assert not [run[0] for run in data["runs"] if run[0] in vllm and data["pool"][run[7][0]][2]]


def test_the_markdown_of_a_thousand_runs_fits_a_comment(report):
    text = markdown.page(report)
    assert len(text) < markdown.LONGEST < 65536
    assert CHANGED in text
    assert "Too long" not in text
