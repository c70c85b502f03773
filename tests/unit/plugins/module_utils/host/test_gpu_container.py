# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do about what Docker says of a container with GPUs. The container itself is in the integration tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.host.gpu_container import remedy_of

RESTART = "Restart Docker Engine: it looks for the NVIDIA container toolkit at its start."


def test_docker_29_without_a_way_to_gpus(case: Callable[[str], str]) -> None:
    assert remedy_of(case("05-docker-cdi-vendor")) == RESTART


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ('could not select device driver "" with capabilities: [[gpu]]', RESTART),
        (
            "nvidia-container-cli: initialization error: nvml error: driver/library version mismatch: unknown",
            "The driver was upgraded under a running kernel module: reboot the host.",
        ),
        ("nvidia-container-cli: something new", "See the toolkit's own words."),
    ],
)
def test_what_docker_says(said: str, remedy: str) -> None:
    assert remedy_of(said) == remedy
