# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into an engine file and what comes out of it.

An engine file is a module with these names, all of them pure:

``NAME``
    The engine's name in playbooks, such as ``vllm``.
``DEFAULT_IMAGE``
    The image reference used when the user names none, or ``None`` when the image is built on the host.
``IMAGE_GIB``
    What that image takes on disk, about, in GiB; ``None`` where it is next to nothing.
``SIMULATED``
    Whether what is measured on it is no measurement of a real engine.
``MANAGED_FLAGS``
    A mapping from each flag that the collection sets itself to the option that sets it. Extra
    arguments may not repeat them.
``launch(spec) -> Launch``
    How to start the engine.
``log() -> Log``
    How to read the engine's log: how far its start is, and why it failed.
``VERSION_PATH`` and ``parse_version(body) -> str | None``
    The path that tells the engine's version, and how to read the JSON object it answers.
``image_build() -> ImageBuild | None``
    For an engine whose image is built on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights

# Where secret files stand inside the container.
SECRETS_DIR = "/run/inference.fleet"


@dataclass(frozen=True)
class EngineSpec:
    """One endpoint, as the user wants it, with everything that can be derived filled in.

    ``cache_dir`` is the host's directory for weights, ``compile_cache_dir`` the one for what the
    engine compiles at its start, or ``None`` where that is not to be kept. ``simulates`` names the published row
    that the simulator follows: ``{"engine": "vllm", "profile": "h100x4"}``.
    """

    model: str
    served_model_name: str
    port: int
    tensor_parallel_size: int
    cache_dir: str
    compile_cache_dir: str | None = None
    revision: str | None = None
    tool_call_parser: str | None = None
    extra_args: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    api_key: str | None = field(default=None, repr=False)
    hf_token: str | None = field(default=None, repr=False)
    simulates: Mapping[str, str] | None = None


@dataclass(frozen=True)
class SecretFile:
    """A file that carries a secret, or what guards it, into the container.

    ``restart`` says whether the engine reads it only at its start.
    """

    name: str
    content: str = field(repr=False)
    restart: bool = True


@dataclass(frozen=True)
class Launch:
    """How to start an engine: arguments, environment, files. It knows nothing of containers.

    ``argv`` follows the entry point of the image. ``mounts`` maps a path in the container to
    the directory on the host. ``weights`` are those that the engine takes from the hub.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[SecretFile, ...] = ()
    needs_gpus: bool = True
    weights: Weights | None = None


@dataclass(frozen=True)
class ImageBuild:
    """An image that is made on the host, pulling nothing.

    ``reference`` changes whenever the content does. ``write`` writes the root file system to a
    binary stream as a tar archive.
    """

    reference: str
    entrypoint: tuple[str, ...]
    write: Callable[[BinaryIO], None]
