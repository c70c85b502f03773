# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SGLang behind the guard: started as a module in the place of sglang.launch_server, with that one's arguments.

SGLang has no option for middleware, and prints its own --api-key in its log. So the guard is put before its application
where that is made: in the first process, and in each worker of --tokenizer-worker-num, which Python starts with this
module. SGLang warms itself up through its own port; those requests get a key here. This file stands alone, beside
inference_fleet_guard.py and the file with the keys.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

# As :mod:`.guard`'s.
VERSION = 1
LAUNCH = "sglang.launch_server"
SERVER = "sglang.srt.entrypoints.http_server"
_OWN = ("127.0.0.1", "localhost", "::1")


class Finder(importlib.abc.MetaPathFinder):
    """Finds SGLang's server as it is, and has it guarded when it is loaded."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        """Return the server's specification; of everything else, nothing."""
        if fullname != SERVER:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            raise ImportError(f"this image has no {SERVER}, before which the guard of its API key could be put")
        load = spec.loader.exec_module

        def load_guarded(module: ModuleType) -> None:
            load(module)
            guard(module)

        spec.loader.exec_module = load_guarded  # type: ignore[method-assign]
        return spec


def guard(server: ModuleType) -> None:
    """Put the guard before a server's application, and have its requests to itself pass."""
    import inference_fleet_guard

    keys = Path(inference_fleet_guard.__file__).with_name(inference_fleet_guard.FILE)
    port = int(sys.argv[sys.argv.index("--port") + 1])
    server.app.add_middleware(inference_fleet_guard.Guard)

    def header(url: object) -> dict[str, str]:
        parts = urlsplit(str(url))
        if parts.hostname not in _OWN or parts.port != port:
            return {}
        return {"Authorization": f"Bearer {keys.read_text().splitlines()[0]}"}

    _authorize_requests(header)
    _authorize_aiohttp(header)


def _authorize_requests(header: Any) -> None:
    import requests

    send = requests.Session.send

    def authorized(session: Any, request: Any, **options: Any) -> Any:
        for name, value in header(request.url).items():
            request.headers.setdefault(name, value.encode())
        return send(session, request, **options)

    requests.Session.send = authorized  # type: ignore[method-assign]


def _authorize_aiohttp(header: Any) -> None:
    import aiohttp

    ask = aiohttp.ClientSession._request

    async def authorized(session: Any, method: str, url: Any, **options: Any) -> Any:
        options["headers"] = {**header(url), **(options.get("headers") or {})}
        return await ask(session, method, url, **options)

    aiohttp.ClientSession._request = authorized  # type: ignore[method-assign]


if __name__ in ("__main__", "__mp_main__"):
    sys.meta_path.insert(0, Finder())
if __name__ == "__main__":
    # This stays the main module, so that the processes that Python starts for SGLang come here too.
    runpy.run_module(LAUNCH, run_name="__main__", alter_sys=False)
