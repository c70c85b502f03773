# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was looked at and measured to a verdict a line. Pure.

A line is ``{"of": "GPU 0", "what", "value", "unit", "verdict", "text"}``; the verdict is sound, odd (to be looked at,
and no reason to refuse a host), sick, or None where there is nothing to hold a figure against.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.acceptance import envelope
from ansible_collections.inference.fleet.plugins.module_utils.acceptance.counters import growth
from ansible_collections.inference.fleet.plugins.module_utils.host.gpu_health import GRAVE_XIDS, troubles

SOUND, ODD, SICK = "sound", "odd", "sick"
# A figure of a GPU: what it is called, its unit, and the same of an envelope with the share of it that is wanted.
FIGURES = (
    ("memory_gb_s", "memory bandwidth", "GB/s", "memory_gb_s", envelope.MEMORY),
    ("bf16_tflop_s", "bf16 products", "TFLOP/s", "bf16_tflop_s", envelope.BF16),
    ("fp8_tflop_s", "fp8 products", "TFLOP/s", "fp8_tflop_s", envelope.FP8),
    ("load_tflop_s", "bf16 products under load", "TFLOP/s", "bf16_tflop_s", envelope.BF16),
)
# Compared with siblings too, and with what the same GPU gave before.
COMPARED = (*(key for key, *_rest in FIGURES), "from_host_gb_s")
_NAMES = {**{key: (what, unit) for key, what, unit, *_rest in FIGURES}, "from_host_gb_s": ("host to GPU", "GB/s")}
# Under load a sound GPU keeps its speed, once it is warm, to within so much.
_FADES = 0.15
# Below the median of its siblings by so much per cent it is worth a look; the task says from where on it is sick.
ODD_PERCENT = 10.0
# So much hotter than its siblings, in degrees.
_HOTTER = 15
# Seconds for which clocks were held down, by reason, that chance may bring.
_CHANCE_S = 0.5
_HEAT = ("sw_thermal_slowdown", "hw_thermal_slowdown")
_WORDS = {
    "ecc_corrected": "corrected ECC errors",
    "ecc_uncorrected": "uncorrected ECC errors",
    "remapped_rows": "rows of memory remapped",
    "pcie_replays": "PCIe replays",
    "nvlink_errors": "NVLink errors",
}
_GROWN_SICK = ("ecc_uncorrected", "remapped_rows")


def line(of: str, what: str, value: Any, unit: str, verdict: str | None, text: str = "") -> dict[str, Any]:
    """Return a line."""
    return {"of": of, "what": what, "value": value, "unit": unit, "verdict": verdict, "text": text}


def health(gpus: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a line a GPU on what its driver says before anything is asked of it."""
    found = []
    for gpu in gpus:
        words = troubles(gpu)
        grave = [each for each in gpu["xids"] if each["code"] in GRAVE_XIDS]
        # Where the driver tells of recovery, what an older Xid was about may be over.
        old = [f"Xid {each['code']} ({GRAVE_XIDS[each['code']]}) since the boot" for each in grave] if not words else []
        verdict = SICK if words else ODD if old else SOUND
        found.append(line(name(gpu), "health", None, "", verdict, "; ".join(words or old)))
    return found


def counted(gpu: Mapping[str, Any], under_load: bool = True) -> list[dict[str, Any]]:
    """Return lines on a GPU's connections and, where it was under load, on what its driver counted meanwhile."""
    of, before, during, after = name(gpu), gpu["before"], gpu["during"], gpu["after"]
    found = _connections(of, gpu, during or after)
    if not under_load:
        return found
    for key, count in growth(before, after).items():
        verdict = SICK if key in _GROWN_SICK else ODD
        found.append(line(of, _WORDS[key], count, "", verdict, f"{count} {_WORDS[key]} came during the test"))
    if after.get("remap_pending") and not before.get("remap_pending"):
        found.append(line(of, "memory", None, "", SICK, "a remapping of memory waits for a reset since the test"))
    for xid in gpu["new_xids"]:
        grave = GRAVE_XIDS.get(xid["code"])
        text = f"Xid {xid['code']} during the test ({grave or xid['message'][:120]})"
        found.append(line(of, "Xid", xid["code"], "", SICK if grave else ODD, text))
    return found + _throttled(of, gpu, before, after)


def _connections(of: str, gpu: Mapping[str, Any], during: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    width, widest = during.get("pcie_width"), during.get("pcie_max_width")
    gen, newest = during.get("pcie_gen"), during.get("pcie_max_gen")
    if width and widest:
        narrow = width < widest
        text = f"x{width}; wanted x{widest}, as the GPU has it: reseat it, or try another slot" if narrow else ""
        found.append(line(of, "PCIe width", width, "lanes", SICK if narrow else SOUND, text))
    # An idle link may rest at an older generation: only under load it tells.
    if gen and newest and gpu["during"]:
        slow = gen < newest
        text = f"generation {gen} under load; wanted {newest}" if slow else ""
        found.append(line(of, "PCIe generation", gen, "", ODD if slow else SOUND, text))
    known, links = envelope.of(gpu["name"]), during.get("nvlinks_up")
    if links is not None:
        wanted = known.nvlinks if known else None
        bad = bool(wanted) and links < (wanted or 0)
        text = f"{links} are up; wanted {wanted}" if bad else ""
        found.append(line(of, "NVLinks up", links, "", SICK if bad else SOUND if wanted else None, text))
    return found


def _throttled(
    of: str, gpu: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[dict[str, Any]]:
    then, now = before.get("throttled_s") or {}, after.get("throttled_s") or {}
    held = {reason: round(now[reason] - then[reason], 1) for reason in now.keys() & then.keys()}
    if not held:
        # A driver that does not count: by the samples.
        held = {reason: share * gpu["sampled_s"] for reason, share in gpu["throttled"].items()}
    samples = gpu["samples"]
    degrees = samples.get("temperature_c", {}).get("max")
    at = f", at up to {degrees:.0f} degrees" if degrees else ""
    heat = sum(held.get(reason, 0.0) for reason in _HEAT)
    found = []
    if heat > _CHANCE_S:
        text = f"clocks were held down by heat for {heat:.1f} s{at}: look at cooling and air flow"
        found.append(line(of, "temperature", degrees, "°C", SICK, text))
    elif degrees is not None:
        found.append(line(of, "temperature", degrees, "°C", SOUND if held or gpu["throttled"] == {} else None))
    if held.get("hw_power_brake_slowdown", 0.0) > _CHANCE_S:
        text = f"a power brake held clocks down for {held['hw_power_brake_slowdown']:.1f} s: look at the power supply"
        found.append(line(of, "power", None, "W", SICK, text))
    elif samples.get("power_w"):
        found.append(line(of, "power", samples["power_w"]["mean"], "W", None))
    return found


def measured(gpu: Mapping[str, Any], simulated: bool) -> list[dict[str, Any]]:
    """Return lines on a GPU's figures beside its model's envelope. A rehearsal on CPUs has none."""
    of, figures = name(gpu), gpu["figures"]
    known = None if simulated else envelope.of(gpu["name"])
    found = [_error(of, gpu["error"])] if gpu["error"] else []
    for key, what, unit, theirs, share in FIGURES:
        if figures.get(key) is not None:
            found.append(_against(of, what, figures[key], unit, getattr(known, theirs) if known else None, share))
    if figures.get("from_host_gb_s") is not None:
        link = gpu["during"] or gpu["after"]
        lane = envelope.PCIE_LANE_GB_S.get(link.get("pcie_gen") or 0)
        top = lane * link["pcie_width"] if lane and link.get("pcie_width") and known else None
        what, unit = _NAMES["from_host_gb_s"]
        found.append(_against(of, what, figures["from_host_gb_s"], unit, top, envelope.HOST, "its PCIe link"))
    wrong = figures.get("memory_wrong_words")
    if wrong is not None:
        text = f"{wrong} words of {figures['memory_tested_mib']} MiB did not hold what was written" if wrong else ""
        found.append(line(of, "memory pattern", wrong, "wrong words", SICK if wrong else SOUND, text))
    first, last = figures.get("load_first_tflop_s"), figures.get("load_last_tflop_s")
    if first and last and not simulated and last < first * (1 - _FADES):
        text = f"from {first:.0f} to {last:.0f} TFLOP/s in {figures['load_s']:.0f} s of load"
        found.append(line(of, "speed kept under load", last / first, "", ODD, text))
    return found


def _error(of: str, error: Mapping[str, str]) -> dict[str, Any]:
    return line(of, error["stage"], None, "", SICK, f"failed in the stage {error['stage']}: {error['error']}")


def _against(
    of: str, what: str, value: float, unit: str, top: float | None, share: float, whose: str = "its datasheet"
) -> dict[str, Any]:
    if not top:
        return line(of, what, value, unit, None)
    least = top * share
    text = f"wanted {least:.0f} or more, {share:.0%} of the {top:.0f} of {whose}" if value < least else ""
    return line(of, what, value, unit, SICK if value < least else SOUND, text)


def between(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return lines on what goes between the GPUs of a host. Where no model is known, figures alone."""
    gpus = document["gpus"]
    known = None if document["simulated"] else envelope.of(gpus[0]["name"]) if gpus else None
    link = known.nvlink_gb_s if known else None
    found = []
    pairs = [
        (f"GPU {gpu['index']} to {to}", value)
        for gpu in gpus
        for to, value in (gpu["figures"].get("to_peers_gb_s") or {}).items()
    ]
    if pairs:
        slowest, value = min(pairs, key=lambda item: item[1])
        median = statistics.median(value for _pair, value in pairs)
        each = _against(slowest, "slowest pair", value, "GB/s", link, envelope.PEER, "its NVLinks one way")
        if each["verdict"] != SICK and not document["simulated"] and value < median / 2:
            each |= {"verdict": ODD, "text": f"less than half of the pairs' median, {median:.0f} GB/s"}
        found.append(each)
    reduced = [gpu["figures"]["all_reduce_gb_s"] for gpu in gpus if "all_reduce_gb_s" in gpu["figures"]]
    if reduced:
        found.append(
            _against("GPUs", "all-reduce", min(reduced), "GB/s", link, envelope.ALL_REDUCE, "the NVLinks one way")
        )
    return found


def host(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return lines on the host: no verdict, since no datasheet tells what it should give."""
    found = []
    rate = figures.get("disk_read_mb_s")
    if rate:
        text = f"{figures['disk_path']}: 100 GB of weights take {100_000 / rate:.0f} s"
        found.append(line("host", "disk read", rate, "MB/s", None, text))
    elif figures.get("disk_error"):
        found.append(line("host", "disk read", None, "MB/s", ODD, figures["disk_error"]))
    if figures.get("cpu_mhz"):
        lowest, highest = figures["cpu_mhz"]["min"], figures["cpu_mhz"]["max"]
        found.append(
            line("host", "CPU clock under load", lowest, "MHz", None, f"the lowest; the highest {highest:.0f}")
        )
    return found


def siblings(
    gpu: Mapping[str, Any], others: Sequence[Mapping[str, Any]], sick_percent: float, simulated: bool = False
) -> list[dict[str, Any]]:
    """Return lines where a GPU is below the median of others of its model by much; *others* have ``figures``."""
    found = []
    for key in COMPARED:
        value = gpu["figures"].get(key)
        theirs = [each["figures"][key] for each in others if each["figures"].get(key)]
        if not value or not theirs:
            continue
        median = statistics.median(theirs)
        below = 100 * (1 - value / median)
        if below >= (sick_percent if simulated else min(ODD_PERCENT, sick_percent)):
            what, unit = _NAMES[key]
            of = f"the median of {len(theirs)} siblings" if len(theirs) > 1 else "its sibling"
            text = f"{below:.0f} % below {of}, {median:.4g} {unit}"
            verdict = SICK if below >= sick_percent else ODD
            found.append(line(name(gpu), f"{what} beside siblings", value, unit, verdict, text))
    degrees = gpu["samples"].get("temperature_c", {}).get("max")
    theirs = [each["samples"]["temperature_c"]["max"] for each in others if each["samples"].get("temperature_c")]
    if degrees and theirs and degrees - statistics.median(theirs) > _HOTTER:
        text = f"{degrees:.0f} degrees, and its siblings have {statistics.median(theirs):.0f}"
        found.append(line(name(gpu), "temperature beside siblings", degrees, "°C", ODD, text))
    return found


def earlier(gpu: Mapping[str, Any], before: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return lines where a GPU gives much less than in its own earlier tests."""
    found = []
    for key in COMPARED:
        value, past = gpu["figures"].get(key), [each["figures"][key] for each in before if each["figures"].get(key)]
        below = 100 * (1 - value / statistics.median(past)) if value and past else 0.0
        if below >= ODD_PERCENT:
            what, unit = _NAMES[key]
            text = f"{below:.0f} % below its own earlier {statistics.median(past):.4g} {unit}"
            found.append(line(name(gpu), f"{what} beside earlier", value, unit, ODD, text))
    return found


def name(gpu: Mapping[str, Any]) -> str:
    """Return what a GPU is called in a line."""
    return f"GPU {gpu['index']}"


def worst(lines: Iterable[Mapping[str, Any]]) -> str:
    """Return the worst verdict of lines; sound where there is none."""
    verdicts = {each["verdict"] for each in lines}
    return next((each for each in (SICK, ODD) if each in verdicts), SOUND)
