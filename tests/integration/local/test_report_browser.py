# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a thousand runs in a real browser."""

from __future__ import annotations

import csv
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.reports import html, overview, tables
from ansible_collections.inference.fleet.plugins.module_utils.results import load
from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED
from ansible_collections.inference.fleet.tests.integration.local import browser
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import test_fleet as unit
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports.test_fleet import SLOW

page, report = unit.page, unit.report
AXE = Path(__file__).resolve().parents[3] / ".build/npm/axe-core/node_modules/axe-core/axe.min.js"


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
def test_a_browser_shows_it_without_a_word_or_a_request(page, report, tmp_path):
    file = tmp_path / "index.html"
    file.write_text(page, encoding="utf-8")
    url = file.as_uri()
    with browser.started(tmp_path / "profile") as chromium:
        for width in (390, 768, 1440):
            for dark in (False, True):
                chromium.open(url, width, dark=dark)
                assert overflow(chromium) == []
                paper = chromium.evaluate("getComputedStyle(document.body).backgroundColor")
                assert (paper == "rgb(16, 19, 23)") == dark, paper

            # A link to a run opens it, with all that it was measured on.
            run = next(html.anchor(document) for document in report.documents if document["host"] == SLOW)
            assert f'id="{run}"' not in page
            chromium.evaluate("page.data.then(() => null)")
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
        ids = chromium.evaluate("[...document.querySelectorAll('table.runs tr[id]')].map((row) => row.id)")
        assert len(ids) == len(set(ids))
        assert {html.anchor(item.latest) for item in report.series} <= set(ids)
        assert chromium.evaluate("document.querySelectorAll('#fleet li, #changed li').length") == 4
        assert chromium.evaluate("document.querySelector('#rent svg').getBoundingClientRect().height") > 100
        assert "scripts are off" in chromium.evaluate("document.getElementById('runs').innerText")
        assert chromium.evaluate("document.querySelector('input') === null")


def rented():
    """Two configurations with sweeps, the cheaper of which is slow, and a third that is simulated and beats both."""
    return [
        factory.swept(
            factory.costs(factory.document(engine=engine, host=engine, simulated=simulated), price, 2200.0), points
        )
        for engine, price, simulated, points in (
            ("vllm", 12.0, False, {8: (900.0, 8.0), 32: (2143.7, 14.2), 128: (3900.0, 30.0)}),
            ("sglang", 20.0, False, {8: (1000.0, 7.0), 32: (2300.0, 11.5)}),
            ("vllm", 1.0, True, {32: (9000.0, 5.0)}),
        )
    ]


OVER_TIME = {
    "part_s": 6.0,
    "power_w": [900.0, 2600.0, None, 2710.0],
    "clock_sm_mhz": [1980.0, 1965.0, 1950.0, 1410.0],
    "temperature_c": [51.0, 63.0, 70.0, 84.0],
    "running": [12.0, 32.0, 32.0, 9.0],
    "waiting": [20.0, 0.0, 0.0, 0.0],
    "kv_cache_usage": [0.1, 0.42, 0.44, 0.12],
}


def plotted():
    """A host that lost a tenth, another that did not, and a run whose requests are told apart."""
    start = datetime(2026, 11, 1, tzinfo=timezone.utc)
    found = [
        factory.document(
            host=host,
            started=start + timedelta(days=day),
            factors=(0.9, 0.9015) if host == "lost" and day >= 14 else (1.0, 1.0015),
        )
        for host in ("kept", "lost")
        for day in range(20)
    ]
    found[5]["quality"]["warnings"] = ["benchmark 1/2: GPU 0 was throttled: hw_slowdown for 60 s of 90 s"]
    found[-1]["histograms"] = {"ttft_ms": {"per_decade": 20, "first": 50, "counts": [1, 400, 100, 11]}}
    found[-1]["repeats"][0]["telemetry"] = {"over_time": OVER_TIME}
    found.append(factory.swept(factory.document(host="swept", simulated=True), factory.SWEEP))
    return sorted(found, key=lambda document: document["started_at"])


KEY = """((selector, ...keys) => {
  const place = document.querySelector(selector + " .canvas");
  for (const key of keys) place.dispatchEvent(new KeyboardEvent("keydown", {key}));
  return document.querySelector(selector + " .tip").textContent;
})"""
SEEN = """(selector, wanted = "canvas") => new Promise((done) => {
  document.querySelector(selector).scrollIntoView();
  const look = () => document.querySelector(`${selector} ${wanted}`) ? done(null) : setTimeout(look, 20);
  look();
})"""


@pytest.mark.skipif(browser.executable() is None, reason="no Chromium: apt-get install chromium brings one")
def test_plots_tell_their_points_to_the_keyboard_too(tmp_path):
    report = overview.report(plotted(), PUBLISHED)
    file = tmp_path / "index.html"
    file.write_text(html.page(report, tables.text(report)), encoding="utf-8")
    url = file.as_uri()
    with browser.started(tmp_path / "profile") as chromium:
        chromium.open(url, 768)
        history = '[data-history="0"]'
        chromium.evaluate(f"({SEEN})('{history}')")
        told = chromium.evaluate(f"{KEY}('{history}', 'ArrowDown', ...Array(14).fill('ArrowRight'))")
        assert told.startswith("lost, 2026-11-15 00:00 UTC: Output 1,931 tok/s, version 0.32.0. Since then:"), told
        told = chromium.evaluate(f"{KEY}('{history}', 'ArrowUp', ...Array(9).fill('ArrowLeft'))")
        assert told.startswith("kept, 2026-11-06 00:00 UTC: Output"), told
        assert told.endswith("the run was disturbed: GPU 0 was throttled: hw_slowdown for 60 s of 90 s"), told
        # One host alone is drawn with its noise, and the address keeps which.
        chromium.evaluate(
            f"""(() => {{
              const select = document.querySelectorAll('{history} select')[1];
              select.value = [...select.options].findIndex((option) => option.text === "kept");
              select.dispatchEvent(new Event("input"));
            }})()"""
        )
        assert "The band is where chance" in chromium.evaluate(f"document.querySelector('{history}').innerText")
        assert chromium.evaluate("new URLSearchParams(location.hash.slice(2)).has('h0')")

        chromium.evaluate(f"({SEEN})('[data-sweep]')")
        told = chromium.evaluate(f"{KEY}('[data-sweep]', 'ArrowRight')")
        assert told.startswith("SIMULATED vLLM on 4\u00d7 H100, swept, 128 in flight: 33.3 tok/s"), told
        assert told.endswith("on the Pareto front"), told

        run = html.anchor(next(run for run in report.documents if run.get("histograms")))
        chromium.evaluate(f"location.hash = '{run}'")
        chromium.evaluate(f"({SEEN})('#{run} + tr figure')")
        told = chromium.evaluate(f"{KEY}('#{run} + tr figure', 'ArrowRight', 'ArrowRight')")
        assert told == "400 of 512: TTFT 355 to 398 ms"
        clock = f"#{run} + tr .plots:last-of-type figure:nth-child(2)"
        chromium.evaluate(f"({SEEN})('{clock}')")
        told = chromium.evaluate(f"{KEY}('{clock}', ...Array(4).fill('ArrowRight'))")
        assert told == "18 to 24 s: clock 1,410 MHz"
        assert overflow(chromium) == []
        assert chromium.complaints() == []
        assert chromium.requests() == [url]


# Sets a slider, as a hand does, and returns what is said then.
SLIDE = """((place, value) => {
  const input = document.querySelectorAll("#limits input")[place];
  input.value = value === null ? input.max : value;
  input.dispatchEvent(new Event("input"));
  return document.querySelector("#limits .said").textContent;
})"""
SHOWN = """[...document.querySelectorAll("#offers tbody tr")].filter((row) => row.offsetParent)
  .map((row) => [...row.cells].map((cell) => cell.innerText.split("\\n")[0].trim()))"""


@pytest.mark.skipif(browser.executable() is None, reason="no Chromium: apt-get install chromium brings one")
def test_the_sliders_find_what_to_rent_and_the_address_keeps_it(tmp_path):
    report = overview.report(rented(), PUBLISHED)
    file = tmp_path / "index.html"
    file.write_text(html.page(report, tables.text(report)), encoding="utf-8")
    url = file.as_uri()
    with browser.started(tmp_path / "profile") as chromium:
        chromium.open(url, 1440)
        first = chromium.evaluate(SHOWN)
        assert [row[1] for row in first] == ["128", "32", "32"]
        assert "SIMULATED" in first[2][0]
        assert "the cheapest is vLLM" in " ".join(
            chromium.evaluate("document.getElementById('rent').innerText").split()
        )

        # 128 at once is too slow for 15 ms; 32 is not. Below 14 ms only the dear one is left that gets that far.
        assert chromium.evaluate("document.querySelectorAll('#limits input')[0].max") == "5"
        said = chromium.evaluate(f"{SLIDE}(0, 3)")
        assert said.startswith("The cheapest that keeps TPOT \u2264 15 ms: vLLM on"), said
        assert ", 32 at once:" in said
        said = chromium.evaluate(f"{SLIDE}(0, 2)")
        assert said.startswith("The cheapest that keeps TPOT \u2264 12 ms: SGLang on"), said
        assert [row[1] for row in chromium.evaluate(SHOWN)] == ["32", "8", "32"]
        assert chromium.evaluate("location.hash") == "#?tpot=12"

        # A head sorts, and again the other way; what is simulated stays marked and is never the answer.
        for wanted in ("1", "-1"):
            chromium.evaluate("document.querySelectorAll('#offers thead button')[1].click()")
            assert chromium.evaluate("new URLSearchParams(location.hash.slice(2)).get('sort')") == wanted
            loads = [int(row[1]) for row in chromium.evaluate(SHOWN)]
            assert loads == sorted(loads, reverse=wanted == "-1")
        assert "SIMULATED" not in chromium.evaluate("document.querySelector('#offers tr.chosen').innerText")

        # It is copied as it is shown.
        told = """(kind) => new Promise((done) => {
          const value = {writeText: async (text) => done(text)};
          Object.defineProperty(navigator, "clipboard", {configurable: true, value});
          [...document.querySelectorAll("#rent .actions button")].find((one) => one.textContent.endsWith(kind)).click();
        })"""
        lines = chromium.evaluate(f"({told})('Markdown')").splitlines()
        assert lines[0].startswith("**The cheapest that keeps TPOT")
        assert [line.split(" | ")[1] for line in lines[4:]] == [row[1] for row in chromium.evaluate(SHOWN)]
        assert sum("SIMULATED" in line for line in lines) == 1
        table = list(csv.reader(chromium.evaluate(f"({told})('CSV')").splitlines()))
        assert [row[4] for row in table[1:]] == ["4311"] * 3

        # Of both sweeps the points that no other one beats, without the simulation that beats them all.
        chromium.evaluate(f"({SEEN})('[data-sweep]')")
        assert chromium.evaluate("document.querySelector('[data-sweep] .legend').innerText").endswith("front of all")
        told = [chromium.evaluate(f"{KEY}('[data-sweep]', 'ArrowUp')")]
        told += [chromium.evaluate(f"{KEY}('[data-sweep]', 'ArrowRight')") for _point in range(2)]
        points = [text.removeprefix("On the Pareto front of all: ").split(" ")[0] + text.split(",")[2] for text in told]
        assert points == ["vLLM 128 in flight", "SGLang 32 in flight", "SGLang 8 in flight"]

        # Whoever follows the link sees the same.
        chosen, address = chromium.evaluate(SHOWN), chromium.evaluate("location.href")
        chromium.open("about:blank", 390)
        chromium.open(address, 390)
        assert chromium.evaluate(SHOWN) == chosen
        assert overflow(chromium) == []
        said = chromium.evaluate(f"{SLIDE}(0, 0)")
        assert said.startswith("The cheapest that keeps TPOT \u2264 7 ms: SGLang on"), said
        assert "8 at once" in said
        assert chromium.complaints() == []
        assert chromium.requests() == [url]


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
        chromium.evaluate("page.data.then(() => document.querySelector('table.runs tr[id]').click())")
        assert evil in chromium.evaluate("document.querySelector('tr.shown').innerText")
        assert chromium.evaluate("document.title") == "Inference fleet report"
        assert chromium.evaluate("document.images.length") == 0
        assert overflow(chromium) == []
        assert chromium.complaints() == []
        assert chromium.requests() == [file.as_uri()]


@pytest.mark.skipif(browser.executable() is None, reason="no Chromium: apt-get install chromium brings one")
@pytest.mark.skipif(not AXE.exists(), reason="no axe-core: tests/rigs/axe/build brings it, where npm is reached")
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_nothing(tmp_path, width, dark):
    file = tmp_path / "index.html"
    report = overview.report(plotted(), PUBLISHED)
    file.write_text(html.page(report, tables.text(report)), encoding="utf-8")
    with browser.started(tmp_path / "profile") as chromium:
        chromium.open(file.as_uri(), width, dark=dark)
        run = html.anchor(next(run for run in report.documents if run.get("histograms")))
        chromium.evaluate(f"page.data.then(() => {{ location.hash = '{run}'; }})")
        chromium.evaluate("document.querySelector('#filter details').open = true")
        for plot in ("[data-history]", "[data-sweep]", f"#{run} + tr .plots:last-of-type"):
            chromium.evaluate(f"({SEEN})('{plot}')")
        chromium.evaluate(f"({SEEN})('#compare', '.said')")
        chromium.ask("Runtime.evaluate", expression=AXE.read_text(encoding="utf-8"))
        assert chromium.evaluate("axe.run().then((found) => found.violations.map(({ id, help }) => [id, help]))") == []
