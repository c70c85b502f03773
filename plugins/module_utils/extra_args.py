# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments that pass through to a program, beside those that options set."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

# Dashes alone, or one letter after two of them, are the beginning of no flag in particular.
_BEGINNING = re.compile(r"^(?:-[^-]|--[^-].)")
# Flags that carry a secret, by how they end.
_SECRET_FLAG = re.compile(r"^--.*(?:api-key|hf-token|password)$")


def refuse_managed(extra_args: Sequence[str], managed: Mapping[str, str]) -> None:
    """Raise :class:`FleetError` when extra arguments contradict what options set, or carry a secret.

    *managed* has the option of each flag. Programs take a flag by its beginning too, with underscores for hyphens, and
    with --no- before it.
    """
    if extra_args and not extra_args[0].startswith("-"):
        raise FleetError(
            f"extra_args begins with {extra_args[0]!r}, which is no option: the program would take it for a model. "
            "Use model, or give each value after its option."
        )
    refuse_repeated(extra_args, managed)
    flags = _flags(extra_args)
    told = next((flag for flag in flags if _SECRET_FLAG.search(flag)), None)
    if told:
        raise FleetError(
            f"extra_args has {told}, whose value everybody who may list processes or inspect the container could read. "
            "Remove it: no option of this module carries it in a file."
        )


def refuse_repeated(extra_args: Sequence[str], managed: Mapping[str, str]) -> None:
    """Raise :class:`FleetError` when extra arguments have flags that options set."""
    clashes = {flag: option for flag in _flags(extra_args) for option in [_option(flag, managed)] if option}
    if clashes:
        listed = ", ".join(f"{flag} (set by {option})" for flag, option in clashes.items())
        raise FleetError(
            f"extra_args repeats what other options set: {listed}. Remove it from extra_args and use the option named."
        )


def value(extra_args: Sequence[str], *flags: str) -> str | None:
    """Return the value that arguments give one of a program's flags, in whatever spelling; the last one counts.

    >>> value(["--load_format=hf", "--load-format", "mistral"], "--load-format")
    'mistral'
    """
    found = None
    for index, argument in enumerate(extra_args):
        word, sign, given = argument.partition("=")
        if (word.replace("_", "-") if word.startswith("--") else word) in flags:
            found = given if sign else next(iter(extra_args[index + 1 : index + 2]), None)
    return found


def words(arguments: Mapping[str, object], given: Sequence[str] = ()) -> list[str]:
    """Return the arguments of a mapping from flags to values, True for a switch, without those that *given* has too.

    >>> words({"--block-size": 256, "--enable-x": True, "--y": 1}, ["--no-enable-x", "--y.z=2"])
    ['--block-size', '256']
    """
    has = {flag.partition(".")[0].replace("--no-", "--", 1) for flag in _flags(given)}
    found: list[str] = []
    for flag, content in arguments.items():
        if content is False or flag.partition(".")[0].replace("_", "-").replace("--no-", "--", 1) in has:
            continue
        found += [flag] if content is True else [flag, str(content)]
    return found


def _flags(extra_args: Sequence[str]) -> list[str]:
    """Return the words before an equals sign, in one spelling."""
    starts = [argument.split("=", 1)[0] for argument in extra_args]
    return [word.replace("_", "-") if word.startswith("--") else word for word in starts]


def _option(flag: str, managed: Mapping[str, str]) -> str | None:
    """Return the option that sets what a flag would set."""
    plain = f"--{flag.removeprefix('--no-')}" if flag.startswith("--no-") else flag
    if plain in managed:
        return managed[plain]
    if not _BEGINNING.search(plain):
        return None
    return next((option for known, option in managed.items() if known.startswith(plain)), None)
