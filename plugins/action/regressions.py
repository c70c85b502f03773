# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell the regressions of a folder of result documents, on the control host and without a connection."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import yaml
from ansible.utils.display import Display

from ansible_collections.inference.fleet.plugins.module_utils.acceptance import kept
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.evaluations import kept as evaluations
from ansible_collections.inference.fleet.plugins.module_utils.history import absence, acknowledged, regressions, webhook
from ansible_collections.inference.fleet.plugins.module_utils.results import load, words
from ansible_collections.inference.fleet.plugins.plugin_utils import endpoints
from ansible_collections.inference.fleet.plugins.plugin_utils.local_task import LocalAction

display = Display()

ACKNOWLEDGED = "acknowledged.yml"
# A night, and what a schedule may be late.
EXPECTED_HOURS = 26


# Of the options, what is not the task's but follows from the inventory: see :func:`measured`.
ENGINES = "engines"
Finder = Callable[[Sequence[Mapping[str, Any]]], regressions.Found]
# What says which changes count, for a task that fails of them and for one that shows them alike.
RULE: dict[str, Any] = {
    "acknowledged_file": {"type": "path"},
    "acknowledged": {"type": "list", "elements": "dict", "default": []},
    "minimum_change": {"type": "dict", "default": dict(regressions.LEAST)},
    "confirm": {"type": "int", "default": regressions.CONFIRM},
    "max_age": {"type": "int", "default": regressions.MAX_AGE},
    "hosts": {"type": "list", "elements": "str", "default": []},
    "expected_hours": {"type": "int", "default": EXPECTED_HOURS},
    "summaries": {"type": "list", "elements": "path", "default": []},
}


class ActionModule(LocalAction):
    """Looks through the history, and says what it found."""

    _supports_diff = False
    ARGUMENTS: ClassVar = {
        "results_dir": {"type": "path", "required": True},
        **RULE,
        "webhook_url": {"type": "str", "no_log": True},
        "webhook_headers": {"type": "dict", "default": {}, "no_log": True},
        "webhook_timeout": {"type": "int", "default": 10},
        "fail": {"type": "bool", "default": True},
        "show": {"type": "bool", "default": False},
    }

    def act(self, options: dict[str, Any]) -> dict[str, Any]:
        options = {**options, **measured(options["hosts"], self.hostvars)}
        result = look(Path(options["results_dir"]).absolute(), options, self._task.check_mode)
        if options["show"]:
            display.display(f"\n{result['text']}\n")
        return result


def measured(hosts: Sequence[str], hostvars: Mapping[str, Any]) -> dict[str, Any]:
    """Return of these hosts those that are to be measured, and under ENGINES the ports of those with several engines.

    Nothing is measured at a host that another answers for.
    """
    # A host need not be in this inventory.
    own = {host: endpoints.endpoints(host, hostvars[host]) for host in hosts if host in hostvars}
    return {
        "hosts": [host for host in hosts if own.get(host, True)],
        ENGINES: {host: [each["port"] for each in found] for host, found in own.items() if len(found) > 1},
    }


def look(folder: Path, options: Mapping[str, Any], check_mode: bool = False) -> dict[str, Any]:
    """Look for regressions, tell the webhook of them, and return the task's result.

    FleetError where there is nothing to look at (outside check mode), or an option is none.
    """
    find = finder(folder, options)
    loaded = load.opened(folder)
    found = find(loaded.documents)
    sick = not_passed(folder, options, loaded.documents)
    scored = scored_worse(folder, options, loaded.documents)
    worse = [each for each in scored.worse if each.sure]
    result: dict[str, Any] = {
        "changed": False,
        "results_dir": str(folder),
        "runs": len(loaded.documents),
        "damaged": [{"file": words.clean(item.file), "reason": item.reason} for item in loaded.damaged],
        "warnings": [f"Not read: {folder / words.clean(item.file)}: {item.reason}" for item in loaded.damaged[:20]],
        "text": "\n".join(
            [
                told(found),
                *(f"  NOT SOUND  {words.clean(item['sentence'])}" for item in sick),
                *(
                    f"  {'WORSE     ' if each.sure else 'Suspected '} {words.clean(each.sentence)}"
                    for each in scored.worse
                ),
                *(f"  Accepted   {words.clean(each.sentence)}" for each in scored.accepted),
                *(f"  Acknowledged, but not there: {words.clean(each.text())}" for each in scored.unused),
            ]
        ),
        "sick": sick,
        "worse": [
            {
                "host": each.document["host"],
                "run_id": each.document["run_id"],
                "subject": evaluations.subject_id(each.document),
                "sentence": each.sentence,
            }
            for each in worse
        ],
        **found.as_dict(),
        "unused": (*found.unused, *(each.text() for each in scored.unused)),
    }
    if not loaded.documents and not found.absent and not sick and not evaluations.load(folder).documents:
        message = (
            f"There is no result document in {folder}. Run the playbook benchmark.yml first, or name the folder that "
            "has them."
        )
        if not check_mode:
            raise FleetError(message, **result)
        return {**result, "msg": message}
    if found.regressions or found.absent or sick or worse:
        sentences = [*(item["sentence"] for item in sick[:3]), *(each.sentence for each in worse[:3])]
        if worse and not found.regressions:
            sentences.append("A lower score that is wanted can be acknowledged: see docs/history.md.")
        result["msg"] = " ".join(filter(None, [summary(found), *sentences]))
        result["failed"] = options["fail"]
        if options["webhook_url"] and not check_mode:
            why_not = _send(result, options)
            result["webhook_sent"] = why_not is None
            if why_not:
                result["warnings"].append(f"The webhook was not told of the regressions: {why_not}.")
    return result


def not_passed(
    folder: Path, options: Mapping[str, Any], documents: Sequence[Mapping[str, Any]]
) -> list[dict[str, str]]:
    """Return the hosts whose last acceptance test they did not pass, each with a sentence, but those acknowledged."""
    known = acknowledgements(folder, options["acknowledged_file"], options["acknowledged"])
    accepted = [each for each in known if each.kind == acknowledged.SICK]
    tests = kept.sick(
        kept.load(folder).documents, documents[-1]["started_at"] if documents else None, options["max_age"]
    )
    return [
        {"host": each["host"], "run_id": each["run_id"], "sentence": kept.sentence(each)}
        for each in tests
        if not any(item.of_host(each["host"]) and item.since in (None, each["run_id"]) for item in accepted)
    ]


def scored_worse(
    folder: Path, options: Mapping[str, Any], documents: Sequence[Mapping[str, Any]]
) -> evaluations.Fallen:
    """Return the models that score worse than they did, and which of that is acknowledged."""
    watched = evaluations.recent(
        evaluations.load(folder).documents, documents[-1]["started_at"] if documents else None, options["max_age"]
    )
    return evaluations.fallen(watched, accepted_worse(folder, options))


def accepted_worse(folder: Path, options: Mapping[str, Any]) -> list[acknowledged.Acknowledgement]:
    """Return the acknowledgements of models that score worse."""
    known = acknowledgements(folder, options["acknowledged_file"], options["acknowledged"])
    return [each for each in known if each.kind == acknowledged.WORSE]


def finder(folder: Path, options: Mapping[str, Any]) -> Finder:
    """Return what looks through documents of *folder* as options of :data:`RULE` say; FleetError where one is none."""
    least = _minimum(options["minimum_change"])
    if options["confirm"] < 1:
        raise FleetError(f"confirm: wanted 1 run or more, found {options['confirm']}")
    every = acknowledgements(folder, options["acknowledged_file"], options["acknowledged"])
    known = tuple(each for each in every if each.kind not in (acknowledged.SICK, acknowledged.WORSE))
    wanted = _wanted(options)

    def find(documents: Sequence[Mapping[str, Any]]) -> regressions.Found:
        return regressions.find(documents, known, least, options["confirm"], options["max_age"], wanted)

    return find


def acknowledgements(
    folder: Path, file: str | None, items: Sequence[Mapping[str, Any]]
) -> tuple[acknowledged.Acknowledgement, ...]:
    """Return the acknowledgements of a file and of a variable. One that is named must be there."""
    path = Path(file).absolute() if file else folder / ACKNOWLEDGED
    found = acknowledged.parse(list(items), "acknowledged")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if file:
            raise FleetError(f"acknowledged_file: there is no {path} on the control host.") from error
        return found
    except (OSError, UnicodeDecodeError) as error:
        raise FleetError(f"acknowledged_file: {path} on the control host cannot be read: {error}.") from error
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise FleetError(f"{path} is no YAML{where}: {getattr(error, 'problem', None) or error}.") from error
    if isinstance(content, dict) and set(content) == {"acknowledged"}:
        content = content["acknowledged"]
    return acknowledged.parse(content, str(path)) + found


def _wanted(options: Mapping[str, Any]) -> absence.Wanted | None:
    """Return which hosts were to be measured, and why their last benchmark failed as far as summaries tell."""
    if not options["hosts"]:
        return None
    if options["expected_hours"] < 1:
        raise FleetError(f"expected_hours: wanted 1 hour or more, found {options['expected_hours']}")
    summaries = []
    for name in options["summaries"]:
        path = Path(name).expanduser().absolute()
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            # The playbook may never have come so far.
            continue
        except (OSError, ValueError) as error:
            raise FleetError(f"summaries: {path} on the control host is no summary of a playbook: {error}.") from error
        if not isinstance(content, dict):
            raise FleetError(f"summaries: {path} on the control host is no summary of a playbook: no object.")
        summaries.append(content)
    now, reasons = datetime.now(timezone.utc), absence.reasons(summaries)
    return absence.Wanted(tuple(options["hosts"]), now, options["expected_hours"], reasons, options.get(ENGINES) or {})


def _minimum(given: Mapping[str, Any]) -> dict[str, float]:
    least = {}
    for name, value in given.items():
        if name not in regressions.METRICS:
            known = ", ".join(regressions.METRICS)
            raise FleetError(f"minimum_change: {name} cannot be watched. What can: {known}.")
        try:
            least[name] = float(value)
        except (TypeError, ValueError):
            least[name] = -1.0
        if not 0 < least[name] < 100:
            raise FleetError(f"minimum_change: {name}: wanted per cent above 0 and below 100, found {value!r}")
    return least


def summary(found: regressions.Found) -> str:
    """Return in a few sentences how many hosts became slower, or were not measured, and the worst of it."""
    absent = _absent(found.absent)
    if not found.regressions:
        return absent
    hosts = sorted({item.host for item in found.regressions})
    named = ", ".join(hosts[:5]) + (f" and {len(hosts) - 5} more" if len(hosts) > 5 else "")
    return (
        f"{len(hosts)} host{'s' if len(hosts) > 1 else ''} became slower ({named}): {found.regressions[0].sentence} "
        f"Every change is in the result. One that is wanted can be acknowledged: see docs/history.md."
        f"{' ' + absent if absent else ''}"
    )


def _absent(items: Sequence[absence.Absent]) -> str:
    if not items:
        return ""
    count = len({item.host for item in items})
    more = f" (and {count - 1} more hosts)" if count > 1 else ""
    return f"{count} host{'s were' if count > 1 else ' was'} not measured. {items[0].sentence}{more}"


def told(found: regressions.Found) -> str:
    """Return all that was found, as lines."""
    slower = len({item.subject for item in found.regressions})
    lines = [f"Regressions: {slower or 'none'} of {found.watched} series"]
    if found.young:
        lines[0] += f", {found.young} of them too young to tell"
    lines += [f"  REGRESSION {text}" for text in _by_series(found.regressions)]
    lines += [f"  NOT MEASURED {item.sentence}" for item in found.absent]
    lines += [f"  Suspected  {sentence}" for sentence in found.suspected]
    lines += [f"  Accepted   {text}" for text in _by_series(found.acknowledged)]
    lines += [f"  Acknowledged, but not there: {text}" for text in found.unused]
    return "\n".join(words.clean(line) for line in lines)


def _by_series(findings: Sequence[regressions.Finding]) -> Iterator[str]:
    """Yield one line a series: its first figure in full, the others in short."""
    for _series, items in groupby(findings, key=lambda item: item.subject):
        first, *others = items
        yield f"{first.sentence} Also: {', '.join(item.short for item in others)}." if others else first.sentence


def _send(result: Mapping[str, Any], options: Mapping[str, Any]) -> str | None:
    body = {
        # What chats show.
        "text": result["text"],
        "regressions": result["regressions"],
        "absent": result["absent"],
        "sick": result["sick"],
        "worse": result["worse"],
        "results_dir": result["results_dir"],
    }
    return webhook.post(options["webhook_url"], body, options["webhook_headers"], options["webhook_timeout"])
