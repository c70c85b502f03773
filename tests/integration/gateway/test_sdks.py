# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SDKs of OpenAI and Anthropic through a gateway: what they are told, they understand."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import anthropic
import openai
import pytest
from gateway_rig import ANNA, BOB, MODEL, OTHER, Engine, Gateway

HELLO = [{"role": "user", "content": "hello"}]


def test_the_sdks(gateway: Gateway, engine: Callable[..., Engine]) -> None:
    only = engine()
    gateway.deploy(endpoints=[only.endpoint("h1"), engine(OTHER, "").endpoint("h2")])
    gateway.healthy()
    trust = ssl.create_default_context(cafile=gateway.certificate)

    def of_openai(key: str) -> openai.OpenAI:
        http = openai.DefaultHttpxClient(verify=trust)
        return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, http_client=http, max_retries=0)

    def of_anthropic(key: str) -> anthropic.Anthropic:
        http = anthropic.DefaultHttpxClient(verify=trust)
        return anthropic.Anthropic(base_url=gateway.url, api_key=key, http_client=http, max_retries=0)

    chat = of_openai(ANNA).chat.completions
    assert chat.create(model=MODEL, messages=HELLO, max_tokens=3).usage.completion_tokens == 3
    assert len(list(chat.create(model=MODEL, messages=HELLO, max_tokens=3, stream=True))) > 2
    assert [each.id for each in of_openai(BOB).models.list()] == [MODEL]
    assert of_openai(BOB).models.retrieve(MODEL).id == MODEL
    messages = of_anthropic(ANNA).messages
    assert messages.create(model=MODEL, messages=HELLO, max_tokens=3).usage.output_tokens == 3
    with messages.stream(model=MODEL, messages=HELLO, max_tokens=3) as stream:
        assert stream.get_final_message().usage.output_tokens == 3
    assert messages.count_tokens(model=MODEL, messages=HELLO).input_tokens > 0
    assert [each.id for each in of_anthropic(BOB).models.list()] == [MODEL]

    gateway.key("bob", requests_per_minute=1)
    assert of_openai(BOB).chat.completions.create(model=MODEL, messages=HELLO, max_tokens=1)
    refused = [
        ("sk-nobody-0123456789", MODEL, "AuthenticationError", "authentication_error"),
        (BOB, MODEL, "RateLimitError", "rate_limit_error"),
        (ANNA, "none", "NotFoundError", "not_found_error"),
    ]
    for key, model, error, kind in refused:
        with pytest.raises(getattr(openai, error)) as told:
            of_openai(key).chat.completions.create(model=model, messages=HELLO, max_tokens=1)
        assert told.value.type == kind
        assert told.value.code
        with pytest.raises(getattr(anthropic, error)) as told:
            of_anthropic(key).messages.create(model=model, messages=HELLO, max_tokens=1)
        assert told.value.body["error"]["type"] == kind
        if error == "RateLimitError":
            assert told.value.response.headers["retry-after"] == "61"
    gateway.key("bob", requests_per_minute=0)
    for sdk, call in (
        (openai, of_openai(BOB).chat.completions.create),
        (anthropic, of_anthropic(BOB).messages.create),
    ):
        with pytest.raises(sdk.PermissionDeniedError, match="may not use this model"):
            call(model=OTHER, messages=HELLO, max_tokens=1)
    only.kill()
    with pytest.raises(openai.InternalServerError, match="No engine of this model is there") as gone:
        chat.create(model=MODEL, messages=HELLO, max_tokens=1)
    assert (gone.value.status_code, gone.value.response.headers["retry-after"]) == (503, "2")
