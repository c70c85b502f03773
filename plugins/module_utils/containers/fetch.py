# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring an image and weights to a host while the old engine serves."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from ansible_collections.inference.fleet.plugins.module_utils.containers import plan
from ansible_collections.inference.fleet.plugins.module_utils.containers.acting import ActingDaemon
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import Observed
from ansible_collections.inference.fleet.plugins.module_utils.containers.wanted import IMAGE_LABEL, Build, Wanted
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError, as_told
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress


class Fetch:
    """Brings what a new container needs to the host. ``warnings`` collects what the user should hear."""

    def __init__(self, daemon: ActingDaemon, wanted: Wanted, progress: Progress) -> None:
        self._daemon = daemon
        self._wanted = wanted
        self._progress = progress
        self.warnings: list[str] = []

    def fetch(self, steps: Sequence[str], current: Observed | None) -> None:
        """Bring the image and the weights to the host at the same time, while the old engine serves."""
        stop = threading.Event()
        problems: list[FleetError] = []
        with ThreadPoolExecutor(max_workers=1) as pool:
            weights: Future[str | None] | None = None
            if plan.FETCH_WEIGHTS in steps and self._wanted.weights:
                weights = pool.submit(self._wanted.weights.fetch, self._progress.say, stop)
            try:
                self._image(steps, lambda: weights is not None and weights.done() and bool(weights.exception()))
            except BaseException as error:
                stop.set()
                if not isinstance(error, Exception):
                    raise
                problems.append(as_told(error))
            if weights:
                try:
                    warning = weights.result()
                except Exception as error:
                    problems.append(as_told(error))
                else:
                    self.warnings += [warning] if warning else []
        if problems:
            untouched = f"\n{current.name} was not touched." if current else ""
            raise FleetError("\n".join(str(problem) for problem in problems) + untouched)

    def _image(self, steps: Sequence[str], cancelled: Callable[[], bool]) -> None:
        reference = self._wanted.container.image
        if plan.BUILD_IMAGE in steps and self._wanted.build:
            self._build(self._wanted.build, reference)
        if plan.PULL_IMAGE in steps:
            self._progress.say(f"pulling {reference}")
            self._daemon.pull(reference, self._wanted.timeouts.pull, self._progress.say, cancelled)

    def _build(self, build: Build, reference: str) -> None:
        self._progress.say(f"building image {reference}")
        with tempfile.NamedTemporaryFile(prefix="inference.fleet-", suffix=".tar") as archive:
            build.write(archive)  # type: ignore[arg-type]
            archive.flush()
            entrypoint = ", ".join(f'"{word}"' for word in build.entrypoint)
            self._daemon.import_image(
                archive.name, reference, [f"ENTRYPOINT [{entrypoint}]", f"LABEL {IMAGE_LABEL}={build.label}"]
            )
