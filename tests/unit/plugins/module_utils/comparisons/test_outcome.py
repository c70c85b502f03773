# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a comparison, from made-up documents."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.comparisons import outcome, tables
from ansible_collections.inference.fleet.plugins.module_utils.comparisons.progress import (
    MEASURE,
    START,
    Failure,
    Progress,
)
from ansible_collections.inference.fleet.plugins.module_utils.comparisons.variants import turns
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

AT = datetime(2026, 11, 26, 9, tzinfo=timezone.utc)
ID = "20261126T090000Z-abc123"


def document(variant: str, round_: int, factor: float = 1.0, host: str = "gpu1", **changes: Any) -> dict[str, Any]:
    """Return a document of a turn, its throughputs by *factor* of the usual."""
    started = AT + timedelta(minutes=20 * round_, seconds=len(variant))
    made = factory.document(host=host, started=started, factors=(factor,), **changes)
    made["run_id"] = f"{made['run_id']}{round_}{variant}"
    made["label"] = f"compare {variant}"
    made["comparison"] = {"id": ID, "fingerprint": "f", "variant": variant, "round": round_, "rounds": 2}
    return made


def progress(*variants: str, host: str = "gpu1", failures: tuple[Failure, ...] = ()) -> Progress:
    """Return a comparison that is over."""
    return Progress(
        ID, host, "8000", "f", variants, 2, turns(variants, 2), "2026-11-26T09:00:00Z", "2026-11-26T11:00:00Z", failures
    )


def rounds(factors: dict[str, float], **more: Any) -> list[dict[str, Any]]:
    """Return the documents of two rounds, the second a little faster."""
    return [
        document(name, each, factor * (1 + each / 1000), **more) for name, factor in factors.items() for each in (1, 2)
    ]


def one(comparisons: Iterable[Progress], documents: Iterable[dict[str, Any]]) -> outcome.Outcome:
    (found,) = outcome.outcomes(comparisons, documents)
    return found


def test_a_faster_variant_is_told_and_chosen():
    found = one([progress("plain", "fast")], rounds({"plain": 1.0, "fast": 1.12}))
    said = outcome.sentences(found)
    assert found.winner == "fast"
    assert said[0].startswith("fast beside plain: 12.0 % more output, beyond the noise of ")
    assert "For throughput choose fast" in said[1]
    assert said[2] == "For latency choose fast."
    assert "better (noise" in tables.text(found)


def test_variants_that_do_not_differ_are_no_choice():
    found = one([progress("a", "b")], rounds({"a": 1.0, "b": 1.01}))
    said = outcome.sentences(found)
    assert found.winner is None
    assert "output: no difference that these runs show (1.0 %, within the noise of" in said[0]
    assert said[1] == "For throughput: no choice between b and a that these runs show."
    assert said[2] == "For latency: no choice that these runs show."


def test_a_variant_that_failed_is_a_row_and_loses_nothing_of_the_others():
    failures = (
        Failure("big", 1, START, "big could not serve on this host.\nmemory: wanted room", "2026-11-26T09:10:00Z"),
    )
    found = one([progress("a", "big", "b", failures=failures)], rounds({"a": 1.0, "b": 1.2}))
    text = tables.text(found)
    assert "big could not serve on this host. memory: wanted room" in text
    assert found.winner == "b"
    assert [item.name for item in found.measured] == ["a", "b"]


def test_hosts_of_one_kind_are_one_verdict_with_their_spread():
    documents = [*rounds({"a": 1.0, "b": 1.1}), *rounds({"a": 0.5, "b": 0.56}, host="gpu2")]
    found = one([progress("a", "b"), progress("a", "b", host="gpu2")], documents)
    assert found.hosts == ("gpu1", "gpu2")
    assert "from +10.0 % to +12.0 % on 2 hosts" in outcome.sentences(found)[0]


def test_a_run_that_was_disturbed_is_in_no_verdict_and_is_told():
    documents = rounds({"a": 1.0, "b": 1.2})
    documents[0]["quality"]["warnings"] = ["benchmark 1/1: GPU 0 was throttled: 40 % of the run thermal"]
    found = one([progress("a", "b")], documents)
    assert found.variants[0].values["output_throughput"]["gpu1"] == [
        documents[1]["metrics"]["output_throughput"]["mean"]
    ]
    assert f"Left out of the verdicts: {documents[0]['run_id']}" in tables.text(found)


def test_a_simulation_is_not_better_than_a_gpu():
    found = one([progress("a", "b")], [*rounds({"a": 1.0}), *rounds({"b": 2.0}, simulated=True)])
    assert found.winner is None
    assert tables.title(found).startswith("SIMULATED ")


def test_runs_that_were_not_warmed_up_have_no_verdict():
    documents = rounds({"a": 1.0, "b": 1.2})
    for item in documents:
        item["warm"] = False
    found = one([progress("a", "b")], documents)
    assert found.pairs == {}
    assert "Not warmed up: no verdicts." in tables.text(found)


def test_the_pages_tables_have_ours_beside_them():
    documents = [*rounds({"vLLM": 1.0}), *rounds({"SGLang": 0.8}, engine="sglang")]
    text = tables.text(one([progress("vLLM", "SGLang")], documents))
    assert text.index("SGLang: the page, and here") < text.index("vLLM: the page, and here")
    assert "2\N{MULTIPLICATION SIGN} B200, published (looks cold)" in text
    assert "  vLLM, here" in text
    markdown = tables.markdown(one([progress("vLLM", "SGLang")], documents))
    assert "### vLLM: the page, and here" in markdown
    assert all(line.count("|") == markdown.splitlines()[4].count("|") for line in markdown.splitlines()[4:6])


def test_nothing_measured_is_said():
    failures = tuple(Failure(name, 1, START, "no", "2026-11-26T09:10:00Z") for name in ("a", "b"))
    found = one([progress("a", "b", failures=failures)], [])
    assert outcome.sentences(found) == ["Nothing was measured: every variant failed."]
    assert found.winner is None


def test_a_report_knows_comparisons_from_documents_alone():
    other = [{**item, "comparison": None} for item in rounds({"own": 1.0})]
    (found,) = outcome.of_documents([*rounds({"a": 1.0, "b": 1.2}), *other])
    assert (found.id, found.winner) == (ID, "b")


def test_what_is_due_after_a_cut():
    begun = replace(progress("a", "b", "c"), finished_at=None)
    done = [turn for turn in begun.order if turn.round == 1 and turn.variant == "a"]
    assert [f"{turn.variant}{turn.round}" for turn in begun.due(done)] == ["b1", "c1", "c2", "b2", "a2"]
    # An engine that did not start will not do so in the next round; a benchmark may.
    begun = begun.with_failure(Failure("b", 1, START, "no", "t")).with_failure(Failure("c", 1, MEASURE, "no", "t"))
    assert [f"{turn.variant}{turn.round}" for turn in begun.due(done)] == ["c2", "a2"]


def test_a_report_shows_a_comparison_on_its_page_and_as_markdown():
    from ansible_collections.inference.fleet.plugins.module_utils.reports import html, markdown, overview
    from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED

    found = overview.report(rounds({"a": 1.0, "<b>": 1.2}), PUBLISHED)
    page = html.page(found, "")
    assert '<section id="comparisons"' in page
    assert "For throughput choose &lt;b&gt;" in page
    assert "For throughput choose &lt;b&gt;" in markdown.page(found)
