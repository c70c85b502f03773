# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as Markdown and as CSV, and the change points that every form shows."""

from __future__ import annotations

import copy
import csv
import doctest
import io
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.history import regressions
from ansible_collections.inference.fleet.plugins.module_utils.history.acknowledged import Acknowledgement
from ansible_collections.inference.fleet.plugins.module_utils.reports import (
    changes,
    details,
    markdown,
    overview,
    spreadsheet,
    tables,
)
from ansible_collections.inference.fleet.plugins.module_utils.results import load, series
from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import subject
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

START = datetime(2026, 11, 1, tzinfo=timezone.utc)
X = "\N{MULTIPLICATION SIGN}"
EVIL = "=1+1|<img src=x>`[a](b)` @all *b*\n# c"


def report(*documents, **options):
    return overview.report(documents, PUBLISHED, **options)


def moved(*levels, each=10, **options):
    """Return the runs of one host whose output throughput has each of *levels* for as many days."""
    found = []
    for place in range(each * len(levels)):
        level = levels[place // each] * (1 + (place * 7 % 5 - 2) / 1000)
        run = factory.document(started=START + timedelta(days=place), factors=(level, level * 1.002), **options)
        run["engine"]["version"] = f"0.{place // each}.0"
        found.append(run)
    return found


def test_markdown_to_the_letter():
    document = factory.costs(factory.document(factors=(1.0, 1.02)), 16.36, 2200.0)
    lines = markdown.page(report(document)).splitlines()
    assert lines[:3] == [
        "# Inference fleet report",
        "",
        "1 run on 1 host, 2026-11-23. Tables show the latest run of every host, engine, profile and workload.",
    ]
    assert "## Latest of each engine and profile" in lines
    assert lines[lines.index("**vLLM**") + 2 :][:5] == [
        "| Hardware | Output, tok/s | Total, tok/s | TTFT mean, ms | TTFT mean p99, ms | TPOT mean, ms | "
        "TPOT mean p99, ms | ITL mean, ms | ITL mean p99, ms |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        f"| 2{X} B200, published, looks cold | 1,721 | 15,492 | 4,601 | 65,289 | 14 | 14 | 14 | 109 |",
        f"| 4{X} H100, published | 2,180 | 19,617 | 933 | 4,268 | 14 | 15 | 14 | 117 |",
        f"| gpu1 | 2,165 (0.99{X}) | 19,483 (0.99{X}) | 942 (1.01{X}) | 4,269 (1.00{X}) | 14.1 (1.01{X}) "
        f"| 15.2 (1.02{X}) | 14.1 (1.00{X}) | 118 (1.01{X}) |",
    ]
    assert lines[lines.index("## Cost and energy") + 4] == (
        f"| vLLM on 4{X} H100, 8,192 in, 1,024 out, 512 prompts, 32 at once "
        "| 16.36 | 2.10 | 0.233 | 2,200 | 0.282 | 0.0314 |"
    )


def test_markdown_marks_what_is_simulated_wherever_its_figures_stand():
    text = markdown.page(report(factory.sweep(factory.document(host="rehearsal", simulated=True), factory.SWEEP)))
    assert "> **SIMULATED**: Every run is simulated." in text
    for line in text.splitlines():
        assert "rehearsal" not in line or "**SIMULATED**" in line, line


def test_markdown_shows_hostile_text_as_it_is():
    document = factory.document(host=EVIL, model=EVIL)
    text = markdown.page(report(document, damaged=[load.Damaged(EVIL, EVIL)]))
    assert "<img" not in text
    assert "@all" not in text
    assert "\n# c" not in text
    shown = r"=1+1\|&lt;img src=x&gt;\`\[a\](b)\` &#64;all \*b\* \# c"
    assert f"| {shown} | 2,144" in text
    assert f"- {shown}: {shown}" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in tables} == {10}


def test_markdown_that_would_be_too_long_says_what_it_left_out(monkeypatch):
    found = report(*(factory.document(host=f"h{place}", factors=(1 + place / 50,)) for place in range(9)))
    whole = markdown.page(found)
    assert "## Hosts ranked" in whole
    monkeypatch.setattr(markdown, "LONGEST", len(whole) - 2)
    assert markdown.page(found) == (
        whole[: whole.index("\n\n## Hosts ranked")]
        + "\n\nToo long for a comment, and only in the page: Hosts ranked.\n"
    )


def rows(*documents):
    return list(csv.DictReader(io.StringIO(spreadsheet.text(documents))))


def test_csv_has_a_row_a_run_and_point_with_every_figure_in_full():
    plain = factory.document(factors=(1.0, 1.02))
    swept = factory.sweep(factory.costs(factory.document(host="gpu2"), 16.36, 2200.0), factory.SWEEP)
    found = rows(plain, swept)

    assert [(row["host"], row["point"], row["max_concurrency"]) for row in found] == [
        ("gpu1", "1", "32"),
        ("gpu2", "1", "8"),
        ("gpu2", "2", "32"),
        ("gpu2", "3", "64"),
        ("gpu2", "4", "128"),
    ]
    first = found[0]
    for key, summary in plain["metrics"].items():
        assert float(first[f"{key} ({summary['unit']})"]) == summary["mean"]
        assert float(first[f"{key} stdev ({summary['unit']})"]) == summary["stdev"]
    assert (first["simulated"], first["warm"], first["repeats"], first["price (US$/h)"]) == ("false", "true", "2", "")
    assert first["image_digest"] == "sha256:" + "ab12" * 16
    assert found[4]["output_throughput (tok/s)"] == "3900.0"
    assert found[4]["tokens_per_second_per_user (tok/s)"] == str(1000 / 30.0)
    assert (found[1]["gpu_power (W)"], found[1]["price (US$/h)"]) == ("2200.0", "16.36")
    energy, joules = "energy_per_million_output_tokens (kWh)", "energy_per_output_token (J)"
    assert float(found[1][energy]) == pytest.approx(float(found[1][joules]) / 3.6)


def test_the_table_of_what_to_rent_is_a_csv_with_each_load():
    swept = factory.swept(factory.costs(factory.document(host="gpu2"), 16.36, 2200.0), factory.SWEEP)
    rehearsed = factory.document(host="-cmd", simulated=True)
    found = list(csv.DictReader(io.StringIO(spreadsheet.offers(overview.report([swept, rehearsed], PUBLISHED)))))
    assert [row["max_concurrency"] for row in found] == ["8", "32", "64", "128", "32"]
    assert [row["why_not"] for row in found] == [*[""] * 4, "the run is simulated"]
    assert float(found[3]["output_per_gpu (tok/s)"]) == 975
    assert {row["runs"] for row in found[:4]} == {swept["run_id"]}


def test_csv_tells_series_apart_and_which_figures_are_not_what_their_names_say():
    plain = factory.document()
    chunked = factory.document(label="night", slo={"ttft_ms": 500.0}, streaming={"itl_is_per_token": False})
    swept = factory.sweep(factory.document(), factory.SWEEP)
    first, second, *points = rows(plain, chunked, swept)
    assert (first["slot"], first["label"], first["limits"], first["itl_is_per_token"]) == ("8000", "", "", "")
    assert (second["label"], second["limits"], second["itl_is_per_token"]) == ("night", "ttft 500 ms", "false")
    assert first["subject"] == subject(plain).id
    assert second["subject"] != first["subject"]
    assert len({row["subject"] for row in points}) == len(points)


def test_csv_says_which_runs_are_simulated_and_what_they_imitate():
    (row,) = rows(factory.document(simulated=True))
    assert (row["simulated"], row["engine"], row["profile"]) == ("true", "vllm", "h100x4")


def test_csv_has_no_formula_and_no_line_that_a_document_broke():
    text = spreadsheet.text([factory.document(host=EVIL, model="-cmd")])
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["host"], row["model"]) == ("'" + EVIL.replace("\n", " "), "'-cmd")
    assert text.count("\n") == 2


def test_csv_takes_metrics_that_are_new_to_it():
    document = factory.document()
    document["metrics"]["later"] = dict(document["metrics"]["mean_ttft_ms"], unit="h", mean=1.5)
    assert rows(document)[0]["later (h)"] == "1.5"


def test_a_step_down_is_one_event_with_all_its_figures():
    (event,) = report(*moved(1.0, 0.9)).events
    assert (event.first.metric, event.first.verdict, event.first.started_at) == (
        "output_throughput",
        "worse",
        "2026-11-11T00:00:00Z",
    )
    assert event.first.fraction == pytest.approx(-0.1, abs=0.005)
    assert event.together == "engine version 0.0.0 to 0.1.0"
    assert event.others.startswith("TTFT mean +11")
    assert "got worse" in markdown.page(report(*moved(1.0, 0.9)))


def test_a_step_up_is_told_after_those_down():
    found = report(*moved(1.0, 1.08), *moved(1.0, 0.9, model="another")).events
    assert [(event.first.verdict, event.first.size[0]) for event in found] == [
        ("worse", "\N{MINUS SIGN}"),
        ("better", "+"),
    ]


def test_an_acknowledged_change_is_told_as_such():
    known = Acknowledgement(host="gpu1", reason="power cap", since="2026-11-11")
    runs = moved(1.0, 0.9)
    found = report(*runs, found=regressions.find(runs, [known]))
    (event,) = found.events
    assert event.first.acknowledged
    assert "Acknowledged." in markdown.page(found)


def test_noise_and_a_few_runs_change_nothing():
    assert report(*moved(1.0, 1.0)).events == ()
    assert report(*moved(1.0, 0.8, each=2)).events == ()


@pytest.mark.parametrize("module", [markdown, spreadsheet, changes, series])
def test_examples_hold(module):
    assert doctest.testmod(module).failed == 0


def places(value, path=()):
    """Yield where everything in a document stands: of a list its first item."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, item in inner:
        if key != "raw":
            yield from places(item, (*path, key))


def test_a_document_is_damaged_or_can_be_shown():
    # Wherever something else stands than there should, the document is left out, or every form can do with it.
    whole = factory.sweep(factory.costs(factory.document(factors=(1.0, 1.01)), 16.36, 2200.0), {8: (900.0, 8.0)})
    shown = left_out = 0
    for place, path in enumerate(places(whole)):
        document = copy.deepcopy(whole)
        inner = document
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = (None, "x", 5, [5], {"a": 5}, True)[place % 6]
        try:
            load.check(document)
        except ValueError:
            left_out += 1
            continue
        found = report(document)
        for make in (tables.text, markdown.page, lambda found: details.told(found.documents)):
            assert make(found), path
        assert spreadsheet.text(found.documents), path
        shown += 1
    assert (shown > 50, left_out > 50) == (True, True), (shown, left_out)
