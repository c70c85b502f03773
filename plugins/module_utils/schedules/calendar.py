# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a schedule is due: systemd's calendar expressions, and what cron can say of them."""

from __future__ import annotations

import re

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

_WORDS = {
    "minutely": "* * * * *",
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "weekly": "0 0 * * 1",
    "monthly": "0 0 1 * *",
}
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Weekdays, a date in any month of any year, hour and minute; seconds only as 0.
_CALENDAR = re.compile(
    r"(?:(?P<week>[A-Za-z]{3,9}(?:(?:,|\.\.)[A-Za-z]{3,9})*)\s+)?"
    r"(?:(?:\*-)?\*-(?P<day>[^\s-]+)\s+)?"
    r"(?P<hour>[^\s:]+):(?P<minute>[^\s:]+)(?::0?0)?"
)
_PART = re.compile(r"(\*|\d+)(?:(\.\.|/)(\d+))?")
_CRON = re.compile(r"@(?:hourly|daily|weekly|monthly|yearly)|[0-9*/,A-Za-z-]+(?:\s+[0-9*/,A-Za-z-]+){4}")


def cron(on_calendar: str) -> str:
    """Return the five fields of cron for a calendar expression of systemd. FleetError where cron has none.

    >>> cron("daily"), cron("Mon..Fri 03:30"), cron("*-*-01 4:00:00"), cron("*:0/15")
    ('0 0 * * *', '30 3 * * 1-5', '0 4 1 * *', '0-59/15 * * * *')
    """
    text = on_calendar.strip()
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    found = _CALENDAR.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        fields = [
            _numbers(found["minute"], 0, 59),
            _numbers(found["hour"], 0, 23),
            _numbers(found["day"] or "*", 1, 31),
            "*",
            _weekdays(found["week"] or ""),
        ]
    except ValueError:
        raise FleetError(
            f"on_calendar {on_calendar!r} cannot be put in cron's terms, and no systemd runs on this host. "
            "Take one as 'Mon..Fri 03:30', or give the schedule's five fields as cron."
        ) from None
    if fields[2] != "*" and fields[4] != "*":
        # cron would run on either of them.
        raise FleetError(
            f"on_calendar {on_calendar!r} wants a weekday and a day of the month; cron runs on either. Leave out one."
        )
    return " ".join(fields)


def check_cron(fields: str) -> str:
    """Return cron's fields. FleetError where they are none."""
    if not _CRON.fullmatch(fields.strip()):
        raise FleetError(f"wanted cron's five fields, as '30 3 * * 1-5', found {fields!r}.")
    return " ".join(fields.split())


def _numbers(text: str, lowest: int, highest: int) -> str:
    """Return a field of cron for numbers as systemd writes them: lists, ranges with two dots, steps from a start."""
    return ",".join(_one(part, lowest, highest) for part in text.split(","))


def _one(text: str, lowest: int, highest: int) -> str:
    found = _PART.fullmatch(text)
    if found is None:
        raise ValueError(text)
    start, kind, end = found.groups()
    if any(not lowest <= int(number) <= highest for number in (start, end) if number and number != "*"):
        raise ValueError(text)
    if kind == "/":
        first = lowest if start == "*" else int(start)
        return f"{first}-{highest}/{int(end)}"
    if kind:
        return f"{int(start)}-{int(end)}"
    return "*" if start == "*" else str(int(start))


def _weekdays(text: str) -> str:
    """Return a field of cron for weekdays, by their English names or the first three letters of them."""
    if not text:
        return "*"
    return ",".join("-".join(str(_weekday(end)) for end in part.split("..")) for part in text.split(","))


def _weekday(name: str) -> int:
    return _DAYS.index(name[:3].lower())
