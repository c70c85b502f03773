# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A few words to whoever wants to hear of something, sent as JSON over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

try:
    import requests
except ImportError:
    requests = None

_TRIES = 2


def post(url: str, body: Mapping[str, Any], headers: Mapping[str, str], timeout: float) -> str | None:
    """Send *body* and return why it did not arrive, or None. *timeout* is in seconds, for each of two tries.

    No more of the address than its host is ever told: many a webhook's address is its secret.
    """
    if requests is None:
        return "the Python package requests is not on the control host: pip install requests"
    try:
        host = urlsplit(url).hostname or "its host"
    except ValueError:
        return "its address is none"
    why = None
    for _try in range(_TRIES):
        try:
            answer = requests.post(url, json=body, headers=dict(headers), timeout=timeout, allow_redirects=False)
        except requests.Timeout:
            why = f"{host} did not answer within {timeout:g} s"
        except requests.ConnectionError:
            why = f"{host} could not be reached"
        except (requests.RequestException, ValueError) as error:
            return f"the request to {host} could not be made ({type(error).__name__})"
        else:
            if 200 <= answer.status_code < 300:
                return None
            why = f"{host} answered {answer.status_code} {answer.reason}"
            if answer.status_code < 500:
                return why
    return why
