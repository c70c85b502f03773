# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine module costs, on a real Docker Engine: figures and ratios of one run, no judgement.

Usage: python tests/bench/engine.py [noop] [readiness] [outage] [earlier=COMMIT]

``earlier`` sets a look that finds nothing to do beside that of a commit.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / path) for path in (".build/collections", "tests/integration", "tests/rigs/hub")]

import earlier as earlier_commit  # noqa: E402  (after the path, as what follows)
import requests  # noqa: E402
from docker_engine import DockerEngine  # noqa: E402
from hub import Hub, Model, repository  # noqa: E402
from module_process import ModuleProcess  # noqa: E402

from ansible_collections.inference.fleet.plugins.module_utils.containers import state  # noqa: E402
from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED  # noqa: E402
from ansible_collections.inference.fleet.plugins.module_utils.simulator import rootfs  # noqa: E402

NAME = "bench-engine"
PORT = 18473
# PyPI's package of community collections, which has community.docker 5.
ANSIBLE = "ansible>=12,<14"
REPEATS = 7
IMAGE = "bench-vllm:1"
SERVED = {"engine": "vllm", "image": IMAGE, "model": "org/tiny", "container_name": NAME, "port": PORT}

# Downloads the weights where the cache lacks them, as an engine does, and then serves as the simulator does.
_ENTRYPOINT = """
import glob, json, os, sys, urllib.request
sys.stdout.reconfigure(line_buffering=True)
port = sys.argv[sys.argv.index('--port') + 1]
hub = os.environ.get('HF_ENDPOINT')
if hub and not glob.glob('/root/.cache/huggingface/hub/models--org--tiny/snapshots/*/*.safetensors'):
    info = json.load(urllib.request.urlopen(hub + '/api/models/org/tiny'))
    for file in info['siblings']:
        if file['rfilename'].endswith('.safetensors'):
            urllib.request.urlopen(hub + '/org/tiny/resolve/main/' + file['rfilename']).read()
sys.path.insert(0, '/opt/inference.fleet')
sys.argv = ['x', '--host', '0.0.0.0', '--port', port, '--model', 'm', '--served-model-name', 'qwen3-coder-next',
            '--figures', FIGURES, '--load-seconds', os.environ.get('LOAD_SECONDS', '0')]
from inference_fleet.simulator.server import main
main()
"""


def make_image(engine: DockerEngine, folder: Path) -> None:
    """Make an image that takes vLLM's arguments."""
    figures = json.dumps({key: PUBLISHED[0][key] for key in ("id", "cold", "workload", "metrics")})
    program = _ENTRYPOINT.replace("FIGURES", repr(figures))
    with (folder / "rootfs.tar").open("wb") as stream:
        rootfs.write_rootfs(stream)
    entrypoint = json.dumps([rootfs.entrypoint()[0], "-c", program])
    engine.client.api.import_image_from_file(
        str(folder / "rootfs.tar"), repository="bench-vllm", tag="1", changes=[f"ENTRYPOINT {entrypoint}"]
    )


def seconds(work: Callable[[], Any]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


# A redeploy that changes nothing


def community() -> Path:
    """Return the folder of the community's collections, installed at the first time."""
    venv = ROOT / ".build/venvs/community"
    uv = str(ROOT / ".venv/bin/uv")
    if not list(venv.glob("lib/python*/site-packages/ansible_collections/community/docker")):
        subprocess.run([uv, "venv", "-q", "--clear", str(venv)], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", str(venv / "bin/python"), ANSIBLE], check=True)
    return next(venv.glob("lib/python*/site-packages"))


def playbook(folder: Path, name: str, task: dict[str, Any]) -> Callable[[], str]:
    """Return a run of a playbook of one task on this machine."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    paths = f"{ROOT / '.build/collections'}:{community()}"
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": paths}
    command = [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "localhost,", "-c", "local", str(path)]
    command += ["-e", f"ansible_python_interpreter={sys.executable}"]

    def run() -> str:
        return subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
        ).stdout

    return run


def _stub_gpus(folder: Path) -> None:
    """Have the host's driver tell of four GPUs."""
    stubs = ROOT / "tests/fleet/stubs"
    os.environ |= {"STUB_GPUS": str(folder / "gpus"), "PATH": f"{stubs}:{os.environ['PATH']}"}
    (folder / "gpus").write_text("h100x4")


def _noop_options(engine: DockerEngine, folder: Path, gpus: bool) -> dict[str, Any]:
    options = {
        **SERVED,
        "docker_host": engine.url,
        "prefetch": False,
        "cache_dir": str(folder / "weights"),
        "compile_cache_dir": "",
    }
    return options if gpus else {**options, "profile": "cpu"}


def noop(engine: DockerEngine, folder: Path) -> None:
    """Time our module and community.docker's docker_container in pairs, each on a container that it made."""
    found = list(community().glob("ansible_collections/community/docker/MANIFEST.json"))
    version = json.loads(found[0].read_text())["collection_info"]["version"]
    print(f"\nA redeploy that changes nothing, {REPEATS} pairs of ansible-playbook runs with one task")
    _stub_gpus(folder)
    for gpus in (False, True):
        ours = _noop_options(engine, folder, gpus)
        theirs: dict[str, Any] = {
            "docker_host": engine.url,
            "name": "bench-theirs",
            "image": IMAGE,
            "command": ["--port", str(PORT + 1)],
            "published_ports": [f"127.0.0.1:{PORT + 1}:{PORT + 1}"],
            "ipc_mode": "host",
            "pull": "never",
            "env": {"HF_HOME": "/root/.cache/huggingface"},
            "restart_policy": "unless-stopped",
            "volumes": [f"{folder}:/root/.cache/huggingface"],
        }
        if gpus:
            theirs["device_requests"] = [{"count": -1, "capabilities": [["gpu"]]}]
        runs = {
            "inference.fleet.engine": playbook(folder, "ours", {"inference.fleet.engine": ours}),
            f"community.docker {version}": playbook(folder, "theirs", {"community.docker.docker_container": theirs}),
        }
        names = dict(zip(runs, (NAME, "bench-theirs"), strict=True))
        times: dict[str, list[float]] = {name: [] for name in runs}
        replaced = dict.fromkeys(runs, 0)
        for run in runs.values():
            run()
        for turn in range(REPEATS):
            for name in list(runs) if turn % 2 else list(reversed(runs)):
                before = engine.client.containers.get(names[name]).id
                times[name].append(seconds(runs[name]))
                replaced[name] += engine.client.containers.get(names[name]).id != before
        print("  with --gpus all:" if gpus else "  without GPUs:")
        for name, values in times.items():
            print(f"    {name:28} median {statistics.median(values):.2f} s, replaced {replaced[name]} of {REPEATS}")
        ratios = [mine / other for mine, other in zip(*times.values(), strict=True)]
        print(f"    ratio ours / theirs, median of the pairs: {statistics.median(ratios):.2f}")
        for name in names.values():
            engine.client.containers.get(name).remove(force=True)


def earlier(engine: DockerEngine, folder: Path, commit: str) -> None:
    """Set the cost of a look that finds nothing to do beside that of a commit, each at an engine that it made."""
    print(f"\nA look that finds nothing to do, beside that of {commit}")
    _stub_gpus(folder)
    checkouts = {"now": ROOT / ".build/collections", "before": earlier_commit.checkout(ROOT, commit, folder)}
    for gpus in (False, True):
        programs = {}
        for offset, (name, collections) in enumerate(checkouts.items()):
            options = _noop_options(engine, folder, gpus) | {
                "container_name": f"{NAME}-{name}",
                "port": PORT + 2 + offset,
                "gpus": [str(offset)] if gpus else None,
                "tensor_parallel_size": 1,
            }
            programs[name] = earlier_commit.program(ROOT, collections, folder, f"{name}-{gpus}", options)
        print("  with a GPU:" if gpus else "  without GPUs:")
        earlier_commit.compare(programs["now"], programs["before"])
        for name in checkouts:
            engine.client.containers.get(f"{NAME}-{name}").remove(force=True)


# From served to seen


def readiness(engine: DockerEngine, folder: Path) -> None:
    """Measure how long after an engine is up the module says that it is ready."""
    delays = []
    for _repeat in range(REPEATS):
        process = _process(engine, folder, profile="cpu", environment={"LOAD_SECONDS": "2"}, prefetch=False)
        process.progress.unlink(missing_ok=True)
        running = process.start()
        while not any(line.startswith("ready after") for line in process.said()):
            time.sleep(0.005)
        seen = time.time()
        log = engine.client.containers.get(NAME).logs(timestamps=True).decode().splitlines()
        stamp = next(line.split()[0] for line in log if "Application startup complete" in line)
        whole, _unused, rest = stamp.rstrip("Z").partition(".")
        up = time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) - time.timezone + float(f"0.{rest}")
        delays.append(seen - up)
        process.result(running)
        process(state="absent")
    print(
        f"\nFrom an engine that is up to 'ready', {REPEATS} starts: "
        f"median {statistics.median(delays):.2f} s, longest {max(delays):.2f} s"
    )


# An upgrade's outage


def outage(engine: DockerEngine, folder: Path) -> None:
    """Measure how long nothing serves in an upgrade to another model, with and without prefetch."""
    size, rate, load = 40_000_000, 8_000_000, 2
    print(f"\nAn upgrade's outage: {size / 1e6:.0f} MB of weights at {rate / 1e6:.0f} MB/s, {load} s to load")
    found = {}
    for prefetch in (False, True):
        weights = Path(tempfile.mkdtemp(dir=folder))
        model = Model(repository(size), bytes_per_second=rate / 2)  # two files come at once
        with Hub({"org/tiny": model}, address=engine.bridge_address) as hub:
            process = _process(
                engine,
                folder,
                profile="cpu",
                cache_dir=str(weights),
                prefetch=prefetch,
                environment={"HF_ENDPOINT": hub.url, "LOAD_SECONDS": str(load)},
            )
            process(model="/none", environment={})
            gap = _Gap(f"http://127.0.0.1:{PORT}/health")
            result = process()
            assert result.get("changed"), result
            found[prefetch] = gap.stop()
            process(state="absent")
        print(f"  {'with' if prefetch else 'without':8} prefetch: {found[prefetch]:.1f} s")
    print(f"  ratio with / without: {found[True] / found[False]:.2f}")


class _Gap:
    """Asks an endpoint again and again, and remembers the longest time without an answer of 200."""

    def __init__(self, url: str) -> None:
        self._url, self._over, self._longest = url, threading.Event(), 0.0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._over.wait(0.02):
            try:
                ok = requests.get(self._url, timeout=0.5).status_code == 200
            except requests.RequestException:
                ok = False
            if ok:
                self._longest, last = max(self._longest, time.monotonic() - last), time.monotonic()

    def stop(self) -> float:
        self._over.set()
        self._thread.join()
        return self._longest


def _process(engine: DockerEngine, folder: Path, **options: Any) -> ModuleProcess:
    defaults = {
        **SERVED,
        "docker_host": engine.url,
        "cache_dir": str(folder / "weights"),
        "compile_cache_dir": "",
        "stop_timeout": 5,
        "ready_timeout": 120,
    }
    return ModuleProcess({**defaults, **options}, folder)


def main() -> None:
    """Run the benchmarks that are named, or all that need no commit."""
    benches: dict[str, Callable[..., None]] = {
        "noop": noop,
        "readiness": readiness,
        "outage": outage,
        "earlier": earlier,
    }
    folder = Path(tempfile.mkdtemp(prefix="fleet-bench-"))
    try:
        with DockerEngine() as engine:
            print(f"Docker Engine {engine.client.version()['Version']}, {os.cpu_count()} CPUs")
            make_image(engine, folder)
            for name in sys.argv[1:] or ("noop", "readiness", "outage"):
                bench, _sign, commit = name.partition("=")
                benches[bench](engine, folder, *filter(None, [commit]))
    finally:
        shutil.rmtree(folder)
        for name in (NAME, f"{NAME}-now", f"{NAME}-before"):
            shutil.rmtree(state.STATE_DIR / name, ignore_errors=True)
            state.lock_path(name).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
