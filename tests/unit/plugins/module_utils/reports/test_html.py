# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import dataclasses
import hashlib
import html as escapes
import json
import random
import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.reports import changes, columns, html, overview, tables
from ansible_collections.inference.fleet.plugins.module_utils.results import load
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

PUBLISHED = [
    {
        "id": "lambda/qwen3-coder-next/vllm/h100x4",
        "source": "a page",
        "note": "a note",
        "engine": "vllm",
        "profile": "h100x4",
        "model": "Qwen/Qwen3-Coder-Next",
        "workload": {"input_length": 8192, "output_length": 1024, "num_prompts": 512, "max_concurrency": 32},
        "cold": False,
        "metrics": factory.LAMBDA_VLLM_H100X4,
    }
]
START = datetime(2026, 11, 1, tzinfo=timezone.utc)
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7 * 7 }}$\\frac$\x1b]0;\u202e\ud800"


def page(*documents, damaged=(), find_changes=None):
    report = overview.report(documents, PUBLISHED, damaged)
    if find_changes:
        report = dataclasses.replace(report, changes=tuple(map(find_changes, report.series)))
    return html.page(report, tables.text(report))


class Page(HTMLParser):
    """What a browser would see: tags, attributes, ids and text."""

    VOID = frozenset({"meta", "link", "br", "img", "path", "use", "input"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.ids, self.text, self.open, self.scripts = [], [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend((tag, key, value) for key, value in attrs)
        self.ids.extend(value for key, value in attrs if key == "id")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            (self.scripts if self.open[-1:] == ["script"] else self.text).append(data)

    def details(self):
        """Return what the page's script has to show."""
        return columns.unpacked(self.scripts[1])

    def texts(self):
        """Return all that a reader can see or open."""
        return " ".join([*self.text, json.dumps(self.details(), ensure_ascii=False)])


@pytest.fixture(scope="module")
def fleet():
    documents = [factory.document(started=START + timedelta(days=day), factors=(1.0, 1.02)) for day in range(3)]
    documents.append(factory.document(host="local", simulated=True, num_prompts=64))
    documents.append(factory.document(host="tiny", profile="cpu", published=None))
    return page(*documents, damaged=[load.Damaged("half.json", "the file is empty")])


def test_the_page_is_well_formed_and_its_ids_are_unique(fleet):
    found = Page(fleet)
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    links = {value[1:] for _tag, key, value in found.attributes if key in ("href", "xlink:href") and value[:1] == "#"}
    assert links <= set(found.ids)
    assert set(re.findall(r"url\(#([^)]+)\)", fleet)) <= set(found.ids)


def test_the_page_needs_nothing_else(fleet):
    found = Page(fleet)
    assert found.tags.count("script") == 3
    assert not {"iframe", "object", "embed", "img", "audio", "video", "base", "form"} & set(found.tags)
    for tag, key, value in found.attributes:
        if key in ("src", "href", "xlink:href", "srcset", "action", "data", "poster", "background"):
            assert value.startswith("#") or value == "data:,", (tag, key, value)
        assert not key.startswith("on"), (tag, key)
    assert "@import" not in fleet
    assert "@font-face" not in fleet
    assert not re.search(r"url\((?!#)", fleet)
    # Only the one script that is the page's own may run, and it asks for nothing.
    (policy,) = (value for _tag, key, value in found.attributes if key == "content" and "default-src" in value)
    digest = base64.b64encode(hashlib.sha256(found.scripts[2].encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        f"script-src 'sha256-{digest}'",
        "img-src data:",
    ]
    assert not re.search(r"fetch|XMLHttp|WebSocket|EventSource|innerHTML|insertAdjacent|eval|import", found.scripts[2])


def test_the_page_shows_each_part(fleet):
    text = " ".join(Page(fleet).texts().split())
    for wanted in (
        "5 runs on 3 hosts, 2026-11-01 to 2026-11-23",
        "SIMULATED 1 of 5 runs is simulated",
        "64 prompts instead of 512",
        "half.json",
        "sha256:" + "ab12" * 16,
        "--tensor-parallel-size 4",
        "HF_HOME=/root/.cache/huggingface",
        "aiperf profile",
        "ansible-playbook inference.fleet.deploy inference.fleet.benchmark",
        "4\N{MULTIPLICATION SIGN} NVIDIA H100 80GB HBM3, 81,559 MiB",
        "not recorded",
    ):
        assert wanted in text


def test_each_row_and_run_of_a_simulation_is_marked():
    text = page(factory.document(host="rehearsal", simulated=True))
    for kind in ("tr", "summary"):
        parts = [part for part in re.findall(rf"<{kind}.*?</{kind}>", text, re.DOTALL) if "rehearsal" in part]
        assert parts, kind
        assert all("SIMULATED" in part for part in parts), kind


def test_nothing_is_marked_simulated_in_a_measured_fleet():
    found = Page(page(factory.document()))
    assert "SIMULATED" not in found.texts().upper()
    assert not [value for _tag, key, value in found.attributes if key == "class" and "simulated" in value]


def test_the_same_documents_give_the_same_page(fleet):
    documents = [factory.document(host=f"h{index}", started=START + timedelta(days=index)) for index in range(4)]
    first = page(*documents)
    random.random()
    assert page(*documents) == first
    # Another process has other hash seeds, another time zone and another locale.
    script = (
        f"import sys, time; sys.path[:0] = {sys.path!r}\n"
        "from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import test_html as t\n"
        "sys.stdout.buffer.write(t.page(*[t.factory.document(host=f'h{i}', started=t.START + t.timedelta(days=i))"
        " for i in range(4)]).encode())"
    )
    environment = {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, env=environment)
    assert other.stdout.decode() == first


@pytest.mark.parametrize("key", ["host", "run_id"])
def test_a_hostile_name_stays_text(key):
    _hostile(factory.document(**{key: EVIL}))


def test_hostile_values_everywhere_stay_text():
    document = factory.document(model=EVIL, host=EVIL)
    document["engine"].update(name=EVIL, version=EVIL, argv=[EVIL], environment={EVIL: EVIL})
    document["engine"]["image"] = {"reference": EVIL, "digest": EVIL, "id": EVIL}
    document["client"].update(name=EVIL, version=EVIL, argv=[EVIL])
    document["hardware"].update(profile=EVIL, cpu_model=EVIL, driver_version=EVIL, gpus=[{"name": EVIL}])
    document["quality"]["warnings"] = [EVIL]
    document["metrics"][EVIL] = dict(document["metrics"]["mean_ttft_ms"], unit=EVIL)
    document["gates"] = [{"passed": False, "message": EVIL}]
    later = dict(document, run_id="later", started_at="2026-11-24T15:30:00Z", finished_at="2026-11-24T15:31:00Z")
    _hostile(document, later)


def _hostile(*documents):
    def change(item):
        first = item.runs[0]
        return changes.Change(
            item, "output_throughput", "tok/s", first["run_id"], first["started_at"], 2.0, 1.0, True, (EVIL,)
        )

    text = page(*documents, damaged=[load.Damaged(EVIL, EVIL)], find_changes=change)
    found = Page(text)
    assert found.tags.count("script") == 3
    assert "img" not in found.tags
    assert not [key for _tag, key, _value in found.attributes if key.startswith("on")]
    assert "alert(1)" in "".join(found.text)
    assert "alert(1)" in json.dumps(found.details())
    assert "49" not in re.findall(r"alert\(2\).{0,40}", "".join(found.text))[0]
    # Nothing in the data can end its element or begin another.
    assert not re.search(r"[<>&\u2028\u2029]", found.scripts[0])
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", found.scripts[1])
    text.encode("utf-8")
    assert all(char.isprintable() or char in "\n\t" for char in text)


def test_the_picture_is_xml_with_axes_units_and_a_legend(fleet):
    (picture,) = re.findall(r"<svg.*?</svg>", fleet, re.DOTALL)
    root = ElementTree.fromstring(picture)
    texts = ["".join(element.itertext()) for element in root.iter("text")]
    for wanted in ("output tokens/s for each GPU", "32", "vLLM on 4\N{MULTIPLICATION SIGN} H100, 0.32.0"):
        assert wanted in texts
    assert root.get("role") == "img"
    assert root.get("aria-label")
    # Every colour follows the page's light or dark theme.
    assert not re.search(r"#[0-9a-f]{6}", picture)


def test_a_simulations_curve_is_dashed_and_named_as_one():
    (picture,) = re.findall(r"<svg.*?</svg>", page(factory.document(simulated=True)), re.DOTALL)
    assert "SIMULATED" in picture
    assert picture.count("stroke-dasharray") == 2
    assert "stroke-dasharray" not in page(factory.document())


def test_the_library_in_the_page_is_the_released_one_with_its_licence(fleet):
    """uPlot 1.6.32 as npm has it: dist/uPlot.iife.min.js of the package uplot."""
    folder = html._HERE / "uplot"
    digest = hashlib.sha256((folder / "uPlot.iife.min.js").read_bytes()).hexdigest()
    assert digest == "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"
    script = Page(fleet).scripts[2]
    assert "The MIT License (MIT)" in script
    assert "(v1.6.32)" in script


@pytest.mark.parametrize("metric", [{}, {"output_throughput": None}])
def test_a_document_without_metrics_is_shown(metric):
    text = page(factory.document(metrics=metric, baselines=[], repeats=[]))
    assert "gpu1" in text


def test_runs_at_the_same_moment_have_a_trend():
    assert "Over time" in page(factory.document(), factory.document(run_id="another"))


def test_the_printed_table_can_be_read_back_from_the_page():
    document = factory.document(model="a<b>&amp;")
    text = tables.text(overview.report([document], PUBLISHED))
    assert html.text_of(page(document)) == text
    assert html.text_of("<p>something else") is None
    assert escapes.escape("a<b>&amp;") in page(document)
