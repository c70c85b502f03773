# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container engine's daemon, as it is asked: this file and :mod:`.acting` alone talk to the Docker SDK."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.containers import state
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import (
    LABEL,
    HostSize,
    Observed,
    is_limited,
    observe,
)
from ansible_collections.inference.fleet.plugins.module_utils.containers.slots import Listed
from ansible_collections.inference.fleet.plugins.module_utils.containers.wanted import DOCKER_HOST
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

try:
    import docker
    from docker import errors as docker_errors
    from docker.constants import DEFAULT_DOCKER_API_VERSION
    from requests import exceptions as requests_errors
    from urllib3 import exceptions as urllib3_errors
except ImportError as error:
    IMPORT_ERROR: ImportError | None = error
else:
    IMPORT_ERROR = None

DEFAULT_HOST = DOCKER_HOST
# The daemon answers most calls at once; creating a container on a slow disk takes longest.
CALL_TIMEOUT = 120
# A daemon that is restarted is back in seconds; with many containers, in a minute or two.
DAEMON_RETURN_SECONDS = 180
_NODES = Path("/sys/devices/system/node/online")
REGISTRY_REMEDY = "Check the reference, the registry and the host's network."


@dataclass(frozen=True)
class Login:
    """Who asks a registry."""

    username: str
    password: str = field(repr=False)


class DaemonGone(FleetError):
    """The daemon went away during a call, so nobody knows whether the call was done."""


class Daemon:
    """What the collection asks of a Docker daemon, in its own words.

    Every failure is a :class:`FleetError` that says what was tried. The constructor fails at once
    where there is no daemon; later, one that is being restarted is waited for, and *say* is told.
    """

    def __init__(
        self,
        host: str = DEFAULT_HOST,
        say: Callable[[str], None] = lambda text: None,
        login: Login | None = None,
    ) -> None:
        self._host = host
        # What the SDK sends with a question to a registry; without it, what the host's root has in ~/.docker.
        self._login = {"auth_config": {"username": login.username, "password": login.password}} if login else {}
        self._say = say
        # For messages: containers are handled by their ids, and known to people by their names.
        self._names: dict[str, str] = {}
        #: How often the daemon was away and came back.
        self.outages = 0
        with told(
            f"reach the Docker daemon at {host}", "Is it running? Run the host role, or: systemctl start docker."
        ):
            self._version = DEFAULT_DOCKER_API_VERSION
            self._api = self.client(CALL_TIMEOUT)
            self._version = self._api._version = self._api_version()

    def _api_version(self) -> str:
        """Return the daemon's API version, which it tells with each ping.

        The SDK's own way takes ten times as long: for it, the daemon runs its helpers to ask them for theirs.
        """
        answer = self._api.get(f"{self._api.base_url}/_ping")
        self._api._raise_for_status(answer)
        return answer.headers["Api-Version"]

    def client(self, timeout: float) -> docker.APIClient:
        """Return a connection of its own, for a call that has another limit. *timeout* is in seconds."""
        client = docker.APIClient(base_url=self._host, version=self._version, timeout=timeout)
        # The SDK waits for the answer to a pull for ever, which a registry that hangs would make of it.
        # A socket is behind no proxy, for which the library looks at each request.
        client.trust_env = not self._host.startswith("unix://")
        client._set_request_timeout = lambda options: {**options, "timeout": options.get("timeout") or timeout}
        return client

    def ask(self, action: str, work: Callable[[], Any], remedy: str = "", repeatable: bool = True) -> Any:
        """Return what a call gives; wait for a daemon that is being restarted.

        A call that never reached the daemon is made again. One that was cut off is made again where
        it is *repeatable*, that is, where doing it twice does no harm; else :class:`DaemonGone`.
        """
        deadline = time.monotonic() + DAEMON_RETURN_SECONDS
        away = False
        while True:
            with told(action, remedy):
                try:
                    result = work()
                    self.outages += away
                    return result
                except (requests_errors.ConnectionError, urllib3_errors.ProtocolError) as error:
                    reached = not _refused(error)
                    if (reached and not repeatable) or time.monotonic() > deadline:
                        raise DaemonGone(f"the Docker daemon at {self._host} went away ({_root(error)})") from error
            away = True
            self._say("the Docker daemon does not answer; waiting for it")
            time.sleep(0.5)

    # Containers

    def container(self, name: str) -> Observed | None:
        """Return a container by name or id, or ``None``."""
        found = self._found(f"inspect container {self.called(name)}", lambda: self._api.inspect_container(name))
        # A name may be the beginning of some other container's id.
        if not found or (found["Name"].lstrip("/") != name and found["Id"] != name):
            return None
        self._names[found["Id"]] = found["Name"].lstrip("/")
        size = self.host_size() if is_limited(found) else None
        return state.relabelled(observe(found, self.image(found["Image"]), size))

    def inspection(self, name: str) -> Mapping[str, Any] | None:
        """Return all that the daemon tells of a container, as it does, or ``None``."""
        return self._found(f"inspect container {self.called(name)}", lambda: self._api.inspect_container(name))

    def called(self, container: str) -> str:
        """Return a container's name, where it was seen."""
        return self._names.get(container, container)

    def _found(self, action: str, work: Callable[[], Any]) -> Any:
        """Return what a call gives, or ``None`` for what is not there."""

        def look() -> Any:
            try:
                return work()
            except docker_errors.NotFound:
                return None

        return self.ask(action, look)

    def host_size(self) -> HostSize:
        """Return the memory and the CPUs of the daemon's host."""
        info = self.ask("ask the daemon for its host's size", self._api.info)
        nodes = None
        # The daemon does not tell them.
        if self._host.startswith("unix://"):
            with suppress(OSError):
                nodes = _NODES.read_text(encoding="ascii").strip()
        return HostSize(info["MemTotal"], info["NCPU"], nodes, bool(info.get("SwapLimit", True)))

    def listed(self) -> list[Listed]:
        """Return every container of the host in brief, whoever made it, by name."""
        found = self.ask("list containers", lambda: self._api.containers(all=True))
        listed = []
        for item in found:
            # One that is being removed may have no name any more.
            name = next((name.lstrip("/") for name in item["Names"] or ()), item["Id"][:12])
            labels = item["Labels"] or {}
            if LABEL in labels:
                labels = {**labels, **state.labels(item["Id"], name)}
            listed.append(Listed(item["Id"], name, labels, item["State"], item["Created"], item["Image"]))
        self._names |= {item.id: item.name for item in listed}
        return sorted(listed, key=lambda item: item.name)

    def ours(self) -> list[Observed]:
        """Return every container that the collection made."""
        containers = (self.container(item.id) for item in self.listed() if item.ours)
        return sorted((item for item in containers if item), key=lambda item: item.name)

    def has_network(self, network: str) -> bool:
        """Tell whether there is a network of this name or id."""
        return self._found(f"inspect network {network}", lambda: self._api.inspect_network(network)) is not None

    def logs(self, name: str, tail: int | str = "all", since: float | None = None) -> str:
        """Return a container's log, both streams, or its last lines."""
        output = self.ask(
            f"read the log of container {self.called(name)}",
            lambda: self._api.logs(name, stdout=True, stderr=True, tail=tail, since=int(since) if since else None),
        )
        return output.decode("utf-8", "replace")

    # Images

    def image(self, reference: str) -> Mapping[str, Any] | None:
        """Return what the daemon knows of an image, or ``None``."""
        return self._found(f"inspect image {reference}", lambda: self._api.inspect_image(reference))

    def digests(self, reference: str) -> list[str]:
        """Return the registry digests of an image on the host."""
        return sorted(item.partition("@")[2] for item in (self.image(reference) or {}).get("RepoDigests") or ())

    def registry_digest(self, reference: str, timeout: float = CALL_TIMEOUT) -> str:
        """Ask the registry for the digest that a reference has now, pulling nothing. *timeout* is in seconds."""
        limit = min(timeout, CALL_TIMEOUT)
        return self.ask(
            f"ask the registry for {reference}",
            lambda: self.client(limit).inspect_distribution(reference, **self._login)["Descriptor"]["digest"],
            REGISTRY_REMEDY,
        )


def digest(container: Observed) -> str | None:
    """Return the registry digest of a container's image under its reference, or ``None`` for one built on the host."""
    repository = repository_and_tag(container.spec.image)[0].split("@", 1)[0]
    for item in sorted(container.image_digests, key=lambda item: not item.startswith(f"{repository}@")):
        return item.partition("@")[2]
    return None


def repository_and_tag(reference: str) -> tuple[str, str | None]:
    """Split a reference for the daemon: a digest stays with the name as its "tag"."""
    name, at, sha = reference.partition("@")
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = name, ""
    if at:
        return repository, sha
    return repository, tag or "latest"


@contextmanager
def told(action: str, remedy: str = "") -> Iterator[None]:
    """Turn what the SDK raises into a sentence."""
    try:
        yield
    except FleetError as error:
        raise type(error)(_sentence(action, str(error), remedy), **error.details) from error
    except docker_errors.APIError as error:
        raise FleetError(_sentence(action, str(error.explanation or error), remedy)) from error
    except (requests_errors.Timeout, urllib3_errors.ReadTimeoutError) as error:
        raise TimedOut(_sentence(action, "the daemon did not answer in time", remedy)) from error
    except (
        docker_errors.DockerException,
        requests_errors.RequestException,
        urllib3_errors.HTTPError,
        OSError,
    ) as error:
        raise FleetError(_sentence(action, _root(error), remedy)) from error


class TimedOut(FleetError):
    """The daemon is there, and did not answer in time."""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what it wraps: libraries put the cause in arguments and attributes too."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        item = waiting.pop(0)
        if not isinstance(item, BaseException) or id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        waiting += [*item.args, getattr(item, "reason", None), item.__cause__, item.__context__]


def _refused(error: BaseException) -> bool:
    """Tell whether nobody took the connection, so that the call was never made."""
    return any(isinstance(item, (FileNotFoundError, ConnectionRefusedError)) for item in _chain(error))


def _root(error: BaseException) -> str:
    """Return what the system said, where an exception wraps that."""
    for item in _chain(error):
        if isinstance(item, OSError) and item.strerror:
            return item.strerror
    return str(error)


def _sentence(action: str, reason: str, remedy: str) -> str:
    text = f"could not {action}: {reason.strip().rstrip('.')}."
    return f"{text} {remedy}" if remedy else text
