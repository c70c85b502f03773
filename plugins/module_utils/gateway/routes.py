# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The routes that a gateway lets through, and what it says of everything else. All pure."""

from __future__ import annotations

import json

# Method and path, and what the log calls them. Nothing else reaches an engine.
ROUTES = {
    ("POST", "/v1/chat/completions"): "chat",
    ("POST", "/v1/completions"): "completions",
    ("POST", "/v1/responses"): "responses",
    ("POST", "/v1/messages"): "messages",
    ("POST", "/v1/messages/count_tokens"): "count_tokens",
    ("POST", "/v1/embeddings"): "embeddings",
    ("POST", "/v1/rerank"): "rerank",
    ("GET", "/v1/models"): "models",
}
# One model, by its name behind this: GET alone.
MODEL = "/v1/models/"
LENGTH = "max_model_len"
# Whether the gateway itself is there. Asks no engine, and wants no key.
HEALTH = "/health"

# What is refused: the status, Anthropic's type, OpenAI's code, and the words.
NO_ROUTE = (404, "not_found_error", "unknown_url", "This gateway has no such route.")
NO_KEY = (401, "authentication_error", "invalid_api_key", "Wanted an API key that this gateway knows.")
EXPIRED = (401, "authentication_error", "expired_api_key", "This API key has expired.")
NO_MODEL = (404, "not_found_error", "model_not_found", "No such model is served here. GET /v1/models lists yours.")
NOT_ALLOWED = (403, "permission_error", "model_not_allowed", "This API key may not use this model.")
NO_JSON = (400, "invalid_request_error", "model_required", "Wanted a JSON object with a model in it.")
TOO_MANY = (429, "rate_limit_error", "rate_limit_exceeded", "More requests a minute than this API key may make.")
TOO_BUSY = (429, "rate_limit_error", "concurrency_limit_exceeded", "More requests at once than this API key may have.")
LARGE_BODY = (413, "request_too_large", "request_too_large", "The request is larger than this gateway takes.")
LARGE_HEADER = (400, "invalid_request_error", "headers_too_large", "The headers are larger than this gateway takes.")
# Those that HAProxy itself gives.
OWN = (
    (400, "invalid_request_error", "bad_request", "This is no HTTP request that the gateway understands."),
    (408, "timeout_error", "request_timeout", "The request took too long to arrive."),
    (500, "api_error", "internal_error", "The gateway failed."),
    (502, "api_error", "bad_gateway", "The engine gave no answer that can be handed on. Try again."),
    (503, "overloaded_error", "no_engine", "No engine of this model is there now. Try again."),
    (504, "timeout_error", "gateway_timeout", "The engine was silent for too long."),
)

Refusal = tuple[int, str, str, str]


def body(refusal: Refusal) -> str:
    """Return the body that the SDKs of both OpenAI and Anthropic read: one's type is the other's, the rest is added.

    >>> body(NO_KEY)[:63]
    '{"type":"error","error":{"type":"authentication_error","code":"'
    """
    _status, kind, code, message = refusal
    error = {"type": kind, "code": code, "message": message, "param": None}
    return json.dumps({"type": "error", "error": error}, separators=(",", ":"))


def model_object(name: str, length: int = 0) -> dict[str, object]:
    """Return a model as both APIs describe it in one object, with its context length as vLLM tells it, where known."""
    told = {LENGTH: length} if length else {}
    return {
        "id": name,
        "object": "model",
        "type": "model",
        "display_name": name,
        "created": 0,
        "created_at": "1970-01-01T00:00:00Z",
        "owned_by": "inference.fleet",
        **told,
    }


def model_list(data: list[dict[str, object]]) -> dict[str, object]:
    """Return the answer to GET /v1/models in one object for both APIs, from the models' own."""
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"object": "list", "data": data, "has_more": False, "first_id": first, "last_id": last}
