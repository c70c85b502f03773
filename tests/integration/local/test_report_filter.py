# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page narrowed to what a reader chose, in a real browser."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.evaluations import kept as evaluations
from ansible_collections.inference.fleet.plugins.module_utils.reports import html, overview, tables
from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED
from ansible_collections.inference.fleet.tests.integration.local import browser
from ansible_collections.inference.fleet.tests.integration.local.test_report_browser import (
    KEY,
    SEEN,
    overflow,
    plotted,
    rented,
)
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.evaluations.made import made

# What a reader sees of each part that can be chosen.
SEEN_OF = """[...document.querySelectorAll("[data-of]")].filter((part) => part.getClientRects().length)
  .map((part) => part.textContent)"""
CHOOSE = """((name, value) => {
  const labels = [...document.querySelectorAll("#filter label")];
  const input = labels.find((found) => found.firstChild.data === name).lastChild;
  input.value = value;
  input.dispatchEvent(new Event("input"));
})"""


@pytest.mark.skipif(browser.executable() is None, reason="no Chromium: apt-get install chromium brings one")
def test_the_whole_page_is_narrowed_and_the_address_keeps_to_what(tmp_path):
    documents = sorted([*plotted(), *rented()], key=lambda document: document["started_at"])
    told = tuple(evaluations.told([made(host="kept"), made(host="sglang")]))
    report = dataclasses.replace(overview.report(documents, PUBLISHED), evaluations=told)
    file = tmp_path / "index.html"
    file.write_text(html.page(report, tables.text(report)), encoding="utf-8")
    with browser.started(tmp_path / "profile") as chromium:
        chromium.open(file.as_uri(), 1440)
        chromium.evaluate("page.data.then(() => null)")
        everything = len(chromium.evaluate(SEEN_OF))
        assert "lost" in " ".join(chromium.evaluate(SEEN_OF))

        chromium.evaluate(f"{CHOOSE}('Host', 'kept')")
        assert chromium.evaluate("location.hash") == "#?host=kept"
        parts = chromium.evaluate(SEEN_OF)
        assert 0 < len(parts) < everything
        assert not any("swept" in part or "SIMULATED" in part for part in parts)
        # What stays of the one that lost a tenth is in rows of both hosts.
        assert (
            chromium.evaluate("document.querySelector('#fleet .said').innerText")
            == "Of what is chosen, 1 of 1 host well"
        )
        assert "Nothing of what is chosen." in chromium.evaluate("document.getElementById('changed').innerText")
        assert chromium.evaluate("document.getElementById('sweeps').getClientRects().length") == 0
        # A plot that is drawn has this host alone, and of a shorter time fewer runs.
        chromium.evaluate(f"({SEEN})('[data-history]')")
        told = chromium.evaluate(f"{KEY}('[data-history]', 'ArrowRight')")
        assert told.startswith("kept, 2026-11-01"), told
        chromium.evaluate(f"{CHOOSE}('From, UTC', '2026-11-18')")
        told = chromium.evaluate(f"{KEY}('[data-history]', 'ArrowRight')")
        assert told.startswith("kept, 2026-11-18"), told
        address = chromium.evaluate("location.href")
        parts = chromium.evaluate(SEEN_OF)

        # A link within the page keeps it, and whoever follows the address sees the same.
        chromium.evaluate("document.querySelector('nav a[href=\"#runs\"]').click()")
        assert chromium.evaluate("location.hash") == "#runs?host=kept&from=2026-11-18"
        chromium.open("about:blank", 390)
        chromium.open(address, 390)
        chromium.evaluate("page.data.then(() => null)")
        assert len(chromium.evaluate(SEEN_OF)) == len(parts)
        assert overflow(chromium) == []

        # An engine and what is simulated: the offers too.
        chromium.evaluate("document.querySelector('#filter button').click()")
        assert len(chromium.evaluate(SEEN_OF)) == everything
        chromium.evaluate(f"{CHOOSE}('Engine', 'sglang')")
        said = chromium.evaluate("document.querySelector('#limits .said').innerText")
        assert said.startswith("Of what is chosen, the cheapest: SGLang"), said
        assert chromium.evaluate("document.querySelectorAll('#offers tbody tr:not([hidden])').length") == 1
        chromium.evaluate(f"{CHOOSE}('Engine', '')")
        chromium.evaluate(f"{CHOOSE}('Kind', 'simulated')")
        assert "nothing measured" in chromium.evaluate("document.querySelector('#limits .said').innerText")
        assert chromium.complaints() == []


@pytest.mark.skipif(browser.executable() is None, reason="no Chromium: apt-get install chromium brings one")
def test_a_page_of_evaluations_alone(tmp_path):
    told = tuple(evaluations.told([made(host="one"), made(2, 3, host="other")]))
    report = dataclasses.replace(overview.report([], PUBLISHED), evaluations=told)
    file = tmp_path / "index.html"
    file.write_text(html.page(report, tables.text(report)), encoding="utf-8")
    with browser.started(tmp_path / "profile") as chromium:
        chromium.open(file.as_uri(), 390)
        chromium.evaluate("page.data.then(() => null)")
        assert "2 of 2 hosts well" in chromium.evaluate("document.getElementById('fleet').innerText")
        chromium.evaluate(f"{CHOOSE}('Host', 'other')")
        assert [text[:7] for text in chromium.evaluate(SEEN_OF)] == ["40.0 % "]
        places = "[...document.querySelectorAll('nav a')].filter((link) => !link.hidden).map(({ hash }) => hash)"
        assert chromium.evaluate(places) == ["#published", "#evaluations"]
        assert overflow(chromium) == []
        assert chromium.complaints() == []
