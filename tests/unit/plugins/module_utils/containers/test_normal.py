# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""However a value is spelt, by a user or by a daemon of any version, it is no difference; another value is one."""

from __future__ import annotations

import copy
import ipaddress
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.containers.compare import compare
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import LABEL, HostSize, observe
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import (
    ContainerSpec,
    Device,
    Gpus,
    Log,
    Mount,
    Port,
    RestartPolicy,
    Ulimit,
    create_config,
)

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is in requirements-dev.txt")
st = hypothesis.strategies

FIXTURES = Path(__file__).parent / "fixtures"
HOST = HostSize(memory_bytes=2**40, cpus=64, memory_nodes="0-1")
# What the fixtures' containers were asked for, in the plainest spelling.
PLAIN = ContainerSpec(
    name="fixture",
    image="o13-fixture:1",
    command=("--port", "8000"),
    entrypoint=("/usr/bin/serve",),
    environment={"A": "1", "B": "2"},
    mounts=(Mount("/data/hf", "/srv/o13/hf", True), Mount("/x/z", "/srv/o13")),
    ports=(Port(8000, "0.0.0.0", 18000), Port(8001, "::1", 18001), Port(8002, "127.0.0.1", 18002)),
    gpus=Gpus(device_ids=("0", "1")),
    ipc_mode="host",
    ulimits=(Ulimit("nofile", 1024, 1024), Ulimit("memlock", -1, -1)),
    devices=(Device("/dev/zero", "/dev/zero2"),),
    cap_add=("IPC_LOCK", "SYS_PTRACE"),
    security_opt=("seccomp=unconfined", "no-new-privileges:true"),
    log=Log("json-file", {"max-size": "10m", "max-file": "3"}),
    cpuset_cpus="0-1",
    labels={LABEL: "vllm", "team": "search"},
)


@pytest.mark.parametrize("fixture", sorted(FIXTURES.glob("docker-*.json")), ids=lambda path: path.stem)
def test_what_each_docker_engine_gives_back_is_no_difference(fixture: Path) -> None:
    found = json.loads(fixture.read_text())
    observed = observe(found["inspect"], found["image"], HOST)
    assert compare(PLAIN, observed, None, {}) == []
    # Nor is what is left to the image and the daemon.
    for user in ("root", "0:0", ""):
        assert compare(replace(PLAIN, user=user, log=None), observed, None, {}) == []


def path_spellings(path: str) -> Any:
    """Return spellings of a clean absolute path."""
    separators = st.lists(st.sampled_from(["/", "//", "/./", "/other/../"]), min_size=4, max_size=4)
    parts = path.strip("/").split("/")
    return st.tuples(separators, st.sampled_from(["", "/", "//", "/.", "/x/.."])).map(
        lambda made: "".join(a + b for a, b in zip(made[0], parts, strict=False)) + made[1]
    )


def case_spellings(text: str) -> Any:
    """Return a text with some of its letters in upper case."""
    return st.integers(0, 2 ** len(text) - 1).map(
        lambda bits: "".join(
            letter.upper() if bits >> place & 1 else letter.lower() for place, letter in enumerate(text)
        )
    )


def address_spellings(text: str) -> Any:
    address = ipaddress.ip_address(text)
    if address.version == 4:
        mapped = ipaddress.ip_address(f"::ffff:{address}").exploded
        return st.sampled_from([text, f" {text}", f"::ffff:{text}", mapped] + ([""] if text == "0.0.0.0" else []))
    plain = st.sampled_from([address.compressed, address.exploded, f"[{address.exploded}]"])
    return plain.flatmap(case_spellings)


CPUS = {"0-3,8": ["0-3,8", "8,3,2,1,0", "0,1,2-3,8", " 0-1 , 2-3,8-8", "0-2,1-3,8"], "5": ["5", "5-5", "5,5"]}
REFERENCES = {
    "vllm/vllm-openai:latest": [
        "vllm/vllm-openai",
        "docker.io/vllm/vllm-openai",
        "index.docker.io/vllm/vllm-openai:latest",
    ],
    "python:3": ["docker.io/library/python:3", "library/python:3", "docker.io/python:3"],
    "registry:5000/a": ["registry:5000/a:latest"],
}
SECURITY = {
    "no-new-privileges": ["no-new-privileges=true", "no-new-privileges:true"],
    "seccomp=unconfined": ["seccomp:unconfined"],
    'seccomp={"a":1,"b":[]}': ['seccomp={ "b": [], "a": 1 }'],
}
# Each field: values that mean something else each, and how one is spelt.
FIELDS: dict[str, tuple[list[Any], Any]] = {
    "image": (list(REFERENCES), lambda value: st.sampled_from([value, *REFERENCES[value]])),
    "cpuset_cpus": (list(CPUS), lambda value: st.sampled_from(CPUS[value])),
    "mounts": (
        [("/data/hf", "/srv/hf"), ("/data/hf", "/srv/other"), ("/data", "/srv/hf")],
        lambda value: st.tuples(*map(path_spellings, value)).map(lambda spelt: (Mount(*spelt),)),
    ),
    "ports": (
        ["127.0.0.1", "0.0.0.0", "::1", "fd00::5", "192.0.2.7"],
        lambda value: address_spellings(value).map(lambda spelt: (Port(8000, spelt, 8000),)),
    ),
    "devices": (
        [("/dev/a", "/dev/a", "rwm"), ("/dev/a", "/dev/b", "rwm"), ("/dev/a", "/dev/a", "r")],
        lambda value: st.tuples(
            path_spellings(value[0]),
            path_spellings(value[1]) if value[0] != value[1] else st.sampled_from(["", value[1]]),
            st.permutations(value[2]).map("".join),
        ).map(lambda spelt: (Device(*spelt),)),
    ),
    "cap_add": (
        ["IPC_LOCK", "SYS_PTRACE", "ALL"],
        lambda value: st.tuples(st.sampled_from(["", "cap_", "CAP_"]), case_spellings(value)).map(
            lambda spelt: ("".join(spelt),)
        ),
    ),
    "security_opt": (
        list(SECURITY),
        lambda value: st.tuples(st.sampled_from([value, *SECURITY[value]]), st.booleans()).map(
            lambda made: (made[0], "label=disable") if made[1] else (made[0],)
        ),
    ),
    "user": (["root", "1000", "1000:1000"], lambda v: st.sampled_from(["0", "0:0", "root"] if v == "root" else [v])),
    "ulimits": (
        ["nofile", "memlock"],
        lambda value: case_spellings(value).map(lambda spelt: (Ulimit(spelt, 1, 2),)),
    ),
    "gpus": (
        [("0",), ("0", "1"), ("1", "2")],
        lambda value: st.permutations([*value, *value]).map(lambda ids: Gpus(device_ids=tuple(ids))),
    ),
    "restart_policy": (
        ["no", "always"],
        lambda v: st.sampled_from(["", "no"] if v == "no" else [v]).map(RestartPolicy),
    ),
    "ipc_mode": (
        ["private", "shareable", "host"],
        lambda v: st.sampled_from(["", "private"] if v == "private" else [v]),
    ),
    "network": (["bridge", "none"], lambda v: st.sampled_from(["", "default", "bridge"] if v == "bridge" else [v])),
    "shm_bytes": ([2**26, 2**30], lambda value: st.sampled_from([0, 2**26] if value == 2**26 else [value])),
    "environment": (
        [{"A": "1", "B": "2"}, {"A": "1"}],
        lambda value: st.permutations(list(value.items())).map(dict),
    ),
    "labels": (
        [{LABEL: "vllm", "team": "a"}, {LABEL: "vllm"}, {LABEL: "sglang"}],
        lambda value: st.permutations(list(value.items())).map(dict),
    ),
    "command": ([("--port", "1"), ("--port", "2")], st.just),
    "entrypoint": ([("a",), ("a", "b")], st.just),
    "memory_bytes": ([0, 2**30], lambda value: st.sampled_from([0, 2**40, 2**50] if value == 0 else [value])),
    "nano_cpus": ([0, 10**9], lambda value: st.sampled_from([0, 64 * 10**9] if value == 0 else [value])),
    "log": ([Log("local", {"max-size": "1m"}), Log("json-file", {"max-size": "1m"})], st.just),
}
IMAGE = {"Config": {"Env": ["PATH=/bin"], "Entrypoint": ["e"], "User": "7"}}
# What only :func:`.observe.observe` reads, for somebody changed it by hand, and what no user spells.
_ELSEWHERE = {
    "name",
    "earlier_commands",
    "secret_versions",
    "cpuset_mems",
    "swap_bytes",
    "pids_limit",
    "cpu_shares",
    "secrets",
    "live_secrets",
    "secrets_target",
}


def test_every_field_is_among_them() -> None:
    assert set(ContainerSpec.__dataclass_fields__) - set(FIELDS) <= _ELSEWHERE


def container(**fields: Any) -> ContainerSpec:
    base = {"name": "e", "image": "i:1", "command": ("a",), "ipc_mode": "host", "labels": {LABEL: "vllm"}}
    return ContainerSpec(**{**base, **fields})


def given_back(config: dict[str, Any], canonical: bool) -> dict[str, Any]:
    """Return what a daemon gives back of what it was given: word for word, or (as from API 1.52 on) in its own form.

    The fixtures show that real ones do. Mounts are clean on all of them.
    """
    host: dict[str, Any] = copy.deepcopy(config["HostConfig"])
    if canonical:
        for bindings in host["PortBindings"].values():
            for binding in bindings:
                binding["HostIp"] = str(ipaddress.ip_address(binding["HostIp"])) if binding["HostIp"] else ""
    if host["IpcMode"] == "host":
        host["SecurityOpt"] = [*host.get("SecurityOpt", ()), "label=disable"]
    host["LogConfig"] = host.get("LogConfig") or {"Type": "json-file", "Config": {}}
    return {
        "Id": "c0ffee",
        "Name": "/e",
        "Image": "sha256:aa",
        "State": {"Status": "running"},
        "Config": {
            **{key: config[key] for key in ("Image", "Cmd", "Labels")},
            "Env": [*config["Env"], *IMAGE["Config"]["Env"]],
            "Entrypoint": config.get("Entrypoint") or IMAGE["Config"]["Entrypoint"],
            "User": config.get("User") or IMAGE["Config"]["User"],
        },
        "HostConfig": host,
        "Mounts": [
            {"Type": "bind", "Source": m["Source"], "Destination": m["Target"], "RW": not m["ReadOnly"]}
            for m in host["Mounts"]
        ],
        "NetworkSettings": {"Networks": {host["NetworkMode"]: {}}},
    }


@hypothesis.settings(max_examples=25, deadline=None, derandomize=True)
@hypothesis.given(data=st.data())
@pytest.mark.parametrize("name", sorted(FIELDS))
def test_a_spelling_is_no_difference_and_another_value_is(name: str, data: Any) -> None:
    values, spellings = FIELDS[name]
    first = data.draw(st.sampled_from(values))
    before, after = (container(**{name: data.draw(spellings(first))}) for _side in "ab")
    found = given_back(create_config(before), canonical=data.draw(st.booleans()))
    assert compare(after, observe(found, IMAGE, HOST), None, {}) == []

    other = container(**{name: data.draw(spellings(data.draw(st.sampled_from([v for v in values if v != first]))))})
    assert compare(other, observe(found, IMAGE, HOST), None, {}) != []


@hypothesis.settings(max_examples=25, deadline=None, derandomize=True)
@hypothesis.given(data=st.data())
def test_what_a_daemon_was_given_by_somebody_else_is_read_alike(data: Any) -> None:
    """A container of an earlier release was made with the user's own spellings."""
    address, path = data.draw(address_spellings("::1")), data.draw(path_spellings("/data/hf"))
    found = given_back(create_config(container()), canonical=False)
    found["HostConfig"]["PortBindings"] = {"8000/tcp": [{"HostIp": address, "HostPort": "8000"}]}
    found["Mounts"] = [{"Type": "bind", "Source": path, "Destination": "/x", "RW": True}]
    wanted = container(ports=(Port(8000, "::1", 8000),), mounts=(Mount("/x", "/data/hf"),))
    assert compare(wanted, observe(found, IMAGE, HOST), None, {}) == []
