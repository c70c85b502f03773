# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One notion of "the same thing": what keeps runs apart, and what does not."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.results import series
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import configuration, points, subject
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

START = datetime(2026, 9, 1, 2, tzinfo=timezone.utc)


def changed(*path, value, **options):
    document = factory.document(**options)
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value(inner.get(path[-1])) if callable(value) else value
    return document


def more(*words):
    return lambda argv: [*argv, *words]


@pytest.mark.parametrize(
    "other",
    [
        factory.document(host="other"),
        factory.document(engine="sglang"),
        factory.document(profile="b200x2"),
        factory.document(model="another/model"),
        factory.document(num_prompts=64),
        factory.document(simulated=True),
        factory.document(label="canary"),
        factory.document(slo={"ttft_ms": 500.0}),
        changed("engine", "url", value="http://127.0.0.1:8001"),
        changed("engine", "slot", value="left"),
        changed("engine", "gpus", value=["0", "1"]),
        changed("engine", "argv", value=more("--enforce-eager")),
        changed("engine", "argv", value=more("--an-option-of-tomorrow", "7")),
        changed("engine", "environment", value={"VLLM_ATTENTION_BACKEND": "FLASHINFER"}),
        changed("model", "revision", value="0123abcd"),
        changed("workload", "max_concurrency", value=128),
        changed("workload", "random_range_ratio", value=0.5),
    ],
)
def test_keeps_apart(other):
    assert subject(other) != subject(factory.document())
    assert subject(other).id != subject(factory.document()).id


@pytest.mark.parametrize(
    "other",
    [
        factory.document(started=START, factors=(1.1, 1.2)),
        factory.document(label=None, slo={"ttft_ms": None}),
        changed("workload", "seed", value=7),
        changed("workload", "random_range_ratio", value=0.0),
        changed("engine", "version", value="0.33.0"),
        changed("engine", "url", value="http://gpu1.example.org:8000/"),
        changed("engine", "gpus", value=["all"]),
        changed("engine", "gpus", value=["3", "2", "1", "0"]),
        changed("engine", "argv", value=more("--disable-log-requests", "--api-key=x", "--reasoning-parser", "qwen3")),
        changed("engine", "environment", value={"HF_HOME": "/elsewhere", "VLLM_API_KEY": "***", "PATH": "/bin"}),
        changed("client", "version", value="0.14.0"),
        changed("hardware", "driver_version", value="575.57.08"),
    ],
)
def test_does_not_keep_apart(other):
    assert subject(other) == subject(factory.document())


def test_a_gpu_has_one_name():
    gpus = [{"index": number, "uuid": f"GPU-{number}"} for number in range(4)]
    by = [
        changed("engine", "gpus", value=names, hardware={"profile": "h100x4", "gpus": gpus})
        for names in (["2", "3"], ["GPU-3", "GPU-2"])
    ]
    assert {subject(document).slot for document in by} == {"8000 on GPU 2,3"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["--max-model-len", "32768", "--enforce-eager"], ["--enforce_eager", "--max-model-len=32768"]),
        (["vllm", "serve", "a/model", "--tp", "4"], ["--tensor-parallel-size", "4"]),
        (["--port", "1"], []),
    ],
)
def test_a_configuration_has_one_spelling(one, other):
    assert configuration(one, {}) == configuration(other, {})


def test_each_point_of_a_sweep_is_a_subject():
    document = factory.sweep(factory.document(), {32: (2143.7, 14.2), 64: (3000.0, 20.0), 128: (3900.0, 30.0)})
    found = points(document)
    assert found[0] is document
    assert [dict(subject(point).workload)["max_concurrency"] for point in found] == [32, 64, 128]
    assert [series.value(point, "output_throughput") for point in found] == [2143.7, 3000.0, 3900.0]
    assert {point["run_id"] for point in found} == {document["run_id"]}
    assert len(series.all_series([document, factory.document(started=START)])) == 3


class TestSuccessions:
    def runs(self, configurations):
        return [
            changed("engine", "argv", value=more(*options), started=START + timedelta(days=day))
            for day, options in enumerate(configurations)
        ]

    def found(self, configurations):
        return series.successions(series.all_series(self.runs(configurations)))

    def test_what_took_the_place_of_another_follows_it(self):
        (one,) = self.found([()] * 3 + [("--enforce-eager",)] * 2)
        assert len(one.runs) == 5
        assert one.subject == subject(one.latest)

    def test_what_took_turns_does_not(self):
        assert [len(item.runs) for item in self.found([(), ("--enforce-eager",)] * 3)] == [3, 3]

    def test_what_the_user_keeps_apart_does_not(self):
        documents = self.runs([()] * 4)
        documents[2]["label"] = documents[3]["label"] = "canary"
        assert len(series.successions(series.all_series(documents))) == 2
