# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Between a gateway and an engine's host: TLS by the fleet's own certificates, on two real HAProxies and the wire."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from gateway_load import Load
from gateway_rig import ANNA, BOB, ENGINE_KEY, MODEL, Engine, Gateway, Host, Wire

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.gateway import certificates, service, tls
from ansible_collections.inference.fleet.plugins.modules import gateway_certificate
from ansible_collections.inference.fleet.tests.patience import until


@pytest.fixture
def wire() -> Iterator[Wire]:
    """What is between the gateway and the host, and hears everything."""
    found = Wire()
    yield found
    found.close()


@pytest.fixture
def host(gateway: Gateway, engine: Callable[..., Engine], wire: Wire) -> Iterator[Host]:
    """A host with an engine on 127.0.0.1, which takes no TLS yet."""
    found = Host("h1", gateway, engine(), wire)
    yield found
    found.end()


def test_prompts_go_over_tls_and_to_the_right_host_alone(gateway: Gateway, host: Host, wire: Wire) -> None:
    planned = host.bring(check=True)
    assert planned[0]["steps"] == [
        "believe the fleet's authority",
        "ask the fleet's authority for a certificate of h1: there is none yet",
    ]
    assert planned[1]["steps"] == ["write haproxy.cfg", "start HAProxy"]
    assert not Path(host.directory).exists()
    with pytest.raises(FleetError, match="wanted a certificate of the fleet's authority"):
        gateway.deploy(endpoints=[host.endpoint()], tls_port=wire.port)
    host.bring()
    first = gateway.deploy(endpoints=[host.endpoint()], tls_port=wire.port)
    assert [each for each in first["warnings"] if "systemd" not in each] == []
    gateway.healthy()
    secret = "a-prompt-that-nobody-on-the-wire-may-read"
    assert gateway.chat(ANNA, messages=[{"role": "user", "content": secret}]).status == 200
    # Its context length was asked for by the same way.
    assert gateway.ask("GET", f"/v1/models/{MODEL}", ANNA).json()["max_model_len"] > 0
    heard = wire.heard()
    assert len(heard) > 2000
    for word in (secret, ENGINE_KEY, MODEL, "chat/completions", "HTTP/1.1"):
        assert word.encode() not in heard, word
    assert gateway.info()["problems"] == []
    watched = re.findall(r'not_after_seconds{host="(\w*)",use="(\w+)"} \d+', gateway.metrics("/metrics/clients"))
    assert watched == [("", "clients"), ("", "engines"), ("h1", "engines")]
    shown = {each["whose"]: each["ends"] for each in gateway.info()["certificates"]}
    assert set(shown) == {gateway.certificate, "the gateway", "the fleet's authority", "h1"}
    # Nothing differs, and nothing is done.
    assert [each["changed"] for each in host.bring()] == [False, False]
    assert not gateway.deploy()["changed"]
    strangers(gateway, host, wire)
    # A client that leaves ends its request at the engine, as it does without TLS.
    with stream(gateway):
        assert host.engine.metric("vllm:num_requests_running") == 1
    until(lambda: host.engine.metric("vllm:num_requests_running") == 0, "the engine has ended the request")
    # What is asked for as another host's engine is refused by the gateway, and named.
    there = host.endpoint()
    other = {**there, "host": "h2", "served_model_names": ["other-model"]}
    told = gateway.deploy(endpoints=[there, other])["warnings"][-1]
    assert told.startswith(f"h2:{host.engine.port} at {there['address']}:{wire.port}: the certificate there is another")
    until(lambda: gateway.chat(ANNA, "other-model").status == 503, "the gateway sees that it is not the other host")
    assert told in gateway.info()["problems"]
    assert gateway.chat(ANNA).status == 200
    impostors(gateway, host)


def impostors(gateway: Gateway, host: Host) -> None:
    """See that a host is sent nothing that shows a certificate of another authority, or another host's of the same."""
    now, place, key = datetime.now(timezone.utc), Path(host.directory) / "fleet.pem", certificates.private_key()
    (gateway.folder / "impostor.key").write_text(key)
    asked = certificates.request(gateway.folder / "impostor.key")
    authorities = gateway.folder / "mine.pem", Path(gateway.params["directory"]) / "authority.pem"
    for authority, name, words in zip(
        authorities, ("h1", "h3"), ("not of the fleet's authority", "another"), strict=True
    ):
        place.write_text(certificates.signed(authority, asked, name, "server", now) + key)
        assert service.reload(tls.service(host.directory, host.run_directory))
        until(lambda: gateway.chat(ANNA).status == 503, f"nothing is sent to one whose certificate is {words}")
        assert any(
            each.startswith("h1:") and f"the certificate there is {words}" in each
            for each in gateway.info()["problems"]
        )
        assert host.bring()[0]["changed"]
        until(lambda: gateway.chat(ANNA).status == 200, "the host has its own certificate again")


def strangers(gateway: Gateway, host: Host, wire: Wire) -> None:
    """See that nobody without a gateway's certificate of this authority comes to the engine, and who does."""
    etc, folder = Path(gateway.params["directory"]), gateway.folder
    now = datetime.now(timezone.utc)
    mine, key = certificates.authority(now), folder / "stranger.key"
    (folder / "mine.pem").write_text(mine)
    key.write_text(certificates.private_key())
    signed = certificates.signed(folder / "mine.pem", certificates.request(key), "here", "client", now)
    (folder / "stranger.pem").write_text(signed + key.read_text())
    for chain, taken in ((None, False), (folder / "stranger.pem", False), (Path(host.directory) / "fleet.pem", False),
                         (etc / "fleet.pem", True)):  # fmt: skip
        context = ssl.create_default_context(cafile=str(Path(host.directory) / "fleet-authority.pem"))
        if chain:
            context.load_cert_chain(chain)
        answer = b""
        name = certificates.engine_name("h1", host.engine.port)
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", wire.port), timeout=30) as bare,
            context.wrap_socket(bare, server_hostname=name) as connection,
        ):
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = connection.recv(1000)
        assert answer.startswith(b"HTTP/1.1 200") == taken, (chain, answer)
    with socket.create_connection(("127.0.0.1", wire.port), timeout=30) as bare:
        bare.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in bare.recv(100)
    # The key of the authority and the host's own are nobody's but root's.
    files = [etc / "authority.pem", etc / "fleet.pem", Path(host.directory) / "fleet.pem"]
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}


@contextlib.contextmanager
def stream(gateway: Gateway) -> Iterator[None]:
    """A long answer that has begun, and whose client then leaves."""
    connection = gateway.connect()
    body = {"model": MODEL, "max_tokens": 20_000, "stream": True, "messages": [{"role": "user", "content": "x"}]}
    headers = {"Authorization": f"Bearer {ANNA}"}
    connection.request("POST", "/v1/chat/completions", body=json.dumps(body).encode(), headers=headers)
    sock = connection.sock
    answer = connection.getresponse()
    assert answer.readline().startswith(b"data: ")
    yield
    sock.shutdown(socket.SHUT_RDWR)
    answer.close()
    connection.close()


def test_no_request_is_lost_on_the_way_to_tls_nor_when_certificates_change(
    gateway: Gateway, host: Host, wire: Wire, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = Wire(host.engine.port)
    plain = host.endpoint(external_url=f"http://{host.endpoint()['address']}:{bare.port}")
    gateway.deploy(endpoints=[plain], engines_without_tls=True, tls_port=wire.port)
    gateway.healthy()
    load = Load(gateway.connect, MODEL, pause=0.05)
    with load.running(streams=(ANNA, BOB), short=(ANNA,)):
        load.answered()
        host.bring(host=False)
        # Before the host takes TLS, the engine would be lost: it is refused, and goes on as it is.
        with pytest.raises(FleetError, match="would be lost over TLS, and nothing was changed: h1:"):
            gateway.deploy(endpoints=[plain], engines_without_tls=False)
        load.answered()
        host.bring()
        gateway.deploy(endpoints=[plain], engines_without_tls=False)
        load.answered()
        # Other certificates, twice; and another authority, with another certificate for everybody.
        serials = [host.serial()]
        for renew in ("certificates", "authority"):
            changed, _done = host.bring(renew=renew)
            assert changed["changed"]
            serials.append(host.serial())
            load.answered()
        assert len(set(serials)) == len(serials)
        assert [each["changed"] for each in host.bring()] == [False, False]
    until(lambda: [each["status"] for each in gateway.server()["servers"]] == ["UP"])
    assert gateway.info()["problems"] == []
    told = f"{load.counts['sent']} sent, {load.counts['answered']} answered"
    assert (load.wrong, load.unfinished, load.counts["sent"]) == ([], [], load.counts["answered"]), told
    with capsys.disabled():
        print(f"\n    {told}, 0 lost")
    # What a person took out stays out on the way back and forth, and comes back by the way that it is reached then.
    for without_tls in (True, False):
        gateway.server("drain", ("h1",))
        gateway.deploy(engines_without_tls=without_tls)
        assert gateway.server()["servers"][0]["drained"]
        gateway.server("ready", wait=60)
        before = [len(each.heard()) for each in (bare, wire)]
        assert gateway.chat(ANNA).status == 200
        in_the_clear, over_tls = (len(each.heard()) > old for each, old in zip((bare, wire), before, strict=True))
        assert (in_the_clear, over_tls) == (without_tls, not without_tls)
    bare.close()


def test_a_gateway_keeps_what_a_host_believes_that_was_not_told(gateway: Gateway) -> None:
    etc = Path(gateway.params["directory"])
    now = datetime.now(timezone.utc)

    def asks(authority: str, certificate: str = "") -> dict[str, Any]:
        given = {"directory": str(etc), "run_directory": gateway.params["run_directory"], "host": "here"}
        given |= {"use": "client", "authority": authority, "certificate": certificate, "renew": False}
        return gateway_certificate.run(given, False)

    made = []
    for _each in range(3):
        made.append(gateway.folder / f"authority-{len(made)}.pem")
        made[-1].write_text(certificates.authority(now + timedelta(seconds=len(made))))
    known = [certificates.first(path.read_text()) for path in made]
    asked = asks(known[0])
    assert not asked["usable"]
    asks(known[0], certificates.signed(made[0], asked["request"], "here", "client", now))
    assert asks(known[0]) == {"changed": False, "steps": [], "diff": [], "request": "", "usable": True}
    # Of the authority of before, which all hosts believe, told of the next or not; of one before that none do.
    told = [asks(authority) for authority in known[1:]]
    assert [each["usable"] for each in told] == [True, False]
    assert all(each["request"] for each in told)
