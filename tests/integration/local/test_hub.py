# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The download of weights: the real huggingface_hub against a server that speaks the hub's language."""

from __future__ import annotations

import doctest
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils import extra_args
from ansible_collections.inference.fleet.plugins.module_utils.engines import ENGINES, common
from ansible_collections.inference.fleet.plugins.module_utils.engines.spec import EngineSpec
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.weights import cache, download, hub, listing, spec, tool
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights, is_hub_name
from ansible_collections.inference.fleet.plugins.modules import model_info
from ansible_collections.inference.fleet.tests.patience import until

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/rigs/hub"))

from hub import Hub, Model, repository  # noqa: E402  (the rig's folder is on the path only now)

TOKEN = "planted-token-4711"
MIB = 2**20


@pytest.fixture(scope="session", autouse=True)
def _tool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The virtual environment that the collection itself makes, kept between runs."""
    before, hub.TOOL_DIR = hub.TOOL_DIR, ROOT / ".build/venvs/huggingface_hub"
    try:
        tool.python(hub.TOOL_DIR, {}, lambda text: None)
    except tool.ToolError as error:
        pytest.skip(f"needs a Python package index: {error}")
    yield
    hub.TOOL_DIR = before


@pytest.fixture
def serve() -> Iterator[Callable[..., Hub]]:
    """Start a hub with one model, org/tiny."""
    running: list[Hub] = []

    def start(**options: Any) -> Hub:
        files = options.pop("files", None) or repository(2 * MIB)
        running.append(Hub({"org/tiny": Model(files, **options)}).__enter__())
        return running[-1]

    yield start
    for server in running:
        server.__exit__()


def fetch(server: Hub, cache: Path, model: str = "org/tiny", revision: str | None = None, **more: Any) -> list[str]:
    said: list[str] = []
    options: dict[str, Any] = {"token": None, "timeout": 60, "stop": threading.Event(), **more}
    environment = {"HF_ENDPOINT": server.url}
    weights = options.pop("weights", Weights(model, revision))
    hub.fetch(weights, str(cache), environment=environment, say=said.append, **options)
    return said


def test_the_examples_hold() -> None:
    for module in (download, spec, extra_args, common):
        found = doctest.testmod(module)
        assert found.attempted > 0
        assert found.failed == 0


def test_weights_come_whole_and_without_what_serving_does_not_read(serve: Callable[..., Hub], tmp_path: Path) -> None:
    server = serve()
    assert cache.cached(str(tmp_path), Weights("org/tiny")) is None

    said = fetch(server, tmp_path)

    commit = server.models["org/tiny"].commit
    assert cache.cached(str(tmp_path), Weights("org/tiny")) == commit
    assert cache.cached(str(tmp_path), Weights("org/tiny", commit)) == commit
    assert cache.cached(str(tmp_path), Weights("org/tiny", "other")) is None
    snapshot = tmp_path / "hub/models--org--tiny/snapshots" / commit
    files = server.models["org/tiny"].files
    assert {str(path.relative_to(snapshot)) for path in snapshot.rglob("*")} == {
        name for name in files if name.endswith((".safetensors", ".json"))
    }
    assert all((snapshot / path.name).read_bytes() == files[path.name] for path in snapshot.iterdir())
    assert said[-1] == "weights: 2 MiB of 2 MiB"


def test_a_download_that_was_cut_off_goes_on(
    serve: Callable[..., Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = repository(8 * MIB)
    first = serve(files=files, withheld="model-00002-of-00002.safetensors")

    def clock() -> float:
        # The time is up as soon as one file of the two is there, however long that took.
        return time.monotonic() + 3600 * any(tmp_path.rglob("model-00001-of-00002.safetensors"))

    monkeypatch.setattr(hub, "time", SimpleNamespace(monotonic=clock))
    with pytest.raises(FleetError, match="took longer than weights_timeout, 600 s") as raised:
        fetch(first, tmp_path, timeout=600)
    monkeypatch.undo()
    assert "next run goes on from there" in str(raised.value)
    assert cache.cached(str(tmp_path), Weights("org/tiny")) is None
    assert list(tmp_path.rglob("*.incomplete")) == []

    second = serve(files=files)
    fetch(second, tmp_path)

    assert cache.cached(str(tmp_path), Weights("org/tiny")) is not None
    assert second.served == 4 * MIB


def test_a_connection_that_breaks_is_taken_up(serve: Callable[..., Hub], tmp_path: Path) -> None:
    fetch(serve(cut_after=MIB), tmp_path)
    assert cache.cached(str(tmp_path), Weights("org/tiny")) is not None


@pytest.mark.parametrize(
    ("model", "revision", "token", "told"),
    [
        ("org/tiny", None, None, "gated or private, and no hf_token is set"),
        ("org/tiny", None, "wrong", "gated or private, and hf_token may not read it"),
        ("org/none", None, None, "the hub has no such model"),
        ("org/tiny", "v9", TOKEN, "the hub has no such revision"),
    ],
)
def test_a_refusal_is_told(
    serve: Callable[..., Hub], tmp_path: Path, model: str, revision: str | None, token: str | None, told: str
) -> None:
    server = serve(token=TOKEN)
    with pytest.raises(FleetError, match=told) as raised:
        fetch(server, tmp_path, model, revision, token=token)
    assert f"could not download {model}" in str(raised.value)
    assert TOKEN not in str(raised.value)


def test_a_hub_that_is_not_there_is_named(tmp_path: Path) -> None:
    server = Hub({}).__enter__()
    server.__exit__()
    with pytest.raises(FleetError, match=f"from {server.url}: the hub could not be reached"):
        fetch(server, tmp_path)


def test_offline_asks_nobody(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="environment sets HF_HUB_OFFLINE"):
        hub.fetch(
            Weights("org/tiny"),
            str(tmp_path),
            token=None,
            environment={"HF_HUB_OFFLINE": "1"},
            timeout=1,
            say=print,
            stop=threading.Event(),
        )


def test_the_token_is_in_no_argument_and_no_variable_and_a_stop_ends_it(
    serve: Callable[..., Hub], tmp_path: Path
) -> None:
    server = serve(token=TOKEN, stall_after=0)
    stop = threading.Event()
    worker = threading.Thread(target=fetch, args=(server, tmp_path), kwargs={"token": TOKEN, "stop": stop})
    worker.start()
    try:
        until(lambda: any("GET" in asked and "safetensors" in asked for asked in server.requests))
        (child,) = _downloads(tmp_path)
        for place in ("cmdline", "environ"):
            assert TOKEN.encode() not in Path(f"/proc/{child}/{place}").read_bytes()
    finally:
        stop.set()
        worker.join(5)
    assert not worker.is_alive()
    assert _downloads(tmp_path) == []


def test_it_ends_with_the_process_that_wants_it(serve: Callable[..., Hub], tmp_path: Path) -> None:
    server = serve(stall_after=0)
    code = (
        "import threading, pathlib;"
        "from ansible_collections.inference.fleet.plugins.module_utils.weights import hub;"
        f"hub.TOOL_DIR = pathlib.Path({str(hub.TOOL_DIR)!r});"
        f"hub.fetch(hub.Weights('org/tiny'), {str(tmp_path)!r}, token=None, timeout=60, say=print,"
        f"environment={{'HF_ENDPOINT': {server.url!r}}}, stop=threading.Event())"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": ":".join(sys.path)})
    until(lambda: bool(_downloads(tmp_path)))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until(lambda: _downloads(tmp_path) == [])


def _downloads(cache: Path) -> list[int]:
    """Return the processes that download into a cache."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"HF_HOME={cache}\0".encode() in path.read_bytes() and (path.parent / "cmdline").read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


# Which of a repository's files

BOTH = {
    "config.json": b'{"model_type": "mistral"}',
    "params.json": b'{"dim": 1}',
    "tekken.json": b"{}",
    "consolidated.safetensors": b"m" * 50_000,
    "model-00001-of-00001.safetensors": b"h" * 60_000,
    "model.safetensors.index.json": json.dumps({"weight_map": {"a": "model-00001-of-00001.safetensors"}}).encode(),
}
LIGHT = {name for name in BOTH if not name.endswith(".safetensors")}


@pytest.mark.parametrize(
    ("engine", "extra", "form"),
    [
        ("vllm", [], "consolidated.safetensors"),
        ("vllm", ["--load-format", "auto", "--config-format", "hf"], "consolidated.safetensors"),
        (
            "vllm",
            ["--tokenizer_mode", "mistral", "--config_format=mistral", "--load_format", "mistral"],
            "consolidated.safetensors",
        ),
        ("vllm", ["--load-format", "hf"], "model-00001-of-00001.safetensors"),
        ("vllm", ["--load_format=safetensors"], "model-00001-of-00001.safetensors"),
        ("vllm", ["--load-format", "dummy"], None),
        ("sglang", [], "model-00001-of-00001.safetensors"),
        ("sglang", ["--load-format=mistral"], "consolidated.safetensors"),
    ],
)
def test_what_the_engine_loads_is_what_comes(
    serve: Callable[..., Hub], tmp_path: Path, engine: str, extra: list[str], form: str | None
) -> None:
    server = serve(files=BOTH)
    asked = EngineSpec("org/tiny", "tiny", 8000, 1, str(tmp_path), extra_args=tuple(extra))
    weights = ENGINES[engine].launch(asked).weights
    assert weights is not None

    fetch(server, tmp_path, weights=weights)

    (where,) = (tmp_path / "hub/models--org--tiny/snapshots").iterdir()
    assert {path.name for path in where.iterdir()} == LIGHT | ({form} if form else set())
    assert cache.cached(str(tmp_path), weights) == server.models["org/tiny"].commit


def test_the_other_half_is_due_where_another_engine_brought_its_own(serve: Callable[..., Hub], tmp_path: Path) -> None:
    server, ours, theirs = serve(files=BOTH), Weights("org/tiny", form="auto"), Weights("org/tiny")
    fetch(server, tmp_path, weights=theirs)
    assert cache.cached(str(tmp_path), theirs)
    assert cache.cached(str(tmp_path), ours) is None

    listed = listing.listing(ours, None, {"HF_ENDPOINT": server.url})

    assert listed is not None
    assert listed.commit == server.models["org/tiny"].commit
    assert listed.weights_gib("auto") == 50_000 / 2**30
    assert listed.weights_gib("hub") == 60_000 / 2**30
    assert listed.due_gib(str(tmp_path), ours) == 50_000 / 2**30
    assert listed.due_gib(str(tmp_path), theirs) == 0
    fetch(server, tmp_path, weights=ours)
    assert cache.cached(str(tmp_path), ours)
    assert listed.due_gib(str(tmp_path), ours) == 0


def test_the_model_s_sizes_are_asked_for_without_its_weights(serve: Callable[..., Hub]) -> None:
    server = serve(files={**repository(), "config.json": b'{"num_attention_heads": 40}'})
    weights, asked = Weights("org/tiny"), {"HF_ENDPOINT": server.url}
    listed = listing.listing(weights, None, asked)
    assert listed is not None
    assert listed.config(weights, None, asked) == {"num_attention_heads": 40}
    assert not any(".safetensors" in path for path in server.requests)
    server.models["org/tiny"].files = {"config.json": b"no JSON"}
    listed = listing.listing(weights, None, asked)
    assert listed is not None
    assert listed.config(weights, None, asked) is None
    server.models["org/tiny"].files = {"x.gguf": b"x"}
    listed = listing.listing(weights, None, asked)
    assert listed is not None
    assert listed.config(weights, None, asked) is None


def test_what_fits_is_told_of_a_model_by_what_the_hub_says(serve: Callable[..., Hub], tmp_path: Path) -> None:
    config = {
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32,
        "max_position_embeddings": 32768,
    }  # fmt: skip
    server = serve(files={**repository(64 * MIB), "config.json": json.dumps(config).encode()})
    commit = server.models["org/tiny"].commit
    asked: dict[str, Any] = {
        "model": "org/tiny", "models": [{"id": "org/tiny"}], "revision": commit, "profile": "h100x2", "engine": "vllm",
        "context": None, "cache_dir": str(tmp_path), "hf_token": None, "environment": {"HF_ENDPOINT": server.url},
    }  # fmt: skip
    (row,) = model_info.run(asked)["models"]
    assert (row["fits"], row["gpus"], row["weights_gib"], row["longest_context"]) == (True, 1, 0.1, 32768)
    # 2 layers, two heads, key and value of 32 numbers of 2 bytes each.
    assert row["kv_cache_tokens"] == pytest.approx((81559 / 1024 * 0.9 - 2 - 64 / 1024) * 2**30 / 512, rel=1e-3)
    # Of the revision that is asked for, two small questions, and nothing comes to stay.
    assert [path.partition("?")[0] for path in server.requests] == [
        f"GET /api/models/org/tiny/revision/{commit}", f"GET /org/tiny/resolve/{commit}/config.json",
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_what_is_due_is_what_is_not_there_whichever_revision_brought_it(
    serve: Callable[..., Hub], tmp_path: Path
) -> None:
    files = repository(2 * MIB)
    server = serve(files=files)
    fetch(server, tmp_path)
    server.models["org/tiny"].files = {**files, "model-00002-of-00002.safetensors": b"n" * MIB}
    listed = listing.listing(Weights("org/tiny"), None, {"HF_ENDPOINT": server.url})
    assert listed is not None
    assert listed.due_gib(str(tmp_path), Weights("org/tiny")) == MIB / 2**30
    assert listed.weights_gib("hub") == 2 * MIB / 2**30


def test_a_hub_that_does_not_tell_is_no_reason_to_fail(serve: Callable[..., Hub]) -> None:
    server = serve(token=TOKEN)
    asked = {"HF_ENDPOINT": server.url}
    assert listing.listing(Weights("org/tiny"), None, asked) is None
    assert listing.listing(Weights("org/tiny"), TOKEN, asked) is not None
    assert listing.listing(Weights("org/tiny"), TOKEN, {**asked, "HF_HUB_OFFLINE": "1"}) is None
    # The variables of a proxy are heeded: there is none at this address.
    proxied = {**asked, "HTTP_PROXY": "http://127.0.0.1:9"}
    assert listing.listing(Weights("org/tiny"), TOKEN, proxied) is None
    assert listing.listing(Weights("org/tiny"), TOKEN, {**proxied, "NO_PROXY": "127.0.0.1"}) is not None


def test_no_room_is_told_before_anything_comes(
    serve: Callable[..., Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(download.__file__).read_text()
    small = source.replace('shutil.disk_usage(job["cache_dir"]).free', "1_000_000")
    assert small != source
    monkeypatch.setattr(hub.pkgutil, "get_data", lambda package, name: small.encode())
    server = serve()
    with pytest.raises(FleetError, match=r"\d+ MiB are to come, and \d+ MiB are free in .*cache_dir to a larger disk"):
        fetch(server, tmp_path)
    assert server.served == 0


# What is cached


def snapshot(cache: Path, files: dict[str, str]) -> None:
    folder = cache / "hub/models--org--tiny"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text("c0ffee")
    (folder / "snapshots/c0ffee").mkdir(parents=True)
    for name, content in files.items():
        (folder / "snapshots/c0ffee" / name).write_text(content)


INDEX = json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})


@pytest.mark.parametrize(
    ("files", "complete"),
    [
        ({}, False),
        ({"config.json": ""}, False),
        ({"one.safetensors": ""}, False),
        ({"config.json": "", "one.safetensors": ""}, True),
        ({"config.json": "", "model.bin": ""}, True),
        ({"config.json": "", "model.safetensors.index.json": INDEX, "one.safetensors": ""}, False),
        (
            {"config.json": "", "model.safetensors.index.json": INDEX, "one.safetensors": "", "two.safetensors": ""},
            True,
        ),
        ({"config.json": "", "model.safetensors.index.json": "{", "one.safetensors": ""}, False),
        ({"config.json": "", "model.safetensors.index.json": "[]", "one.safetensors": ""}, False),
    ],
)
def test_only_a_complete_snapshot_counts(tmp_path: Path, files: dict[str, str], complete: bool) -> None:
    snapshot(tmp_path, files)
    assert (cache.cached(str(tmp_path), Weights("org/tiny")) is not None) is complete


def test_a_link_without_its_file_does_not_count(tmp_path: Path) -> None:
    snapshot(tmp_path, {"config.json": ""})
    (tmp_path / "hub/models--org--tiny/snapshots/c0ffee/one.safetensors").symlink_to("../../blobs/none")
    assert cache.cached(str(tmp_path), Weights("org/tiny")) is None


def test_the_commit_of_a_revision_is_known_before_its_files_are_there(tmp_path: Path) -> None:
    snapshot(tmp_path, {})
    assert cache.commit(str(tmp_path), Weights("org/tiny")) == "c0ffee"
    assert cache.commit(str(tmp_path), Weights("org/tiny", "a" * 40)) == "a" * 40
    assert cache.commit(str(tmp_path), Weights("org/other")) is None


@pytest.mark.parametrize(
    ("model", "on_hub"),
    [
        ("Qwen/Qwen3-Coder-Next", True),
        ("gpt2", True),
        ("/models/mine", False),
        ("./mine", False),
        ("~/mine", False),
        ("a/b/c", False),
        ("", False),
    ],
)
def test_a_hub_name_is_no_path(model: str, on_hub: bool) -> None:
    assert is_hub_name(model) is on_hub


def test_a_download_keeps_to_its_rate_and_comes_whole(
    serve: Callable[..., Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The library writes 10 MiB at once, which is more than a second's worth of the rate.
    server = serve(files=repository(24 * MIB))
    sent: list[signal.Signals] = []
    kill = os.killpg
    monkeypatch.setattr(os, "killpg", lambda group, number: (sent.append(signal.Signals(number)), kill(group, number)))
    pauses = {}
    for name, rate in (("free", 0), ("held", 6_000_000)):
        sent.clear()
        fetch(server, tmp_path / name, max_rate=rate)
        pauses[name] = [number for number in sent if number in (signal.SIGSTOP, signal.SIGCONT)]
        assert cache.cached(str(tmp_path / name), Weights("org/tiny")) is not None

    assert pauses["free"] == []
    assert pauses["held"][:2] == [signal.SIGSTOP, signal.SIGCONT]


def test_a_brake_pauses_until_what_came_is_what_may_have_come(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    now, done, sent = [0.0], [0], []
    monkeypatch.setattr(hub, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(download, "on_disk", lambda _cache: done[0])
    monkeypatch.setattr(os, "killpg", lambda group, number: sent.append((now[0], group, signal.Signals(number))))
    brake = hub._Brake(4711, tmp_path, 100)
    # Three seconds' worth comes at once, of which one was free; later again, after a rest that earns no more than one.
    arrivals = {1.0: 300, 20.0: 600}
    for tenth in range(300):
        now[0] = tenth / 10
        done[0] = arrivals.get(now[0], done[0])
        brake.press()

    assert [(number, round(when, 1)) for when, _group, number in sent] == [
        (signal.SIGSTOP, 1.0),
        (signal.SIGCONT, 3.0),
        (signal.SIGSTOP, 20.0),
        (signal.SIGCONT, 22.0),
    ]
    assert {group for _when, group, _number in sent} == {4711}


def test_a_paused_download_ends_with_who_started_it(serve: Callable[..., Hub], tmp_path: Path) -> None:
    server = serve(files=repository(30 * MIB))
    script = (
        "import sys, threading; from pathlib import Path; sys.path.insert(0, sys.argv[1]); "
        "from ansible_collections.inference.fleet.plugins.module_utils.weights import hub; "
        "hub.TOOL_DIR = Path(sys.argv[2]); "
        "hub.fetch(hub.Weights('org/tiny'), sys.argv[3], token=None, environment={'HF_ENDPOINT': sys.argv[4]}, "
        "timeout=60, say=print, stop=threading.Event(), max_rate=100_000)"
    )
    arguments = [str(ROOT / ".build/collections"), str(hub.TOOL_DIR), str(tmp_path), server.url]
    with subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.DEVNULL) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        deadline = time.monotonic() + 60
        state, child = "", ""
        while state != "T":
            assert time.monotonic() < deadline
            time.sleep(0.05)
            child = (children.read_text().split() or [""])[-1]
            if child:
                state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        parent.kill()
    while os.path.exists(f"/proc/{child}"):
        assert time.monotonic() < deadline, Path(f"/proc/{child}/stat").read_text()
        time.sleep(0.05)
