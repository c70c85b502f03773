# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control host's part of a comparison: plan it and say what it takes, note what failed, and show what it showed."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, ClassVar

import yaml
from ansible.utils.display import Display

from ansible_collections.inference.fleet.plugins.module_utils.comparisons import estimate, outcome, progress, tables
from ansible_collections.inference.fleet.plugins.module_utils.comparisons import variants as variants_
from ansible_collections.inference.fleet.plugins.module_utils.containers.slots import STAND_IN
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.results import load
from ansible_collections.inference.fleet.plugins.module_utils.serving import options as engine_options
from ansible_collections.inference.fleet.plugins.plugin_utils import files
from ansible_collections.inference.fleet.plugins.plugin_utils.local_task import LocalAction

display = Display()
PLANNED, NOTED, REPORTED, FINISHED = "planned", "noted", "reported", "finished"
DEFAULTS = Path(__file__).resolve().parents[2] / "roles/benchmark/defaults/main.yml"
# What variants can only be compared with when it was the same for all of their turns.
_WORKLOAD = ("input_length", "output_length", "num_prompts", "max_concurrency", "request_rate", "random_range_ratio")
_CONDITIONS = (*_WORKLOAD, "warmup", "repeats", "sweep", "slo", "client", "client_host", "extra_args")
_CAUSE_LINES = 12


class ActionModule(LocalAction):
    """Keeps one file a host beside the results, so that a comparison that was cut off goes on where it was."""

    ARGUMENTS: ClassVar = {
        "state": {"type": "str", "choices": [PLANNED, NOTED, REPORTED, FINISHED], "required": True},
        "results_dir": {"type": "path", "required": True},
        "id": {"type": "str"},
        "slot": {"type": "str"},
        "variants": {"type": "raw"},
        "rounds": {"type": "int", "default": 2},
        "first": {"type": "int", "default": 0},
        "looks": {"type": "list", "elements": "dict", "default": []},
        "serves": {"type": "bool", "default": False},
        "keep": {"type": "str", "choices": ["before", "winner", "none"], "default": "before"},
        "abandon": {"type": "bool", "default": False},
        "path": {"type": "path"},
        "variant": {"type": "str"},
        "round": {"type": "int"},
        "stage": {"type": "str", "choices": [progress.START, progress.MEASURE], "default": progress.START},
        "cause": {"type": "str"},
        "paths": {"type": "list", "elements": "path", "default": []},
        "markdown_path": {"type": "path"},
    }

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        self._variables = task_vars or {}
        return super().run(tmp, task_vars)

    def act(self, options: dict[str, Any]) -> dict[str, Any]:
        folder = Path(options["results_dir"]).expanduser().absolute()
        if options["state"] == PLANNED:
            return self._plan(folder, options)
        if options["state"] == NOTED:
            return self._note(options)
        if options["state"] == FINISHED:
            return self._finish(folder, options)
        return self._report(folder, options)

    def _plan(self, folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
        host, slot = str(self._variables["inventory_hostname"]), options["slot"]
        listed = variants_.variants(options["variants"], [*engine_options.DEFAULTS])
        names = [variant.name for variant in listed]
        conditions = {name: self._benchmark(name) for name in _CONDITIONS}
        fingerprint = variants_.fingerprint(listed, options["rounds"], conditions)
        documents = load.opened(folder).documents
        now = _now()
        begun, others = self._begun(folder, host, slot, fingerprint)
        resumed = begun is not None
        if begun is None:
            order = variants_.turns(names, options["rounds"], options["first"])
            begun = progress.Progress(
                options["id"], host, slot, fingerprint, tuple(names), options["rounds"], order, now
            )
        looks = {}
        for name, look in zip(names, options["looks"], strict=True):
            if look.get("takes"):
                looks[name] = look["takes"]
            elif not begun.failed(name):
                cause = _cause(str(look.get("msg") or "the host could not be asked"))
                begun = begun.with_failure(progress.Failure(name, 1, progress.START, cause, now))
        done = progress.done(documents, begun.id, host)
        due = () if options["abandon"] else begun.due(done)
        lacking = estimate.lacking(looks[name] for name in dict.fromkeys(turn.variant for turn in due))
        if lacking:
            raise FleetError("\n".join([f"{host}: nothing was touched.", *lacking]))
        work, price = self._work(conditions), self._price(looks)
        restarts = 0 if options["keep"] == "none" or not options["serves"] else 1
        takes = estimate.estimate(due, looks, work, documents, price, restarts)
        file = progress.path(folder, begun.id, host, slot)
        if not self._task.check_mode:
            for other in others:
                _write(progress.path(folder, other.id, host, slot), progress.text(progress.over(other, now)))
            _write(file, progress.text(begun))
        lines = _told(
            begun, resumed, len(done), options, estimate.sentence(len(names), options["rounds"], len(due), takes)
        )
        display.display("\n".join(f"[{host}] {line}" for line in lines))
        return {
            "changed": False,
            "id": begun.id,
            "path": str(file),
            "slot": slot,
            "stand_in": f"{STAND_IN}{slot}",
            "fingerprint": fingerprint,
            "resumed": resumed,
            "turns": [{"variant": turn.variant, "round": turn.round} for turn in due],
            "failed_variants": list(dict.fromkeys(failure.variant for failure in begun.failures)),
            "client_images": self._client_images(listed, looks),
            "seconds": round(takes.seconds),
            "bring_bytes": round(takes.bring_bytes),
            "cost_usd": takes.cost,
            "lines": lines,
        }

    def _begun(
        self, folder: Path, host: str, slot: str, fingerprint: str
    ) -> tuple[progress.Progress | None, list[progress.Progress]]:
        """Return the comparison to go on with, and those that this one takes the place of."""
        unfinished = progress.unfinished(folder, host, slot)
        same = next((item for item in unfinished if item.fingerprint == fingerprint), None)
        return same, [item for item in unfinished if item is not same]

    def _note(self, options: Mapping[str, Any]) -> dict[str, Any]:
        file = Path(options["path"])
        cause = _cause(options["cause"] or "no reason was given")
        failure = progress.Failure(options["variant"], options["round"], options["stage"], cause, _now())
        if not self._task.check_mode:
            _write(file, progress.text(progress.read(file).with_failure(failure)))
        left = "it is not tried again" if failure.stage == progress.START else "it is tried again in the next round"
        host = self._variables["inventory_hostname"]
        display.display(f"[{host}] {failure.variant} has no result in round {failure.round}, and {left}: {cause}")
        return {"changed": False}

    def _finish(self, folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
        """Note that nothing is left to do, once the host is as it is to be; else the next run goes on."""
        file = Path(options["path"])
        found = progress.read(file)
        due = found.due(progress.done(load.opened(folder).documents, found.id, found.host))
        if options["abandon"] or not due:
            _write(file, progress.text(progress.over(found, _now())))
        return {"changed": False, "turns": [{"variant": turn.variant, "round": turn.round} for turn in due]}

    def _report(self, folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
        paths = list(map(Path, options["paths"]))
        documents = load.opened(folder).documents
        every = []
        for file in paths:
            found = progress.read(file)
            over = not found.due(progress.done(documents, found.id, found.host))
            every.append(progress.over(found, _now()) if over else found)
        # Of a host that was not touched there is nothing to show.
        shown = [
            item
            for item in outcome.outcomes(every, documents)
            if any(one.runs or one.failures for one in item.variants)
        ]
        text = "\n\n".join(map(tables.text, shown))
        if shown:
            display.display(f"\n{text}\n")
        result: dict[str, Any] = {
            "changed": False,
            "table": text,
            "sentences": [sentence for item in shown for sentence in outcome.sentences(item)],
            "winners": {host: item.winner or "" for item in shown for host in item.hosts},
            "measured": {host: len(item.measured) for item in shown for host in item.hosts},
        }
        if options["markdown_path"] and shown:
            path = Path(options["markdown_path"]).expanduser().absolute()
            _write(path, "\n".join(map(tables.markdown, shown)))
            display.display(f"As Markdown: {path}\n")
            result["markdown_path"] = str(path)
        return result

    def _benchmark(self, name: str) -> Any:
        """Return a variable of the role benchmark as it is for this host; None where it follows from others."""
        given = self._variables.get(f"benchmark_{name}")
        return _defaults().get(f"benchmark_{name}") if given is None else self._templar.template(given)

    def _work(self, conditions: Mapping[str, Any]) -> estimate.Work:
        first = {name: _number(conditions[name]) for name in _WORKLOAD}
        points = [first, *({**first, **point} for point in conditions["sweep"] or ())]
        warm_up = str(conditions["warmup"]).lower() in ("true", "yes", "1", "on")
        return estimate.Work(tuple(points), int(conditions["repeats"]), warm_up)

    def _price(self, looks: Mapping[str, Mapping[str, Any]]) -> float | None:
        """Return US dollars an hour: what is given, else the most that a variant's profile costs."""
        given = float(self._benchmark("price_per_hour") or 0)
        prices = self._benchmark("prices_per_hour") or {}
        profiles = [(look["simulates"] or look)["profile"] for look in looks.values()]
        return given or max((float(prices[name]) for name in profiles if name in prices), default=None)

    def _client_images(
        self, listed: Sequence[variants_.Variant], looks: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, str]:
        """Return for each variant the image of its client: one for all that have the same client."""
        given = self._benchmark("client_image")
        if given or self._benchmark("client_path"):
            return {variant.name: given or "" for variant in listed}
        found = {}
        for variant in listed:
            look = looks.get(variant.name)
            client = self._benchmark("client") or (
                "aiperf" if look and look["engine"] == estimate.SIMULATOR else "vllm"
            )
            found[variant.name] = next((each["image"] for each in looks.values() if each["engine"] == client), "")
        return found


def _told(begun: progress.Progress, resumed: bool, done: int, options: Mapping[str, Any], takes: str) -> list[str]:
    afterwards = {
        "before": "what serves there now serves again" if options["serves"] else "nothing serves there, as now",
        "winner": "the variant with the most output serves there; where none has, what serves there now",
        "none": "nothing serves there",
    }[options["keep"]]
    lines = [f"comparison {begun.id} in slot {begun.slot}: {', '.join(begun.variants)}", takes]
    if resumed:
        lines.append(f"it was cut off before: {done} of {len(begun.order)} turns are done, and not taken again")
    if options["abandon"]:
        lines.append("it is given up: no turn is taken any more")
    for failure in begun.failures:
        lines.append(f"{failure.variant} takes no turn: {failure.cause}" if failure.stage == progress.START else "")
    return [*filter(None, lines), f"afterwards {afterwards}"]


def _now() -> str:
    return f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def _cause(text: str) -> str:
    return "\n".join(text.strip().splitlines()[:_CAUSE_LINES])


def _number(value: Any) -> Any:
    """Return a number that was given as text; 0 is none, as in the role."""
    if isinstance(value, str):
        value = float(value)
        value = int(value) if value.is_integer() else value
    return value or None


@functools.cache
def _defaults() -> dict[str, Any]:
    """Return the role's defaults but those that follow from others."""
    read = yaml.safe_load(DEFAULTS.read_text(encoding="utf-8"))
    return {name: value for name, value in read.items() if "{{" not in str(value)}


def _write(path: Path, text: str) -> None:
    try:
        files.replace(path, text.encode("utf-8"))
    except OSError as error:
        raise FleetError(f"{path} on the control host cannot be written: {error.strerror}.") from error
