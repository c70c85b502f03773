# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Four hosts, playbook runs on them, and what they say themselves, asked past Ansible. The engine is the simulator."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.tests.fleet.ran import Ran

ROOT = Path(__file__).resolve().parents[2]
FLEET = ROOT / "tests/fleet/fleet"
NAME = "suite"
ONE, TWO, THREE, FOUR = HOSTS = [f"{NAME}{os.environ.get('FLEET_TAG', '')}-{number}" for number in range(1, 5)]
ENGINE = "qwen3-coder-next"
KEY = "a-secret-of-4711"
# Host four has two engines, one of which is for itself alone; all hosts share the flags of their group.
VARIABLES = {
    "h100": {
        "engine_name": "simulator",
        "engine_bind_address": "0.0.0.0",
        "engine_api_key": KEY,
        "engine_ready_timeout": 60,
        "engine_stop_timeout": 5,
    },
    FOUR: {
        "engine_instances": [
            {"container_name": ENGINE, "bind_address": "127.0.0.1", "api_key": KEY},
            {
                "container_name": "second",
                "served_model_name": "org/second",
                "port": 8001,
                "bind_address": "0.0.0.0",
                "api_key": KEY,
            },
        ]
    },
}
BROKEN = ["--no-such-option"]


class Fleet:
    """Four hosts, and playbook runs on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runs = itertools.count()
        children = json.loads((ROOT / f".build/fleet-{NAME}/inventory.yml").read_text().removeprefix("---\n"))
        group = children["all"]["children"]["h100"]
        group["vars"] = VARIABLES["h100"]
        group["hosts"][FOUR] |= VARIABLES[FOUR]
        self.addresses = {host: variables["ansible_host"] for host, variables in group["hosts"].items()}
        # One that is cut off is told soon.
        children["all"]["vars"]["ansible_ssh_common_args"] += " -o ConnectTimeout=3"
        self._inventory = folder / "inventory.json"
        self._inventory.write_text(json.dumps(children))

    def start(self, playbook: str, *options: str, **variables: Any) -> subprocess.Popen[str]:
        command = ["ansible-playbook", "-i", str(self._inventory), str(ROOT / f"playbooks/{playbook}.yml"), *options]
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "INFERENCE_FLEET_SUMMARY": str(self.folder / "summary.json"),
            # Each run meets each host anew: a connection that was cut goes on to hang for a while after it is mended.
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / f"ssh-{next(self._runs)}"),
        }
        return subprocess.Popen(
            [*command, "-e", json.dumps(variables)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> Ran:
        output, _none = process.communicate(timeout=900)
        path = self.folder / "summary.json"
        assert path.exists(), output
        summary = json.loads(path.read_text())
        path.unlink()
        assert KEY not in output + json.dumps(summary)
        return Ran(process.returncode, output, summary, HOSTS)

    def __call__(self, playbook: str, *options: str, **variables: Any) -> Ran:
        return self.finish(self.start(playbook, *options, **variables))


def on(host: str, *command: str) -> str:
    """Run a command on a host, and not by Ansible."""
    done = subprocess.run(["docker", "exec", host, *command], capture_output=True, text=True, check=False)
    # Docker's own word, where a command would have its output.
    assert not done.stdout.startswith("OCI runtime"), (host, command, done.stdout)
    return done.stdout.strip()


def fault(what: str, host: str) -> None:
    subprocess.run([str(FLEET), what, host], check=True)


def engines(host: str) -> dict[str, tuple[str, str, str]]:
    """Return the host's containers: their name, and id, state and time of the start of each."""
    form = "{{.Name}} {{.Id}} {{.State.Status}} {{.State.StartedAt}}"
    ids = on(host, "docker", "ps", "--all", "--quiet").split()
    lines = on(host, "docker", "inspect", "--format", form, *ids).splitlines() if ids else []
    return {name.lstrip("/"): (identity, status, since) for name, identity, status, since in map(str.split, lines)}


def argv(host: str, name: str = ENGINE) -> list[str]:
    return json.loads(on(host, "docker", "inspect", "--format", "{{json .Args}}", name))


def health(host: str, port: int = 8000) -> str:
    """Return the code of the answer to /health, 000 for none."""
    url = f"http://127.0.0.1:{port}/health"
    return on(host, "curl", "--silent", "--output", "/dev/null", "--max-time", "5", "--write-out", "%{http_code}", url)


JOURNAL = ("journalctl", "--identifier", "inference-fleet-gateway", "--output", "cat", "--no-pager")


def door(fleet: Fleet) -> Callable[[], http.client.HTTPSConnection]:
    """Return what opens a connection to the gateway, whatever certificate it has by now."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return lambda: http.client.HTTPSConnection(fleet.addresses[FOUR], 443, timeout=120, context=context)


def renew(fleet: Fleet) -> Callable[[], bool]:
    """Renew a certificate as an ACME client does, with the hook of docs/gateway.md; return what sees it served."""
    hook = re.search(r"```sh\n(.*?)```", (ROOT / "docs/gateway.md").read_text(encoding="utf-8"), re.S)[1]
    lineage = "/etc/letsencrypt/live/gateway"
    made = (
        f"set -e; export RENEWED_LINEAGE={lineage}; mkdir -p {lineage}; openssl req -x509 -newkey rsa:2048 -nodes "
        f"-days 90 -subj /CN=gateway -keyout {lineage}/privkey.pem -out {lineage}/fullchain.pem; {hook}"
    )
    on(FOUR, "sh", "-c", made)
    wanted = on(FOUR, "openssl", "x509", "-in", f"{lineage}/fullchain.pem")
    return lambda: ssl.get_server_certificate((fleet.addresses[FOUR], 443)).strip() == wanted.strip()


def told_haproxy(command: str) -> str:
    """Return what the gateway's HAProxy answers."""
    program = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); "
        "s.connect('/run/inference-fleet-gateway/admin.sock'); s.sendall(sys.argv[1].encode() + b'\\n'); "
        "print(b''.join(iter(lambda: s.recv(65536), b'')).decode())"
    )
    return on(FOUR, "python3", "-c", program, command)


def out() -> set[str]:
    """Return the hosts whose engine the gateway was told to leave out."""
    lines = told_haproxy(f"show servers state model.{ENGINE}").splitlines()
    columns = lines[1].strip("# ").split()
    rows = [dict(zip(columns, line.split(), strict=False)) for line in lines[2:] if line.strip()]
    return {row["srv_name"].partition(":")[0] for row in rows if int(row["srv_admin_state"]) & 0x08}
