# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a comparison takes, and what it refuses before it begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.comparisons import estimate, progress, variants
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

KNOWN = ("engine", "extra_args", "api_key", "port")
WORKLOAD = {"input_length": 8192, "output_length": 1024, "num_prompts": 512, "max_concurrency": 32}
WORK = estimate.Work((WORKLOAD,), 3, True)


def look(name: str, **changes: Any) -> dict[str, Any]:
    disk = {"path": "/var/lib", "device": 1, "free_gib": 100.0}
    fetch = [
        {"what": "the weights of M", "here": False, "gib": 60.0, "disk": disk},
        {"what": f"image {name}", "here": False, "gib": 15.0, "disk": disk},
    ]
    return {"engine": name, "profile": "h100x4", "model": "Qwen/Qwen3-Coder-Next", "fetch": fetch, **changes}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "wanted a list of two variants or more"),
        ([{"name": "a"}], "wanted a list of two variants or more"),
        ([{"name": "a"}, {"engine": "vllm"}], "wanted a name"),
        ([{"name": "a"}, {"name": "a/b"}], "found 'a/b'"),
        ([{"name": "a"}, {"name": "a"}], "found a twice"),
        ([{"name": "a"}, {"name": "b", "port": 8001}], "b sets port, which is the comparison's own"),
        ([{"name": "a"}, {"name": "b", "engine_name": "vllm"}], "b sets engine_name, which the module"),
    ],
)
def test_variants_that_cannot_be_compared_are_refused(given: Any, said: str) -> None:
    with pytest.raises(FleetError, match=said):
        variants.variants(given, KNOWN)


def test_a_key_among_a_variants_options_is_in_no_message() -> None:
    with pytest.raises(FleetError) as raised:
        variants.variants([{"name": "a"}, {"nam": "b", "api_key": "sesame"}], KNOWN)
    assert "sesame" not in str(raised.value)


def test_rounds_go_there_and_back_and_hosts_begin_with_different_variants() -> None:
    assert [turn.variant for turn in variants.turns("abc", 3)] == [*"abc", *"cba", *"abc"]
    assert [turn.variant for turn in variants.turns("abc", 2, start=4)] == [*"bca", *"acb"]
    with pytest.raises(FleetError, match="compare_rounds: wanted 1 or more, found 0"):
        variants.turns("ab", 0)


def test_only_the_same_comparison_has_the_same_fingerprint() -> None:
    one, other = (variants.variants([{"name": "a"}, {"name": "b", "extra_args": [arg]}], KNOWN) for arg in ("-x", "-y"))
    assert variants.fingerprint(one, 2, WORKLOAD) == variants.fingerprint(one, 2, dict(WORKLOAD))
    assert (
        len({variants.fingerprint(*of) for of in ((one, 2, {}), (other, 2, {}), (one, 3, {}), (one, 2, WORKLOAD))}) == 4
    )


def test_time_and_money_follow_the_published_rows_and_then_our_own_runs() -> None:
    looks = {name: look(name) for name in ("vllm", "sglang")}
    due = variants.turns(("vllm", "sglang"), 2)
    found = estimate.estimate(due, looks, WORK, [], 16.36, restarts=1)
    # Four repeats of 512 requests of 1,024 tokens take 241 s and 290 s each; and 90 GiB come at 300 MB/s.
    benchmarks = 2 * 4 * 512 * 1024 * (1 / 2180 + 1 / 1810)
    assert found.seconds == pytest.approx(benchmarks + 2 * (600 + 240) + 4 * 45 + 240 + 90 * 2**30 / 300e6, rel=0.01)
    assert found.cost == pytest.approx(found.seconds / 3600 * 16.36)
    slow = factory.document(factors=(0.5,))
    assert estimate.estimate(due, looks, WORK, [slow], 16.36, restarts=1).seconds > found.seconds + 1000


def test_a_variant_without_any_figure_is_named() -> None:
    looks = {"a": look("vllm", profile="l40sx1"), "b": look("vllm")}
    found = estimate.estimate(variants.turns(("a", "b"), 1), looks, WORK, [], None, restarts=0)
    assert found.unknown == ("a",)
    assert "and the benchmarks of a, of which no figure is known" in estimate.sentence(2, 1, 2, found)


def test_what_is_there_is_not_brought_and_what_all_share_once() -> None:
    here = [{"what": "the weights of M", "here": True, "gib": 60.0, "disk": None}]
    looks = {"a": look("vllm", fetch=here), "b": look("vllm", fetch=here)}
    assert estimate.estimate(variants.turns("ab", 1), looks, WORK, [], 1.0, restarts=0).bring_bytes == 0
    assert estimate.lacking([look("vllm"), look("sglang")]) == []
    (said,) = estimate.lacking([look("vllm"), look("sglang"), look("third")])
    assert "wanted 105 GiB in /var/lib for all variants together (60 GiB for the weights of M, " in said


def test_progress_is_read_as_it_was_written_and_found_again_until_it_is_over(tmp_path: Path) -> None:
    begun = progress.Progress("1-a", "gpu-1", "8000", "f", ("a", "b"), 2, variants.turns("ab", 2), "t")
    begun = begun.with_failure(progress.Failure("a", 1, progress.START, "no", "t"))
    file = progress.path(tmp_path, begun.id, begun.host, begun.slot)
    file.parent.mkdir()
    file.write_text(progress.text(begun))
    assert progress.read(file) == begun
    assert progress.unfinished(tmp_path, "gpu-1", "8000") == [begun]
    assert progress.unfinished(tmp_path, "gpu_1", "8000") == []
    file.write_text(progress.text(progress.over(begun, "t2")))
    assert progress.unfinished(tmp_path, "gpu-1", "8000") == []
    file.write_text("{")
    with pytest.raises(FleetError, match="Move it away to begin anew"):
        progress.unfinished(tmp_path, "gpu-1", "8000")
