# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transitions on a real Docker Engine with a real registry: what is there, what is wanted, what was done.

Each run is predicted in check mode first, and made once more afterwards: the prediction holds, and
the second run does nothing.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import NAME, Images
from docker_engine import DockerEngine
from module_process import ModuleProcess
from registry import Registry

from ansible_collections.inference.fleet.plugins.module_utils.containers import plan
from ansible_collections.inference.fleet.plugins.module_utils.weights import cache
from ansible_collections.inference.fleet.plugins.module_utils.weights import hub as weights
from ansible_collections.inference.fleet.plugins.module_utils.weights.leases import Leases

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/rigs/hub"))

from hub import Hub, Model, repository  # noqa: E402  (the rig's folder is on the path only now)

UPDATE = [plan.UPDATE_CONTAINER]
REPLACE = [plan.REPLACE, plan.WAIT]
START = [plan.START, plan.WAIT]
CREATE = [plan.CREATE, plan.WAIT]


def settle(process: ModuleProcess, steps: list[str], **options: Any) -> dict[str, Any]:
    """Run the module as predicted, and once more for nothing; return the run's result."""
    predicted = process(check=True, **options)
    done = process(**options)
    assert "failed" not in done, done["msg"]
    assert done["steps"] == predicted["steps"] == steps
    assert done["changed"] is predicted["changed"] is plan.changed(steps)
    assert done["diff"] == predicted["diff"]
    again = process(**options)
    assert (again.get("changed"), again.get("steps")) == (False, []), again
    return done


def inspect(docker_engine: DockerEngine) -> dict[str, Any]:
    return docker_engine.client.containers.get(NAME).attrs


def identity(docker_engine: DockerEngine) -> tuple[str, str]:
    found = inspect(docker_engine)
    return found["Id"], found["State"]["StartedAt"]


# Images


def test_one_image_under_every_name_is_one(docker_engine: DockerEngine, process: ModuleProcess, images: Images) -> None:
    settle(process, [plan.PULL_IMAGE, *CREATE], image=images.tag("1"))
    before = identity(docker_engine)

    for reference in (images.digest("1"), f"{images.tag('1')}@{images.digests['1']}", images.tag("1")):
        for pull in ("missing", "always", "never"):
            assert not process(image=reference, pull=pull)["changed"], (reference, pull)

    assert identity(docker_engine) == before


def test_another_tag_of_what_runs_is_only_fetched(
    docker_engine: DockerEngine, registry: Registry, process: ModuleProcess, images: Images
) -> None:
    process(image=images.tag("1"))
    before = identity(docker_engine)
    assert registry.push(docker_engine, "local-1:1", "sim:same") == images.digests["1"]

    settle(process, [plan.PULL_IMAGE], image=images.tag("same"))

    assert identity(docker_engine) == before


def test_a_tag_that_moved_matters_only_to_those_who_follow_it(
    docker_engine: DockerEngine, registry: Registry, process: ModuleProcess, images: Images
) -> None:
    process(image=images.tag("1"))
    before = identity(docker_engine)
    moved = registry.push(docker_engine, "local-2:1", "sim:1")
    assert moved == images.digests["2"] != images.digests["1"]

    kept = process(image=images.tag("1"))
    assert not kept["changed"]
    assert kept["engine"]["image"]["digest"] == images.digests["1"]
    assert identity(docker_engine) == before

    followed = settle(process, [plan.PULL_IMAGE, *REPLACE], image=images.tag("1"), pull="always")
    assert followed["engine"]["image"]["digest"] == moved
    assert followed["diff"]["before"]["image"] == images.digests["1"]
    assert followed["diff"]["after"]["image"] == moved


def test_an_upgrade_by_tag_or_digest(docker_engine: DockerEngine, process: ModuleProcess, images: Images) -> None:
    process(image=images.tag("1"))
    upgraded = settle(process, [plan.PULL_IMAGE, *REPLACE], image=images.digest("2"))
    assert upgraded["engine"]["image"]["digest"] == images.digests["2"]
    # The first image is still on the host.
    settle(process, REPLACE, image=images.digest("1"))


# What is written otherwise, and is the same


def test_other_spellings_are_no_difference(docker_engine: DockerEngine, process: ModuleProcess, tmp_path: Path) -> None:
    mounts = [{"source": str(tmp_path / name), "target": f"/{name}"} for name in ("a", "b")]
    settle(
        process,
        [plan.BUILD_IMAGE, *CREATE],
        environment={"A": "1", "B": "2"},
        mounts=mounts,
        memory="512m",
        cpus=1,
        ulimits={"core": 0, "nofile": 1000},
    )
    before = identity(docker_engine)

    for other in (
        {"environment": {"B": 2, "A": 1}},
        {"mounts": [{**item, "read_only": True} for item in reversed(mounts)]},
        {"memory": "536870912"},
        {"ulimits": {"nofile": "1000", "core": 0}},
        {"cpus": "1.0"},
        {"port": str(process.defaults["port"])},
    ):
        options = {
            "environment": {"A": "1", "B": "2"},
            "mounts": mounts,
            "memory": "512MiB",
            "cpus": 1,
            "ulimits": {"core": 0, "nofile": 1000},
            **other,
        }
        result = process(**options)
        assert not result["changed"], (other, result["diff"])
    assert identity(docker_engine) == before


# Without a restart


def test_what_the_daemon_can_change_is_changed_without_a_restart(
    docker_engine: DockerEngine, process: ModuleProcess
) -> None:
    process()
    before = identity(docker_engine)

    settle(process, UPDATE, restart_policy="always")
    limited = settle(process, UPDATE, restart_policy="always", memory="600m", cpus=0.5, cpuset_cpus="0")
    assert limited["diff"]["before"] | limited["diff"]["after"] == limited["diff"]["after"]
    # Somebody lets it swap.
    docker_engine.client.containers.get(NAME).update(memswap_limit="900m")
    swapping = settle(process, UPDATE, restart_policy="always", memory="600m", cpus=0.5, cpuset_cpus="0")
    assert (swapping["diff"]["before"]["swap_bytes"], swapping["diff"]["after"]["swap_bytes"]) == (300 * 2**20, 0)
    host = inspect(docker_engine)["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["CpusetCpus"]) == (600 * 2**20, 500_000_000, "0")
    settle(process, UPDATE, restart_policy="always")
    relabelled = settle(process, UPDATE, restart_policy="always", profile="h100x4")

    assert relabelled["engine"]["profile"] == "h100x4"
    assert identity(docker_engine) == before


def test_a_new_key_is_taken_without_a_restart(docker_engine: DockerEngine, process: ModuleProcess) -> None:
    url = f"http://127.0.0.1:{process.defaults['port']}/v1/models"
    process(api_key="first")
    before = identity(docker_engine)

    rotated = settle(process, [plan.REWRITE_SECRETS], api_key="second")

    assert identity(docker_engine) == before
    assert "second" not in str(rotated)
    assert [
        requests.get(url, headers={"Authorization": f"Bearer {key}"}, timeout=60).status_code
        for key in ("first", "second")
    ] == [401, 200]


# What was changed by hand


def _stop(engine: DockerEngine) -> None:
    engine.client.containers.get(NAME).stop(timeout=5)


def _pause(engine: DockerEngine) -> None:
    engine.client.containers.get(NAME).pause()


def _remove(engine: DockerEngine) -> None:
    engine.client.containers.get(NAME).remove(force=True)


def _policy(engine: DockerEngine) -> None:
    engine.client.containers.get(NAME).update(restart_policy={"Name": "no"})


def _memory(engine: DockerEngine) -> None:
    engine.client.containers.get(NAME).update(mem_limit="700m", memswap_limit="700m")


def _quota(engine: DockerEngine) -> None:
    engine.client.containers.get(NAME).update(cpu_quota=20_000)


def _cpuset(engine: DockerEngine) -> None:
    engine.client.containers.get(NAME).update(cpuset_cpus="0")


def _starve(engine: DockerEngine) -> None:
    """What the SDK does not know of: processes, shares of the CPU, NUMA nodes."""
    api = engine.client.api
    body = {"PidsLimit": 40, "CpuShares": 2, "CpusetMems": "0"}
    api._raise_for_status(api._post_json(api._url("/containers/{0}/update", NAME), data=body))


def _disconnect(engine: DockerEngine) -> None:
    engine.client.networks.get("bridge").disconnect(NAME)


def _another_network(engine: DockerEngine) -> None:
    network = next(iter(engine.client.networks.list(names=["other"])), None)
    (network or engine.client.networks.create("other")).connect(NAME)


def _instead_of_bridge(engine: DockerEngine) -> None:
    _disconnect(engine)
    _another_network(engine)


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        (_stop, START),
        (_pause, START),
        (_remove, CREATE),
        (_policy, UPDATE),
        (_memory, UPDATE),
        (_quota, UPDATE),
        (_cpuset, UPDATE),
        (_starve, UPDATE),
        (_disconnect, [*UPDATE, plan.WAIT]),
        # Whoever attached it takes it off.
        (_another_network, []),
        (_instead_of_bridge, UPDATE),
    ],
)
def test_what_was_changed_by_hand_is_put_right(
    docker_engine: DockerEngine, process: ModuleProcess, change: Callable[[DockerEngine], None], steps: list[str]
) -> None:
    process()
    before = identity(docker_engine)
    change(docker_engine)

    settle(process, steps)

    url = f"http://127.0.0.1:{process.defaults['port']}/health"
    assert requests.get(url, timeout=60).status_code == 200
    if not steps or steps[0] == plan.UPDATE_CONTAINER:
        assert identity(docker_engine) == before
    by_hand = ["other"] if change in (_another_network, _instead_of_bridge) else []
    assert sorted(inspect(docker_engine)["NetworkSettings"]["Networks"]) == ["bridge", *by_hand]


def test_every_state(docker_engine: DockerEngine, process: ModuleProcess, images: Images) -> None:
    image = {"image": images.tag("1")}
    settle(process, [plan.PULL_IMAGE], state="prefetched", **image)
    assert docker_engine.client.containers.list(all=True) == []
    settle(process, CREATE, **image)
    settle(process, [plan.STOP], state="stopped")
    settle(process, START, **image)
    before = identity(docker_engine)
    restarted = process(state="restarted", **image)
    assert restarted["steps"] == [plan.RESTART, plan.WAIT]
    after = identity(docker_engine)
    assert (after[0] == before[0], after[1] != before[1]) == (True, True)
    assert process(recreate=True, **image)["steps"] == REPLACE
    assert identity(docker_engine)[0] != after[0]
    settle(process, [plan.REMOVE], state="absent")


def test_several_engines_on_one_host(
    docker_engine: DockerEngine, process: ModuleProcess, fake_vllm: Callable[..., str], free_port: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        other_port = free.getsockname()[1]
    served = {"engine": "vllm", "image": fake_vllm("one"), "model": "/models/local", "profile": "h100x8"}
    settle(process, CREATE, gpus=["0", "1", "2", "3"], tensor_parallel_size=4, **served)
    first = identity(docker_engine)
    second = {"container_name": f"{NAME}-2", "tensor_parallel_size": 4, "port": other_port, **served}

    for wrong, told in (
        ({"gpus": ["3", "4", "5", "6"]}, f"{NAME} runs on GPUs (devices 0, 1, 2, 3) that {NAME}-2 would have too"),
        ({"gpus": ["4", "5", "6", "7"], "port": free_port}, f"{NAME} has port {free_port} of 127.0.0.1 already"),
    ):
        for check in (True, False):
            assert told in process(check=check, **{**second, **wrong})["msg"]
    settle(process, CREATE, gpus=["4", "5", "6", "7"], **second)

    assert identity(docker_engine) == first
    # One that is stopped has nothing, and does not get it back while another has it.
    process(state="stopped")
    settle(process, REPLACE, gpus=["0", "1", "2", "3"], **second)
    for check in (True, False):
        refused = process(check=check, gpus=["0", "1", "2", "3"], tensor_parallel_size=4, **served)
        assert f"{NAME}-2 runs on GPUs (devices 0, 1, 2, 3) that {NAME} would have too" in refused["msg"]
    assert process(state="absent", container_name=f"{NAME}-2")["changed"]
    settle(process, START, gpus=["0", "1", "2", "3"], tensor_parallel_size=4, **served)
    assert identity(docker_engine)[0] == first[0]


# The weights


@pytest.fixture
def model_hub() -> Iterator[Hub]:
    """A hub with two models, one of them gated."""
    with Hub({"org/tiny": Model(repository(4_000_000)), "org/gated": Model(repository(), token="t0ken")}) as running:
        yield running


def test_image_and_weights_come_before_the_old_engine_stops(
    process: ModuleProcess, images: Images, model_hub: Hub, tmp_path: Path, fake_vllm: Callable[..., str]
) -> None:
    served = {
        "engine": "vllm",
        "profile": "cpu",
        "environment": {"HF_ENDPOINT": model_hub.url},
        "cache_dir": str(tmp_path / "weights"),
    }
    settle(process, CREATE, image=fake_vllm("one"), model="/models/local", **served)
    process.progress.unlink()

    settle(process, [plan.FETCH_WEIGHTS, *REPLACE], image=fake_vllm("one"), model="org/tiny", **served)

    said = process.said()
    stopped = next(place for place, line in enumerate(said) if "stopping the old container" in line)
    assert "weights: 4 MiB of 4 MiB" in said[:stopped]
    assert cache.cached(served["cache_dir"], weights.Weights("org/tiny", form="auto"))
    # Hosts that share the cache see that it is read, until the engine is gone.
    held = Leases(served["cache_dir"], "models--org--tiny")
    assert [lease.what for lease in held.all()] == [f"serves org/tiny as {NAME}"]
    settle(
        process,
        [plan.FETCH_WEIGHTS],
        state="prefetched",
        image=fake_vllm("one"),
        model="org/gated",
        hf_token="t0ken",
        **served,
    )
    assert Leases(served["cache_dir"], "models--org--gated").all() == []
    settle(process, [plan.REMOVE], state="absent")
    assert held.all() == []


def test_weights_that_cannot_be_had_leave_the_old_engine_serving(
    docker_engine: DockerEngine, process: ModuleProcess, model_hub: Hub, fake_vllm: Callable[..., str]
) -> None:
    served = {"engine": "vllm", "profile": "cpu", "environment": {"HF_ENDPOINT": model_hub.url}}
    process(image=fake_vllm("one"), model="/models/local", **served)
    before = identity(docker_engine)

    failed = process(image=fake_vllm("one"), model="org/gated", **served)

    assert "org/gated" in failed["msg"]
    assert "no hf_token is set" in failed["msg"]
    assert f"{NAME} was not touched" in failed["msg"]
    assert identity(docker_engine) == before


def test_a_new_hub_token_needs_no_restart(
    docker_engine: DockerEngine, process: ModuleProcess, fake_vllm: Callable[..., str]
) -> None:
    served = {"engine": "vllm", "profile": "cpu", "image": fake_vllm("one"), "model": "/models/local"}
    process(hf_token="first-planted", **served)
    before = identity(docker_engine)

    settle(process, [plan.REWRITE_SECRETS], hf_token="second-planted", **served)

    assert identity(docker_engine) == before
    assert "planted" not in str(inspect(docker_engine))
    path = Path(inspect(docker_engine)["Config"]["Labels"]["inference.fleet.secrets"]) / "hf_token"
    assert path.read_text() == "second-planted"
    assert path.stat().st_mode & 0o777 == 0o600


# Users, caches, warm-up


@pytest.mark.parametrize("user", ["1234", "1234:2345", "nobody"])
def test_files_belong_to_the_user_of_the_image(
    docker_engine: DockerEngine, process: ModuleProcess, fake_vllm: Callable[..., str], tmp_path: Path, user: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    image = fake_vllm("user", f"USER {user}")
    made = process(
        engine="vllm",
        profile="cpu",
        image=image,
        model="/models/local",
        api_key="planted",
        cache_dir=str(home / "cache/huggingface"),
    )
    assert "failed" not in made, made["msg"]

    source = Path(inspect(docker_engine)["Config"]["Labels"]["inference.fleet.secrets"])
    uid = 65534 if user == "nobody" else 1234
    assert {path.stat().st_uid for path in (source, *source.iterdir())} == {uid}
    assert {oct(path.stat().st_mode & 0o777) for path in source.iterdir()} == {"0o600"}
    assert (home / "cache/huggingface").stat().st_uid == uid
    assert (home / "cache").stat().st_uid == home.stat().st_uid


def test_a_warm_up_belongs_to_readiness(process: ModuleProcess) -> None:
    made = process(warm_up_concurrency=4)
    assert made["ready"], made
    assert process.said()[-2] == "warming up"
    metrics = requests.get(f"http://127.0.0.1:{process.defaults['port']}/metrics", timeout=60).text
    prompted = next(line for line in metrics.splitlines() if line.startswith("vllm:generation_tokens_total"))
    assert float(prompted.split()[-1]) >= 8 * 32
