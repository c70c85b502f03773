#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_usage
version_added: "0.1.0"
short_description: Tell who used what of a gateway, a day
author: inference.fleet contributors (@inference-fleet)
description:
  - Reads the log that M(inference.fleet.gateway) has HAProxy write, and adds it up by day (UTC), client and model. A
    line is written when its request has ended, and counts on the day of that request's beginning.
  - What was rotated and compressed is read as well. Nothing is changed.
extends_documentation_fragment: inference.fleet.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  days:
    description: How many days, today included. Not for those that O(since) gives.
    type: int
    default: 30
  since:
    description: The first moment, a date (its beginning, UTC) or a time in ISO 8601.
    type: str
    default: ""
  until:
    description: The end, a date (its end, UTC) or a time in ISO 8601. Now, where it is not given.
    type: str
    default: ""
  files:
    description:
      - Files that have the log, or patterns of them, such as C(/var/log/syslog*), where it is not in the journal. Names
        that end in C(.gz) are compressed.
    type: list
    elements: str
    default: []
seealso:
  - module: inference.fleet.gateway
"""

EXAMPLES = r"""
- name: Tell who used what in the last week
  inference.fleet.gateway_usage:
    days: 7
  become: true
  register: used

- name: Show it
  ansible.builtin.debug:
    msg: "{{ used.lines }}"
"""

RETURN = r"""
usage:
  description: A row a day, client and model.
  returned: success
  type: list
  elements: dict
  contains:
    day: {description: The day in UTC., type: str, sample: "2026-11-26"}
    client: {description: "The client, empty where the key was not known.", type: str, sample: anna}
    model: {description: "The model, empty where none that is served was asked.", type: str, sample: qwen3-coder-next}
    requests: {description: All requests., type: int}
    statuses: {description: "Requests by status.", type: dict, sample: {"200": 812, "429": 3}}
    cut: {description: "Answers that began and did not end, by the client or by the engine.", type: int}
    bytes_in: {description: Bytes of the requests., type: int}
    bytes_out: {description: Bytes of the answers., type: int}
    tokens_in: {description: "Tokens of the prompts, of those answers that tell them.", type: int}
    tokens_out: {description: "Tokens of the answers, of those that tell them.", type: int}
    tokens_of:
      description: How many answers told their tokens. Streams do with O(inference.fleet.gateway#module:stream_tokens).
      type: int
lines:
  description: The same as a table of plain text. Below it stands how many answers told no tokens, where some did not.
  returned: success
  type: list
  elements: str
csv:
  description: The same as CSV.
  returned: success
  type: str
unread:
  description: How many lines looked like the gateway's and could not be read.
  returned: success
  type: int
"""

import time
from datetime import datetime, timezone

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.gateway import spec, usage
from ansible_collections.inference.fleet.plugins.module_utils.results.words import aligned

_DAY = 86400


def run(params: dict) -> dict:
    """Add the log up; return the module's result."""
    since, until = period(params, time.time())
    found = usage.Usage()
    found.take(usage.lines_of(params["files"]) if params["files"] else usage.journal(since, until), since, until)
    rows = found.rows()
    table = usage.table(rows)
    return {
        "changed": False,
        "usage": rows,
        "lines": aligned(table, numbers_from=3) + [line for line in (usage.untold(rows),) if line],
        "csv": usage.as_csv(table),
        "unread": found.unread,
        "warnings": [f"{found.unread} lines of the gateway's log could not be read, and are not counted."]
        if found.unread
        else [],
    }


def period(params: dict, now: float) -> tuple[float, float]:
    """Return the first moment and the end, in seconds since 1970."""
    if params["days"] < 1:
        raise FleetError(f"days: wanted 1 or more, found {params['days']}.")
    today = datetime.fromtimestamp(now, timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    moments = {}
    for name in ("since", "until"):
        try:
            moments[name] = spec.moment(params[name])
        except ValueError:
            raise FleetError(f"{name}: wanted a date such as 2027-01-31, or a time, found {params[name]!r}.") from None
    since = moments["since"]
    # A date is its end, and for a beginning its own.
    since -= _DAY if len(params["since"].strip()) == len("1970-01-01") else 0
    return since or today - (params["days"] - 1) * _DAY, moments["until"] or now


def main() -> None:
    text = {"type": "str", "default": ""}
    module = AnsibleModule(
        argument_spec={
            "days": {"type": "int", "default": 30},
            "since": text,
            "until": text,
            "files": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    answer(module, lambda: run(module.params))


if __name__ == "__main__":
    main()
