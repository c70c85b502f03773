# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of a playbook's hosts: from tasks' results to a table and a document. All pure.

Only what is named here is taken from a result, so that nothing else of it, a key least of all, gets into either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.inference.fleet.plugins.module_utils import addresses
from ansible_collections.inference.fleet.plugins.module_utils.results.words import aligned
from ansible_collections.inference.fleet.plugins.plugin_utils import ranking

SCHEMA_VERSION = 1
OK, CHANGED, WOULD_CHANGE = "ok", "changed", "would change"
FAILED, UNREACHABLE, NOT_STARTED = "failed", "unreachable", "not started"
# As they stand in the table: what needs a person comes last, where a screen ends.
_ORDER = (OK, WOULD_CHANGE, CHANGED, NOT_STARTED, UNREACHABLE, FAILED)
# Lines of a reason that the table shows; the document has all.
_REASON_LINES = 12
# Playbooks in which what one host gets depends on what others told: with -l they would get less.
_WHOLE = ("gateway",)

_ENGINE, _ENGINE_INFO, _HOST_INFO, _CHECK, _BENCHMARK = (
    f"inference.fleet.{name}" for name in ("engine", "engine_info", "host_info", "endpoint_check", "benchmark")
)
_SERVES_AGAIN = "was put back and serves again"
# What to do about a host that cannot be reached, by what SSH says; the first that fits.
_UNREACHABLE_REMEDIES = (
    ("host key|REMOTE HOST IDENTIFICATION", "Compare its host key and put it into known_hosts (ssh-keyscan)."),
    ("permission denied|authentication", "Give the user and key that it takes: ansible_user, --private-key."),
    ("resolve", "Give its address in the inventory: ansible_host."),
    ("", "See that it is up, and that 'ssh' reaches it from this machine."),
)


@dataclass
class HostRecord:
    """What is known of one host.

    ``address`` is where others reach it; ``engines`` are by container name, as the module returns them; ``changes`` are
    what its engines differed in, by container name; ``tasks`` other tasks that changed something; ``runs`` its result
    documents, without raw output; ``group`` the hosts that serve one model together, this one among them.
    """

    name: str
    address: str = ""
    seconds: float = 0.0
    profile: str | None = None
    engines: dict[str, dict[str, Any]] = field(default_factory=dict)
    changes: dict[str, list[str]] = field(default_factory=dict)
    tasks: list[str] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    reason: str | None = None
    failed_task: str | None = None
    unreachable: bool = False
    group: list[str] = field(default_factory=list)

    @property
    def tells(self) -> bool:
        """Whether there is anything about the host that a table could show."""
        return bool(self.engines or self.changes or self.tasks or self.checks or self.runs or self.reason)


def note(record: HostRecord, action: str, task: str, result: Mapping[str, Any]) -> None:
    """Take from the result of a task that went well what the summary tells."""
    if action == _ENGINE:
        _note_engines(record, result)
    elif action == _ENGINE_INFO:
        for engine in result.get("engines") or ():
            record.engines[engine["name"]] = {**_picked(engine), "state": engine.get("state")}
    elif action == _HOST_INFO:
        record.profile = (result.get("host") or {}).get("profile") or record.profile
    elif action == _CHECK:
        _note_checks(record, result)
    elif action == _BENCHMARK:
        if "result" in result:
            record.runs.append({**result["result"], "path": result.get("path")})
    elif result.get("changed"):
        # In check mode a role says itself what it would do.
        said = str(result.get("msg") or "") if action == "ansible.builtin.debug" else ""
        record.tasks.append(said.rstrip(".").removeprefix("Would ") if said.startswith("Would ") else task)


def note_failure(record: HostRecord, action: str, task: str, result: Mapping[str, Any]) -> None:
    """Take why a task failed. The last failure counts: a rescue that fails says it better than what it rescued."""
    failed = [each for each in result.get("results") or () if each.get("failed")]
    # Of a loop, what its items say: the task itself says only that one of them failed.
    reason = "\n".join(str(each.get("msg") or "no reason was given").strip() for each in failed or [result])
    said = str(result.get("module_stderr") or result.get("stderr") or "").strip()
    if said and reason == "non-zero return code":
        reason = said
    elif said and "See stdout/stderr" in reason:
        reason = f"{reason}\n{said}"
    record.reason, record.failed_task = reason.removeprefix("Task failed: "), task
    if action == _BENCHMARK and "result" in result:
        record.runs.append({**result["result"], "path": result.get("path")})


def note_unreachable(record: HostRecord, task: str, result: Mapping[str, Any]) -> None:
    """Take why a host could not be reached."""
    reason = re.sub(r"^(Task failed: )?(Failed to connect to the host via ssh: )?", "", str(result.get("msg") or ""))
    lines = [line.strip() for line in reason.splitlines() if line.strip() and not line.startswith("Warning:")]
    record.reason, record.failed_task, record.unreachable = " ".join(lines) or "no answer", task, True


def _note_engines(record: HostRecord, result: Mapping[str, Any]) -> None:
    for part in result.get("instances") or [result]:
        engine = part.get("engine") or {}
        before = (part.get("diff") or {}).get("before") or {} if isinstance(part.get("diff"), Mapping) else {}
        name = part.get("name") or engine.get("name") or ""
        if engine:
            state = "ready" if part.get("ready") else engine.get("state")
            record.engines[name] = {**_picked(engine), "state": state}
            record.profile = engine.get("profile") or record.profile
            record.group = (engine.get("group") or {}).get("names") or record.group
        elif before.get("exists") or name in record.engines:
            record.engines[name] = {**record.engines.get(name, {}), "name": name, "state": "absent", "url": None}
        if result.get("changed") and part.get("changed"):
            record.changes[name] = fields(part)


def _picked(engine: Mapping[str, Any]) -> dict[str, Any]:
    image = engine.get("image") or {}
    picked = {key: engine.get(key) for key in ("name", "engine", "version", "model", "served_model_name")}
    picked |= {key: engine.get(key) for key in ("profile", "simulated", "url", "bind_address")}
    return {**picked, "image": image.get("reference"), "digest": image.get("digest") or image.get("id")}


def fields(result: Mapping[str, Any]) -> list[str]:
    """Return in words what an engine differed in: the fields of the diff, or what became of the container.

    >>> fields({"diff": {"before": {"exists": False}, "after": {"exists": True}}, "steps": []})
    ['created']
    """
    diff = result.get("diff")
    before, after = (diff.get(key) or {} for key in ("before", "after")) if isinstance(diff, Mapping) else ({}, {})
    if before.get("exists") != after.get("exists"):
        return ["created" if after.get("exists") else "removed"]
    names = [key for key in after if key not in ("exists", "status") and after[key] != before.get(key)]
    names += [key for key in before if key not in ("exists", "status") and key not in after]
    if not names and before.get("status") != after.get("status"):
        names = [{"running": "started", "exited": "stopped"}.get(after.get("status", ""), "state")]
    return names or [step for step in result.get("steps") or [] if not step.startswith("wait")]


def _note_checks(record: HostRecord, result: Mapping[str, Any]) -> None:
    checks = [check for check in result.get("checks") or [] if check.get("status") in ("ok", "failed")]
    if checks:
        passed = sum(bool(check["ok"]) for check in checks)
        record.checks.append({"url": result.get("url"), "passed": passed, "of": len(checks)})


def outcome(record: HostRecord, started: bool, check_mode: bool) -> str:
    """Return a host's outcome in a word."""
    if record.unreachable:
        return UNREACHABLE
    if record.reason is not None:
        return FAILED
    if not started:
        return NOT_STARTED
    if record.changes or record.tasks:
        return WOULD_CHANGE if check_mode else CHANGED
    return OK


def remedy(record: HostRecord) -> str | None:
    """Return what to do about a host that failed, besides what its reason says."""
    if record.reason is None:
        return None
    if record.unreachable:
        return next(text for said, text in _UNREACHABLE_REMEDIES if re.search(said, record.reason, re.IGNORECASE))
    if _SERVES_AGAIN in record.reason:
        return "Its old engine serves. Mend the cause, then run again."
    return f"Mend what the task '{record.failed_task}' says, then run again."


def document(
    playbook: str,
    records: Sequence[HostRecord],
    started_hosts: Iterable[str],
    *,
    check_mode: bool,
    started_at: str,
    seconds: float,
) -> dict[str, Any]:
    """Return the summary as one JSON document, its hosts ordered as the table shows them."""
    known = set(started_hosts)
    hosts = [
        {
            "host": record.name,
            "outcome": outcome(record, record.name in known, check_mode),
            "profile": record.profile,
            "engines": [
                {**engine, "endpoint": endpoint(engine, record.address), "changes": record.changes.get(name, [])}
                for name, engine in sorted(record.engines.items())
            ],
            "group": record.group,
            "changes": _changes(record),
            "other_changes": [*_of_no_container(record), *record.tasks],
            "checks": record.checks,
            "benchmarks": [_benchmark(run) for run in record.runs],
            "seconds": round(record.seconds, 1),
            "reason": record.reason,
            "task": record.failed_task,
            "remedy": remedy(record),
        }
        for record in records
    ]
    hosts.sort(key=lambda host: _ORDER.index(host["outcome"]))
    return {
        "schema_version": SCHEMA_VERSION,
        "playbook": playbook,
        "check_mode": check_mode,
        "started_at": started_at,
        "seconds": round(seconds, 1),
        "ok": not any(host["outcome"] in (FAILED, UNREACHABLE, NOT_STARTED) for host in hosts),
        "counts": {word: sum(host["outcome"] == word for host in hosts) for word in _ORDER},
        "hosts": hosts,
        "ranking": ranking.ranking(run for record in records for run in record.runs),
    }


def is_open(engine: Mapping[str, Any]) -> bool:
    """Tell whether an engine is published on all addresses of its host."""
    bound = engine.get("bind_address")
    return bound is not None and addresses.normal(bound) in addresses.EVERY


def overdue(leases: Mapping[str, str | None], now: datetime) -> str:
    """Return a sentence on the rented hosts whose lease is over, by name and end in UTC; empty where there is none.

    >>> overdue({"a": "2026-11-26T08:00:00Z", "b": None}, datetime(2026, 11, 26, 9, tzinfo=timezone.utc))
    'Past the end of its lease, and billing: a (2026-11-26T08:00:00Z). inference.fleet.reap ends it.'
    """
    over = [
        f"{name} ({end})" for name, end in leases.items() if end and datetime.fromisoformat(f"{end[:-1]}+00:00") <= now
    ]
    if not over:
        return ""
    return f"Past the end of its lease, and billing: {', '.join(over)}. inference.fleet.reap ends it."


def endpoint(engine: Mapping[str, Any], address: str) -> str | None:
    """Return where an engine is reached: at the host's *address* where it is published on all of them.

    >>> endpoint({"url": "http://127.0.0.1:8000", "bind_address": "0.0.0.0"}, "10.0.0.5")
    'http://10.0.0.5:8000'
    """
    local = engine.get("url")
    if not local or not address or not is_open(engine):
        return local
    return addresses.external_url(engine["bind_address"], urlsplit(local).port, address)


def _changes(record: HostRecord) -> list[str]:
    of_engines = [word for name in sorted(record.engines) for word in _words(record, name)]
    return [*of_engines, *_of_no_container(record), *record.tasks]


def _of_no_container(record: HostRecord) -> list[str]:
    """Return what was done for engines that have no container, as when only an image was pulled."""
    return [word for name in sorted(record.changes) if name not in record.engines for word in _words(record, name)]


def _words(record: HostRecord, name: str) -> list[str]:
    """Return what changed of an engine, with its name where the host has several."""
    several = len(record.engines.keys() | record.changes.keys()) > 1
    return [f"{name}: {word}" if several else word for word in record.changes.get(name, [])]


def _benchmark(run: Mapping[str, Any]) -> dict[str, Any]:
    metrics = run.get("metrics") or {}
    return {
        "run_id": run.get("run_id"),
        "path": run.get("path"),
        "url": (run.get("engine") or {}).get("url"),
        "variant": (run.get("comparison") or {}).get("variant"),
        "simulated": run.get("simulated"),
        "output_throughput": (metrics.get("output_throughput") or {}).get("mean"),
        "variation": (metrics.get("output_throughput") or {}).get("cv"),
    }


def table(summary: Mapping[str, Any]) -> str:
    """Return the document as text: a row an engine, then each failure with its reason and its remedy.

    Nothing where no host has anything to tell.
    """
    hosts = [host for host in summary["hosts"] if _worth_a_row(host)]
    if not hosts:
        return ""
    heads = ("HOST", "PROFILE", "ENGINE", "DIGEST", "STATE", "CHANGED", "SECONDS", "ENDPOINT")
    rows = [row for host in hosts for row in _rows(host)]
    ranked = ranking.table(summary["ranking"])
    lines = [*aligned([heads, *rows]), *(["", ranked] if ranked else []), "", _counts(summary)]
    troubled = [host for host in hosts if host["reason"] is not None]
    for host in troubled:
        reason = host["reason"].splitlines()
        left = len(reason) - _REASON_LINES
        lines += ["", f"{host['outcome'].upper()} {host['host']}: {reason[0]}"]
        lines += [f"    {line}" for line in reason[1:_REASON_LINES]]
        lines += [f"    ... and {left} more lines, in the summary's file"] if left > 0 else []
        lines += [f"    To do: {host['remedy']}"]
    again = _again(hosts)
    if again and summary["playbook"] not in _WHOLE:
        lines += ["", f"Again for these alone: -l {','.join(again)}"]
    return "\n".join(lines)


def _again(hosts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the hosts to run again for: those that failed, with those that serve one model with them."""
    failed = [host for host in hosts if host["outcome"] in (FAILED, UNREACHABLE, NOT_STARTED)]
    return list(dict.fromkeys(name for host in failed for name in [host["host"], *host.get("group", ())]))


def _worth_a_row(host: Mapping[str, Any]) -> bool:
    told = (host["engines"], host["changes"], host["checks"], host["benchmarks"], host["reason"])
    return any(told) or host["outcome"] == NOT_STARTED


def _rows(host: Mapping[str, Any]) -> list[tuple[str, ...]]:
    trouble = host["outcome"] in (FAILED, UNREACHABLE, NOT_STARTED)
    engines = host["engines"] or [{}]
    rows = []
    for index, engine in enumerate(engines):
        # What is no engine's stands in the host's first row.
        words = [*engine.get("changes", []), *(host["other_changes"] if index == 0 else [])]
        rows.append(
            (
                host["host"] if index == 0 else "",
                (engine.get("profile") or host["profile"] or "-"),
                " ".join(filter(None, (engine.get("engine"), engine.get("version")))) or "-",
                short_digest(engine.get("digest")),
                host["outcome"].upper() if trouble else _state(host, engine),
                _changed(words, host["outcome"]),
                f"{host['seconds']:.1f}" if index == 0 else "",
                engine.get("endpoint") or next((check["url"] for check in host["checks"] if check["url"]), "-"),
            )
        )
    return rows


def _state(host: Mapping[str, Any], engine: Mapping[str, Any]) -> str:
    checks = _of(host, engine, host["checks"])
    verified = f"{sum(check['passed'] for check in checks)} of {sum(check['of'] for check in checks)} checks"
    # What a comparison measured has a table of its own, and is no figure of an engine that serves.
    runs = [run for run in _of(host, engine, host["benchmarks"]) if run["output_throughput"] and not run["variant"]]
    measured = [f"{run['output_throughput']:.0f} tok/s" for run in runs]
    return ", ".join(filter(None, (engine.get("state"), verified if checks else "", *measured))) or "-"


def _of(
    host: Mapping[str, Any], engine: Mapping[str, Any], told: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return what was asked at an engine's own address; the host's first row has what no engine of it has."""
    engines = host["engines"] or [engine]
    known = [{each.get("url"), each.get("endpoint")} - {None} for each in engines]
    own = known[engines.index(engine)]
    elsewhere = [one for one in told if not any(one["url"] in each for each in known)]
    return [one for one in told if one["url"] in own or (engine == engines[0] and one in elsewhere)]


def _changed(words: Sequence[str], outcome_word: str) -> str:
    if not words:
        return "-"
    return f"would change: {', '.join(words)}" if outcome_word == WOULD_CHANGE else ", ".join(words)


def _counts(summary: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{count} {word}" for word, count in summary["counts"].items() if count)
    mode = " (check mode: nothing was done)" if summary["check_mode"] else ""
    return f"{summary['playbook']}: {counts}, in {summary['seconds']:.0f} s{mode}"


def short_digest(digest: str | None) -> str:
    """Return twelve figures of a digest.

    >>> short_digest("sha256:0123456789abcdef")
    '0123456789ab'
    """
    return (digest or "-").rpartition(":")[2][:12]
