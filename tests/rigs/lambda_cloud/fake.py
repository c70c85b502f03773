#!/usr/bin/env python3
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Lambda Cloud of the tests' own: a real HTTP server with a state, and with the faults of the real one.

Its machines boot, get their addresses late, may turn unhealthy or be preempted, and end slowly; its lists lag behind;
its capacity comes and goes; it counts requests and launches, and can lose an answer after it did what was asked. Time
is that of a clock that a test gives it. Each exchange is recorded, so that it can be held against the description.

As a program it serves hosts that are there already: fake.py --key KEY --host 10.213.1.11 --host …
Its /state then says how many run, how many were ever launched, what they have cost, and how many requests hang.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PREFIX = "/api/v1/"
REGION = {"name": "us-west-1", "description": "California, USA"}
REGIONS = {
    name: {"name": name, "description": where}
    for name, where in (("us-west-1", "California, USA"), ("us-east-1", "Virginia, USA"), ("us-south-1", "Texas, USA"))
}


def kind(name: str, cents: int, gpus: int, gpu: str) -> dict[str, Any]:
    """Return an instance type as the API has it."""
    return {
        "name": name,
        "description": f"{gpus}x {gpu}",
        "gpu_description": gpu,
        "price_cents_per_hour": cents,
        "specs": {"vcpus": 26 * gpus, "memory_gib": 200 * gpus, "storage_gib": 1024, "gpus": gpus},
    }


KINDS = {
    each["name"]: each
    for each in (
        kind("gpu_1x_h100_sxm5", 429, 1, "H100 (80 GB SXM5)"),
        kind("gpu_4x_h100_sxm5", 1636, 4, "H100 (80 GB SXM5)"),
        kind("gpu_2x_b200_sxm6", 1378, 2, "B200 (180 GB SXM6)"),
        kind("gpu_4x_a100", 796, 4, "A100 (40 GB PCIe)"),
        kind("cpu_4x_general", 20, 0, "N/A"),
    )
}


class Refused(Exception):
    """An error of the API."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"code": code, "message": message, "suggestion": "See the documentation."}}


@dataclass
class Instance:
    """A machine: what was asked for, and when."""

    id: str
    asked: dict[str, Any]
    ip: str
    launched: float
    ended: float | None = None
    status: str | None = None


@dataclass
class Fault:
    """What befalls the next requests that fit.

    *what* is cut-before or cut-after (it was carried out), hang-before or hang-after (nothing is answered, and the
    connection stays), malformed, an HTTP status, or done- and one (it was carried out).
    """

    method: str
    path: str
    what: str
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    text: str | None = None


@dataclass
class Exchange:
    """One request and its answer, as they went over the wire."""

    method: str
    path: str
    asked: Any
    status: int | None
    answered: str
    headers: dict[str, str]
    at: float


class Cloud:
    """The state of an account."""

    def __init__(self, key: str, now: Callable[[], float] = time.time, addresses: list[str] | None = None) -> None:
        self.key, self.now = key, now
        self.lock = threading.RLock()
        self.instances: dict[str, Instance] = {}
        self.faults: list[Fault] = []
        self.exchanges: list[Exchange] = []
        self.keys = [{"id": "k1", "name": "laptop", "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== laptop"}]
        self.file_systems: list[dict[str, Any]] = []
        self.rulesets: list[dict[str, Any]] = []
        # How many of a type are free in a region.
        self.free = {(name, "us-west-1"): 100 for name in KINDS}
        self.boot_seconds, self.address_seconds, self.end_seconds, self.lag_seconds = 0.0, 0.0, 0.0, 0.0
        # Seconds between two requests, and two launches, under which the account is told to slow down.
        self.request_seconds, self.launch_seconds = 0.0, 0.0
        self.listed_free: dict[tuple[str, str], int] | None = None
        # A test's own look at each request, before it is carried out.
        self.before: Callable[[str, str], None] = lambda method, path: None
        # How many requests hang, and what ends that.
        self.hanging, self.over = 0, threading.Event()
        self._addresses = list(addresses or [])
        self._last_request = self._last_launch = float("-inf")

    def running(self) -> list[Instance]:
        """Return what bills."""
        return [each for each in self.instances.values() if each.ended is None and each.status != "preempted"]

    def dollars(self) -> float:
        """Return what all of it has cost until now."""
        total = 0.0
        for each in self.instances.values():
            end = self.now() if each.ended is None else each.ended
            cents = KINDS[each.asked["instance_type_name"]]["price_cents_per_hour"]
            total += max(0.0, end - each.launched) / 3600 * cents / 100
        return total

    def address(self) -> str:
        """Return an address for a new machine: one that no other has."""
        taken = {each.ip for each in self.running()}
        if self._addresses:
            return next(each for each in self._addresses if each not in taken)
        return next(each for each in (f"198.51.100.{number}" for number in range(1, 255)) if each not in taken)

    def status(self, each: Instance) -> str:
        """Return the status of a machine at this moment."""
        if each.ended is not None:
            return "terminated" if self.now() >= each.ended + self.end_seconds else "terminating"
        if each.status is not None:
            return each.status
        return "active" if self.now() >= each.launched + self.boot_seconds else "booting"

    def shown(self, each: Instance) -> dict[str, Any]:
        """Return a machine as the API lists it."""
        asked, status = each.asked, self.status(each)
        found = {
            "id": each.id,
            "status": status,
            "ssh_key_names": asked["ssh_key_names"],
            "file_system_names": asked.get("file_system_names", []),
            "file_system_mounts": [],
            "region": REGIONS[asked["region_name"]],
            "instance_type": KINDS[asked["instance_type_name"]],
            "hostname": each.ip.replace(".", "-"),
            "actions": {
                name: {"available": True} for name in ("migrate", "rebuild", "restart", "cold_reboot", "terminate")
            },
            "tags": asked.get("tags", []),
            "firewall_rulesets": asked.get("firewall_rulesets", []),
            "jupyter_token": f"jupyter-secret-{each.id}",
            "jupyter_url": f"https://jupyter-{each.id}.example.com/?token=jupyter-secret-{each.id}",
        }
        if asked.get("name"):
            found["name"] = asked["name"]
        if status == "active" and self.now() >= each.launched + self.address_seconds:
            found |= {"ip": each.ip, "private_ip": f"10.19.0.{int(each.ip.rsplit('.', 1)[1])}"}
        return found

    def answer(self, method: str, path: str, body: Any) -> Any:
        """Carry a request out and return its data."""
        if path.startswith("instance-operations/launch") and method == "POST":
            return {"instance_ids": [self._launch(body)]}
        if path.startswith("instance-operations/") and method == "POST":
            ids = body["instance_ids"]
            unknown = [each for each in ids if each not in self.instances or self._gone(self.instances[each])]
            if unknown:
                raise Refused(404, "global/object-does-not-exist", "Specified instance does not exist.")
            chosen = [self.instances[each] for each in ids]
            verb = path.rpartition("/")[2]
            if verb == "terminate":
                for each in chosen:
                    if each.ended is None:
                        each.ended = self.now()
            past = {"terminate": "terminated", "restart": "restarted"}[verb]
            return {f"{past}_instances": [self.shown(each) for each in chosen]}
        if path == "instances":
            return [self.shown(each) for each in self.instances.values() if self._listed(each)]
        if match := re.fullmatch(r"instances/(\w+)", path):
            each = self.instances.get(match[1])
            if each is None or self._gone(each):
                raise Refused(404, "global/object-does-not-exist", "Specified instance does not exist.")
            if method == "POST":
                each.asked["name"] = body["name"]
            return self.shown(each)
        if path == "instance-types":
            return {name: self._offer(name) for name in KINDS}
        if path == "images":
            return [_image("gpu-base-24-04"), _image("lambda-stack-24-04")]
        return self._resource(method, path, body)

    def _gone(self, each: Instance) -> bool:
        return each.ended is not None and self.now() >= each.ended + self.end_seconds + 60

    def _listed(self, each: Instance) -> bool:
        return self.now() >= each.launched + self.lag_seconds and not self._gone(each)

    def _offer(self, name: str) -> dict[str, Any]:
        free = self.free if self.listed_free is None else self.listed_free
        places = [REGIONS[region] for (each, region), count in free.items() if each == name and count > 0]
        return {"instance_type": KINDS[name], "regions_with_capacity_available": places}

    def _launch(self, body: dict[str, Any]) -> str:
        if self.now() < self._last_launch + self.launch_seconds:
            raise Refused(429, "global/too-many-launches", "Too many launches.")
        self._last_launch = self.now()
        place = (body["instance_type_name"], body["region_name"])
        if body["instance_type_name"] not in KINDS or body["region_name"] not in REGIONS:
            raise Refused(400, "global/invalid-parameters", "Invalid request data.")
        if any(
            each["name"] not in [key["name"] for key in self.keys] for each in ({"name": body["ssh_key_names"][0]},)
        ):
            raise Refused(400, "global/object-does-not-exist", "The SSH key does not exist.")
        if self.free.get(place, 0) <= 0 or (self._addresses and len(self.running()) >= len(self._addresses)):
            raise Refused(
                400,
                "instance-operations/launch/insufficient-capacity",
                "Not enough capacity to fulfill launch request.",
            )
        self.free[place] -= 1
        new = Instance(uuid.uuid4().hex, dict(body), self.address(), self.now())
        self.instances[new.id] = new
        return new.id

    def _resource(self, method: str, path: str, body: Any) -> Any:
        place, _slash, wanted = path.partition("/")
        kinds = {
            "ssh-keys": self.keys,
            "file-systems": self.file_systems,
            "filesystems": self.file_systems,
            "firewall-rulesets": self.rulesets,
        }
        if place not in kinds or (method == "GET" and place == "filesystems"):
            raise Refused(404, "global/not-found", "The requested resource was not found.")
        items = kinds[place]
        if method == "GET":
            return items
        if method == "POST":
            items.append(_made(place, body))
            return items[-1]
        found = next((each for each in items if each["id"] == wanted), None)
        if found is None:
            raise Refused(404, "global/object-does-not-exist", "It does not exist.")
        if method == "PATCH":
            found.update(body)
            return found
        if place == "filesystems" and found["is_in_use"]:
            raise Refused(400, "filesystems/filesystem-in-use", "The file system is in use.")
        items.remove(found)
        return {"deleted_ids": [wanted]} if place == "filesystems" else {}

    def too_fast(self) -> bool:
        """Count a request, and tell whether it came too early."""
        early = self.now() < self._last_request + self.request_seconds
        self._last_request = self.now()
        return early

    def fault(self, method: str, path: str) -> Fault | None:
        """Return the fault that befalls a request, and count it."""
        for each in self.faults:
            if each.method == method and re.fullmatch(each.path, path) and each.times > 0:
                each.times -= 1
                return each
        return None


def _made(place: str, body: dict[str, Any]) -> dict[str, Any]:
    name = {"id": uuid.uuid4().hex, "name": body["name"]}
    if place == "ssh-keys":
        return {**name, "public_key": body["public_key"]}
    common = {**name, "created": "2026-11-26T00:00:00+00:00", "region": REGIONS[body["region"]]}
    if place == "firewall-rulesets":
        return {**common, "rules": body["rules"], "instance_ids": []}
    user = {"id": "u1", "email": "someone@example.com", "status": "active"}
    mount = f"/lambda/nfs/{body['name']}"
    return {**common, "mount_point": mount, "created_by": user, "is_in_use": False, "bytes_used": 0}


def _image(family: str) -> dict[str, Any]:
    moment = "2026-10-01T00:00:00+00:00"
    return {
        "id": family.replace("-", ""),
        "created_time": moment,
        "updated_time": moment,
        "name": family,
        "description": family,
        "family": family,
        "version": "1.0.0",
        "architecture": "x86_64",
        "region": REGION,
    }


class Server:
    """Serves a cloud on a free port of loopback. Use it as a context manager."""

    def __init__(self, cloud: Cloud, port: int = 0) -> None:
        self.cloud = cloud
        outer = self

        class Handler(_Handler):
            cloud = outer.cloud

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    cloud: Cloud
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the exchanges are recorded."""

    def _do(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length) if length else b""
        asked = json.loads(raw) if raw else None
        path = self.path.removeprefix(PREFIX).partition("?")[0]
        cloud = self.cloud
        if self.path == "/state":
            counts = {"running": len(cloud.running()), "launched": len(cloud.instances), "hanging": cloud.hanging}
            return self._send(200, json.dumps({**counts, "dollars": cloud.dollars()}), {})
        cloud.before(self.command, path)
        with cloud.lock:
            fault = cloud.fault(self.command, path)
            lost = fault.what if fault and fault.what.startswith(("cut-", "hang-")) else ""
            status, body, headers = (None, None, {}) if lost.endswith("-before") else self._answer(path, asked, fault)
            text = "<html>a proxy's page" if fault and fault.what == "malformed" else json.dumps(body)
            if fault and fault.text is not None:
                text = fault.text
            sent = (None, "", {}) if lost else (status, text, dict(self.headers.items()))
            cloud.exchanges.append(Exchange(self.command, path, asked, *sent, cloud.now()))
            cloud.hanging += lost.startswith("hang-")
        if lost.startswith("hang-"):
            cloud.over.wait()
        if lost:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self._send(status, text, headers)

    def _send(self, status: int, text: str, headers: dict[str, str]) -> None:
        payload = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _do

    def _answer(self, path: str, asked: Any, fault: Fault | None) -> tuple[int, Any, dict[str, str]]:
        if self.headers.get("Authorization") != f"Bearer {self.cloud.key}":
            refused = Refused(401, "global/invalid-api-key", "API key was invalid, expired, or deleted.")
            return refused.status, refused.body, {}
        if fault and fault.what.isdigit():
            error = {
                "code": "global/internal-error",
                "message": "An internal server error occurred.",
                "suggestion": "x",
            }
            return int(fault.what), {"error": error}, fault.headers
        if self.cloud.too_fast():
            return 429, {"message": "Too many requests"}, {}
        try:
            return 200, {"data": self.cloud.answer(self.command, path, asked)}, {}
        except Refused as refused:
            return refused.status, refused.body, {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--key", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", action="append", default=[], help="the address of a machine that is there already")
    parser.add_argument("--public-key", default="", help="the SSH key that these take, called 'laptop'")
    parser.add_argument("--boot-seconds", type=float, default=0.0)
    parser.add_argument("--fault", nargs=3, action="append", default=[], metavar=("METHOD", "PATH", "WHAT"))
    args = parser.parse_args()
    cloud = Cloud(args.key, addresses=args.host)
    cloud.boot_seconds = args.boot_seconds
    cloud.faults = [Fault(*each) for each in args.fault]
    if args.public_key:
        cloud.keys[0]["public_key"] = args.public_key
    with Server(cloud, args.port) as server:
        print(server.url, flush=True)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
