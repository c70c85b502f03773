# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hub says a repository consists of: asked before anything is downloaded, for its size alone."""

from __future__ import annotations

import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.weights import download, hub
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import COMMIT, Weights

# The answer is wanted for a guess; the download itself is patient.
TIMEOUT = 8.0
_MOST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Listing:
    """The files of a repository at a commit, each as (name, blob, size)."""

    commit: str
    files: tuple[tuple[str, str, int], ...]

    def weights_gib(self, form: str) -> float | None:
        """Return the size of the weights in a form, ``None`` where there are none."""
        sizes = [size for name, _blob, size in self._wanted(form) if download.is_weights(name)]
        return sum(sizes) / 2**30 if sizes else None

    def due_gib(self, cache_dir: str, weights: Weights) -> float:
        """Return what the cache has not of what an engine loads."""
        folder = Path(cache_dir) / "hub" / weights.folder
        return download.missing(folder, self.commit, self._wanted(weights.form)) / 2**30

    def config(self, weights: Weights, token: str | None, environment: Mapping[str, str]) -> dict[str, Any] | None:
        """Ask the hub for the model's config.json; ``None`` where it has none, or does not answer."""
        if not any(name == "config.json" for name, _blob, _size in self.files):
            return None
        found = _asked(f"{weights.model}/resolve/{self.commit}/config.json", token, environment)
        return found if isinstance(found, dict) else None

    def _wanted(self, form: str) -> list[tuple[str, str, int]]:
        names = set(download.wanted((name for name, _blob, _size in self.files), form))
        return [file for file in self.files if file[0] in names]


def listing(weights: Weights, token: str | None, environment: Mapping[str, str]) -> Listing | None:
    """Ask the hub; ``None`` where it does not answer as it should: the download tells why.

    *environment* are the engine's variables, heeded as for the download.
    """
    revision = urllib.parse.quote(weights.revision or "main", safe="")
    facts = _asked(f"api/models/{weights.model}/revision/{revision}?blobs=true", token, environment)
    try:
        files = tuple(map(_file, facts["siblings"]))
        return Listing(facts["sha"], files) if COMMIT.fullmatch(facts["sha"]) else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _asked(path: str, token: str | None, environment: Mapping[str, str]) -> Any:
    """Return the JSON that the hub answers; ``None`` where it answers none."""
    if hub.offline(environment):
        return None
    variables = {**os.environ, **hub.heeded(environment)}
    request = urllib.request.Request(f"{variables.get('HF_ENDPOINT', hub.ENDPOINT).rstrip('/')}/{path}")
    if token:
        # Not for another host, to which this one may point.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with _opener(request.host, variables).open(request, timeout=TIMEOUT) as answer:
            return json.loads(answer.read(_MOST_BYTES))
    except (OSError, ValueError):
        return None


def _file(facts: Mapping[str, Any]) -> tuple[str, str, int]:
    large = facts.get("lfs") or {}
    return str(facts["rfilename"]), str(large.get("sha256") or facts.get("blobId") or ""), int(facts.get("size") or 0)


def _opener(host: str, variables: Mapping[str, str]) -> urllib.request.OpenerDirector:
    small = {name.lower(): value for name, value in variables.items() if name.lower().endswith("_proxy") and value}
    proxies = {scheme: small[f"{scheme}_proxy"] for scheme in ("http", "https") if f"{scheme}_proxy" in small}
    if urllib.request.proxy_bypass_environment(host, {"no": small.get("no_proxy", "")}):
        proxies = {}
    bundle = variables.get("REQUESTS_CA_BUNDLE") or variables.get("SSL_CERT_FILE")
    context = ssl.create_default_context(cafile=bundle if bundle and os.path.isfile(bundle) else None)
    return urllib.request.build_opener(
        urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=context)
    )
