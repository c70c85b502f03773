# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may have disturbed a run, or limited it, by what was sampled meanwhile. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.remarks import (
    DOUBT,
    NOTE,
    Remark,
)
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.telemetry import engine_gpus
from ansible_collections.inference.fleet.plugins.module_utils.results.quality import CLIENT, NEIGHBOUR, THROTTLED

# A client whose busiest thread has this share of a CPU cannot send or read faster.
SATURATED = 0.9
# The share of a run, or of its samples, from which throttling is worth a word.
THROTTLED_SHARE = 0.05
POWER_CAP = "sw_power_cap"
# Other GPUs of the host that are so busy, in per cent on average, are worth a word.
BUSY = 10


def strangers(engine: Mapping[str, Any] | None, hardware: Mapping[str, Any] | None) -> list[Remark]:
    """Return who held the engine's GPUs besides the engine when the host was looked at.

    Both arguments are as engine_info and host_info tell.
    """
    own = ((engine or {}).get("container") or {}).get("id")
    mine = engine_gpus(engine, hardware)
    return [
        Remark(
            NEIGHBOUR,
            f"GPU {gpu['index']} was held by {item['name']} (process {item['pid']}) besides the engine: "
            "it takes a share",
        )
        for gpu in (hardware or {}).get("gpus") or ()
        for item in gpu.get("processes") or ()
        if own and gpu["uuid"] in mine and item["container"] != own
    ]


def remarks(telemetry: Mapping[str, Any], duration: float) -> list[Remark]:
    """Return what a run's telemetry says of what may have disturbed it; *duration* is the run's, in seconds."""
    found = []
    for gpu in telemetry["gpus"] or ():
        found += _slowed(gpu, duration)
    if telemetry["gpus"] and telemetry.get("missing_gpus"):
        missing = ", ".join(telemetry["missing_gpus"])
        found.append(Remark(DOUBT, f"GPUs of the engine were not sampled: {missing}. Their energy is not known"))
    for gpu in telemetry.get("neighbours") or ():
        busy = gpu["utilization_percent"]
        if busy and busy["mean"] >= BUSY:
            found.append(
                Remark(
                    NEIGHBOUR,
                    f"GPU {gpu['index']}, which is not this engine's, was {busy['mean']:.0f} % busy: a neighbour "
                    "shares the host's power, cooling and CPUs",
                )
            )
    client, host = telemetry["client"], telemetry["host"]
    if client and client["busiest_thread"]["mean"] >= SATURATED:
        found.append(
            Remark(
                CLIENT,
                f"the client's busiest thread had {client['busiest_thread']['mean']:.0%} of a CPU: the client, not the "
                "engine, may be what limited this run",
            )
        )
    elif telemetry["gpus"] and host and host["busy"]["mean"] >= 0.95:
        found.append(
            Remark(
                CLIENT,
                f"the host's {host['cpus']} CPUs were {host['busy']['mean']:.0%} busy: "
                "the client may have waited for one",
            )
        )
    return found


def _slowed(gpu: Mapping[str, Any], duration: float) -> list[Remark]:
    """Return how a GPU was slowed, for how long: by the driver's own count where it has one, else by the samples."""
    counted = gpu.get("throttled_s")
    if counted is not None:
        shares = {reason: min(1.0, seconds / duration) for reason, seconds in counted.items()}
        told = {reason: f"{reason} for {seconds:.0f} s of {duration:.0f} s" for reason, seconds in counted.items()}
    else:
        shares = dict(gpu["throttled"])
        told = {reason: f"{reason} in {share:.0%} of the samples" for reason, share in shares.items()}
    listed = [reason for reason, share in sorted(shares.items()) if share >= THROTTLED_SHARE]
    clock = gpu["clock_sm_mhz"]
    at = f", SM clock {clock['mean']:.0f} MHz on average" if clock else ""
    found = []
    # A card at its power limit does what it is built for. The rest is heat, or want of power.
    slowed = [told[reason] for reason in listed if reason != POWER_CAP]
    if slowed:
        found.append(Remark(THROTTLED, f"GPU {gpu['index']} was throttled: {', '.join(slowed)}{at}"))
    if POWER_CAP in listed:
        found.append(Remark(NOTE, f"GPU {gpu['index']} was at its power limit: {told[POWER_CAP]}{at}"))
    return found
