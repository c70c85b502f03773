# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy's configuration of a gateway, from its settings and pools. All pure. For HAProxy 2.6 and newer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ansible_collections.inference.fleet.plugins.module_utils import addresses
from ansible_collections.inference.fleet.plugins.module_utils.gateway import maps, metrics, routes, tokens
from ansible_collections.inference.fleet.plugins.module_utils.gateway.spec import Pool, Server, Settings

NAME = "inference-fleet-gateway"
FILE = "haproxy.cfg"
ADMIN_SOCKET = "admin.sock"
MASTER_SOCKET = "master.sock"
# Servers that are drained, so that a reload does not bring them back.
STATE_FILE = "drained.state"
# The host's certificate with its key, and the authorities that it believes, between gateways and engines.
CERTIFICATE, TRUSTED = "fleet.pem", "fleet-authority.pem"
# Of a request beside its body, in the buffer that has to hold both.
_ROOM = 64 * 1024
# Modern clients speak these; what TLS 1.3 has needs no list.
_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
# Of the log: who, what, where, how long; no header, no body, no path that was not ours.
_NUMBERS = ("at", "status", "first_byte_ms", "total_ms", "bytes_in", "bytes_out")
_FIELDS = {
    "at": "%Ts.%ms",
    "client": "%[var(txn.client)]",
    "route": "%[var(txn.route)]",
    "model": "%[var(txn.model)]",
    "engine": "%s",
    "status": "%ST",
    "first_byte_ms": "%Tr",
    "total_ms": "%Ta",
    "bytes_in": "%U",
    "bytes_out": "%B",
    # Empty where the answer did not tell them.
    "tokens_in": "%[var(txn.tokens_in)]",
    "tokens_out": "%[var(txn.tokens_out)]",
    "ended": "%ts",
    "retries": "%rc",
    "from": "%ci",
    "id": "%ID",
}


def text(settings: Settings, pools: Sequence[Pool], *, root: bool = True) -> str:
    """Return the configuration. *root*: whether HAProxy is started by root, and is to become its own user."""
    parts = [
        _global(settings, root),
        _defaults(settings),
        _redirect(settings),
        _metrics(settings),
        _front(settings),
        _tables(settings),
        metrics.table(),
        *(_back(settings, pool) for pool in pools),
    ]
    head = "# Made by inference.fleet's role gateway; changes by hand are lost. Has keys: readable by root alone.\n"
    return head + "\n".join("\n".join(part) + "\n" for part in parts if part)


def _global(settings: Settings, root: bool) -> list[str]:
    run = settings.run_directory
    # A process that is replaced hands its tables on as the user that it became.
    owner = " user haproxy mode 600" if root else " mode 600"
    return [
        "global",
        f"    log {settings.log} len 4096 local0 info",
        f"    log-tag {NAME}",
        *(["    user haproxy", "    group haproxy"] if root else []),
        f"    stats socket {run}/{ADMIN_SOCKET} mode 600 level admin expose-fd listeners",
        "    stats timeout 1m",
        f"    server-state-file {settings.directory}/{STATE_FILE}",
        "    localpeer gateway",
        f"    maxconn {settings.max_connections}",
        f"    lua-load {settings.directory}/{metrics.FILE}",
        *([f"    lua-load-per-thread {settings.directory}/{tokens.FILE}"] if settings.stream_tokens else []),
        "    # A process that a reload replaced ends with its last stream, or then.",
        f"    hard-stop-after {max(settings.idle_timeout, 3600)}s",
        "    # The model is looked for in the body, which has to be there whole.",
        f"    tune.bufsize {settings.max_body + _ROOM}",
        f"    ssl-default-bind-ciphers {_CIPHERS}",
        "    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets",
        "",
        "# Over a reload the limits keep what they have counted.",
        "peers gateway",
        f"    bind unix@{run}/peers.sock{owner}",
        "    server gateway",
    ]


def _defaults(settings: Settings) -> list[str]:
    errors = [
        f"    http-error status {status} content-type application/json"
        f"{' hdr Retry-After 2' if status == 503 else ''} string '{routes.body((status, *rest))}'"
        for status, *rest in routes.OWN
    ]
    return [
        "defaults",
        "    mode http",
        "    log global",
        "    option http-no-delay",
        "    option abortonclose",
        "    option dontlognull",
        "    timeout http-request 30s",
        "    timeout http-keep-alive 60s",
        "    timeout connect 1s",
        "    timeout queue 5s",
        "    # How long either side may be silent: an engine that thinks sends nothing until it answers.",
        f"    timeout client {settings.idle_timeout}s",
        f"    timeout server {settings.idle_timeout}s",
        *errors,
    ]


def _binds(settings: Settings, port: int, options: str = "") -> list[str]:
    return [f"    bind {addresses.at(address, port)}{options}" for address in settings.bind]


def _redirect(settings: Settings) -> list[str]:
    if not settings.redirect_port:
        return []
    to = "" if settings.port == 443 else f":{settings.port}"
    acme = "path_beg /.well-known/acme-challenge/"
    lines = ["frontend redirect", *_binds(settings, settings.redirect_port), "    no log"]
    lines += [f"    acl acme {acme}"] if settings.acme_port else []
    lines += [
        "    # A key that came in the clear is not asked for again: the client has to be mended.",
        f"    http-request redirect location https://%[req.hdr(host),field(1,:)]{to}%[pathq] code 301"
        + (" unless acme" if settings.acme_port else ""),
    ]
    if settings.acme_port:
        lines += ["    use_backend acme if acme", "", "backend acme", f"    server acme 127.0.0.1:{settings.acme_port}"]
    return lines


def _metrics(settings: Settings) -> list[str]:
    if not settings.metrics_port:
        return []
    return [
        "frontend metrics",
        f"    bind 127.0.0.1:{settings.metrics_port}",
        "    no log",
        "    http-request use-service prometheus-exporter if { path /metrics }",
        "    # By client and model.",
        "    http-request use-service lua.clients if { path /metrics/clients }",
        "    http-request return status 404",
    ]


def _refuse(refusal: routes.Refusal, when: str, *headers: str) -> str:
    words = "".join(f" hdr {header}" for header in headers)
    status = refusal[0]
    return (
        f"    http-request return status {status} content-type application/json{words} "
        f"string '{routes.body(refusal)}' if {when}"
    )


def _front(settings: Settings) -> list[str]:
    def map_of(name: str) -> str:
        return f"{settings.directory}/{name}"

    tls = f" ssl crt {settings.certificate} alpn h2,http/1.1"
    fields = ",".join(
        f'"{name}":{value}' if name in _NUMBERS else f'"{name}":"{value}"' for name, value in _FIELDS.items()
    )
    key = "{ var(txn.key) -m found }"
    known = "{ var(txn.client) -m found }"
    asks = "METH_POST"
    whole = "{ res.hdr(content-type) -m beg application/json }"
    return [
        "frontend gateway",
        *_binds(settings, settings.port, tls),
        f"    log-format '{{{fields}}}'",
        *([f"    filter lua.{tokens.NAME}"] if settings.stream_tokens else []),
        "    unique-id-format %[uuid()]",
        "    unique-id-header X-Request-ID",
        "    http-response set-header X-Request-ID %[unique-id]",
        "    http-after-response set-header Strict-Transport-Security max-age=31536000",
        f"    http-request return status 200 content-type text/plain string ok if METH_GET {{ path {routes.HEALTH} }}",
        _refuse(routes.LARGE_HEADER, f"{{ req.hdrs,length gt {settings.max_header} }}"),
        "",
        "    # What is not on the list is not there.",
        "    http-request set-var(txn.path) path",
        f"    http-request set-var(txn.route) method,concat(:,txn.path),map_str({map_of(maps.ROUTES)})",
        f"    http-request set-var(txn.route) str(model) if METH_GET {{ path_beg {routes.MODEL} }}",
        _refuse(routes.NO_ROUTE, "!{ var(txn.route) -m found }"),
        "",
        "    # Who asks.",
        "    http-request set-var(txn.key) req.hdr(x-api-key)",
        "    http-request set-var(txn.key) http_auth_bearer if { http_auth_bearer -m found }",
        f"    http-request set-var(txn.client) var(txn.key),sha2(256),hex,lower,map_str({map_of(maps.KEYS)}) if {key}",
        "    http-request unset-var(txn.key)",
        _refuse(routes.NO_KEY, f"!{known}", "WWW-Authenticate Bearer"),
        f"    http-request set-var(txn.expires) var(txn.client),map_str_int({map_of(maps.EXPIRES)},0)",
        _refuse(
            routes.EXPIRED, "{ var(txn.expires) -m int gt 0 } { date,sub(txn.expires) ge 0 }", "WWW-Authenticate Bearer"
        ),
        "",
        "    # What is served to them.",
        f"    http-request return status 200 content-type application/json lf-string "
        f"%[var(txn.client),map_str({map_of(maps.LISTS)})] if {{ var(txn.route) -m str models }}",
        f"    http-request set-var(txn.asked) path,regsub(^{routes.MODEL},) if {{ var(txn.route) -m str model }}",
        f"    http-request set-var(txn.allowed) var(txn.client),concat(/,txn.asked),map_str({map_of(maps.ALLOWED)}) "
        "if { var(txn.route) -m str model }",
        _refuse(routes.NO_MODEL, "{ var(txn.route) -m str model } !{ var(txn.allowed) -m found }"),
        f"    http-request return status 200 content-type application/json lf-string "
        f"%[var(txn.asked),map_str({map_of(maps.OBJECTS)})] if {{ var(txn.route) -m str model }}",
        "",
        "    # How much. A request that is refused counts for nothing.",
        "    http-request track-sc0 var(txn.client) table rates",
        "    http-request track-sc1 var(txn.client) table running",
        f"    http-request set-var(txn.rate) var(txn.client),map_str_int({map_of(maps.RATES)},0)",
        f"    http-request set-var(txn.most) var(txn.client),map_str_int({map_of(maps.CONCURRENT)},0)",
        "    http-request set-var(txn.wait) int(60),div(txn.rate),add(1) if { var(txn.rate) -m int gt 0 }",
        _refuse(
            routes.TOO_MANY,
            "{ var(txn.rate) -m int gt 0 } { sc0_gpc0_rate(rates),sub(txn.rate) ge 0 }",
            "Retry-After %[var(txn.wait)]",
        ),
        _refuse(
            routes.TOO_BUSY,
            "{ var(txn.most) -m int gt 0 } { sc1_conn_cur(running),sub(txn.most) gt 0 }",
            "Retry-After 1",
        ),
        "",
        "    # Which model.",
        _refuse(routes.LARGE_BODY, f"{{ req.body_size gt {settings.max_body} }}"),
        f"    http-request wait-for-body time 30s if {asks}",
        _refuse(routes.LARGE_BODY, f"{{ req.body_len gt {settings.max_body} }}"),
        "    http-request set-var(txn.asked) req.body,json_query('$.model')",
        _refuse(routes.NO_JSON, "!{ var(txn.asked) -m found }"),
        f"    http-request set-var(txn.pool) var(txn.asked),map_str({map_of(maps.MODELS)})",
        _refuse(routes.NO_MODEL, "!{ var(txn.pool) -m found }"),
        "    http-request set-var(txn.model) var(txn.asked)",
        f"    http-request set-var(txn.allowed) var(txn.client),concat(/,txn.asked),map_str({map_of(maps.ALLOWED)})",
        _refuse(routes.NOT_ALLOWED, "!{ var(txn.allowed) -m found }"),
        "    http-request sc-inc-gpc0(0)",
        f"    http-request track-sc2 var(txn.client),concat({metrics.SEPARATOR},txn.asked) table {metrics.TABLE}",
        *(_session() if settings.affinity == "session" else []),
        "",
        "    # The client's key goes no further.",
        *(f"    http-request del-header {name}" for name in ("Authorization", "x-api-key", "Cookie")),
        "    http-request del-header X-Forwarded- -m beg",
        "    option forwardfor",
        "",
        *(
            ["    http-response set-var(txn.stream) bool(1) if { res.hdr(content-type) -m beg text/event-stream }"]
            if settings.stream_tokens
            else []
        ),
        "    # The tokens of an answer in one piece; a stream goes on as it comes.",
        f"    http-response wait-for-body time 1s if {whole}",
        *(
            f"    http-response set-var(txn.tokens_{way}) res.body,json_query('$.usage.{name}','int') if {whole} "
            f"!{{ var(txn.tokens_{way}) -m found }}"
            for way, names in tokens.USAGE.items()
            for name in names
        ),
        "    use_backend %[var(txn.pool)]",
    ]


def _session() -> Iterable[str]:
    """What tells a conversation: what the client says of it, else how it begins."""
    said = (
        "req.hdr(x-session-id)",
        "req.hdr(session_id)",
        "req.body,json_query('$.prompt_cache_key')",
        "req.body,json_query('$.metadata.user_id')",
    )
    first = [f"    http-request set-var(txn.session) {what} if !{{ var(txn.session) -m found }}" for what in said]
    begins = [
        f"    http-request set-var(txn.begin{index}) req.body,json_query('$.messages[{index}].content')"
        for index in (0, 1)
    ]
    return [
        *first,
        *begins,
        "    http-request set-var(txn.session) var(txn.client),concat(/,txn.begin0),concat(/,txn.begin1) "
        "if !{ var(txn.session) -m found }",
    ]


def _tables(settings: Settings) -> list[str]:
    return [
        "backend rates",
        "    stick-table type string len 64 size 100k expire 2m store gpc0_rate(60s) peers gateway",
        "",
        "# Of this process alone: what an old one still serves would never be counted down here.",
        "backend running",
        "    stick-table type string len 64 size 100k expire 2m store conn_cur",
    ]


def _back(settings: Settings, pool: Pool) -> list[str]:
    balance = (
        ["    balance hash var(txn.session)", "    hash-type consistent", "    hash-balance-factor 150"]
        if settings.affinity == "session"
        else ["    balance leastconn"]
    )
    key = [f'    http-request set-header Authorization "Bearer {pool.api_key}"'] if pool.api_key else []
    return [
        f"backend {pool.name}",
        *balance,
        *key,
        "    load-server-state-from-file global",
        "    # Before the first byte of an answer a request is nobody's yet, and goes elsewhere.",
        "    retries 3",
        "    option redispatch 1",
        "    retry-on conn-failure empty-response",
        "    option httpchk",
        "    http-check send meth GET uri /health ver HTTP/1.1 hdr Host gateway",
        "    http-check expect status 200",
        "    # Two refused connections are 1 s; a busy engine may take its time to answer.",
        "    timeout check 5s",
        "    default-server check inter 500ms fall 2 rise 2",
        *(
            f"    server {server.name} {addresses.at(server.address, server.port)}{_tls(settings, server)}"
            for server in pool.servers
        ),
    ]


def _tls(settings: Settings, server: Server) -> str:
    """Return how an engine's host has to show itself, and how the gateway does; by the same name for its checks."""
    if not server.tls_name:
        return ""
    place = settings.trust
    return (
        f" ssl verify required ca-file {place}/{TRUSTED} crt {place}/{CERTIFICATE} ssl-min-ver TLSv1.3"
        f" sni str({server.tls_name}) check-sni {server.tls_name}"
    )
