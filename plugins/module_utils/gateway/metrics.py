# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What HAProxy counts for each client and model, and the service in it that tells Prometheus. All pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

FILE = "clients.lua"
TABLE = "clients"
# What stands between client and model in the table's keys; a client's name has none.
SEPARATOR = "/"
# The table's counter → the metric, its kind and its meaning.
COUNTED = (
    ("http_req_cnt", "requests_total", "counter", "Requests that went on to an engine."),
    ("http_err_cnt", "refused_total", "counter", "Requests that were answered with 4xx, or cut by the client."),
    ("http_fail_cnt", "failed_total", "counter", "Requests that were answered with 5xx."),
    ("bytes_in_cnt", "received_bytes_total", "counter", "Bytes of requests."),
    ("bytes_out_cnt", "sent_bytes_total", "counter", "Bytes of answers."),
    ("conn_cur", "current_requests", "gauge", "Requests under way."),
)
PREFIX = "inference_fleet_gateway_client_"
# When certificates end that gateway.yml renews, in seconds since 1970, by what they are for and whose they are.
CERTIFICATES = "certificates.map"
NOT_AFTER = "inference_fleet_gateway_certificate_not_after_seconds"


# The key of the self-signed one that the gateway shows its clients.
FOR_CLIENTS = "clients/"


def between(host: str = "") -> str:
    """Return the key of a host's certificate, by which it and gateways know each other; of the gateway's without."""
    return f"engines/{host}"


def certificates(
    ends: Mapping[str, datetime | None], before: Mapping[str, str], hosts: Iterable[str]
) -> dict[str, str]:
    """Return what is told of certificates: their *ends*, where known; those of *hosts* not reached are as *before*."""
    told = {between(host): before[between(host)] for host in hosts if between(host) in before}
    return told | {key: f"{end.timestamp():.0f}" for key, end in ends.items() if end}


def table() -> list[str]:
    """Return the table as HAProxy's configuration has it. Over a reload it goes on; after a restart it begins anew."""
    stored = ",".join(counter for counter, *_rest in COUNTED)
    return [
        "# What each client asks of each model, for Prometheus.",
        f"backend {TABLE}",
        f"    stick-table type string len 256 size 100k expire 20d store {stored} peers gateway",
    ]


def service(directory: str) -> str:
    """Return the program that HAProxy runs in itself to print the table as Prometheus takes it, and CERTIFICATES."""
    rows = "\n".join(
        f'  {{"{counter}", "{PREFIX}{name}", "{kind}", "{text}"}},' for counter, name, kind, text in COUNTED
    )
    return f"""-- Made by inference.fleet's role gateway; changes by hand are lost.
local counted = {{
{rows}
}}

local certificates = {{}}
for line in io.lines("{directory}/{CERTIFICATES}") do
  local use, host, ends = line:match("^([^/]+)/(%S*) (%d+)$")
  certificates[#certificates + 1] = '{NOT_AFTER}{{host="' .. host .. '",use="' .. use .. '"}} ' .. ends
end

local function escaped(text)
  return (text:gsub("\\\\", "\\\\\\\\"):gsub('"', '\\\\"'):gsub("\\n", "\\\\n"))
end

core.register_service("clients", "http", function(applet)
  local found = core.backends["{TABLE}"].stktable:dump()
  local keys, lines = {{}}, {{}}
  for key in pairs(found) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  for _, each in ipairs(counted) do
    lines[#lines + 1] = "# HELP " .. each[2] .. " " .. each[4]
    lines[#lines + 1] = "# TYPE " .. each[2] .. " " .. each[3]
    for _, key in ipairs(keys) do
      local client, model = key:match("^([^{SEPARATOR}]*){SEPARATOR}(.*)$")
      lines[#lines + 1] = each[2] .. '{{client="' .. escaped(client) .. '",model="' .. escaped(model) .. '"}} '
        .. string.format("%d", found[key][each[1]])
    end
  end
  lines[#lines + 1] = "# HELP {NOT_AFTER} When a certificate ends that gateway.yml renews."
  lines[#lines + 1] = "# TYPE {NOT_AFTER} gauge"
  table.move(certificates, 1, #certificates, #lines + 1, lines)
  local text = table.concat(lines, "\\n") .. "\\n"
  applet:set_status(200)
  applet:add_header("content-type", "text/plain; version=0.0.4")
  applet:add_header("content-length", tostring(#text))
  applet:start_response()
  applet:send(text)
end)
"""
