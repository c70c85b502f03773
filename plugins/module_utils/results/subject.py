# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run measured. Runs of one subject are compared with one another; no other module has a notion of its own.

A document has one subject a workload: with a sweep, one a point. So :func:`points` comes first, and every function
that takes "a document" takes a point as well, which is a mapping of the same keys.
"""

from __future__ import annotations

import hashlib
import json
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.inference.fleet.plugins.module_utils import profiles

Document = Mapping[str, Any]

# What a point of a sweep has of its own; all else it has from its document.
_OF_A_POINT = ("workload", "repeats", "metrics", "histograms", "streaming", "waves", "efficiency", "quality")
# Options with which an engine is as fast as without: its identity, which the subject has elsewhere, its address and
# key, its logs, and how it reads answers. What is not here counts as part of the configuration.
_NO_MATTER = {
    *("--model", "--model-path", "--tokenizer", "--tokenizer-path", "--served-model-name", "--revision"),
    *("--tokenizer-revision", "--code-revision", "--host", "--port", "--uds", "--root-path", "--api-key"),
    *("--api-key-file", "--hf-token", "--download-dir", "--trust-remote-code", "--middleware", "--ssl-keyfile"),
    *("--ssl-certfile", "--ssl-ca-certs", "--allowed-origins", "--allowed-methods", "--allowed-headers"),
    *("--master-addr", "--master-port", "--node-rank", "--dist-init-addr", "--headless"),
    *("--log-level", "--log-level-http", "--uvicorn-log-level", "--disable-log-requests", "--disable-log-stats"),
    *("--enable-log-requests", "--disable-uvicorn-access-log", "--max-log-len", "--log-requests"),
    *("--enable-metrics", "--enable-auto-tool-choice", "--tool-call-parser", "--reasoning-parser"),
    *("--chat-template", "--chat-template-content-format", "--response-role", "-m"),
}
_ALIASES = {"--tp": "--tensor-parallel-size", "--tp-size": "--tensor-parallel-size", "-tp": "--tensor-parallel-size"}
# The same of the environment, by how a name begins or ends.
_NO_MATTER_BEGINS = ("HF_", "HUGGING_FACE_", "TRANSFORMERS_CACHE", "XDG_", "LC_", "NVIDIA_", "CUDA_VISIBLE_DEVICES")
_NO_MATTER_ENDS = ("_API_KEY", "_TOKEN", "_CACHE_DIR", "_CACHE_ROOT", "_LOGGING_LEVEL", "_LOG_LEVEL", "_USAGE_STATS")
_NO_MATTER_NAMES = {"PATH", "HOME", "HOSTNAME", "LANG", "TZ", "TERM", "DO_NOT_TRACK", "PYTHONUNBUFFERED", "no_proxy"}
_NO_MATTER_NAMES |= {"http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "VLLM_PORT", "VLLM_HOST_IP"}
_NO_MATTER_NAMES |= {"SGLANG_HOST_IP"}


@dataclass(frozen=True)
class Subject:
    """What was measured where. Equal ones may be compared over time; all fields can be ordered and hashed.

    *slot* is the engine's place on the host, such as C(8000), or C(8001 on GPU 4,5) where it does not have all GPUs.
    *engine* and *profile* are those that the figures stand for: of a simulator, what it plays. *configuration* has the
    options and variables that may change an engine's speed, sorted, such as C(("--enforce-eager",
    "VLLM_USE_V1=1")). *label* is the user's own word that keeps runs apart. *workload* and *slo* are pairs of name and
    value, sorted, without the seed and what is not set; *slo* in ms. What a document does not tell is empty.
    """

    host: str
    slot: str
    simulated: bool
    engine: str
    profile: str
    model: str
    revision: str
    configuration: tuple[str, ...]
    label: str
    workload: tuple[tuple[str, Any], ...]
    slo: tuple[tuple[str, float], ...]

    @property
    def place(self) -> Subject:
        """The subject without what a user changes on purpose: revision, configuration and limits.

        Runs of one place whose subjects differ may be compared where the difference is named.
        """
        return replace(self, revision="", configuration=(), slo=())

    @property
    def kind(self) -> Subject:
        """The subject without host and slot: what siblings have in common."""
        return replace(self, host="", slot="")

    @property
    def id(self) -> str:
        """A short name that only equal subjects share."""
        return hashlib.sha256(json.dumps(astuple(self)).encode()).hexdigest()[:12]


def points(document: Document) -> tuple[Document, ...]:
    """Return a document's workload points, each as a document of its own; without a sweep, the document itself.

    The document stands for the first point. The others have its surroundings, their number as C(point), and not its
    gates.
    """
    listed = (document.get("sweep") or {}).get("points") or ()
    others = (
        ChainMap(
            {
                **{key: point.get(key) for key in _OF_A_POINT},
                **{"sweep": None, "gates": [], "baselines": point.get("baselines") or [], "point": number},
            },
            document,
        )
        for number, point in enumerate(listed[1:], 2)
        if point.get("metrics")
    )
    return (document, *others)


def subject(document: Document) -> Subject:
    """Return what a document, or a point of one, measured."""
    # One that was stored has it.
    known = getattr(document, "subject", None)
    if known is not None:
        return known
    found, model = document["engine"], document["model"]
    return Subject(
        host=document["host"],
        slot=slot(document),
        simulated=document["simulated"],
        engine=engine(document),
        profile=profile(document),
        model=model["id"],
        revision=model.get("revision") or "",
        configuration=(
            *configuration(found.get("argv") or (), found.get("environment") or {}),
            *([f"replicas={replicas(document)}"] if replicas(document) > 1 else ()),
        ),
        label=document.get("label") or "",
        workload=tuple(conditions(document["workload"]).items()),
        slo=_pairs(document.get("slo") or {}),
    )


def differences(one: Subject, other: Subject) -> list[str]:
    """Return in what a subject differs from another one of its place, each in a few words."""
    found = []
    if one.revision != other.revision:
        found.append(f"revision {one.revision[:8] or 'not recorded'} (there {other.revision[:8] or 'not recorded'})")
    mine, theirs = (
        ", ".join(option for option in side.configuration if option not in beside.configuration) or "none of these"
        for side, beside in ((one, other), (other, one))
    )
    if mine != theirs:
        found.append(f"configuration {mine} (there {theirs})")
    if one.slo != other.slo:
        found.append(f"limits {limits_text(one.slo)} (there {limits_text(other.slo)})")
    return found


def limits_text(slo: Mapping[str, Any] | Sequence[tuple[str, Any]] | None) -> str:
    """Return limits in words, such as C(ttft 500 ms).

    >>> limits_text({"ttft_ms": 500, "tpot_ms": None}), limits_text(())
    ('ttft 500 ms', 'none')
    """
    pairs = slo.items() if isinstance(slo, Mapping) else slo or ()
    return ", ".join(f"{name.removesuffix('_ms')} {limit:g} ms" for name, limit in sorted(pairs) if limit) or "none"


def profile(document: Document) -> str:
    """Return the profile that the figures stand for: for a simulator, the one it imitates."""
    simulates, group = document.get("simulates"), document["engine"].get("group") or ()
    if simulates:
        family, count = profiles.split(simulates["profile"])
        found = f"{family}x{count * replicas(document)}"
        return profiles.grouped([found] * len(group)) if group else found
    if group:
        return profiles.grouped([member.get("profile") or "unknown" for member in group])
    return document["engine"].get("profile") or document["hardware"]["profile"]


def hosts(document: Document) -> tuple[str, ...]:
    """Return the hosts that served the model together, the head first; none where it was served by one alone."""
    return tuple(member["host"] for member in document["engine"].get("group") or ())


def replicas(document: Document) -> int:
    """Return how many engines were measured as one service."""
    return document["engine"].get("replicas") or 1


def engine(document: Document) -> str:
    """Return the engine that the figures stand for: for a simulator, the one it imitates."""
    simulates = document.get("simulates")
    return simulates["engine"] if simulates else document["engine"]["name"]


def slot(document: Document) -> str:
    """Return an engine's place on its host: the document's own word, else its port and, of several, its GPUs."""
    found = document["engine"]
    if found.get("slot") is not None:
        return str(found["slot"])
    own_port = port(document)
    known = document["hardware"].get("gpus") or ()
    # One GPU is named by its index, its UUID, or as one of all.
    indices = {str(name): str(gpu.get("index")) for gpu in known for name in (gpu.get("uuid"), gpu.get("index"))}
    own = sorted(
        {indices.get(str(name), str(name)) for name in found.get("gpus") or ()}, key=lambda name: (len(name), name)
    )
    some = own and "all" not in own and len(own) < len(known)
    return f"{own_port or ''}{' on GPU ' + ','.join(own) if some else ''}".strip()


def port(document: Document) -> int | None:
    """Return the port of the engine that a document is of; None where it does not tell."""
    try:
        return urlsplit(document["engine"].get("url") or "").port
    except ValueError:
        return None


def configuration(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return what of a command line and its environment may change an engine's speed, in one spelling and order.

    >>> configuration(["--port", "8000", "--max-model-len", "32768", "--enforce_eager"], {"HF_HOME": "/x", "A": "1"})
    ('--enforce-eager', '--max-model-len=32768', 'A=1')
    """
    options = {
        "=".join(part for part in (name, value) if part)
        for name, value in _options(argv)
        if name not in _NO_MATTER and name.replace("--no-", "--", 1) not in _NO_MATTER
    }
    variables = {
        f"{name}={value}"
        for name, value in environment.items()
        if not name.startswith(_NO_MATTER_BEGINS)
        and not name.endswith(_NO_MATTER_ENDS)
        and name not in _NO_MATTER_NAMES
    }
    return (*sorted(options), *sorted(variables))


def _options(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each option with its values. Words before the first are the program, and what it serves."""
    name, values = "", []
    for word in (*argv, "-"):
        # A negative number is a value.
        if not word.startswith("-") or (word[1:2].isdigit() and name):
            values.append(word)
            continue
        if name:
            yield name, " ".join(values)
        name, _equals, value = word.partition("=")
        name = name.replace("_", "-")
        name = _ALIASES.get(name, name)
        values = [value] if value else []


def conditions(workload: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a workload must be the same for two runs to be compared: all that is set but the seed, sorted.

    >>> conditions({"seed": 7, "num_prompts": 64.0, "request_rate": None, "random_range_ratio": 0.0})
    {'num_prompts': 64}
    """
    return dict(_pairs({name: value for name, value in workload.items() if name != "seed"}))


def _pairs(values: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    # What is not set, and what is 0, is as if a release that did not have the option had written it.
    set_ = ((name, value) for name, value in values.items() if value)
    return tuple(
        sorted((name, int(value) if isinstance(value, float) and value.is_integer() else value) for name, value in set_)
    )
