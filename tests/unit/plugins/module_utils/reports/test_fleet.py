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
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import browser, factory

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

    attention = section(page, "attention")
    assert f"{CHANGED} , vLLM on 4\N{MULTIPLICATION SIGN} H100: Output throughput got worse" in attention
    assert "With it: driver 570.124.06 to 580.65.06." in attention
    # One event for all its figures, and nobody else is accused.
    assert "Also TTFT mean +1" in attention
    assert attention.count("got worse") == 1
    assert re.findall(r"(gpu\d+), \S+ on \S+ \S+: output throughput", attention) == [SLOW]

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
    assert rows == {html.anchor(document) for document in report.documents}
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


def overflow(chromium):
    """Return what stands beyond the window's right edge and cannot be scrolled to inside something else."""
    return chromium.evaluate(
        """(() => {
          const width = document.documentElement.clientWidth;
          const inside = (element) => {
            for (let box = element.parentElement; box; box = box.parentElement)
              if (["auto", "scroll"].includes(getComputedStyle(box).overflowX)) return true;
            return false;
          };
          const found = [...document.body.querySelectorAll("*")]
            .filter((element) => element.getBoundingClientRect().right > width + 1 && !inside(element))
            .map((element) => element.outerHTML.slice(0, 120));
          const wide = document.documentElement.scrollWidth;
          if (wide > width) found.push(`the page is ${wide} wide`);
          return found.slice(0, 5);
        })()"""
    )


@pytest.mark.skipif(browser.executable() is None, reason="no Chromium: apt-get install chromium brings one")
def test_a_browser_shows_it_without_a_word_or_a_request(page, tmp_path):
    file = tmp_path / "index.html"
    file.write_text(page, encoding="utf-8")
    url = file.as_uri()
    with browser.started(tmp_path / "profile") as chromium:
        for width in (390, 1280):
            for dark in (False, True):
                chromium.open(url, width, dark=dark)
                assert overflow(chromium) == []
                paper = chromium.evaluate("getComputedStyle(document.body).backgroundColor")
                assert (paper == "rgb(16, 19, 23)") == dark, paper

            # A link to a run opens it, with all that it was measured on.
            run = re.findall(rf'<tr id="(run-[^"]+-{SLOW}-[^"]+)">', page)[0]
            assert chromium.evaluate(
                f"new Promise((done) => {{ location.hash = '{run}';"
                " addEventListener('hashchange', () => setTimeout(done, 50), {once: true}); })"
            ) is None  # fmt: skip
            shown = chromium.evaluate(f"document.getElementById('{run}').nextElementSibling.innerText")
            for wanted in ("-l gpu07", "sha256:ab12ab12", "4\N{MULTIPLICATION SIGN} NVIDIA H100", "Highest", "Repeats"):
                assert wanted in shown
            assert overflow(chromium) == []
            assert chromium.complaints() == []
            assert chromium.requests() == [url]

        # Words in the filter leave the runs that have them all.
        left = chromium.evaluate(
            """(() => {
              const input = document.querySelector("input[type=search]");
              input.value = "sglang gpu20";
              input.dispatchEvent(new Event("input"));
              return [...document.querySelectorAll("details.series")].filter((item) => item.offsetParent).length;
            })()"""
        )
        assert left == 1
        # On paper: dark ink whatever the screen has, and no thousand rows that nobody opened.
        chromium.ask("Emulation.setEmulatedMedia", media="print", features=[])
        assert chromium.evaluate("getComputedStyle(document.body).color") == "rgb(22, 25, 29)"
        assert chromium.evaluate("document.querySelector('nav').offsetParent") is None
        printed = chromium.pdf()
        assert printed.startswith(b"%PDF")
        assert 3 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 40
        assert chromium.complaints() == []

        # Without scripts every table is there, and it is said what is not.
        chromium.ask("Emulation.setScriptExecutionDisabled", value=True)
        chromium.open(url, 390)
        assert overflow(chromium) == []
        assert chromium.evaluate("document.querySelectorAll('table.runs tr[id]').length") == 1001
        assert "scripts are off" in chromium.evaluate("document.getElementById('runs').innerText")
        assert chromium.evaluate("document.querySelector('input') === null")


@pytest.mark.skipif(browser.executable() is None, reason="no Chromium: apt-get install chromium brings one")
def test_a_hostile_document_runs_nothing_in_a_browser(tmp_path):
    evil = "<img src=x onerror=document.title='hacked'></script><script>document.title='hacked'</script>"
    document = factory.document(host=evil, model=evil)
    document["engine"].update(version=evil, argv=[evil], environment={evil: evil})
    document["quality"]["warnings"] = [evil]
    report = overview.report([document], PUBLISHED, [load.Damaged(evil, evil)])
    file = tmp_path / "index.html"
    file.write_text(html.page(report, tables.text(report)), encoding="utf-8")
    with browser.started(tmp_path / "profile") as chromium:
        chromium.open(file.as_uri(), 390)
        chromium.evaluate("document.querySelector('table.runs tr[id]').click()")
        assert evil in chromium.evaluate("document.querySelector('tr.shown').innerText")
        assert chromium.evaluate("document.title") == "Inference fleet report"
        assert chromium.evaluate("document.images.length") == 0
        assert overflow(chromium) == []
        assert chromium.complaints() == []
        assert chromium.requests() == [file.as_uri()]
