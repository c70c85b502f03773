# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check of an endpoint is, how checks are run and told, and how answers are read whatever their shape."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.endpoint.client import Client, EndpointError, start
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.generation import GenerationClient

OK, FAILED, SKIPPED, NOT_RUN = "ok", "failed", "skipped", "not run"


@dataclass(frozen=True)
class Result:
    """One check's outcome. ``status`` is one of the four above; ``seconds`` is what it took."""

    name: str
    status: str
    wanted: str
    found: str
    seconds: float = 0.0
    level: str = "basic"

    @property
    def line(self) -> str:
        """One line for people."""
        return self.padded(20)

    def padded(self, width: int) -> str:
        """One line of a table, with the name in so many columns."""
        if self.status == OK:
            return f"ok       {self.name:<{width}}{self.found}, {self.seconds:.2f} s"
        if self.status == FAILED:
            return f"FAILED   {self.name:<{width}}wanted {self.wanted}; found: {self.found}"
        return f"{self.status:<9}{self.name:<{width}}{self.found}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as modules return it."""
        return {**asdict(self), "ok": self.status == OK}


class Unmet(Exception):
    """What was found instead of what a check wants."""


@dataclass(frozen=True)
class Target:
    """What is checked.

    ``anonymous`` is a client without the key, ``stranger`` one with a wrong key, where the endpoint has a ``key``.
    ``open_paths`` are answered to everybody. ``traces`` is what the host keeps of the engine, by where it stands, and
    ``elsewhere`` the URLs at which it must not be reached.
    """

    client: GenerationClient
    served_model_name: str
    anonymous: Client | None = None
    stranger: Client | None = None
    key: str | None = None
    open_paths: tuple[str, ...] = ("/health",)
    traces: Mapping[str, str] | None = None
    elsewhere: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """A check: what it wants, and what asks for it and returns what it found.

    ``trained`` tells that it asks for more than random weights can; ``keyed`` that there is none without an API key.
    """

    wanted: str
    run: Callable[[Target], str]
    level: str = "basic"
    trained: bool = False
    keyed: bool = False


def run_checks(
    target: Target,
    checks: Mapping[str, Check],
    only: Collection[str] = (),
    skip: Collection[str] = (),
    trained: bool = True,
) -> list[Result]:
    """Run the checks of *only*, or all, less *skip*. When health fails, the rest is not run.

    Without *trained* what asks for more than random weights can is left out.
    """
    results: list[Result] = []
    for name, check in checks.items():
        if only and name not in only:
            continue
        wanted = check.wanted.replace("{model}", target.served_model_name)
        left_out = _left_out(name, check, target, skip, trained)
        if left_out:
            results.append(Result(name, SKIPPED, wanted, left_out, level=check.level))
        elif results and results[0].name == "health" and results[0].status == FAILED:
            results.append(Result(name, NOT_RUN, wanted, "since health failed", level=check.level))
        else:
            results.append(_run(name, wanted, check, target))
    return results


def _left_out(name: str, check: Check, target: Target, skip: Collection[str], trained: bool) -> str:
    """Say why a check is not run; nothing where it is."""
    if name in skip:
        return "as asked"
    if check.keyed and target.anonymous is None:
        return "no API key is set"
    if name == "no_secret" and not target.traces:
        return "no container on this host is named"
    return "it asks for more than random weights can" if check.trained and not trained else ""


def table(results: Sequence[Result]) -> list[str]:
    """Return a line for each result, with the names in one column."""
    width = max([20, *(len(result.name) + 2 for result in results)])
    return [result.padded(width) for result in results]


def summary(url: str, results: Iterable[Result]) -> str:
    """Return a sentence about what failed, and what to do next."""
    made = [result for result in results if result.status in (OK, FAILED)]
    failed = [result for result in made if result.status == FAILED]
    if not failed:
        return f"{url} passed {len(made)} of {len(made)} checks."
    # One cause often fails several checks, and is told once.
    causes: dict[str, list[str]] = {}
    for result in failed:
        causes.setdefault(result.found.rstrip("."), []).append(f"{result.name} wanted {result.wanted}")
    told = ". ".join(f"{', '.join(wanted)}; found: {found}" for found, wanted in causes.items())
    return (
        f"{url} failed {len(failed)} of {len(made)} checks: {told}. "
        "See what the engine says with 'docker logs NAME' on the host; inference.fleet.engine_info tells the name."
    )


def _run(name: str, wanted: str, check: Check, target: Target) -> Result:
    began = time.monotonic()
    try:
        found, status = check.run(target), OK
    except (EndpointError, Unmet) as error:
        found, status = str(error), FAILED
    seconds = round(time.monotonic() - began, 3)
    return Result(name, status, wanted, target.client.redacted(found), seconds, check.level)


def events(data: Iterable[str], *last: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a stream; raise where it does not end as it should.

    It ends with [DONE], or, in protocols that have them, with an event of one of the kinds *last*.
    """
    for text in data:
        if text == "[DONE]":
            if last:
                break
            return
        try:
            event = json.loads(text)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            raise Unmet(f"an event that is no JSON object: {start(text)}")
        error = event.get("error")
        if error or event.get("type") == "error":
            raise Unmet(f"an error in the stream: {start(mapping(error).get('message') or error or event)}")
        yield event
        if event.get("type") in last:
            return
    raise Unmet(f"a stream that ended without {last[0] if last else '[DONE]'}")


# Whatever an endpoint sends instead of the wanted shape is taken as empty, and then found missing.


def choice_of(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = mappings(answer.get("choices"))
    if not choices:
        raise Unmet(f"an answer without choices: {start(answer)}")
    return choices[0]


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text_of(message: Mapping[str, Any]) -> str:
    """Return the text of a message or a delta; engines name a reasoning model's thoughts in two ways."""
    parts = (message.get(key) for key in ("content", "reasoning", "reasoning_content"))
    return "".join(part for part in parts if isinstance(part, str))


def count_of(usage: Any, key: str) -> int:
    count = mapping(usage).get(key)
    return count if isinstance(count, int) else 0


def told(tokens: int, text: str = "") -> str:
    count, unit = (tokens, "token") if tokens else (len(text), "character")
    return f"{count} {unit}{'' if count == 1 else 's'}"
