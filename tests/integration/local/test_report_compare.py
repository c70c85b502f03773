# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs side by side in a real browser, with the verdicts that the collection's own rule gives."""

from __future__ import annotations

import itertools
import json
import random
import statistics
from collections import Counter
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.reports import html, overview, tables
from ansible_collections.inference.fleet.plugins.module_utils.results import comparison
from ansible_collections.inference.fleet.plugins.module_utils.results.metrics import COMPARED
from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import subject
from ansible_collections.inference.fleet.tests.integration.local import browser
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

WAITED = """(selector) => new Promise((done) => {
  const look = () => { const found = document.querySelector(selector); found ? done(found) : setTimeout(look, 20); };
  look();
})"""
SAID = f"({WAITED})('#compare .said').then((said) => said.textContent)"
START = datetime(2026, 11, 1, tzinfo=timezone.utc)
pytestmark = pytest.mark.skipif(browser.executable() is None, reason="no Chromium: apt-get install chromium brings one")


def measured():
    """Runs of six kinds of noise, with one repeat and several, and some of each reason for no verdict."""
    chance, found = random.Random(11), []
    kinds = itertools.product(("vllm", "sglang"), (1, 2, 5))
    for number, (engine, repeats) in enumerate(kinds):
        for day in range(9):
            level = chance.gauss(1, (0.003, 0.02, 0.08)[number % 3])
            found.append(
                factory.document(
                    host=f"gpu{number}",
                    engine=engine,
                    started=START + timedelta(days=day, minutes=number),
                    factors=tuple(level * chance.gauss(1, 0.004) for _repeat in range(repeats)),
                    published=None,
                )
            )
    odd = found[-9:]
    odd[3]["quality"]["failed"] = 2
    odd[4]["warm"] = False
    odd[5]["quality"]["warnings"] = ["benchmark 1/3: GPU 0 was throttled: hw_slowdown for 60 s of 90 s"]
    odd[6]["streaming"] = {"itl_is_per_token": False}
    odd[7]["workload"]["max_concurrency"] = 8
    found.append(factory.document(host="rehearsed", simulated=True, started=START, published=None))
    for document in found:
        # The page has five digits: these are all that there are, so that the rule must come to the same on both sides.
        for metric in document["metrics"].values():
            metric["values"] = [float(f"{value:.5g}") for value in metric["values"]]
            metric["mean"] = float(f"{statistics.fmean(metric['values']):.5g}")
    return sorted(found, key=lambda document: document["started_at"])


def opened(chromium, tmp_path, documents, fragment=""):
    report = overview.report(documents, PUBLISHED)
    file = tmp_path / "index.html"
    file.write_text(html.page(report, tables.text(report)), encoding="utf-8")
    chromium.open(file.as_uri() + fragment, 1440)
    chromium.evaluate("page.data.then(() => null)")
    return file.as_uri()


def place(document):
    return html.anchor(document).removeprefix("run-")


def by_the_rule(other, document, subjects):
    """Return the verdict on each figure that a report compares and its margin, as a benchmark has them."""
    own = [run for run, of in subjects if of == subject(document)]
    history = comparison.earlier(own[: own.index(document)])
    found = comparison.with_run(other, document, history)["metrics"]
    judged = not (other["simulated"] or document["simulated"])
    figures = [found[metric.key] for metric in COMPARED]
    return [(figure["verdict"] if judged else None, figure["margin_percent"]) for figure in figures]


def test_the_page_says_of_any_two_runs_what_the_rule_says(tmp_path):
    documents = measured()
    subjects = [(document, subject(document)) for document in documents]
    pairs = random.Random(5).sample(list(itertools.permutations(documents, 2)), 700)
    with browser.started(tmp_path / "profile") as chromium:
        opened(chromium, tmp_path, documents)
        asked = json.dumps([[place(other), place(document)] for other, document in pairs])
        said = chromium.evaluate(
            f"{asked}.flatMap(([a, b]) => compare.judge(a, b)[1].map(({{ found }}) => [found.verdict, found.margin]))"
        )
    wanted = [figure for other, document in pairs for figure in by_the_rule(other, document, subjects)]
    assert [verdict for verdict, _margin in said] == [verdict for verdict, _margin in wanted]
    # All of them are there to be told apart.
    assert min(Counter(verdict for verdict, _margin in wanted)[kind] for kind in ("better", "worse", "same", None)) > 30
    known = [(margin, theirs / 100) for (_mine, margin), (_verdict, theirs) in zip(said, wanted, strict=True) if theirs]
    assert len(known) > 4000
    assert [margin for margin, _theirs in known] == pytest.approx([theirs for _margin, theirs in known], rel=1e-9)


def test_two_runs_stand_side_by_side_and_the_address_keeps_them(tmp_path):
    documents = factory.fleet(4, 9)
    documents[-1]["engine"]["argv"] = [*documents[-1]["engine"]["argv"], "--enforce-eager"]
    vllm, other = documents[-4], documents[-1]
    with browser.started(tmp_path / "profile") as chromium:
        url = opened(chromium, tmp_path, documents)
        # An opened run offers the one before it.
        chromium.evaluate(f"location.hash = '{html.anchor(vllm)}'")
        chromium.evaluate(f"({WAITED})('tr.shown .actions button').then((button) => button.click())")
        assert chromium.evaluate(SAID) == "Nothing is beyond chance."
        assert chromium.evaluate("page.get('b')") == place(vllm)

        # Whoever follows the link sees the same two, and what differs.
        chromium.open("about:blank", 390)
        chromium.open(f"{url}#compare?a={place(vllm)}&b={place(other)}", 390)
        chromium.evaluate(SAID)
        said = chromium.evaluate("document.getElementById('compare').innerText")
        for wanted in ("--enforce-eager", "none of these", "Hardware profile", "h100x4", "b200x2"):
            assert wanted in said
        before = chromium.evaluate("document.querySelector('.compared').innerText")
        chromium.evaluate("document.querySelector('#compare > button').click()")
        assert chromium.evaluate("[page.get('a'), page.get('b')]") == [place(other), place(vllm)]
        assert chromium.evaluate("document.querySelector('.compared').innerText") != before
        assert chromium.complaints() == []
