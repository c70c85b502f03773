# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A group's firewall with the real nftables, in network namespaces: a member connects, a stranger is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from debian_package import NotToBeHadError, unpacked

from ansible_collections.inference import fleet
from ansible_collections.inference.fleet.plugins.module_utils.containers import state
from ansible_collections.inference.fleet.plugins.module_utils.serving import firewall

PACKAGES = ("nftables", "libnftables1", "libnftnl11", "libjansson4", "libmnl0", "libedit2")
HOST, MEMBER, STRANGER = "10.71.0.1", "10.71.0.2", "10.71.0.3"
WANTED = firewall.Wanted((HOST, MEMBER), 29501, 48000)
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2]))).close()
except OSError as error:
    print(type(error).__name__)
else:
    print("connected")
"""
SERVE = """
import socket, sys
open_ = [socket.create_server((sys.argv[1], int(port))) for port in sys.argv[2:]]
print("listens", flush=True)
sys.stdin.read()
"""
MODULE = "ansible_collections.inference.fleet.plugins.modules.engine"
COLLECTIONS = Path(next(iter(fleet.__path__))).parents[2]
Run = Callable[[Sequence[str]], "tuple[int, str, str]"]


@pytest.fixture(scope="module")
def nft() -> str:
    """Return nft, the machine's own or that of Debian's package."""
    own = shutil.which("nft", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if own:
        return own
    try:
        return str(unpacked("nftables", *PACKAGES) / "usr/sbin/nft")
    except NotToBeHadError as error:
        pytest.skip(str(error))


@pytest.fixture
def inside(nft: str) -> Iterator[Run]:
    """Make a host with a network of two others, and run commands in it."""
    name = f"fleet-{os.getpid()}"
    libraries = [str(path) for path in Path(nft).parents[2].glob("usr/lib/*-linux-gnu")] if ".build" in nft else []

    def run(argv: Sequence[str]) -> tuple[int, str, str]:
        environment = {**os.environ, "PYTHONPATH": str(COLLECTIONS), "PATH": f"{Path(nft).parent}:{os.environ['PATH']}"}
        environment |= {"LD_LIBRARY_PATH": ":".join(libraries)} if libraries else {}
        command = ["ip", "netns", "exec", name, *argv]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        return done.returncode, done.stdout, done.stderr

    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no network namespace can be made here: {made.stderr.strip()}")
    try:
        peers = ("member", "stranger")
        for number, (peer, address) in enumerate(zip(peers, (MEMBER, STRANGER), strict=True)):
            # A second namespace within the first: it is gone with the link, and with this host.
            other = f"{name}-{peer}"
            for line in (
                f"ip netns add {other}",
                f"ip -n {name} link add veth{number} type veth peer name eth0 netns {other}",
                f"ip -n {other} address add {address}/24 dev eth0",
                f"ip -n {other} link set eth0 up",
            ):
                subprocess.run(line.split(), check=True)
        for line in (
            "link add br0 type bridge",
            "link set veth0 master br0 up",
            "link set veth1 master br0 up",
            f"address add {HOST}/24 dev br0",
            "link set br0 up",
            "link set lo up",
        ):
            subprocess.run(["ip", "-n", name, *line.split()], check=True)
        yield run
    finally:
        for peer in ("-member", "-stranger", ""):
            subprocess.run(["ip", "netns", "del", name + peer], capture_output=True, check=False)


def connects(whose: str, port: int) -> str:
    """Return what comes of a connection from another host of the network, or from the host itself."""
    name = f"fleet-{os.getpid()}{whose}"
    command = ["ip", "netns", "exec", name, sys.executable, "-c", CONNECT, HOST, str(port)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("firewall_wanted", [True, False])
def test_the_module_tells_of_it_and_removes_it(inside: Run, tmp_path: Path, firewall_wanted: bool) -> None:
    if not Path("/var/run/docker.sock").is_socket():
        pytest.skip("no Docker Engine")
    slot = f"firewall-{os.getpid()}"

    def module(check_mode: bool, **options: Any) -> dict[str, Any]:
        group = {"rank": 0, "names": ["a", "b"], "addresses": [HOST, MEMBER], "firewall": firewall_wanted}
        given = {"engine": "simulator", "served_model_name": slot, "slot": slot, "port": 48000, "preflight": "skip"}
        given |= {"_ansible_check_mode": check_mode, "group": group, **options}
        (tmp_path / "arguments").write_text(json.dumps({"ANSIBLE_MODULE_ARGS": given}))
        _code, output, error = inside([sys.executable, "-m", MODULE, str(tmp_path / "arguments")])
        assert output, error
        return json.loads(output)

    found = module(True)
    assert (firewall.CLOSE in found["steps"]) is firewall_wanted
    if not firewall_wanted:
        return
    wall = firewall.Firewall(slot, WANTED, inside)
    wall.put_until_settled()
    assert "failed" not in module(False, stage="back")
    assert wall.differs, "before this start there was none"
    wall.put_until_settled()
    assert "failed" not in module(False, stage="keep")
    assert not wall.differs
    assert firewall.CLOSE not in module(True)["steps"]
    # An engine without the group that it had, and no engine, leave no rule of it.
    assert firewall.OPEN in module(True, group=None)["steps"]
    assert module(False, state="absent")["steps"] == [firewall.OPEN]
    assert module(False, state="absent")["steps"] == []
    assert firewall.table(slot) not in inside(["nft", "list", "tables"])[1]
    state.lock_path(slot).unlink()


@pytest.fixture
def serving(inside: Run) -> Iterator[None]:
    """Listen on the host: at the head's port, at one that a kernel gives out, at the engine's own, and at another."""
    ports = ("29501", "45000", "48000", "9100")
    command = ["ip", "netns", "exec", f"fleet-{os.getpid()}", sys.executable, "-c", SERVE, HOST, *ports]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "listens"
        yield
        process.communicate("")


@pytest.mark.usefixtures("serving")
def test_a_member_connects_and_a_stranger_is_refused(
    inside: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "STATE_DIR", tmp_path / "state")
    wall = firewall.Firewall("8000", WANTED, inside)
    assert (connects("-stranger", 29501), wall.differs) == ("connected", True)
    wall.put()
    assert not wall.differs
    for port in (29501, 45000):
        assert connects("-stranger", port) == "ConnectionRefusedError", port
        assert connects("-member", port) == connects("", port) == "connected", port
    # What is guarded otherwise, and what is none of the engine's.
    assert connects("-stranger", 48000) == connects("-stranger", 9100) == "connected"

    # Another group, and what somebody changed by hand, differ; the table of another slot is left alone.
    other = firewall.Firewall("other", WANTED._replace(port=29502), inside)
    other.put()
    assert firewall.Firewall("8000", WANTED._replace(addresses=(HOST, STRANGER)), inside).differs
    assert not wall.differs
    assert inside(["nft", "flush", "chain", "inet", firewall.table("8000"), "input"])[0] == 0
    assert wall.differs
    wall.put()
    assert (connects("-stranger", 45000), wall.differs) == ("ConnectionRefusedError", False)

    # After a boot there is none, whatever was put.
    assert inside(["nft", "flush", "ruleset"])[0] == 0
    assert wall.differs
    wall.put()

    gone = firewall.Firewall("8000", None, inside)
    assert gone.differs
    gone.put()
    assert not gone.differs
    assert connects("-stranger", 29501) == "connected"
    assert firewall.table("8000") not in inside(["nft", "list", "tables"])[1]


@pytest.mark.usefixtures("serving")
def test_where_the_group_goes_back_so_does_its_table(
    inside: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "STATE_DIR", tmp_path / "state")
    walls = [firewall.Firewall("8000", WANTED._replace(addresses=(HOST, it)), inside) for it in (MEMBER, STRANGER)]
    nothing = firewall.Firewall("8000", None, inside)
    old, new = walls
    nothing.settle(back=True)

    # A first start that fails: there was no table before.
    old.put_until_settled()
    nothing.settle(back=True)
    assert (connects("-stranger", 29501), nothing.differs) == ("connected", False)

    old.put_until_settled()
    nothing.settle(back=False)
    assert [wall.differs for wall in walls] == [False, True]

    # The second run goes on where the first was cut off.
    new.put_until_settled()
    new.put_until_settled()
    assert connects("-member", 29501) == "ConnectionRefusedError"
    nothing.settle(back=True)
    assert [wall.differs for wall in walls] == [False, True]
    assert (connects("-member", 29501), connects("-stranger", 29501)) == ("connected", "ConnectionRefusedError")

    # What was kept is of that start alone.
    nothing.put_until_settled()
    nothing.put()
    nothing.settle(back=True)
    assert firewall.table("8000") not in inside(["nft", "list", "tables"])[1]
