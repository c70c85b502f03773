# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be said to Lambda's API, and what it says: each exchange of a test is held against it.

The schemas here are the project's own and small. Where the API's whole description lies at hand (LAMBDA_OPENAPI, or a
folder shared beside the checkout), each exchange is held against that too, in both directions.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

import jsonschema

_TEXT, _COUNT = {"type": "string"}, {"type": "integer"}
_NAMES = {"type": "array", "items": _TEXT}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None, closed: bool = False) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": not closed,
    }


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_REGION = _object({"name": _TEXT})
_IDS = _object({"instance_ids": {**_NAMES, "minItems": 1}}, closed=True)
_RULE = _object(
    {"protocol": {"enum": ["tcp", "udp", "icmp", "all"]}, "source_network": _TEXT, "description": _TEXT},
    {"port_range": {"type": "array", "items": _COUNT, "minItems": 2, "maxItems": 2}},
    closed=True,
)
_TAG = _object(
    {
        "key": {"type": "string", "maxLength": 55, "pattern": "^[a-z][a-z0-9-:]+$"},
        "value": {"type": "string", "maxLength": 128},
    },
    closed=True,
)
_TYPE = _object(
    {
        "name": _TEXT,
        "gpu_description": _TEXT,
        "price_cents_per_hour": _COUNT,
        "specs": _object({"gpus": _COUNT, "vcpus": _COUNT, "memory_gib": _COUNT, "storage_gib": _COUNT}),
    }
)
_INSTANCE = _object({"id": _TEXT, "status": _TEXT, "region": _REGION, "instance_type": _TYPE})
_FILE_SYSTEM = _object({"id": _TEXT, "name": _TEXT, "mount_point": _TEXT, "is_in_use": {}, "region": _REGION})
_RULESET = _object({"id": _TEXT, "name": _TEXT, "region": _REGION, "rules": _list(_RULE), "instance_ids": _NAMES})
_KEY = _object({"id": _TEXT, "name": _TEXT, "public_key": _TEXT})
_LAUNCH = _object(
    {"region_name": _TEXT, "instance_type_name": _TEXT, "ssh_key_names": {**_NAMES, "minItems": 1, "maxItems": 1}},
    {
        "name": {"type": "string", "maxLength": 64},
        "image": {"oneOf": [_object({"id": _TEXT}, closed=True), _object({"family": _TEXT}, closed=True)]},
        "user_data": _TEXT,
        "tags": _list(_TAG),
        "file_system_names": _NAMES,
        "firewall_rulesets": _list(_object({"id": _TEXT}, closed=True)),
    },
    closed=True,
)
# By method and path, {id} for what stands for one: what may be asked, and what a good answer has as data.
SHAPES: dict[tuple[str, str], tuple[Any, Any]] = {
    ("GET", "instances"): (None, _list(_INSTANCE)),
    ("POST", "instances/{id}"): (_object({"name": {"type": "string", "maxLength": 64}}, closed=True), _INSTANCE),
    ("GET", "instance-types"): (None, {"type": "object"}),
    ("GET", "images"): (None, _list(_object({"id": _TEXT, "family": _TEXT, "region": _REGION}))),
    ("POST", "instance-operations/launch"): (_LAUNCH, _object({"instance_ids": _NAMES})),
    ("POST", "instance-operations/terminate"): (_IDS, _object({"terminated_instances": _list(_INSTANCE)})),
    ("POST", "instance-operations/restart"): (_IDS, _object({"restarted_instances": _list(_INSTANCE)})),
    ("GET", "ssh-keys"): (None, _list(_KEY)),
    ("POST", "ssh-keys"): (_object({"name": _TEXT, "public_key": _TEXT}, closed=True), _KEY),
    ("DELETE", "ssh-keys/{id}"): (None, {"type": "object"}),
    ("GET", "file-systems"): (None, _list(_FILE_SYSTEM)),
    ("POST", "filesystems"): (_object({"name": _TEXT, "region": _TEXT}, closed=True), _FILE_SYSTEM),
    ("DELETE", "filesystems/{id}"): (None, _object({"deleted_ids": _NAMES})),
    ("GET", "firewall-rulesets"): (None, _list(_RULESET)),
    ("POST", "firewall-rulesets"): (
        _object({"name": _TEXT, "region": _TEXT, "rules": _list(_RULE)}, closed=True),
        _RULESET,
    ),
    ("PATCH", "firewall-rulesets/{id}"): (_object({}, {"name": _TEXT, "rules": _list(_RULE)}, closed=True), _RULESET),
    ("DELETE", "firewall-rulesets/{id}"): (None, {"type": "object"}),
}
# A schema is looked at once.
_CHECKS = {
    key: tuple(None if schema is None else jsonschema.Draft202012Validator(schema) for schema in pair)
    for key, pair in SHAPES.items()
}
_WITH_ID = ("instances/", "ssh-keys/", "filesystems/", "firewall-rulesets/")


def check(exchange: Any) -> None:
    """Hold an exchange against the schemas here. ValueError where nothing like it is in them."""
    path = exchange.path
    if path.startswith(_WITH_ID):
        path = f"{path.partition('/')[0]}/{{id}}"
    if (exchange.method, path) not in SHAPES:
        raise ValueError(f"{exchange.method} {exchange.path} is not among what this project may ask of Lambda")
    asked, answered = _CHECKS[exchange.method, path]
    if asked is None and exchange.asked is not None:
        raise ValueError(f"{exchange.method} {exchange.path} has no body, and {exchange.asked} was sent")
    if asked is not None:
        asked.validate(exchange.asked)
    if exchange.status == 200 and exchange.answered.startswith("{"):
        answered.validate(json.loads(exchange.answered)["data"])


def described() -> Path | None:
    """Return the API's whole description where it lies at hand."""
    beside = Path(__file__).resolve().parents[4] / "shared/lambda-openapi.json"
    path = Path(os.environ.get("LAMBDA_OPENAPI", beside))
    return path if path.is_file() else None


@functools.cache
def _description(path: Path) -> tuple[Any, dict[str, Any]]:
    from openapi_core import OpenAPI

    content = json.loads(path.read_text(encoding="utf-8"))
    return OpenAPI.from_dict(content), content


def check_described(exchange: Any, path: Path) -> None:
    """Hold an exchange against the API's description, both ways; what is sent is a subset of what it names."""
    from openapi_core.testing import MockRequest, MockResponse

    description, content = _description(path)
    headers = {name: value for name, value in exchange.headers.items() if name.lower() == "authorization"}
    body = None if exchange.asked is None else json.dumps(exchange.asked).encode()
    request = MockRequest(
        "https://cloud.lambda.ai",
        exchange.method.lower(),
        f"/api/v1/{exchange.path}",
        data=body,
        headers=headers,
        content_type="application/json",
    )
    if exchange.headers:
        description.validate_request(request)
    found = next(
        methods[exchange.method.lower()]
        for template, methods in content["paths"].items()
        if _fits(template, f"/api/v1/{exchange.path}") and exchange.method.lower() in methods
    )
    if exchange.asked is not None:
        known = found["requestBody"]["content"]["application/json"]["schema"]["properties"]
        unknown = set(exchange.asked) - set(known)
        if unknown:
            raise ValueError(f"{exchange.method} {exchange.path}: the description names no {', '.join(unknown)}")
    if str(exchange.status) in found["responses"] and _told(exchange.answered):
        response = MockResponse(
            exchange.answered.encode(), status_code=exchange.status, content_type="application/json"
        )
        description.validate_response(request, response)


def outline(exchange: Any) -> str:
    """Return what of an exchange matters to a schema, so that each kind of it needs to be checked once."""
    try:
        answered = _outline(json.loads(exchange.answered))
    except ValueError:
        answered = "no JSON"
    return f"{exchange.method} {exchange.path.partition('/')} {exchange.status} {_outline(exchange.asked)} {answered}"


def _outline(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: value if key == "status" else _outline(value) for key, value in sorted(value.items())}
    if isinstance(value, list):
        return sorted({str(_outline(each)) for each in value})
    return type(value).__name__


def _fits(template: str, path: str) -> bool:
    """Tell whether a path is one of a template's; what is written out goes before what stands for many."""
    parts, given = template.split("/"), path.split("/")
    return len(parts) == len(given) and all(a == b or a.startswith("{") for a, b in zip(parts, given, strict=True))


def _told(text: str) -> bool:
    """Tell whether an answer is the API's own: the tests' made-up faults are not."""
    try:
        content = json.loads(text)
    except ValueError:
        return False
    return isinstance(content, dict) and ("data" in content or ("made-up" not in text and "error" in content))
