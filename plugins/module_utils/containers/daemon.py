# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container engine's daemon: the only file that talks to the Docker SDK."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
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
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import (
    DEFAULT_CPU_SHARES,
    ROTATED_DRIVERS,
    ROTATION,
    ContainerSpec,
    Log,
    create_config,
)
from ansible_collections.inference.fleet.plugins.module_utils.containers.wanted import DOCKER_HOST
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.progress import size

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
        with _told(
            f"reach the Docker daemon at {host}", "Is it running? Run the host role, or: systemctl start docker."
        ):
            self._version = self._api_version()
            self._api = self._client(CALL_TIMEOUT)

    def _api_version(self) -> str:
        """Return the daemon's API version, which it tells with each ping.

        The SDK's own way takes ten times as long: for it, the daemon runs its helpers to ask them for theirs.
        """
        client = docker.APIClient(base_url=self._host, version=DEFAULT_DOCKER_API_VERSION, timeout=CALL_TIMEOUT)
        answer = client.get(f"{client.base_url}/_ping")
        client._raise_for_status(answer)
        return answer.headers.get("Api-Version", "auto")

    def _client(self, timeout: float) -> docker.APIClient:
        client = docker.APIClient(base_url=self._host, version=self._version, timeout=timeout)
        # The SDK waits for the answer to a pull for ever, which a registry that hangs would make of it.
        client._set_request_timeout = lambda options: {**options, "timeout": options.get("timeout") or timeout}
        return client

    def _ask(self, action: str, work: Callable[[], Any], remedy: str = "", repeatable: bool = True) -> Any:
        """Return what a call gives; wait for a daemon that is being restarted.

        A call that never reached the daemon is made again. One that was cut off is made again where
        it is *repeatable*, that is, where doing it twice does no harm; else :class:`DaemonGone`.
        """
        deadline = time.monotonic() + DAEMON_RETURN_SECONDS
        away = False
        while True:
            with _told(action, remedy):
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
        found = self._found(f"inspect container {self._called(name)}", lambda: self._api.inspect_container(name))
        # A name may be the beginning of some other container's id.
        if not found or (found["Name"].lstrip("/") != name and found["Id"] != name):
            return None
        self._names[found["Id"]] = found["Name"].lstrip("/")
        size = self.host_size() if is_limited(found) else None
        return state.relabelled(observe(found, self.image(found["Image"]), size))

    def inspection(self, name: str) -> Mapping[str, Any] | None:
        """Return all that the daemon tells of a container, as it does, or ``None``."""
        return self._found(f"inspect container {self._called(name)}", lambda: self._api.inspect_container(name))

    def _called(self, container: str) -> str:
        return self._names.get(container, container)

    def _found(self, action: str, work: Callable[[], Any]) -> Any:
        """Return what a call gives, or ``None`` for what is not there."""

        def look() -> Any:
            try:
                return work()
            except docker_errors.NotFound:
                return None

        return self._ask(action, look)

    def host_size(self) -> HostSize:
        """Return the memory and the CPUs of the daemon's host."""
        info = self._ask("ask the daemon for its host's size", self._api.info)
        nodes = None
        # The daemon does not tell them.
        if self._host.startswith("unix://"):
            with suppress(OSError):
                nodes = _NODES.read_text(encoding="ascii").strip()
        return HostSize(info["MemTotal"], info["NCPU"], nodes, bool(info.get("SwapLimit", True)))

    def listed(self) -> list[Listed]:
        """Return every container of the host in brief, whoever made it, by name."""
        found = self._ask("list containers", lambda: self._api.containers(all=True))
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

    def create(self, spec: ContainerSpec, name: str, secrets_source: str | None) -> str:
        """Create a container, not started, and return its id."""
        config = create_config(replace(spec, log=spec.log or self._rotation()), secrets_source)
        made = self._ask(
            f"create container {name} from {spec.image}",
            lambda: self._api.create_container_from_config(config, name)["Id"],
            repeatable=False,
        )
        self._names[made] = name
        return made

    def _rotation(self) -> Log | None:
        """Return the log of a new container of which nobody says anything: the daemon's own, with an end to it."""
        driver = self._ask("ask the daemon for its log driver", self._api.info).get("LoggingDriver")
        return Log(driver, ROTATION) if driver in ROTATED_DRIVERS else None

    def user(self, name: str, image: str, user: str | None = None) -> tuple[int, int]:
        """Return the user and group id that a created container's process will have; *user* is not the image's."""
        user = (user or ((self.image(image) or {}).get("Config") or {}).get("User") or "0").strip()
        wanted, _unused, group = user.partition(":")
        if wanted.isdigit():
            return int(wanted), int(group) if group.isdigit() else int(wanted)
        entries = (line.split(":") for line in self._file(name, "/etc/passwd").splitlines())
        for entry in entries:
            if entry[0] == wanted and len(entry) > 3:
                return int(entry[2]), int(group) if group.isdigit() else int(entry[3])
        raise FleetError(f"image {image} runs as user {wanted!r}, whom its /etc/passwd does not know.")

    def _file(self, name: str, path: str) -> str:
        """Return a text file of a container, started or not."""

        def read() -> str:
            stream, _unused = self._api.get_archive(name, path)
            with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
                member = archive.extractfile(archive.getmembers()[0])
                return member.read().decode("utf-8", "replace") if member else ""

        return self._ask(f"read {path} of container {self._called(name)}", read)

    def start(self, name: str, timeout: float = CALL_TIMEOUT) -> None:
        """Start a container, or let a paused one go on; one that runs is left as it is. *timeout* is in seconds."""
        container = self.container(name)
        paused = bool(container and container.status == "paused")
        try:
            self._ask(
                f"start container {self._called(name)}",
                lambda: self._api.unpause(name) if paused else self._client(timeout).start(name),
                repeatable=not paused,
            )
        except _TimedOut as error:
            raise FleetError(
                f"container {self._called(name)} did not start within start_timeout, {timeout} s: the daemon was still "
                "at it. "
                "Look at the daemon's log and at the GPUs (nvidia-smi)."
            ) from error

    def stop(self, name: str, timeout: int) -> None:
        """Stop a container: SIGTERM, and after *timeout* seconds SIGKILL."""
        self._ask(
            f"stop container {self._called(name)}",
            lambda: self._client(CALL_TIMEOUT + timeout).stop(name, timeout=timeout),
        )

    def rename(self, old: str, new: str) -> None:
        """Give a container another name."""
        self._ask(
            f"rename container {self._called(old)} to {new}", lambda: self._api.rename(old, new), repeatable=False
        )
        self._names[old] = new

    def remove(self, name: str) -> None:
        """Remove a container with its anonymous volumes; one that is gone already is no error."""

        def remove() -> None:
            try:
                self._api.remove_container(name, v=True, force=True)
            except docker_errors.NotFound:
                return

        self._ask(f"remove container {self._called(name)}", remove)

    def update(self, name: str, spec: ContainerSpec, fields: Set[str]) -> None:
        """Bring some fields of a container to those of *spec*, without a restart.

        The daemon cannot take a limit off; the whole host is none.
        """
        body: dict[str, Any] = {}
        if "restart_policy" in fields:
            policy = spec.restart_policy
            body["RestartPolicy"] = {"Name": policy.name, "MaximumRetryCount": policy.maximum_retries}
        if fields & {"memory_bytes", "swap_bytes"}:
            memory = spec.memory_bytes or self.host_size().memory_bytes
            body["Memory"], body["MemorySwap"] = memory, memory
        if "cpuset_cpus" in fields:
            body["CpusetCpus"] = spec.cpuset_cpus or self.host_size().cpuset_cpus
        if "cpuset_mems" in fields:
            body["CpusetMems"] = self.host_size().memory_nodes
        if "pids_limit" in fields:
            body["PidsLimit"] = -1
        if "cpu_shares" in fields:
            body["CpuShares"] = DEFAULT_CPU_SHARES
        if "nano_cpus" in fields:
            # A quota that was set by hand stands in the way of a limit that is a number of CPUs.
            self._update(name, {"CpuQuota": -1})
            body["NanoCpus"] = spec.nano_cpus or self.host_size().nano_cpus
        self._update(name, body)

    def _update(self, name: str, body: Mapping[str, Any]) -> None:
        def update() -> None:
            # The SDK's own method knows neither NanoCpus nor a swap of -1.
            url = self._api._url("/containers/{0}/update", name)
            self._api._raise_for_status(self._api._post_json(url, data=body))

        self._ask(f"update container {self._called(name)}", update)

    def has_network(self, network: str) -> bool:
        """Tell whether there is a network of this name or id."""
        return self._found(f"inspect network {network}", lambda: self._api.inspect_network(network)) is not None

    def connect(self, name: str, network: str) -> None:
        """Attach a container to a network, while it runs."""
        self._ask(
            f"attach container {self._called(name)} to network {network}",
            lambda: self._api.connect_container_to_network(name, network),
            repeatable=False,
        )

    def disconnect(self, name: str, network: str) -> None:
        """Detach a container from a network, while it runs."""
        self._ask(
            f"detach container {self._called(name)} from network {network}",
            lambda: self._api.disconnect_container_from_network(name, network),
            repeatable=False,
        )

    def logs(self, name: str, tail: int | str = "all", since: float | None = None) -> str:
        """Return a container's log, both streams, or its last lines."""
        output = self._ask(
            f"read the log of container {self._called(name)}",
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
        return self._ask(
            f"ask the registry for {reference}",
            lambda: self._client(limit).inspect_distribution(reference, **self._login)["Descriptor"]["digest"],
            REGISTRY_REMEDY,
        )

    def images_in_use(self) -> dict[str, set[str]]:
        """Return, for the id of each image that containers are made of, the names of those containers."""
        found = self._ask("list containers", lambda: self._api.containers(all=True))
        users: dict[str, set[str]] = {}
        for item in found:
            users.setdefault(item["ImageID"], set()).update(name.lstrip("/") for name in item["Names"])
        return users

    def images(self, label: str) -> list[str]:
        """Return the references of the images that carry a label."""
        found = self._ask("list images", lambda: self._api.images(filters={"label": label}))
        return sorted(tag for item in found for tag in item.get("RepoTags") or [item["Id"]])

    def pull(
        self,
        reference: str,
        timeout: float,
        say: Callable[[str], None],
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Pull an image, telling how far it is. *timeout* is in seconds, for the whole pull.

        When *cancelled* says so, the pull ends with what it has.
        """
        deadline = time.monotonic() + timeout
        late = FleetError(f"it took longer than pull_timeout, {timeout} s. Layers that are complete are kept")
        with _told(f"pull image {reference}", REGISTRY_REMEDY):
            # A registry that says nothing any more ends the wait too.
            client = self._client(timeout)
            try:
                for text in pull_progress(
                    client.pull(*_repository_and_tag(reference), stream=True, decode=True, **self._login)
                ):
                    say(text)
                    if cancelled():
                        return
                    if time.monotonic() > deadline:
                        raise late
            except (requests_errors.Timeout, urllib3_errors.ReadTimeoutError) as error:
                raise late from error
            except (requests_errors.ConnectionError, urllib3_errors.ProtocolError) as error:
                raise FleetError("the Docker daemon went away. Layers that are complete are kept") from error
            finally:
                client.close()

    def import_image(self, path: str, reference: str, changes: Sequence[str]) -> None:
        """Make an image from a root file system in a tar archive."""
        repository, tag = _repository_and_tag(reference)
        self._ask(
            f"import image {reference}",
            lambda: self._api.import_image_from_file(path, repository=repository, tag=tag, changes=list(changes)),
        )

    def remove_image(self, reference: str) -> bool:
        """Remove an image; tell whether it went. One that is gone, or in use, stays as it is."""

        def remove() -> bool:
            try:
                self._api.remove_image(reference)
            except docker_errors.NotFound:
                return False
            except docker_errors.APIError as error:
                if error.status_code == 409:
                    return False
                raise
            return True

        return self._ask(f"remove image {reference}", remove)


def pull_progress(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Turn the daemon's events of a pull into lines; raise :class:`FleetError` on its error event.

    A line comes for each layer that is complete and for each tenth of the bytes known so far.
    """
    sizes: dict[str, tuple[int, int]] = {}
    done: set[str] = set()
    layers: set[str] = set()
    shown = (-1, -1)
    for event in events:
        if event.get("error"):
            raise FleetError(str(event["error"]))
        layer, status = event.get("id"), event.get("status")
        if layer and status in (
            "Pulling fs layer",
            "Already exists",
            "Downloading",
            "Download complete",
            "Pull complete",
        ):
            layers.add(layer)
        detail = event.get("progressDetail") or {}
        if layer and status == "Downloading" and detail.get("total"):
            sizes[layer] = (detail.get("current", 0), detail["total"])
        elif layer and status in ("Download complete", "Pull complete") and layer in sizes:
            sizes[layer] = (sizes[layer][1], sizes[layer][1])
        if layer and status in ("Already exists", "Pull complete"):
            done.add(layer)
        current, total = (sum(column) for column in zip(*sizes.values(), strict=True)) if sizes else (0, 0)
        now = (len(done), current * 10 // total if total else 0)
        if layers and now != shown:
            shown = now
            yield f"pulling: {len(done)} of {len(layers)} layers, {size(current)} of {size(total)} downloaded"


def digest(image: Mapping[str, Any] | None, reference: str) -> str | None:
    """Return the registry digest of an image under a reference, or ``None`` for one built on the host."""
    repository = _repository_and_tag(reference)[0].split("@", 1)[0]
    digests = (image or {}).get("RepoDigests") or ()
    for item in sorted(digests, key=lambda item: not item.startswith(f"{repository}@")):
        return item.partition("@")[2]
    return None


def _repository_and_tag(reference: str) -> tuple[str, str | None]:
    """Split a reference for the daemon: a digest stays with the name as its "tag"."""
    name, at, sha = reference.partition("@")
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = name, ""
    if at:
        return repository, sha
    return repository, tag or "latest"


@contextmanager
def _told(action: str, remedy: str = "") -> Iterator[None]:
    """Turn what the SDK raises into a sentence."""
    try:
        yield
    except FleetError as error:
        raise type(error)(_sentence(action, str(error), remedy), **error.details) from error
    except docker_errors.APIError as error:
        raise FleetError(_sentence(action, str(error.explanation or error), remedy)) from error
    except (requests_errors.Timeout, urllib3_errors.ReadTimeoutError) as error:
        raise _TimedOut(_sentence(action, "the daemon did not answer in time", remedy)) from error
    except (
        docker_errors.DockerException,
        requests_errors.RequestException,
        urllib3_errors.HTTPError,
        OSError,
    ) as error:
        raise FleetError(_sentence(action, _root(error), remedy)) from error


class _TimedOut(FleetError):
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
