# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engines. Add one: write its file here (see :mod:`.spec`) and name it in ``NAMES``.

One is loaded when it is asked for: a host that runs vLLM has no use for SGLang's. The imports are written out, because
Ansible sends a host only what a module imports by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

if TYPE_CHECKING:
    # Ansible sends to a host what an import names; which of them is loaded is decided there.
    from ansible_collections.inference.fleet.plugins.module_utils.engines import sglang, simulator, vllm  # noqa: F401

NAMES = ("vllm", "sglang", "simulator")


class _Engines(Mapping[str, ModuleType]):
    """The engines' files by their names."""

    def __getitem__(self, name: str) -> ModuleType:
        if name not in NAMES:
            raise KeyError(name)
        return import_module(f"{__name__}.{name}")

    def __contains__(self, name: object) -> bool:
        return name in NAMES

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


ENGINES = _Engines()


def engine(name: str) -> ModuleType:
    """Return an engine's file by its name."""
    try:
        return ENGINES[name]
    except KeyError:
        raise FleetError(f"{name!r} is not an engine. Known: {', '.join(sorted(ENGINES))}.") from None
