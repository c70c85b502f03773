# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values set in a settings file that is somebody's own, and taken out again. All pure: text in, text out.

JSON and YAML are read and written again. Of TOML, for which Python 3.10 has neither, only lines are changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.endpoint.coding_clients import (
    JSON,
    TOML,
    YAML,
    Default,
    File,
    Item,
    Place,
    Stamped,
)
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

try:
    import yaml
except ImportError:
    yaml = None  # type: ignore[assignment]

_ABSENT = {"absent": True}
_BEGIN, _END = "# inference.fleet: begin", "# inference.fleet: end"
_SET_ASIDE = "# inference.fleet set aside: "


def merged(file: File, text: str | None, now: str | None = None) -> tuple[str, list[Any]]:
    """Return the file's text with the values set, and what has to be known to take them out again.

    That is a list of [place, what was there, what is there now, the key that the client renews], as JSON can hold it.
    *now* is the text with what an earlier run set, whose stamps are kept.
    """
    if file.format == TOML:
        return _toml_with(file, _toml_without(text or "")), []
    document = _read(file, text)
    changes = []
    for place, wanted in file.values.items():
        before = _get(document, place)
        if isinstance(wanted, Default) and before != _ABSENT:
            continue
        value = wanted.value if isinstance(wanted, (Default, Stamped)) else wanted
        stamp = wanted.key if isinstance(wanted, Stamped) else None
        if stamp and _equal(found := _get(_read(file, now), place), {"value": value}, stamp):
            value = found["value"]
        _set(document, place, value)
        changes.append([_named(place), before, {"value": value}, stamp])
    # A client that wrote the same in its own way has it.
    return (now if now and _read(file, now) == document else _written(file, document)), changes


def restored(file: File, text: str, changes: list[Any]) -> str | None:
    """Return the text without the values that were set, as far as they are still there; None where nothing is left."""
    if file.format == TOML:
        return _toml_without(text) or None
    document = _read(file, text)
    for named, before, now, stamp in reversed(changes):
        place = tuple(Item(*part) if isinstance(part, list) else part for part in named)
        # What the user set in its place since is the user's.
        if _equal(_get(document, place), now, stamp):
            _set(document, place, before.get("value"), remove=before == _ABSENT)
    return _written(file, document) if document else None


def _equal(one: dict[str, Any], other: dict[str, Any], stamp: str | None) -> bool:
    """Tell whether two places hold the same, whatever stands under the key that the client renews."""
    values = [told.get("value") for told in (one, other)]
    if stamp and all(isinstance(value, dict) for value in values):
        values = [{**value, stamp: None} for value in values]
    return one.keys() == other.keys() and values[0] == values[1]


def _read(file: File, text: str | None) -> dict[str, Any]:
    if not (text or "").strip():
        return {}
    try:
        if file.format == YAML:
            if yaml is None:
                raise FleetError(f"PyYAML is needed to set something in ~/{file.path}: pip install pyyaml.")
            found = yaml.safe_load(text or "")
        else:
            found = json.loads(text or "")
    except ValueError as error:
        raise _unreadable(file, str(error)) from error
    except Exception as error:
        if yaml is None or not isinstance(error, yaml.YAMLError):
            raise
        raise _unreadable(file, str(error)) from error
    if not isinstance(found, dict):
        raise _unreadable(file, "it holds no mapping")
    return found


def _unreadable(file: File, why: str) -> FleetError:
    return FleetError(
        f"~/{file.path} cannot be read as {file.format.upper()}, and was left as it is: {' '.join(why.split())}. "
        "Mend it, or move it away, and try again."
    )


def _written(file: File, document: Mapping[str, Any]) -> str:
    if file.format == JSON:
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _named(place: Place) -> list[Any]:
    return [[part.key, part.value] if isinstance(part, Item) else part for part in place]


def _step(holder: Any, part: str | Item) -> Any:
    if isinstance(part, Item):
        found = [item for item in holder or [] if isinstance(item, dict) and item.get(part.key) == part.value]
        return {"value": found[0]} if found else _ABSENT
    return {"value": holder[part]} if isinstance(holder, dict) and part in holder else _ABSENT


def _get(document: Any, place: Place) -> dict[str, Any]:
    """Return what is at a place, as {"value": …}, or that nothing is."""
    told: dict[str, Any] = {"value": document}
    for part in place:
        told = _step(told["value"], part)
        if told == _ABSENT:
            return told
    return told


def _set(document: Any, place: Place, value: Any, remove: bool = False) -> None:
    """Set or remove what is at a place; what is left empty by that goes, too."""
    part, rest = place[0], place[1:]
    if isinstance(part, Item):
        index = next((number for number, item in enumerate(document) if _step([item], part) != _ABSENT), None)
        if remove:
            document[:] = [item for number, item in enumerate(document) if number != index]
        elif index is None:
            document.append(value)
        else:
            document[index] = value
        return
    if not rest:
        if remove:
            document.pop(part, None)
        else:
            document[part] = value
        return
    inner = document.get(part)
    kind = list if isinstance(rest[0], Item) else dict
    if inner is None:
        inner = document[part] = kind()
    if not isinstance(inner, kind):
        raise FleetError(
            f"{part} is no {'list' if kind is list else 'mapping'} in the settings that are there: {inner!r}. "
            "They were left as they are."
        )
    _set(inner, rest, value, remove)
    if remove and not inner:
        del document[part]


# TOML


def _toml_with(file: File, text: str) -> str:
    """Put single values before the first table, where TOML wants them, and tables at the end.

    Lines of the user's that set the same are set aside as comments.
    """
    single = {place[0]: value for place, value in file.values.items() if not isinstance(value, Mapping)}
    tables = {place: value for place, value in file.values.items() if isinstance(value, Mapping)}
    lines = text.splitlines()
    first = next((number for number, line in enumerate(lines) if line.lstrip().startswith("[")), len(lines))
    for number in range(first):
        name = re.match(r"\s*([A-Za-z0-9_-]+)\s*=", lines[number])
        if name and name[1] in single:
            lines[number] = _SET_ASIDE + lines[number]
    head = [_BEGIN, *(f"{name} = {json.dumps(value)}" for name, value in single.items()), _END]
    tail: list[str] = []
    for place, table in tables.items():
        header = ".".join(json.dumps(part) if "." in str(part) else str(part) for part in place)
        if re.search(rf"^\s*\[{re.escape(header)}\]", text, re.MULTILINE):
            raise FleetError(
                f"~/{file.path} has a table [{header}] that was not written here, and was left as it is. Rename it."
            )
        tail += [_BEGIN, f"[{header}]", *(f"{name} = {json.dumps(value)}" for name, value in table.items()), _END]
    return "\n".join([*head, *lines, *tail]) + "\n"


def _toml_without(text: str) -> str:
    kept, inside = [], False
    for line in text.splitlines():
        if line.strip() == _BEGIN:
            inside = True
        elif line.strip() == _END:
            inside = False
        elif not inside:
            kept.append(line.removeprefix(_SET_ASIDE))
    return "\n".join(kept) + "\n" if kept else ""
