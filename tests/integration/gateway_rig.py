# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway as the modules set it up, requests to it, and simulators behind it that are processes."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.gateway import certificates
from ansible_collections.inference.fleet.tests.patience import until
from ansible_collections.inference.fleet.tests.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
ANNA, BOB, ENGINE_KEY = "sk-anna-0123456789abcdef", "sk-bob-0123456789abcdef", "sk-engine-0123456789abcdef"
MODEL, OTHER = "qwen3-coder-next", "other-model"


class Engine:
    """A simulator as a process of its own, on a port that it keeps over restarts."""

    def __init__(self, folder: Path, model: str, key: str = "") -> None:
        self._log = folder / f"engine-{model}-{id(self)}.log"
        self._key = folder / f"key-{id(self)}"
        self._key.write_text(key)
        self.model, self.key, self.port = model, key, 0
        self.start()

    def start(self) -> None:
        from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED

        figures = json.dumps({key: PUBLISHED[0][key] for key in ("id", "cold", "workload", "metrics")})
        program = "from ansible_collections.inference.fleet.plugins.module_utils.simulator.server import main; main()"
        argv = [sys.executable, "-c", program, "--port", str(self.port), "--model", "m", "--figures", figures]
        argv += ["--served-model-name", self.model]
        argv += ["--api-key-file", str(self._key)] if self.key else []
        environment = {**os.environ, "PYTHONPATH": str(ROOT / ".build/collections")}
        with self._log.open("wb") as stream:
            self._process = subprocess.Popen(argv, env=environment, stdout=stream, stderr=stream)
        while not (found := re.search(r"http://[\d.]+:(\d+)", self._log.read_text(encoding="utf-8"))):
            assert self._process.poll() is None, self._log.read_text(encoding="utf-8")
            time.sleep(0.05)
        self.port = int(found[1])

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop_answering(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def metric(self, name: str) -> float:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {self.key}"})
        text = connection.getresponse().read().decode()
        connection.close()
        return float(re.search(rf"^{name}{{[^}}]*}} (\S+)$", text, re.M)[1])

    def endpoint(self, host: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}"
        return {
            **{"host": host, "slot": str(self.port), "url": url, "external_url": url, "port": self.port},
            **{"bind_address": "127.0.0.1", "api_key": self.key, "served_model_names": [self.model]},
        }


class Log:
    """Takes what HAProxy logs, a datagram a line."""

    def __init__(self, path: Path) -> None:
        self.path, self.lines = path, []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while (line := self._socket.recv(65536)) != b"end":
            self.lines.append(line.decode())

    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(line[line.index("{") :]) for line in list(self.lines) if '{"at"' in line]

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"end", str(self.path))
        self._thread.join(10)
        self._socket.close()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Gateway:
    """The gateway's parameters, and requests to it."""

    folder: Path
    port: int
    params: dict[str, Any]
    log: Log
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def certificate(self) -> str:
        return f"{self.params['directory']}/self-signed.pem"

    def deploy(self, *, check: bool = False, **changes: Any) -> dict[str, Any]:
        from ansible_collections.inference.fleet.plugins.modules import gateway

        self.params.update(changes)
        return gateway.run(dict(self.params), check)

    def key(self, name: str, **options: Any) -> dict[str, Any]:
        from ansible_collections.inference.fleet.plugins.modules import gateway_key

        given = dict.fromkeys(("key_sha256", "models", "expires")) | {
            "requests_per_minute": -1,
            "concurrent_requests": -1,
        }
        places = {place: self.params[place] for place in ("directory", "run_directory")}
        return gateway_key.run(
            {**given, "state": "present", "regenerate": False, **places, "name": name, **options}, False
        )

    def server(
        self, state: str | None = None, hosts: tuple[str, ...] = (), wait: int = 0, owner: str = ""
    ) -> dict[str, Any]:
        from ansible_collections.inference.fleet.plugins.modules import gateway_server

        places = {place: self.params[place] for place in ("directory", "run_directory")}
        return gateway_server.run(
            {**places, "hosts": list(hosts), "state": state, "wait": wait, "owner": owner, "required": True}, False
        )

    def info(self) -> dict[str, Any]:
        from ansible_collections.inference.fleet.plugins.modules import gateway_info

        return gateway_info.run({place: self.params[place] for place in ("directory", "run_directory")})

    def metrics(self, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.params["metrics_port"], timeout=30)
        connection.request("GET", path)
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def connect(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=self.certificate)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=context)

    def ask(self, method: str, path: str, key: str = "", body: Any = None, **headers: str) -> Answer:
        connection = self.connect()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            sent["Authorization"] = f"Bearer {key}"
        content = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        connection.request(method, path, body=content, headers=sent)
        answer = connection.getresponse()
        found = Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        connection.close()
        return found

    def chat(self, key: str, model: str = MODEL, tokens: int = 2, **more: Any) -> Answer:
        body = {"model": model, "max_tokens": tokens, "messages": [{"role": "user", "content": "hello"}], **more}
        return self.ask("POST", "/v1/chat/completions", key, body)

    def healthy(self) -> None:
        """Wait until each engine is seen healthy: a server counts as up before its first check."""
        until(lambda: all(each["status"] == "UP" for each in self.server()["servers"]), "the engines are seen healthy")


class Wire:
    """A way from one host to another on which somebody listens: a port that hands everything on to another."""

    def __init__(self, to: int = 0) -> None:
        self.to = to
        self._parts: list[bytes] = []
        # On every address: on loopback nothing would be taken for another host.
        self._listener = socket.create_server(("0.0.0.0", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near = self._listener.accept()[0]
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                near.close()
                continue
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._hand_on, args=pair, daemon=True).start()

    def _hand_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while part := source.recv(65536):
                self._parts.append(part)
                target.sendall(part)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def heard(self) -> bytes:
        return b"".join(self._parts)

    def close(self) -> None:
        self._listener.close()


@dataclass
class Host:
    """A host of the inventory with an engine that listens on 127.0.0.1, and TLS before it, at the end of a wire."""

    name: str
    gateway: Gateway
    engine: Engine
    wire: Wire
    bind: str = "127.0.0.1"

    def __post_init__(self) -> None:
        self.directory = str(self.gateway.folder / f"{self.name}-etc")
        self.run_directory = f"{self.gateway.params['run_directory']}-{self.name}"
        (self.wire.to,) = free_ports(1)

    def endpoint(self, **more: Any) -> dict[str, Any]:
        return {**self.engine.endpoint(self.name), "external_url": "", "address": own_address(), **more}

    def bring(self, *, check: bool = False, renew: str = "", host: bool = True) -> list[dict[str, Any]]:
        """Do for the gateway and the host what the playbook does; return the results of the host."""
        from ansible_collections.inference.fleet.plugins.modules import (
            gateway_authority,
            gateway_certificate,
            gateway_tls,
        )

        front = {place: self.gateway.params[place] for place in ("directory", "run_directory")}
        here = {"directory": self.directory, "run_directory": self.run_directory}
        ask = {"directory": front["directory"], "renew": False, "request": "", "host": "", "use": "server"}
        authority = gateway_authority.run({**ask, "renew": renew == "authority"}, check)["authority"]

        def certificate(name: str, use: str, places: dict[str, str], install: bool = True) -> dict[str, Any]:
            given = {**places, "host": name, "use": use, "authority": authority, "certificate": ""}
            found = gateway_certificate.run({**given, "renew": bool(renew) and install}, check)
            if found["request"] and install:
                signed = gateway_authority.run({**ask, "request": found["request"], "host": name, "use": use}, check)
                gateway_certificate.run({**given, "certificate": signed["certificate"], "renew": False}, check)
            return found

        # First the gateway believes the authority, then the host is signed by it, and the gateway last.
        certificate("here", "client", front, install=False)
        if not host:
            certificate("here", "client", front)
            return []
        asked = certificate(self.name, "server", here)
        options = {**here, "state": "present", "host": self.name, "urls": [self.engine.endpoint("")["url"]]}
        options |= {"bind_addresses": [self.bind], "port": self.wire.to, "log": self.gateway.params["log"]}
        done = gateway_tls.run(options, check)
        certificate("here", "client", front)
        return [asked, done]

    def serial(self) -> int:
        """Return the number of the certificate that is shown now, which was made out to this host by the authority."""
        context = ssl.create_default_context(cafile=f"{self.directory}/fleet-authority.pem")
        context.load_cert_chain(f"{self.gateway.params['directory']}/fleet.pem")
        name = certificates.engine_name(self.name, self.engine.port)
        with (
            socket.create_connection(("127.0.0.1", self.wire.to), timeout=30) as bare,
            context.wrap_socket(bare, server_hostname=name) as connection,
        ):
            return int(connection.getpeercert()["serialNumber"], 16)

    def end(self) -> None:
        from ansible_collections.inference.fleet.plugins.modules import gateway_tls

        options = {"directory": self.directory, "run_directory": self.run_directory, "port": 0, "state": "absent"}
        gateway_tls.run(options, False)


@contextmanager
def opened(folder: Path) -> Iterator[Gateway]:
    """A gateway that is not there yet, and is gone afterwards."""
    from ansible_collections.inference.fleet.plugins.module_utils.gateway import service

    # A path of a socket is short.
    run = Path(f"/tmp/gw-{os.getpid()}-{time.monotonic_ns() % 1_000_000}")
    run.mkdir(mode=0o755)
    log = Log(run / "log.sock")
    (run / "log.sock").chmod(0o666)
    port, redirect, metrics = free_ports(3)
    clients = [
        {"name": "anna", "key": ANNA},
        {"name": "bob", "key": BOB, "models": [MODEL]},
    ]
    params = {
        **{"state": "present", "directory": str(folder / "etc"), "run_directory": str(run / "run"), "host": "here"},
        **{
            "endpoints": [],
            "engines_without_tls": False,
            "tls_port": 8443,
            "clients": clients,
            "bind_addresses": ["127.0.0.1"],
        },
        **{"port": port, "redirect_port": redirect, "acme_port": 0, "metrics_port": metrics, "certificate": ""},
        **{"names": ["localhost", "127.0.0.1"], "affinity": "none", "max_body": 1 << 20, "max_header": 16384},
        **{"idle_timeout": 600, "max_connections": 500, "log": str(run / "log.sock")},
        "stream_tokens": False,
    }
    try:
        yield Gateway(folder, port, params, log)
    finally:
        service.end(params["run_directory"])
        log.close()
        shutil.rmtree(run)


def own_address() -> str:
    """Return an address of the machine itself that is not of loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        route.connect(("192.0.2.1", 9))
        return route.getsockname()[0]
