# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients in containers of a real Docker Engine. The image is empty: the host's own programs are mounted into it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import client_container, runner
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.tests.patience import until

docker = pytest.importorskip("docker")

HOST = [path for path in ("/usr", "/lib", "/lib64", "/bin") if os.path.exists(path)]
COLLECTIONS = str(Path(__file__).resolve().parents[3] / ".build" / "collections")


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    """Connect to the Docker Engine."""
    if not os.path.exists("/usr/bin/python3"):
        pytest.skip("no /usr/bin/python3 to run in a container")
    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"no Docker Engine: {error}")
    yield client
    client.close()


@pytest.fixture(scope="module")
def image(engine: Any) -> Iterator[str]:
    """Make an empty image."""
    name = f"inference-fleet-test-empty:{os.getpid()}"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w"):
        pass
    repository, _colon, tag = name.partition(":")
    engine.api.import_image_from_data(archive.getvalue(), repository=repository, tag=tag)
    yield name
    engine.images.remove(name, force=True)


@pytest.fixture
def start(image: str) -> Callable[..., client_container.ContainerRunner]:
    def make(**options: Any) -> client_container.ContainerRunner:
        return client_container.ContainerRunner(image, "python3", options.pop("api_key", None), mounts=HOST, **options)

    return make


def containers(engine: Any, image: str) -> list[Any]:
    return engine.containers.list(all=True, filters={"ancestor": image}, ignore_removed=True)


def python(code: str) -> list[str]:
    return ["/usr/bin/python3", "-c", code]


def test_output_files_and_exit_code(engine: Any, image: str, start: Callable, tmp_path: Path) -> None:
    seen: list[str] = []
    code = (
        "import os, time; open('result', 'w').write(os.getcwd()); print('half', flush=True); time.sleep(1.5); exit(3)"
    )
    client = start()
    assert client.image_id == engine.images.get(image).id
    ended = client.run(python(code), {"NAME": "value"}, tmp_path, 60, seen.append)
    assert ended.exit_code == 3
    assert "half" in ended.log
    assert any("half" in log for log in seen)
    assert (tmp_path / "result").read_text(encoding="utf-8") == str(tmp_path)
    assert (tmp_path / runner.LOG).read_text(encoding="utf-8") == ended.log
    assert containers(engine, image) == []


def test_key_reaches_the_client_and_not_the_container_s_description(
    engine: Any, image: str, start: Callable, tmp_path: Path
) -> None:
    described: list[str] = []

    def look(_log: str) -> None:
        described.extend(str(container.attrs) for container in containers(engine, image))

    code = "import os, time; print('key is', os.environ['OPENAI_API_KEY']); time.sleep(1.5)"
    ended = start(api_key="sesame-17").run(python(code), {"OPENAI_API_KEY": "sesame-17"}, tmp_path, 60, look)
    assert "key is sesame-17" in ended.log
    assert described
    assert not any("sesame-17" in text for text in described)
    assert not (tmp_path / ".api_key").exists()


def test_slower_than_the_time_limit(engine: Any, image: str, start: Callable, tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="time limit"):
        start().run(python("import time; time.sleep(600)"), {}, tmp_path, 1, lambda log: None)
    assert containers(engine, image) == []


def test_hub_cache_is_read_only_and_offline(start: Callable, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "file").write_text("cached", encoding="utf-8")
    code = (
        "import os; home = os.environ['HF_HOME']; print(open(home + '/file').read(), os.environ['HF_HUB_OFFLINE'])\n"
        "try: open(home + '/new', 'w')\n"
        "except OSError as error: print(error.strerror)"
    )
    ended = start(cache_dir=str(cache)).run(python(code), {}, tmp_path, 60, lambda log: None)
    assert ended.log.splitlines() == ["cached 1", "Read-only file system"]


def test_version_of_a_package_that_is_not_there(start: Callable) -> None:
    assert start().version("no-such-distribution") is None


def test_executable_that_is_not_in_the_image(engine: Any, image: str, start: Callable, tmp_path: Path) -> None:
    ended = start().run(["/nothing"], {}, tmp_path, 60, lambda log: None)
    assert ended.exit_code == 127
    assert "/nothing" in ended.log
    assert containers(engine, image) == []


def test_an_image_without_a_shell(engine: Any, image: str, tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="could not start the benchmark client"):
        client_container.ContainerRunner(image, "vllm", None).run(["vllm"], {}, tmp_path, 60, lambda log: None)
    assert containers(engine, image) == []


def test_image_that_cannot_be_had(engine: Any) -> None:
    with pytest.raises(FleetError, match=r"could not find or pull image 127\.0\.0\.1:1/nothing:1"):
        client_container.ContainerRunner("127.0.0.1:1/nothing:1", "vllm", None)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_module_that_is_killed_leaves_no_container(
    engine: Any, image: str, start: Callable, tmp_path: Path, number: signal.Signals
) -> None:
    script = f"""
import sys
sys.path.insert(0, {COLLECTIONS!r})
from pathlib import Path
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.client_container import ContainerRunner
runner = ContainerRunner({image!r}, "python3", None, mounts={HOST!r})
argv = ["/usr/bin/python3", "-c", "import time; time.sleep(600)"]
runner.run(argv, {{}}, Path({str(tmp_path)!r}), 600, lambda log: None)
"""
    module = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    try:
        until(lambda: any(item.status == "running" for item in containers(engine, image)))
        start()
        assert len(containers(engine, image)) == 1, "a container whose module lives is left alone"
    finally:
        module.send_signal(number)
        module.wait()
    until(lambda: containers(engine, image) == [])


def test_a_container_that_nobody_owns_any_more_is_removed(engine: Any, image: str, start: Callable) -> None:
    engine.containers.create(image, command=["x"], labels={client_container.OWNER_LABEL: "1:0"})
    start()
    assert containers(engine, image) == []
