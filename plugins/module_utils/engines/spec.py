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
``CONTEXT_FLAG``
    The flag of the longest request that it serves, where it does not start without room for one.
``SPREAD_FLAGS``
    The same for flags that spread a model: extra arguments may have them where their option is not given.
``spread(sizes) -> list[str]``
    The arguments for parallel sizes, by their options' names, beside the tensor parallel size.
``GROUP_FLAGS``
    The flags that have hosts serve one model together, which extra arguments may not have where an option does.
``launch(spec) -> Launch``
    How to start the engine.
``parallel(tensor, extra_args) -> Parallel``
    How the engine spreads a model, with a tensor parallel size and a user's extra arguments.
``misfit(config, parallel, most) -> str | None``
    Why a model with such a config.json cannot be spread so, with what fits on *most* GPUs.
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
from typing import BinaryIO, NamedTuple

from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights

# Where secret files stand inside the container.
SECRETS_DIR = "/run/inference.fleet"


class Group(NamedTuple):
    """A host's place among several that serve one model together.

    ``rank`` counts from 0, which is the head: it alone answers requests. ``names`` and ``addresses`` are those of all
    hosts, by rank; ``interface`` is this host's own with its address. ``port`` is the head's for its members. ``rdma``
    tells whether this host has devices for remote memory access.
    """

    rank: int
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    interface: str
    port: int
    rdma: bool = False

    @property
    def follows(self) -> bool:
        """Whether another host is the head."""
        return self.rank > 0


@dataclass(frozen=True)
class EngineSpec:
    """One endpoint, as the user wants it, with everything that can be derived filled in.

    ``cache_dir`` is the host's directory for weights, ``compile_cache_dir`` the one for what the
    engine compiles at its start, or ``None`` where that is not to be kept. Each of ``api_keys`` lets its client in.
    ``listens`` is the address on which the engine listens, inside its container.
    ``trust_remote_code`` of ``None`` is no, and no reason to start anew an engine that has it from an earlier release.
    ``simulates`` names the published row that the simulator follows: ``{"engine": "vllm", "profile": "h100x4"}``.
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
    served_model_aliases: tuple[str, ...] = ()
    trust_remote_code: bool | None = None
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    hf_token: str | None = field(default=None, repr=False)
    simulates: Mapping[str, str] | None = None
    listens: str = "0.0.0.0"
    group: Group | None = None


class Parallel(NamedTuple):
    """How an engine spreads a model over GPUs, in the field's own terms.

    C(data) are copies that take GPUs of their own; C(attention) groups of attention that share those of one copy.
    C(context) is vLLM's prefill context parallel size. With C(experts), whole experts are spread over the GPUs of all
    copies. All of it is spread over C(nodes) hosts alike.
    """

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    context: int = 1
    attention: int = 1
    experts: bool = False
    nodes: int = 1

    @property
    def copy(self) -> int:
        """GPUs that hold one copy of the model."""
        return self.tensor * self.pipeline * self.context

    @property
    def gpus(self) -> int:
        """GPUs that it takes of each host."""
        return max(1, self.copy * self.data // self.nodes)

    def __str__(self) -> str:
        sizes = {
            "tensor": self.tensor,
            "pipeline": self.pipeline,
            "data": self.data,
            "prefill context": self.context,
        }
        told = [f"{name} parallel {size}" for name, size in sizes.items() if size > 1 or name == "tensor"]
        return " by ".join(told) + (f" over {self.nodes} hosts" if self.nodes > 1 else "")


@dataclass(frozen=True)
class SecretFile:
    """A file that carries a secret, or what guards it, into the container.

    ``restart`` says whether the engine reads it only at its start. Where ``version`` is given, the content has a line
    ``VERSION = N``, and an engine that has another text of that version or a newer one has what it needs; a text
    without the line is of version 1.
    """

    name: str
    content: str = field(repr=False)
    restart: bool = True
    version: int | None = None


class Launch(NamedTuple):
    """How to start an engine: arguments, environment, files. It knows nothing of containers.

    ``argv`` follows the entry point of the image. ``mounts`` maps a path in the container to
    the directory on the host. ``weights`` are those that the engine takes from the hub. ``earlier`` are arguments with
    which an earlier release started the same: an engine that runs with them is left.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: Mapping[str, str] = {}
    secrets: tuple[SecretFile, ...] = ()
    needs_gpus: bool = True
    weights: Weights | None = None
    earlier: tuple[tuple[str, ...], ...] = ()


class ImageBuild(NamedTuple):
    """An image that is made on the host, pulling nothing.

    ``reference`` changes whenever the content does. ``write`` writes the root file system to a
    binary stream as a tar archive.
    """

    reference: str
    entrypoint: tuple[str, ...]
    write: Callable[[BinaryIO], None]
