# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gateway lets through, to whom, and what it says of the rest."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from gateway_rig import ANNA, BOB, ENGINE_KEY, MODEL, OTHER, Engine, Gateway

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.gateway import certificates, service, sockets
from ansible_collections.inference.fleet.plugins.modules import gateway_usage
from ansible_collections.inference.fleet.tests.patience import until

CHAT = {"model": MODEL, "max_tokens": 2, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def served(gateway: Gateway, engine: Callable[..., Engine]) -> Gateway:
    """A gateway before one engine of each of two models."""
    gateway.result = gateway.deploy(endpoints=[engine().endpoint("h1"), engine(OTHER, "").endpoint("h2")])
    gateway.healthy()
    return gateway


def test_routes_and_keys(served: Gateway) -> None:
    other = {**CHAT, "model": OTHER}
    table: list[tuple[str, str, str, Any, int, str]] = [
        ("GET", "/health", "", None, 200, ""),
        ("POST", "/v1/chat/completions", ANNA, CHAT, 200, ""),
        ("POST", "/v1/chat/completions?beta=true", BOB, CHAT, 200, ""),
        ("POST", "/v1/completions", ANNA, {"model": MODEL, "max_tokens": 1, "prompt": "x"}, 200, ""),
        ("POST", "/v1/messages", ANNA, CHAT, 200, ""),
        ("POST", "/v1/messages/count_tokens", ANNA, CHAT, 200, ""),
        ("POST", "/v1/chat/completions", ANNA, other, 200, ""),
        ("POST", "/v1/chat/completions", BOB, other, 403, "model_not_allowed"),
        ("POST", "/v1/chat/completions", ANNA, {**CHAT, "model": "none"}, 404, "model_not_found"),
        # What says another model where the engine may look is sent to engines of the first alone.
        ("POST", "/v1/chat/completions", BOB, f'{{"model": "{MODEL}", "model": "{OTHER}"}}'.encode(), 404, ""),
        ("POST", "/v1/chat/completions", ANNA, b"{", 400, "model_required"),
        ("POST", "/v1/chat/completions", ANNA, [MODEL], 400, "model_required"),
        ("POST", "/v1/chat/completions", ANNA, {"metadata": {"model": MODEL}}, 400, "model_required"),
        ("POST", "/v1/chat/completions", ANNA, {"model": 5}, 404, "model_not_found"),
        ("POST", "/v1/chat/completions", "", CHAT, 401, "invalid_api_key"),
        ("POST", "/v1/chat/completions", "sk-nobody-0123456789", CHAT, 401, "invalid_api_key"),
        ("POST", "/v1/chat/completions", ENGINE_KEY, CHAT, 401, "invalid_api_key"),
        ("POST", "/v1/chat/completions", ANNA.upper(), CHAT, 401, "invalid_api_key"),
        ("GET", "/v1/models", "", None, 401, "invalid_api_key"),
        ("GET", f"/v1/models/{MODEL}", BOB, None, 200, ""),
        ("GET", f"/v1/models/{OTHER}", BOB, None, 404, "model_not_found"),
        ("GET", "/v1/chat/completions", ANNA, None, 404, "unknown_url"),
        ("DELETE", "/v1/models", ANNA, None, 404, "unknown_url"),
        *(
            (method, path, ANNA, None, 404, "unknown_url")
            for method, path in (
                ("GET", "/metrics"), ("GET", "/"), ("POST", "/pause"), ("POST", "/invocations"), ("GET", "/version"),
                ("POST", "/tokenize"), ("POST", "/v1/load_lora_adapter"), ("POST", "/v1//chat/completions"),
                ("POST", "/v1/chat/completions/"), ("POST", "/V1/chat/completions"), ("POST", "/v1/%63hat/completions"),
                ("GET", "/health/../metrics"), ("OPTIONS", "/v1/chat/completions"), ("POST", "/health"),
            )
        ),
    ]  # fmt: skip
    for method, path, key, body, status, code in table:
        answer = served.ask(method, path, key, body)
        assert answer.status == status, (method, path, key, body, answer)
        if code:
            error = answer.json()
            assert error["error"]["code"] == code, (method, path, answer)
            assert (error["type"], set(error["error"])) == ("error", {"type", "code", "message", "param"})
    assert served.ask("POST", "/v1/messages", "", CHAT, x_api_key=ANNA).status == 200
    assert served.ask("POST", "/v1/messages", "", CHAT).headers["www-authenticate"] == "Bearer"
    lists = [[each["id"] for each in served.ask("GET", "/v1/models", key).json()["data"]] for key in (ANNA, BOB)]
    assert lists == [[OTHER, MODEL], [MODEL]]


def test_sizes(served: Gateway) -> None:
    # The model behind a prompt that is nearly as large as may be.
    long = {"messages": [{"role": "user", "content": "word " * 40_000}], "max_tokens": 1, "model": MODEL}
    assert served.ask("POST", "/v1/chat/completions", ANNA, long).status == 200
    assert served.ask("GET", "/v1/models", ANNA, None, x_long="x" * 20_000).status == 400
    # Refused by its length before it is sent, and without one once it is too much.
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    for header, sent in (
        ("Content-Length: 1048577", [b""]),
        ("Transfer-Encoding: chunked", [b"200000\r\n"]),
        ("Transfer-Encoding: chunked", [chunk] * 17),
    ):
        connection = served.connect()
        connection.connect()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ANNA}\r\n{header}\r\n\r\n"
        # With the head comes what announces the size: for what comes later the gateway waits, as it has to.
        connection.sock.sendall(head.encode() + sent[0])
        with contextlib.suppress(OSError):
            # It may hang up before the last byte.
            for part in sent[1:]:
                connection.sock.sendall(part)
        assert b" 413 " in connection.sock.recv(1000).splitlines()[0], header
        connection.close()


def test_tls_and_the_redirect(served: Gateway) -> None:
    plain = http.client.HTTPConnection("127.0.0.1", served.params["redirect_port"], timeout=30)
    plain.request("POST", "/v1/chat/completions?a=b", body=b"{}", headers={"Authorization": f"Bearer {ANNA}"})
    answer = plain.getresponse()
    assert (answer.status, answer.getheader("location")) == (301, f"{served.url}/v1/chat/completions?a=b")
    plain.close()

    def agreed(*options: str) -> str:
        argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{served.port}", *options]
        done = subprocess.run(argv, input=b"", capture_output=True, check=False, timeout=60)
        return (done.stdout + done.stderr).decode("utf-8", "replace")

    assert "ALPN protocol: h2" in agreed("-alpn", "h2,http/1.1")
    assert "TLSv1.3" in agreed("-tls1_3")
    assert "Cipher is ECDHE" in agreed("-tls1_2")
    for options in (("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), ("-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0")):
        assert "Cipher is (NONE)" in agreed(*options), options
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as bare:
        bare.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in bare.recv(100)


def test_limits(served: Gateway, engine: Callable[..., Engine]) -> None:
    served.key("bob", requests_per_minute=3)
    statuses = [served.chat(BOB).status for _each in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    refused = served.chat(BOB)
    assert (refused.headers["retry-after"], refused.json()["error"]["type"]) == ("21", "rate_limit_error")
    # It is no other client's, and a look at the models costs nothing.
    assert (served.chat(ANNA).status, served.ask("GET", "/v1/models", BOB).status) == (200, 200)
    served.key("anna", concurrent_requests=1)
    with opened(served, ANNA, 4000) as stream:
        busy = served.chat(ANNA)
        assert (busy.status, busy.headers["retry-after"]) == (429, "1")
        assert busy.json()["error"]["code"] == "concurrency_limit_exceeded"
        del stream
    until(lambda: served.chat(ANNA).status == 200, "the place of a request whose client left is free again")
    past, soon = (datetime.now(timezone.utc) + timedelta(seconds=seconds) for seconds in (-1, 3600))
    served.key("anna", concurrent_requests=0, expires=soon.isoformat())
    assert served.chat(ANNA).status == 200
    served.key("anna", expires=past.isoformat())
    assert (served.chat(ANNA).status, served.chat(ANNA).json()["error"]["code"]) == (401, "expired_api_key")


class opened:
    """A stream that has begun, and is left at the end."""

    def __init__(self, gateway: Gateway, key: str, tokens: int) -> None:
        self._connection = gateway.connect()
        body = {**CHAT, "max_tokens": tokens, "stream": True}
        headers = {"Authorization": f"Bearer {key}"}
        self._connection.request("POST", "/v1/chat/completions", body=json.dumps(body).encode(), headers=headers)
        self.answer = self._connection.getresponse()

    def __enter__(self) -> http.client.HTTPResponse:
        assert self.answer.status == 200
        assert self.answer.readline().startswith(b"data: ")
        return self.answer

    def __exit__(self, *_exception: Any) -> None:
        self._connection.sock.shutdown(socket.SHUT_RDWR) if self._connection.sock else None
        self.answer.close()
        self._connection.close()


def test_a_stream_is_not_held_and_ends_with_its_client(gateway: Gateway, engine: Callable[..., Engine]) -> None:
    behind = engine()
    gateway.deploy(endpoints=[behind.endpoint("h1")])
    gateway.healthy()
    with opened(gateway, ANNA, 20_000) as stream:
        # The answer has begun and is far from its end: nothing waits for that.
        assert stream.readline() == b"\n"
        assert behind.metric("vllm:num_requests_running") == 1
    until(lambda: behind.metric("vllm:num_requests_running") == 0, "the engine has ended the request")
    assert behind.metric("vllm:generation_tokens_total") < 10_000


def test_nobody_sees_a_key(served: Gateway) -> None:
    secret = "a-prompt-that-nobody-may-read"
    made = served.key("carl")["key"]
    served.chat(made, messages=[{"role": "user", "content": secret}])
    served.ask("POST", f"/v1/chat/completions?key={made}", made, CHAT)
    served.ask("GET", f"/{secret}", BOB)
    metrics = served.metrics("/metrics")
    assert f'haproxy_server_http_responses_total{{proxy="model.{MODEL}"' in metrics
    admin = service.admin_socket(served.params["run_directory"])
    asked = [f"show map {served.params['directory']}/{name}" for name in ("keys.map", "allowed.map")]
    asked += ["show stat", "show sess all", "show table rates", "show errors", "show env", "show servers state"]
    seen = [metrics, *(sockets.ask(admin, command) for command in asked)]
    seen += [sockets.ask(service.master_socket(served.params["run_directory"]), "show proc")]
    seen += ["\n".join(served.log.lines), json.dumps(served.result), json.dumps(served.deploy(max_body=1 << 19))]
    seen += [
        path.read_bytes().decode("utf-8", "replace") for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()
    ]
    for text in seen:
        for word in (ANNA, BOB, ENGINE_KEY, made, secret):
            assert word not in text
    directory = Path(served.params["directory"])
    files = {path.name: path.read_text() for path in directory.iterdir()}
    assert not [name for name, text in files.items() if any(key in text for key in (ANNA, BOB, made))]
    assert [name for name, text in files.items() if ENGINE_KEY in text] == ["haproxy.cfg"]
    assert {oct(path.stat().st_mode & 0o777) for path in directory.iterdir()} == {"0o600"}
    last = next(each for each in served.log.requests() if each["client"] == "carl")
    assert (last["route"], last["model"], last["status"], last["engine"][:3]) == ("chat", MODEL, 200, "h1:")


def test_what_is_right_is_left_alone_and_what_is_wrong_is_not_taken(served: Gateway) -> None:
    assert served.result["changed"]
    again = served.deploy()
    assert (again["changed"], again["steps"], again["diff"]) == (False, [], [])
    planned = served.deploy(check=True, max_body=1 << 19)
    assert (planned["changed"], planned["steps"]) == (True, ["write haproxy.cfg", "reload HAProxy"])
    assert "tune.bufsize" in planned["diff"][0]["after"]
    assert ENGINE_KEY not in json.dumps(planned)
    config = Path(served.params["directory"]) / "haproxy.cfg"
    before = config.read_text()
    with pytest.raises(FleetError, match=r"HAProxy does not take the configuration.*nothing was changed"):
        served.deploy(log="/no such\nword")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(FleetError, match="the old one is back and goes on"):
            served.deploy(log=str(served.log.path), port=taken.getsockname()[1])
    assert config.read_text() == before
    # Also of a process that a reload has begun.
    (worker,) = sockets.workers(service.master_socket(served.params["run_directory"]))
    kept = {line.split("=")[0] for line in Path(f"/proc/{worker}/environ").read_text().split("\0") if "MALLOC" in line}
    assert kept == {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_"}
    served.params["port"] = served.port
    assert served.chat(ANNA).status == 200


def test_keys_over_time(served: Gateway) -> None:
    made = served.key("carl", models=[OTHER])
    assert made["changed"]
    assert (served.chat(made["key"]).status, served.chat(made["key"], OTHER).status) == (403, 200)
    again = served.key("carl")
    assert (again["changed"], "key" in again) == (False, False)
    assert served.key("carl", models=[])["changed"]
    assert served.chat(made["key"]).status == 200
    fresh = served.key("carl", regenerate=True)["key"]
    assert (served.chat(made["key"]).status, served.chat(fresh).status) == (401, 200)
    with pytest.raises(FleetError, match=r"carl: models: no-such is served by no engine"):
        served.key("carl", models=["no-such"])
    # A reload forgets nothing of it, and the inventory does not let in again who was revoked.
    served.key("bob", state="absent")
    assert served.deploy(max_body=1 << 19)["changed"]
    assert (served.chat(made["key"]).status, served.chat(fresh).status, served.chat(BOB).status) == (401, 200, 401)
    assert "bob: its key was revoked" in served.deploy()["warnings"][0]
    assert not served.key("bob", state="absent")["changed"]


def test_a_certificate_of_ones_own(served: Gateway, tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="gateway_certificate: wanted a PEM file"):
        served.deploy(certificate=str(tmp_path / "none.pem"))
    own = tmp_path / "own.pem"
    own.write_bytes(Path(served.certificate).read_bytes())
    assert served.deploy(certificate=str(own))["changed"]
    assert ssl.get_server_certificate(("127.0.0.1", served.port)) in own.read_text()
    # One that its renewer has put there without a reload is told of, and the next run shows it.
    assert served.info()["problems"] == []
    own.write_text(certificates.self_signed(["localhost"]))
    (told,) = served.info()["problems"]
    assert re.fullmatch(rf"The gateway still shows the certificate that was in {own} before, until [\d-]+: .*", told)
    assert served.deploy()["steps"] == ["reload HAProxy"]
    assert (served.info()["problems"], served.deploy()["changed"]) == ([], False)
    assert ssl.get_server_certificate(("127.0.0.1", served.port)) in own.read_text()
    assert served.deploy(state="absent")["changed"]
    assert not served.deploy(state="absent")["changed"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", served.port), timeout=5)


def test_a_self_signed_certificate_is_renewed_in_its_last_days(
    served: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> tuple[str, int]:
        found = re.findall(r'not_after_seconds{host="",use="clients"} (\d+)', served.metrics("/metrics/clients"))
        return ssl.get_server_certificate(("127.0.0.1", served.port)), int(found[0])

    with monkeypatch.context() as patch:
        patch.setattr(certificates, "DAYS", certificates.SELF_SIGNED_RENEW_DAYS)
        Path(served.certificate).unlink()
        assert served.deploy()["changed"]
    old, ends = shown()
    (told,) = served.info()["problems"]
    assert re.search(r"self-signed.pem ends on [\d-]+: run gateway.yml, which makes another", told)
    planned, done = served.deploy(check=True), served.deploy()
    assert planned["steps"] == ["make a self-signed certificate for localhost, 127.0.0.1: it ends on "
                                f"{datetime.fromtimestamp(ends, timezone.utc):%Y-%m-%d}", "reload HAProxy"]  # fmt: skip
    assert done["steps"][::2] == [planned["steps"][0], "reload HAProxy"]
    assert "clients have to be told of it" in " ".join(done["warnings"])
    new, later = shown()
    assert (new != old, new in Path(served.certificate).read_text(), later > ends) == (True, True, True)
    assert served.chat(ANNA).status == 200
    assert (served.info()["problems"], served.deploy()["changed"]) == ([], False)
    # What a run that was ended has written, and no HAProxy has read.
    (Path(served.params["directory"]) / service.UNREAD).touch()
    assert served.deploy()["steps"] == ["reload HAProxy"]
    assert not served.deploy()["changed"]


def used(served: Gateway, folder: Path) -> None:
    """See what the log adds up to, as a syslog has it that is rotated and compressed."""
    until(lambda: len(served.log.requests()) >= 7, "each request is logged")
    lines = [f"{line.removeprefix('<134>')}\n" for line in served.log.lines if '{"at"' in line]
    (folder / "syslog").write_text("".join(lines[4:]) + "another's line\n")
    (folder / "syslog.1").write_text("".join(lines[2:4]) + 'cut off {"at":1\n')
    (folder / "syslog.2.gz").write_bytes(gzip.compress("".join(lines[:2]).encode()))
    given = {"days": 2, "since": "", "until": "", "files": [f"{folder}/syslog*", f"{folder}/syslog.1"]}
    result = gateway_usage.run(given)
    assert result["unread"] == 1
    found = {(row["client"], row["model"]): row for row in result["usage"]}
    assert {who: row["statuses"] for who, row in found.items()} == {
        ("", ""): {"401": 1},
        ("anna", MODEL): {"200": 3},
        ("anna", OTHER): {"200": 1},
        ("bob", MODEL): {"200": 1},
        ("bob", OTHER): {"403": 1},
    }
    # OpenAI's protocol and Anthropic's tell their tokens, but for a stream.
    row = found["anna", MODEL]
    assert (row["requests"], row["tokens_of"], row["tokens_out"], row["cut"]) == (3, 2, 4, 0)
    assert row["tokens_in"] > 0
    assert (found["anna", OTHER]["tokens_of"], found["anna", OTHER]["tokens_out"]) == (1, 2)
    assert len(result["lines"]) == len(result["csv"].splitlines()) + 1 == 7
    assert result["lines"][-1].startswith("1 of 5 answers told no tokens")
    assert gateway_usage.run(given | {"until": "2020-01-01", "since": "2019-12-31"})["usage"] == []
    with pytest.raises(FleetError, match="found no such file"):
        gateway_usage.run(given | {"files": [f"{folder}/nothing*"]})


class Pieces:
    """An engine whose answer to everything is a stream that comes in pieces, cut anywhere."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces, self._listener = pieces, socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._answer, args=self._listener.accept()[:1], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            for piece in self._pieces:
                connection.sendall(piece)
                time.sleep(0.05)

    def endpoint(self, model: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}"
        return {
            **{"host": "h3", "slot": "1", "url": url, "external_url": url, "port": self.port},
            **{"bind_address": "127.0.0.1", "api_key": "", "served_model_names": [model]},
        }

    def close(self) -> None:
        self._listener.close()


def test_a_stream_tells_its_tokens_where_that_is_wanted(gateway: Gateway, engine: Callable[..., Engine]) -> None:
    forged = rb'data: {"delta":{"content":"\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9}"}}' + b"\n\n"
    last = b'data: {"choices":[],"usage":{"prompt_tokens":1234,"completion_tokens":56,"details":{"x":[1]}}}\n\n'
    cut = Pieces(forged, *(last[at : at + 20] for at in range(0, len(last), 20)), b"data: [DONE]\n\n", forged)
    behind = engine()
    gateway.deploy(endpoints=[behind.endpoint("h1"), cut.endpoint("cut")], stream_tokens=True)
    gateway.healthy()
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("/v1/chat/completions", {"stream_options": {"include_usage": True}}),
        ("/v1/messages", {}),
        ("/v1/responses", {"input": "hello", "max_output_tokens": 2}),
        # Who does not ask for them is not told them.
        ("/v1/chat/completions", {}),
    ]
    for path, more in bodies:
        assert gateway.ask("POST", path, ANNA, {**CHAT, "stream": True, **more}).status == 200
    assert gateway.chat(ANNA, "cut", stream=True).body.count(b"data: ") == 4
    assert gateway.chat(ANNA).status == 200
    until(lambda: len(gateway.log.requests()) == 6, "each request is logged")
    told = [(each["tokens_in"], each["tokens_out"]) for each in gateway.log.requests()]
    assert [out for _in, out in told] == ["2", "2", "2", "-", "56", "2"]
    assert [each[0].isdigit() for each in told] == [True, True, True, False, True, True]
    assert told[4][0] == "1234"
    # What is looked at goes on as it comes, and ends with its client.
    with opened(gateway, ANNA, 20_000) as stream:
        assert stream.readline() == b"\n"
        assert behind.metric("vllm:num_requests_running") == 1
    until(lambda: behind.metric("vllm:num_requests_running") == 0, "the engine has ended the request")
    cut.close()


def test_who_used_what(served: Gateway, tmp_path: Path) -> None:
    for key in (ANNA, ANNA, BOB):
        assert served.chat(key).status == 200
    assert served.ask("POST", "/v1/messages", ANNA, {**CHAT, "model": OTHER}).status == 200
    assert served.chat(ANNA, stream=True).status == 200
    assert served.chat(BOB, OTHER).status == 403
    assert served.chat("sk-nobody-0123456789").status == 401

    def told() -> dict[tuple[str, str, str], float]:
        text = served.metrics("/metrics/clients")
        found = re.findall(r'^(\w+)\{client="(\w+)",model="([\w.-]+)"\} (\d+)$', text, re.M)
        return {(name.removeprefix("inference_fleet_gateway_client_"), *who): int(n) for name, *who, n in found}

    used(served, tmp_path)
    counted = told()
    assert {key[1:]: n for key, n in counted.items() if key[0] == "requests_total"} == {
        ("anna", MODEL): 3,
        ("anna", OTHER): 1,
        ("bob", MODEL): 1,
    }
    assert counted["sent_bytes_total", "anna", MODEL] > 100
    # Over a reload the old process hands its table on, once it has asked in vain for the one of a process before it.
    admin = service.admin_socket(served.params["run_directory"])
    until(lambda: re.search(r" flags=0x[0-9a-f]*3 ", sockets.ask(admin, "show peers").splitlines()[0]))
    served.deploy(max_body=1 << 19)
    assert until(told)["requests_total", "anna", MODEL] == 3
