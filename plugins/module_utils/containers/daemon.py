# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container engine's daemon: the only file that talks to the Docker SDK."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import LABEL, Observed, observe
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ContainerSpec, create_config
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

try:
    import docker
    from docker import errors as docker_errors
    from requests import exceptions as requests_errors
except ImportError as error:
    IMPORT_ERROR: ImportError | None = error
else:
    IMPORT_ERROR = None

DEFAULT_HOST = "unix:///var/run/docker.sock"
# The daemon answers most calls at once; creating a container on a slow disk takes longest.
CALL_TIMEOUT = 120


class Daemon:
    """What the collection asks of a Docker daemon, in its own words.

    Every failure is a :class:`FleetError` that says what was tried. ``connect`` answers quickly
    when there is no daemon.
    """

    def __init__(self, host: str = DEFAULT_HOST) -> None:
        self._host = host
        with _told(
            f"reach the Docker daemon at {host}", "Is it running? Run the host role, or: systemctl start docker."
        ):
            self._api = docker.APIClient(base_url=host, version="auto", timeout=CALL_TIMEOUT)

    # Containers

    def container(self, name: str) -> Observed | None:
        """Return a container by name or id, or ``None``."""
        with _told(f"inspect container {name}"):
            try:
                found = self._api.inspect_container(name)
            except docker_errors.NotFound:
                return None
        # A name may be the beginning of some other container's id.
        if found["Name"].lstrip("/") != name and found["Id"] != name:
            return None
        return observe(found, self.image(found["Image"]))

    def ours(self) -> list[Observed]:
        """Return every container that the collection made."""
        with _told("list containers"):
            found = self._api.containers(all=True, filters={"label": LABEL})
        containers = (self.container(item["Id"]) for item in found)
        return sorted((item for item in containers if item), key=lambda item: item.name)

    def create(self, spec: ContainerSpec, name: str, secrets_source: str | None) -> str:
        """Create a container, not started, and return its id."""
        with _told(f"create container {name} from {spec.image}"):
            return self._api.create_container_from_config(create_config(spec, secrets_source), name)["Id"]

    def start(self, name: str) -> None:
        """Start a container."""
        with _told(f"start container {name}"):
            self._api.start(name)

    def stop(self, name: str, timeout: int) -> None:
        """Stop a container: SIGTERM, and after *timeout* seconds SIGKILL."""
        with _told(f"stop container {name}"):
            self._api.stop(name, timeout=timeout)

    def rename(self, old: str, new: str) -> None:
        """Give a container another name."""
        with _told(f"rename container {old} to {new}"):
            self._api.rename(old, new)

    def remove(self, name: str) -> None:
        """Remove a container with its anonymous volumes; one that is gone already is no error."""
        with _told(f"remove container {name}"):
            try:
                self._api.remove_container(name, v=True, force=True)
            except docker_errors.NotFound:
                return

    def update_restart_policy(self, name: str, policy: str, maximum_retries: int) -> None:
        """Change the restart policy without a restart."""
        with _told(f"update container {name}"):
            self._api.update_container(name, restart_policy={"Name": policy, "MaximumRetryCount": maximum_retries})

    def logs(self, name: str, tail: int | str = "all", since: float | None = None) -> str:
        """Return a container's log, both streams, or its last lines."""
        with _told(f"read the log of container {name}"):
            output = self._api.logs(name, stdout=True, stderr=True, tail=tail, since=int(since) if since else None)
        return output.decode("utf-8", "replace")

    # Images

    def image(self, reference: str) -> Mapping[str, Any] | None:
        """Return what the daemon knows of an image, or ``None``."""
        with _told(f"inspect image {reference}"):
            try:
                return self._api.inspect_image(reference)
            except docker_errors.NotFound:
                return None

    def digests(self, reference: str) -> list[str]:
        """Return the registry digests of an image on the host."""
        return sorted(item.partition("@")[2] for item in (self.image(reference) or {}).get("RepoDigests") or ())

    def registry_digest(self, reference: str) -> str:
        """Ask the registry for the digest that a reference has now, pulling nothing."""
        with _told(f"ask the registry for {reference}", "Check the reference, the registry and the host's network."):
            return self._api.inspect_distribution(reference)["Descriptor"]["digest"]

    def images_in_use(self) -> dict[str, set[str]]:
        """Return, for the id of each image that containers are made of, the names of those containers."""
        with _told("list containers"):
            found = self._api.containers(all=True)
        users: dict[str, set[str]] = {}
        for item in found:
            users.setdefault(item["ImageID"], set()).update(name.lstrip("/") for name in item["Names"])
        return users

    def images(self, label: str) -> list[str]:
        """Return the references of the images that carry a label."""
        with _told("list images"):
            found = self._api.images(filters={"label": label})
        return sorted(tag for item in found for tag in item.get("RepoTags") or [item["Id"]])

    def pull(self, reference: str, timeout: int, say: Callable[[str], None]) -> None:
        """Pull an image, telling how far it is. *timeout* is in seconds, for the whole pull."""
        deadline = time.monotonic() + timeout
        with _told(f"pull image {reference}", "Check the reference, the registry and the host's network."):
            events = self._api.pull(*_repository_and_tag(reference), stream=True, decode=True)
            for text in pull_progress(events):
                say(text)
                if time.monotonic() > deadline:
                    raise FleetError(
                        f"it took longer than pull_timeout, {timeout} s. Layers that are complete are kept"
                    )

    def import_image(self, path: str, reference: str, changes: Sequence[str]) -> None:
        """Make an image from a root file system in a tar archive."""
        repository, tag = _repository_and_tag(reference)
        with _told(f"import image {reference}"):
            self._api.import_image_from_file(path, repository=repository, tag=tag, changes=list(changes))

    def remove_image(self, reference: str) -> bool:
        """Remove an image; tell whether it went. One that is gone, or in use, stays as it is."""
        with _told(f"remove image {reference}"):
            try:
                self._api.remove_image(reference)
            except docker_errors.NotFound:
                return False
            except docker_errors.APIError as error:
                if error.status_code == 409:
                    return False
                raise
        return True


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
            yield f"pulling: {len(done)} of {len(layers)} layers, {_gib(current)} of {_gib(total)} downloaded"


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


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


@contextmanager
def _told(action: str, remedy: str = "") -> Iterator[None]:
    """Turn what the SDK raises into a sentence."""
    try:
        yield
    except FleetError as error:
        raise FleetError(_sentence(action, str(error), remedy), **error.details) from error
    except docker_errors.APIError as error:
        raise FleetError(_sentence(action, str(error.explanation or error), remedy)) from error
    except (docker_errors.DockerException, requests_errors.RequestException, OSError) as error:
        raise FleetError(_sentence(action, str(error), remedy)) from error


def _sentence(action: str, reason: str, remedy: str) -> str:
    text = f"could not {action}: {reason.strip().rstrip('.')}."
    return f"{text} {remedy}" if remedy else text
