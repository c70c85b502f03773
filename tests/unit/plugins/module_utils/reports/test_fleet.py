# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a thousand runs, read as text and by a real browser."""

from __future__ import annotations

import re
from datetime import datetime, timezone

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.reports import columns, html, markdown, overview, tables
from ansible_collections.inference.fleet.plugins.module_utils.results import load
from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

# A third of what a page may have: data is packed.
MOST = 700_000
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
    found = re.search(rf'<section id="{name}"[^>]*>(.*?)</section>', page, re.DOTALL)
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
    data = columns.unpacked(re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1))
    told = data["details"]
    assert {run[0] for run in told["runs"]} == {document["run_id"] for document in report.documents}
    # The later points of a sweep have rows of their own, which open their run.
    rows = {f"run-{anchor}" for anchor in data["runs"]["anchor"]}
    assert {row.partition("--point-")[0] for row in rows} == {html.anchor(document) for document in report.documents}
    assert {len(column) for column in data["runs"]["values"]} == {len(data["runs"]["anchor"])}
    # The newest of each series, and those that something links to, are there without a script.
    there = set(re.findall(r'<tr id="(run-[^"]+)">', page))
    assert there < rows
    assert set(re.findall(r'href="#(run-[^"]+)"', page)) <= there
    commands = [told["pool"][run[7][0]][1].replace("\1", run[1]) for run in told["runs"]]
    assert all(
        command.startswith("ansible-playbook inference.fleet.deploy inference.fleet.benchmark") for command in commands
    )
    assert f"-l {CHANGED} " in commands[3]
    # Nothing in vLLM's runs is beyond what the command brings back.
    vllm = {document["run_id"] for document in report.documents if document["engine"]["name"] == "vllm"}
    assert not [run[0] for run in told["runs"] if run[0] in vllm and told["pool"][run[7][0]][2]]


def test_of_many_runs_the_page_tells_whole_what_matters(report):
    every = {document["run_id"] for document in report.documents}
    assert columns.detailed(report) == every
    kept = columns.detailed(report, 200)
    assert len(kept) == 200
    # Nothing that a finding rests on goes, nor the last two of a host; then the newest come first.
    assert columns.named(report) <= kept
    assert any(CHANGED in run and run.startswith("20261117") for run in kept)
    assert {run["run_id"] for item in report.series for run in item.runs[-2:]} <= kept
    days = sorted(run[:8] for run in every - kept)
    assert days[-1] <= "20261123"


def test_marks_and_bands_are_those_of_the_history(report):
    data = columns.data(report, html.anchor, html.host_anchor)
    hosts = [item["host"] for item in data["series"]]
    marks = [mark for mark in data["marks"] if mark[1] == 0]
    assert [(hosts[mark[0]], mark[3]) for mark in marks] == [(CHANGED, "worse")]
    assert "driver 570.124.06 to 580.65.06" in marks[0][4]
    # The band of the one that changed is about its new level, a tenth below the others'.
    low, high = data["series"][hosts.index(CHANGED)]["bands"]["0"]
    assert low < 1930 < high < 2100
    low, high = data["series"][hosts.index("gpu05")]["bands"]["0"]
    assert 2050 < low < 2144 < high < 2240


def test_the_markdown_of_a_thousand_runs_fits_a_comment(report):
    text = markdown.page(report)
    assert len(text) < markdown.LONGEST < 65536
    assert CHANGED in text
    assert "Too long" not in text
