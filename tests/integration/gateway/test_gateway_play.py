# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks gateway.yml and gateway_key.yml, from an inventory to a client that is answered."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway_rig import ANNA, ENGINE_KEY, Engine, Gateway, own_address

from ansible_collections.inference import fleet
from ansible_collections.inference.fleet.tests.patience import until
from ansible_collections.inference.fleet.tests.ports import free_ports

COLLECTION = Path(next(iter(fleet.__path__)))


def test_from_an_inventory_to_an_answer(gateway: Gateway, engine: Callable[..., Engine], tmp_path: Path) -> None:
    behind = engine()
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False}
    names = ("bind_addresses", "port", "redirect_port", "metrics_port", "log", "directory", "run_directory")
    # As the page has it: the file is there, and the key nowhere in the inventory.
    (tmp_path / "engine_api_key").write_text(f"{ENGINE_KEY}\n")
    page = (Path(__file__).parents[3] / "docs/gateway.md").read_text(encoding="utf-8")
    (line,) = re.findall(r'^ +engine_api_key: "(.*)"$', page, re.M)
    host = {**here, "engine_port": behind.port, "engine_api_key": line}
    # Of the machine itself, and not of loopback: nobody listens there.
    cut_off = {"ansible_host": own_address(), "ansible_ssh_common_args": "-o ProxyCommand=false"}
    cut_off |= {"engine_api_key": line}
    inventory = {
        "all": {
            "vars": {f"gateway_{name}": gateway.params[name] for name in names}
            | {"gateway_names": ["127.0.0.1"], "gateway_clients": [{"name": "anna", "key": ANNA}]}
            | {"gateway_engine_hosts": ["gpu-1"], "gateway_tls_port": free_ports(1)[0]},
            "children": {"h100": {"hosts": {"gpu-1": host, "gpu-9": cut_off}}, "gateway": {"hosts": {"front-1": here}}},
        }
    }
    (tmp_path / "hosts.json").write_text(json.dumps(inventory))

    def play(name: str, *options: str, code: int = 0, **variables: Any) -> str:
        argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "hosts.json", *options]
        done = subprocess.run(
            [*argv, str(COLLECTION / f"playbooks/{name}.yml"), "-e", json.dumps(variables)],
            cwd=tmp_path,
            env={
                **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
                "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2]),
                "ANSIBLE_STDOUT_CALLBACK": "default",
                "HOME": str(tmp_path),
                "SSL_CERT_FILE": gateway.certificate,
                "REQUESTS_CA_BUNDLE": gateway.certificate,
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        for secret in (ANNA, ENGINE_KEY):
            assert secret not in done.stdout + done.stderr
        return done.stdout

    planned = play("gateway", "--check", "--diff")
    assert "frontend gateway" in planned
    assert not Path(gateway.params["directory"]).exists()
    assert re.search(r"front-1 .*changed=1 ", play("gateway", "--diff", "-vvv"))
    gateway.healthy()
    assert gateway.chat(ANNA).status == 200
    assert re.search(r"front-1 .*changed=0 ", play("gateway"))
    printed = play("gateway_key", gateway_key_name="bob", gateway_key_requests_per_minute="2")
    (key,) = set(re.findall(r"sk-fleet-[\w-]+", printed))
    assert [gateway.chat(key).status for _each in range(3)] == [200, 200, 429]
    connected(tmp_path, gateway, play, key)
    assert "sk-fleet-" not in play("gateway_key", gateway_key_name="bob", gateway_key_requests_per_minute="0")
    assert gateway.chat(key).status == 200
    assert re.search(r"front-1 .*changed=1 ", play("gateway_key", gateway_key_name="bob", gateway_key_state="absent"))
    assert gateway.chat(key).status == 401
    # On the engine's own host, by its name, where the same is there already.
    assert re.search(r"gpu-1 .*changed=0 ", play("gateway", gateway_hosts="gpu-1"))
    assert "front-1: 1 clients, certificate until" in play("doctor", "-l", "front-1")
    # A host that cannot be reached is named at the end, and the others are served, at once and after it.
    told = play("gateway", code=2, gateway_engine_hosts=["gpu-1", "gpu-9"])
    assert re.search(r"gpu-9 could not be reached \(.+\): wanted its certificate", " ".join(told.split()))
    assert re.search(r"front-1 .*changed=[1-9]\d* .*failed=0 ", told)
    until(lambda: [each["status"] for each in gateway.server()["servers"]] == ["UP", "DOWN"], "only one is there")
    assert gateway.chat(ANNA).status == 200
    # The hosts of engines are not meant, and so no engine is.
    assert re.search(r"front-1 .*changed=1 ", play("teardown", "-l", "front-1", teardown_gateway=True))
    assert not Path(gateway.params["directory"]).exists()


def connected(home: Path, gateway: Gateway, play: Callable[..., str], key: str) -> None:
    """See that a coding client is set up to go through the gateway, with its own key and the engine's window."""
    told = play("connect", "-l", "gpu-1", coding_client_api_key=key, coding_client_clients=["codex"])
    assert "262144 tokens" in told
    assert key not in told
    assert f'base_url = "{gateway.url}/v1"' in (home / ".codex/config.toml").read_text()
    play("connect", "-l", "gpu-1", coding_client_state="absent", coding_client_clients=["codex"])
