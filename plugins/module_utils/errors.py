# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception that modules and actions turn into a failure."""

from __future__ import annotations


class FleetError(Exception):
    """Something a user must hear about, in words meant for them.

    The message says what was wanted, what was found and what to do next. Keyword arguments
    become extra return values of the failed module (:attr:`details`).
    """

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.details = details


class BusyError(FleetError):
    """Somebody else uses what was wanted: nothing is wrong with it, and later will do."""


def as_told(error: Exception) -> FleetError:
    """Return any exception as one that is told: a local input or output error with its path, another with its type.

    >>> str(as_told(FileNotFoundError(2, "No such file or directory", "/x")))
    'No such file or directory: /x.'
    """
    if isinstance(error, FleetError):
        return error
    if isinstance(error, OSError):
        place = f": {error.filename}" if error.filename else ""
        return FleetError(f"{error.strerror or error}{place}.")
    return FleetError(f"this is a defect of inference.fleet, please report it: {type(error).__name__}: {error}.")
