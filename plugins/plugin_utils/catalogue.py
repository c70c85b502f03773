# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue of models: one YAML file a model, the collection's own or the user's, read on the control host."""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError

from ansible_collections.inference.fleet.plugins.module_utils.containers import plan
from ansible_collections.inference.fleet.plugins.module_utils.engines import ENGINES
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.extra_args import refuse_managed, words
from ansible_collections.inference.fleet.plugins.module_utils.models.model import EXPERTS, SIZES, served_name
from ansible_collections.inference.fleet.plugins.module_utils.serving.options import DEFAULTS, TASKS

OWN = Path(__file__).resolve().parents[1] / "module_utils/models"
# An engine that serves models.
_ENGINE = {"type": "str", "choices": [name for name, module in ENGINES.items() if not module.SIMULATED]}
_SHAPE = {
    "gpu": {"type": "str"},
    "engine": _ENGINE,
    **{name: {"type": "int"} for name in SIZES},
    EXPERTS: {"type": "bool"},
    "fails": {"type": "str"},
}
_VARIANT = {
    "id": {"type": "str", "required": True},
    "precision": {"type": "str", "required": True},
    "served_model_name": {"type": "str"},
    "revision": {"type": "str"},
    "gpus": {"type": "list", "elements": "str"},
    "weights_gib": {"type": "float"},
    "memory_gb": {"type": "float"},
    "shapes": {"type": "list", "elements": "dict", "options": _SHAPE},
}
_SERVES = {
    "from": {"type": "str"},
    "tool_call_parser": {"type": "str"},
    "reasoning_parser": {"type": "str"},
}
_SETTING = {
    "engine": _ENGINE,
    "gpus": {"type": "list", "elements": "str"},
    "precisions": {"type": "list", "elements": "str"},
    "arguments": {"type": "dict"},
    "environment": {"type": "dict"},
}
_SPECULATIVE = {
    "engine": {**_ENGINE, "required": True},
    "arguments": {"type": "dict", "required": True},
    "cautions": {"type": "list", "elements": "str"},
}
_VERIFIED = {
    "precision": {"type": "str"},
    "where": {"type": "str", "required": True},
    "when": {"type": "str", "required": True},
    "what": {"type": "str", "required": True},
}
# The form of an entry, as that of a module's options.
SCHEMA: dict[str, Any] = {
    "summary": {"type": "str"},
    "parameters": {"type": "dict", "options": {"total": {"type": "float"}, "active": {"type": "float"}}},
    "context": {"type": "int"},
    "licence": {"type": "str"},
    "task": {"type": "str", "choices": list(TASKS)},
    "trust_remote_code": {"type": "bool"},
    "engines": {
        "type": "dict",
        "options": {name: {"type": "dict", "options": _SERVES} for name in _ENGINE["choices"]},
    },
    "variants": {"type": "list", "elements": "dict", "options": _VARIANT, "required": True},
    "settings": {"type": "list", "elements": "dict", "options": _SETTING},
    "speculative_decoding": {"type": "list", "elements": "dict", "options": _SPECULATIVE},
    "published": {"type": "list", "elements": "str"},
    "verified": {"type": "list", "elements": "dict", "options": _VERIFIED},
    "sources": {"type": "dict"},
}
# What a host is told of a variant, and of the model.
_OF_VARIANT = ("id", "revision", "precision", "served_model_name", "gpus", "weights_gib", "memory_gb", "shapes")
_OF_MODEL = ("trust_remote_code", "context", "engines", "settings", "speculative_decoding")


def read(path: Path) -> dict[str, Any]:
    """Return an entry, without what it does not say. FleetError where it is none."""
    return _read(path, path.stat().st_mtime_ns if path.exists() else 0)


@functools.lru_cache(maxsize=256)
def _read(path: Path, _written: int) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FleetError(f"the catalogue's {path} cannot be read: {' '.join(str(error).split())}.") from error
    if not isinstance(found, dict):
        raise FleetError(f"the catalogue's {path}: wanted a dictionary, found {type(found).__name__}.")
    result = ArgumentSpecValidator(SCHEMA).validate(found)
    problems = [
        f"unknown: {error.msg}" if isinstance(error, UnsupportedError) else str(error.msg) for error in result.errors
    ]
    entry = _given(result.validated_parameters)
    if not problems:
        problems = _contradictions(entry)
    if problems:
        raise FleetError(f"the catalogue's {path}: {'; '.join(problems)}. Mend it; docs/models.md has the form.")
    first = entry["variants"][0]
    first.setdefault("served_model_name", path.stem.lower())
    for variant in entry["variants"]:
        variant.setdefault("served_model_name", served_name(variant["id"]))
    return {"name": path.stem.lower(), **entry}


def _given(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _given(item) for key, item in value.items() if item is not None}
    return [_given(item) for item in value] if isinstance(value, list) else value


def _contradictions(entry: Mapping[str, Any]) -> list[str]:
    problems = [] if entry["variants"] else ["variants is empty"]
    for rule in (*entry.get("settings", ()), *entry.get("speculative_decoding", ())):
        arguments = words(rule.get("arguments") or {})
        for name in [rule["engine"]] if rule.get("engine") else _ENGINE["choices"]:
            try:
                refuse_managed(arguments, ENGINES[name].MANAGED_FLAGS)
            except FleetError as error:
                problems.append(str(error).rstrip(".").replace("extra_args", "arguments"))
    return problems


def files(directory: str | None = None) -> dict[str, Path]:
    """Return the catalogue's files by the names of their models; the user's take the place of the collection's."""
    found = {path.stem.lower(): path for path in sorted(OWN.glob("*.yml"))}
    if directory:
        folder = Path(os.path.expanduser(directory))
        if not folder.is_dir():
            raise FleetError(f"engine_catalogue: wanted a directory with one YAML file a model, found no {folder}.")
        found |= {path.stem.lower(): path for path in sorted([*folder.glob("*.yml"), *folder.glob("*.yaml")])}
    return found


def entries(directory: str | None = None) -> list[dict[str, Any]]:
    """Return every entry, by name."""
    return [read(path) for _name, path in sorted(files(directory).items())]


def facts(name: str, directory: str | None = None) -> dict[str, Any] | None:
    """Return what is known of a model, for :class:`.Model`, by its name in the catalogue or on the hub; else ``None``.

    A variant's name is that by which it is served.
    """
    wanted = name.strip().lower()
    found = files(directory)
    if wanted in found:
        return _facts(read(found[wanted]), 0)
    for path in found.values():
        # Most files are not about it: to parse them all takes longer than the rest of a look.
        if wanted not in _text(path):
            continue
        entry = read(path)
        for index, variant in enumerate(entry["variants"]):
            if wanted in (variant["id"].lower(), variant["served_model_name"].lower()):
                return _facts(entry, index)
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").lower()
    except (OSError, UnicodeDecodeError) as error:
        raise FleetError(f"the catalogue's {path} cannot be read: {error}.") from error


def _facts(entry: Mapping[str, Any], index: int) -> dict[str, Any]:
    variants = [{key: item[key] for key in _OF_VARIANT if key in item} for item in entry["variants"]]
    return {
        "entry": entry["name"],
        **{key: entry[key] for key in _OF_MODEL if key in entry},
        **variants[index],
        "variants": [*variants[:index], *variants[index + 1 :]],
    }


def all_facts(directory: str | None = None) -> list[dict[str, Any]]:
    """Return the facts of every variant of every entry."""
    return [_facts(entry, index) for entry in entries(directory) for index in range(len(entry["variants"]))]


def resolved(options: Mapping[str, Any], directory: str | None = None) -> dict[str, Any]:
    """Return options of an engine with the model's name on the hub, what is known of it, and what it is served by.

    The revision is the variant's where the options have none.

    FleetError where the model can be none.
    """
    given = str(options.get("model") or DEFAULTS["model"])
    known = facts(given, directory)
    if known is None and "/" not in given:
        raise FleetError(_unknown(given, directory))
    result = {**options, "model": known["id"] if known else given, "model_facts": known or {}}
    if known and known.get("revision") and not options.get("revision"):
        result["revision"] = known["revision"]
    if not options.get("served_model_name"):
        result["served_model_name"] = known["served_model_name"] if known else served_name(given)
    return result


def with_models(args: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's arguments with what is known of the models of all its engines.

    An engine that is only to go needs no model that can be served.
    """
    directory = args.get("catalogue")

    def known(options: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return resolved(options, directory)
        except FleetError:
            if args.get("state") in (plan.ABSENT, plan.STOPPED):
                return dict(options)
            raise

    host, listed = known(args), args.get("instances")
    if not are_entries(listed):
        return host
    engines = []
    for entry in listed:
        one = known(entry) if entry.get("model") else dict(entry)
        if args.get("served_model_name") and not entry.get("served_model_name"):
            # The name that the host gives is that of all its engines.
            one.pop("served_model_name", None)
        engines.append(one)
    return {**host, "instances": engines}


def are_entries(value: Any) -> bool:
    """Tell whether a value is a list of dictionaries; what reads any other refuses it."""
    return isinstance(value, (list, tuple)) and all(isinstance(entry, Mapping) for entry in value)


def _unknown(given: str, directory: str | None) -> str:
    names = [known["served_model_name"] for known in all_facts(directory)]
    near = difflib.get_close_matches(given.lower(), names, n=3)
    return (
        f"model: wanted a name of the catalogue, a model of the hub as ORGANISATION/NAME, or a directory in the "
        f"container, found {given!r}. "
        + (f"Is it {' or '.join(near)}? " if near else "")
        + "The playbook models.yml lists the catalogue."
    )
