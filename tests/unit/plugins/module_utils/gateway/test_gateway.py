# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is behind a gateway and before it, as its files have it."""

from __future__ import annotations

import doctest
import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils import addresses
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.gateway import (
    certificates,
    config,
    drain,
    health,
    lengths,
    maps,
    metrics,
    reach,
    routes,
    service,
    shown,
    sockets,
    spec,
    store,
    usage,
)

KEY = "sk-of-the-test-0123456789"
OBJECTS = {"m": routes.model_object("m", 4096)}
SETTINGS = spec.Settings("/etc/gw", "/run/gw", certificate="/etc/gw/own.pem", trust="/etc/gw")


@pytest.mark.parametrize("module", [spec, routes, maps, service, lengths, certificates, reach, addresses, usage, shown])
def test_examples_in_docstrings(module: Any) -> None:
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


def pools(endpoints: list[dict[str, Any]], without_tls: bool = True) -> list[spec.Pool]:
    """Return what is behind the gateway gw, where every name is in a private network."""
    return spec.pools(endpoints, "gw", without_tls, 8443, lambda name: [name if name[0].isdigit() else "10.0.0.9"])


def endpoint(host: str, slot: str = "8000", models: tuple[str, ...] = ("m",), **more: Any) -> dict[str, Any]:
    return {
        **{"host": host, "slot": slot, "url": "http://127.0.0.1:8000", "external_url": f"http://{host}:8000"},
        **{"port": 8000, "bind_address": "0.0.0.0", "api_key": "k", "served_model_names": list(models), **more},
    }


def test_engines_of_one_name_are_replicas() -> None:
    found = pools(
        [endpoint("b"), endpoint("a", models=("m", "alias")), endpoint("a", "8001", ("other/one",), api_key="")]
    )
    assert [(pool.models, [server.name for server in pool.servers], pool.api_key) for pool in found] == [
        (("alias",), ["a:8000"], "k"),
        (("m",), ["a:8000", "b:8000"], "k"),
        (("other/one",), ["a:8001"], ""),
    ]
    # What HAProxy cannot spell is no reason for two to be one.
    alike = pools([endpoint("a", models=("x/y",)), endpoint("b", models=("x y".replace(" ", "_"),))])
    assert len({pool.name for pool in alike}) == 2


@pytest.mark.parametrize(
    ("endpoints", "told"),
    [
        (
            [endpoint("8.8.8.8")],
            "over 8.8.8.8, which is not.*Either leave gateway_engines_without_tls out",
        ),
        ([endpoint("a", external_url="", bind_address="127.0.0.1")], "bound to 127.0.0.1.*or set engine_bind_address"),
        ([endpoint("a"), endpoint("b", api_key="other")], "a:8000, b:8000. have different keys"),
        ([endpoint("a", models=("a b",))], "has a space"),
    ],
)
def test_what_cannot_be_served_is_told(endpoints: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(FleetError, match=told) as caught:
        pools(endpoints)
    assert "'k'" not in str(caught.value)


def test_in_the_clear_every_address_of_a_name_is_private() -> None:
    for found, told in ((["10.0.0.5", "8.8.8.8"], "over 8.8.8.8"), ([], "cannot resolve a")):
        with pytest.raises(FleetError, match=told):
            spec.pools([endpoint("a")], "gw", True, resolve=lambda _name, found=found: found)


def test_over_tls_an_engine_is_asked_at_its_host_by_its_name() -> None:
    here = endpoint("gw", url="http://127.0.0.1:8000")
    there = endpoint("a", external_url="", bind_address="127.0.0.1", address="10.0.0.5", port=8000)
    bound = endpoint("b", "8001", external_url="http://10.1.0.6:8001", address="192.0.2.6", port=8001)
    (pool,) = pools([here, there, bound], without_tls=False)
    assert pool.servers == (
        spec.Server("a:8000", "10.0.0.5", 8443, "8000.a.inference-fleet.internal"),
        spec.Server("b:8001", "10.1.0.6", 8443, "8001.b.inference-fleet.internal"),
        spec.Server("gw:8000", "127.0.0.1", 8000),
    )
    assert spec.tls_hosts([here, there, bound, there], "gw") == ["a", "b"]
    # Of a host with a local connection, as of the gateway's own, nothing goes over a network.
    assert spec.tls_hosts([endpoint("c", external_url="http://127.0.0.1:8000")], "gw") == []
    text = config.text(SETTINGS, [pool])
    assert re.search(r"server a:8000 10.0.0.5:8443 ssl verify required ca-file /etc/gw/\S+ crt /etc/gw/\S+ ", text)
    assert {name: bool(server.tls_name) for name, server in reach.servers(text).items()} == {
        "a:8000": True,
        "b:8001": True,
        "gw:8000": False,
    }
    with pytest.raises(FleetError, match=r"nothing was changed: a:8000 .*gateway_engines_without_tls: true leaves"):
        reach.refuse_outage({"a:8000": "a:8000 is not there."}, text.replace(" ssl verify required", ""))
    reach.refuse_outage({"a:8000": "a:8000 is not there."}, text)


def test_who_is_out_is_out_by_the_way_that_he_is_asked_now() -> None:
    head = "1\n# be_id be_name srv_id srv_name srv_admin_state srv_port srv_use_ssl\n"
    kept = drain.fitting(
        head + "3 model.m 1 a:1 8 8000 0\n3 model.m 2 b:1 8 8000 0\n", [spec.Server("a:1", "x", 8443, "n")]
    )
    assert kept == head + "3 model.m 1 a:1 8 8443 1\n3 model.m 2 b:1 8 8000 0\n"
    assert drain.fitting(kept, [spec.Server("a:1", "x", 8443, "n")]) == kept


def test_the_gateways_own_engine_is_asked_on_loopback() -> None:
    (pool,) = spec.pools([endpoint("gw", bind_address="127.0.0.1", external_url="")], "gw")
    assert pool.servers == (spec.Server("gw:8000", "127.0.0.1", 8000),)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"name": "an na", "key": KEY}, "wanted a name"),
        ({"name": "a/b", "key": KEY}, "wanted a name"),
        ({"name": "anna"}, "found neither"),
        ({"name": "anna", "key": KEY, "key_sha256": "0" * 64}, "found both"),
        ({"name": "anna", "key": "short"}, "16 characters"),
        ({"name": "anna", "key_sha256": "xyz"}, "64 hexadecimal"),
        ({"name": "anna", "key": KEY, "models": ["none"]}, "none is served by no engine.*There is: m"),
        ({"name": "anna", "key": KEY, "requests_per_minute": -1}, "requests_per_minute: wanted 0"),
        ({"name": "anna", "key": KEY, "expires": "tomorrow"}, "expires: wanted a date"),
    ],
)
def test_a_client_that_is_none(given: dict[str, Any], told: str) -> None:
    with pytest.raises(FleetError, match=told) as caught:
        spec.client(given, ["m"])
    assert KEY not in str(caught.value)


def test_two_clients_share_neither_name_nor_key() -> None:
    with pytest.raises(FleetError, match="anna and bob have the same key"):
        spec.clients([{"name": "anna", "key": KEY}, {"name": "bob", "key": KEY}])
    with pytest.raises(FleetError, match="anna and anna have the same name"):
        spec.clients([{"name": "anna", "key": KEY}, {"name": "anna", "key": KEY + "2"}])


def test_maps_change_in_an_order_that_lets_nobody_in() -> None:
    anna, bob = (spec.client({"name": name, "key": KEY + name, "models": ["m"]}) for name in ("anna", "bob"))
    before, after = maps.of_clients([anna], OBJECTS), maps.of_clients([bob], OBJECTS)
    commands = maps.changes("/d", before, after)
    assert commands[0] == f"del map /d/keys.map {anna.key_sha256}"
    assert commands[-1] == f"add map /d/keys.map {bob.key_sha256} bob"
    assert "add map /d/allowed.map bob/m 1" in commands
    assert maps.changes("/d", after, after) == []
    assert {name: maps.parsed(maps.text(entries)) for name, entries in after.items()} == after


def test_clients_of_the_inventory_and_of_the_host() -> None:
    made = spec.client({"name": "made", "key": KEY}, source=store.HOST)
    anna = spec.client({"name": "anna", "key": KEY + "a"})
    both, _warnings = store.Clients().having(made).with_inventory([anna])
    assert {client.name for client in both.known} == {"made", "anna"}
    assert [client.name for client in both.with_inventory([])[0].known] == ["made"]
    with pytest.raises(FleetError, match="names made, and gateway_key made"):
        both.with_inventory([spec.client({"name": "made", "key": KEY + "b"})])
    revoked, warnings = both.without("anna").with_inventory([anna])
    assert [client.name for client in revoked.known] == ["made"]
    assert "stays so" in warnings[0]


def test_a_file_of_clients_is_read_as_it_was_written(tmp_path: Path) -> None:
    clients = store.Clients().having(spec.client({"name": "anna", "key": KEY, "models": ["m"]})).without("bob")
    store.write(tmp_path / store.FILE, clients.text())
    assert store.read(tmp_path) == clients
    assert (tmp_path / store.FILE).stat().st_mode & 0o777 == 0o600
    (tmp_path / store.FILE).write_text("{}")
    with pytest.raises(FleetError, match=r"clients.json is not as gateway_key wrote it"):
        store.read(tmp_path)


def test_the_configuration_names_what_it_must_and_hides_what_it_can() -> None:
    found = spec.pools(
        [endpoint("a"), endpoint("b", external_url="http://[fd00::5]:8000")],
        "gw",
        True,
        resolve=lambda _name: ["fd00::1"],
    )
    text = config.text(SETTINGS, found)
    assert "server b:8000 [fd00::5]:8000" in text
    assert 'set-header Authorization "Bearer k"' in text
    assert "Bearer k" not in service.masked(text)
    assert "balance leastconn" in text
    for refusal in (routes.NO_KEY, routes.TOO_MANY, *routes.OWN):
        assert json.loads(routes.body(refusal))["error"]["message"]
        assert "'" not in routes.body(refusal)


def test_metrics_of_certificates_are_of_those_that_are_there() -> None:
    end = datetime(2027, 1, 1, tzinfo=timezone.utc)
    before = {"engines/a": "1", "engines/gone": "2", "clients/": "3"}
    told = metrics.certificates({"clients/": None, "engines/b": end}, before, ["a", "b"])
    assert told == {"engines/a": "1", "engines/b": "1798761600"}


def test_a_certificate_that_ends_and_a_model_without_an_engine_are_told() -> None:
    now = datetime(2027, 1, 1, tzinfo=timezone.utc)
    servers = [
        sockets.ServerState("model.m", "a:8000", "UP", 1, False),
        sockets.ServerState("model.m", "b:8000", "DOWN", 0, False),
        sockets.ServerState("model.n", "c:8000", "DRAIN", 0, True),
    ]

    def told(end: datetime | None, troubles: dict[str, str] | None = None, **between: datetime | None) -> list[str]:
        found = {"m": "model.m", "n": "model.n"}
        shows = [health.Certificate("/c.pem", end, health.OWN_DAYS, "", "renew it")]
        shows += [health.Certificate(f"of {whose}", last) for whose, last in between.items()]
        return health.problems(servers, {}, found, shows, now, troubles or {})

    well = [
        "No engine of n is there: c:8000 is out.",
        "b:8000 is DOWN: its host's 'doctor.yml' and 'deploy.yml' say why.",
    ]
    assert told(now + timedelta(days=15)) == well
    for days, word in ((13, "ends on 2027-01-14"), (-1, "ended on 2026-12-31")):
        first, *rest = told(now + timedelta(days=days))
        assert word in first
        assert rest == well
    assert told(None)[0] == "The certificate /c.pem cannot be read: renew it."
    far = now + timedelta(days=300)
    assert told(far, {"b:8000": "b:8000: another host's."}) == [well[0], "b:8000: another host's."]
    assert told(far, a=now + timedelta(days=31)) == well
    assert told(far, a=now + timedelta(days=29))[0] == (
        "The certificate of a, between gateways and engines, ends on 2027-01-30: run gateway.yml without -l."
    )
