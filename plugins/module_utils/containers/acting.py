# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection has a Docker daemon do. A look, which most runs are, does not load it."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.containers import daemon as asked
from ansible_collections.inference.fleet.plugins.module_utils.containers.daemon import (
    CALL_TIMEOUT,
    REGISTRY_REMEDY,
    Daemon,
    TimedOut,
    repository_and_tag,
    told,
)
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import Observed
from ansible_collections.inference.fleet.plugins.module_utils.containers.pulling import pull_progress
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import (
    DEFAULT_CPU_SHARES,
    ROTATED_DRIVERS,
    ROTATION,
    ContainerSpec,
    Log,
    create_config,
)
from ansible_collections.inference.fleet.plugins.module_utils.containers.wanted import IMAGE_LABEL
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError


class ActingDaemon(Daemon):
    """A daemon that does what it is asked to, through the connection of one that tells."""

    def __init__(self, daemon: Daemon) -> None:
        vars(self).update(vars(daemon))

    def create(self, spec: ContainerSpec, name: str, secrets_source: str | None) -> str:
        """Create a container, not started, and return its id."""
        config = create_config(replace(spec, log=spec.log or self._rotation()), secrets_source)
        made = self.ask(
            f"create container {name} from {spec.image}",
            lambda: self._api.create_container_from_config(config, name)["Id"],
            repeatable=False,
        )
        self._names[made] = name
        return made

    def _rotation(self) -> Log | None:
        """Return the log of a new container of which nobody says anything: the daemon's own, with an end to it."""
        driver = self.ask("ask the daemon for its log driver", self._api.info).get("LoggingDriver")
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

        return self.ask(f"read {path} of container {self.called(name)}", read)

    def start(self, name: str, timeout: float = CALL_TIMEOUT) -> None:
        """Start a container, or let a paused one go on; one that runs is left as it is. *timeout* is in seconds."""
        container = self.container(name)
        paused = bool(container and container.status == "paused")
        try:
            self.ask(
                f"start container {self.called(name)}",
                lambda: self._api.unpause(name) if paused else self.client(timeout).start(name),
                repeatable=not paused,
            )
        except TimedOut as error:
            raise FleetError(
                f"container {self.called(name)} did not start within start_timeout, {timeout} s: the daemon was still "
                "at it. "
                "Look at the daemon's log and at the GPUs (nvidia-smi)."
            ) from error

    def stop(self, name: str, timeout: int) -> None:
        """Stop a container: SIGTERM, and after *timeout* seconds SIGKILL."""
        self.ask(
            f"stop container {self.called(name)}",
            lambda: self.client(CALL_TIMEOUT + timeout).stop(name, timeout=timeout),
        )

    def rename(self, old: str, new: str) -> None:
        """Give a container another name."""
        self.ask(f"rename container {self.called(old)} to {new}", lambda: self._api.rename(old, new), repeatable=False)
        self._names[old] = new

    def remove(self, name: str) -> None:
        """Remove a container with its anonymous volumes; one that is gone already is no error."""

        def remove() -> None:
            try:
                self._api.remove_container(name, v=True, force=True)
            except asked.docker_errors.NotFound:
                return

        self.ask(f"remove container {self.called(name)}", remove)

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

        self.ask(f"update container {self.called(name)}", update)

    def connect(self, name: str, network: str) -> None:
        """Attach a container to a network, while it runs."""
        self.ask(
            f"attach container {self.called(name)} to network {network}",
            lambda: self._api.connect_container_to_network(name, network),
            repeatable=False,
        )

    def disconnect(self, name: str, network: str) -> None:
        """Detach a container from a network, while it runs."""
        self.ask(
            f"detach container {self.called(name)} from network {network}",
            lambda: self._api.disconnect_container_from_network(name, network),
            repeatable=False,
        )

    def remove_images(self, wanted: ContainerSpec, container: Observed | None, only_look: bool) -> list[str]:
        """Remove the images that go with an engine, unless others use them; return those that went, or would go.

        They are its own and those that the collection made.
        """
        candidates = [container.spec.image] if container else []
        candidates += [wanted.image] if wanted.image else []
        candidates += self._made()
        users = self._images_in_use()
        own = {container.name} if container else set()
        found = {reference: self.image(reference) for reference in dict.fromkeys(candidates)}
        removable = [name for name, image in found.items() if image and users.get(image["Id"], set()) <= own]
        return removable if only_look else list(filter(self._remove_image, removable))

    def _images_in_use(self) -> dict[str, set[str]]:
        """Return, for the id of each image that containers are made of, the names of those containers."""
        found = self.ask("list containers", lambda: self._api.containers(all=True))
        users: dict[str, set[str]] = {}
        for item in found:
            users.setdefault(item["ImageID"], set()).update(name.lstrip("/") for name in item["Names"])
        return users

    def _made(self) -> list[str]:
        """Return the references of the images that were made on the host."""
        found = self.ask("list images", lambda: self._api.images(filters={"label": IMAGE_LABEL}))
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
        with told(f"pull image {reference}", REGISTRY_REMEDY):
            # A registry that says nothing any more ends the wait too.
            client = self.client(timeout)
            try:
                for text in pull_progress(
                    client.pull(*repository_and_tag(reference), stream=True, decode=True, **self._login)
                ):
                    say(text)
                    if cancelled():
                        return
                    if time.monotonic() > deadline:
                        raise late
            except (asked.requests_errors.Timeout, asked.urllib3_errors.ReadTimeoutError) as error:
                raise late from error
            except (asked.requests_errors.ConnectionError, asked.urllib3_errors.ProtocolError) as error:
                raise FleetError("the Docker daemon went away. Layers that are complete are kept") from error
            finally:
                client.close()

    def import_image(self, path: str, reference: str, changes: Sequence[str]) -> None:
        """Make an image from a root file system in a tar archive."""
        repository, tag = repository_and_tag(reference)
        self.ask(
            f"import image {reference}",
            lambda: self._api.import_image_from_file(path, repository=repository, tag=tag, changes=list(changes)),
        )

    def _remove_image(self, reference: str) -> bool:
        """Remove an image; tell whether it went. One that is gone, or in use, stays as it is."""

        def remove() -> bool:
            try:
                self._api.remove_image(reference)
            except asked.docker_errors.NotFound:
                return False
            except asked.docker_errors.APIError as error:
                if error.status_code == 409:
                    return False
                raise
            return True

        return self.ask(f"remove image {reference}", remove)
