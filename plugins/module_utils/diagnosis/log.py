# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How to read one engine's log: what it knows of itself, before what all have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ansible_collections.inference.fleet.plugins.module_utils.diagnosis import exceptions, host, lines
from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.cause import Cause, find
from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.exceptions import Raised
from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.phase import Phase, Phases

# What one process says when another has failed.
_ECHOES = (
    r"(?i)see (?:the )?(?:root cause|stack trace|logs?|traceback)\b.*(?:above|root cause)?",
    r"(?i)^(?:KeyboardInterrupt|SystemExit|asyncio\.(?:exceptions\.)?CancelledError|CancelledError|GeneratorExit)\b",
    r"(?i)^(?:EOFError|BrokenPipeError|ConnectionResetError)\b",
    r"(?i)connection (?:was )?(?:closed|reset) by (?:the )?(?:remote )?peer|remote process exited",
)


@dataclass(frozen=True)
class Log:
    """What is known of an engine's log.

    C(phases) tell how far a start is. C(causes) explain its failures, the first that fits being taken. Lines that match
    one of C(harmless) are in the log of starts that succeed too; exceptions that match one of C(echoes) only say that
    another process failed.
    """

    phases: Phases = field(default_factory=Phases)
    causes: tuple[Cause, ...] = ()
    harmless: tuple[str, ...] = ()
    echoes: tuple[str, ...] = ()

    def phase(self, line: str) -> Phase | None:
        """Return what a line of the log says of how far a start is."""
        return self.phases.read(line)

    def explain(self, log: str, exit_code: int | None = None, oom_killed: bool = False) -> str | None:
        """Return the cause of a failed start in a sentence without its full stop; None where the log tells nothing.

        *oom_killed* is the daemon's word that the kernel killed the process for memory.
        """
        if oom_killed:
            return "the host ran out of memory, and the kernel killed the engine"
        said = lines.without(lines.read(log), self.harmless)
        ranked = exceptions.first_to_fail(exceptions.raised(said), (*_ECHOES, *self.echoes))
        known = self._known(ranked, said)
        if known:
            return known
        if exit_code == 137:
            return "the engine was killed (exit code 137), most often for memory: see dmesg on the host"
        return _unknown(ranked, said)

    def _known(self, ranked: Sequence[Raised], said: Iterable[lines.Line]) -> str | None:
        """Return a known cause: of the exception that is nearest to it, else of the lines that are no mere news."""
        causes = (*self.causes, *host.CAUSES)
        for item in ranked:
            found = find(causes, item.whole)
            if found:
                return found
        return find(causes, "\n".join(line.text for line in said if line.level not in lines.QUIET))


def _unknown(ranked: Sequence[Raised], said: Iterable[lines.Line]) -> str | None:
    if ranked:
        failed = ranked[0]
        where = f" in {re.sub(' pid=.*', '', failed.process)}" if failed.process else ""
        return f"its cause is not one that is known here; what failed first{where} was {failed.quoted()!r}"
    grave = next((line.text.strip() for line in said if line.level in ("ERROR", "CRITICAL")), None)
    return f"its cause is not one that is known here; its first error was {grave[:300]!r}" if grave else None


def explain(text: str) -> str | None:
    """Return the cause that Docker's own words tell, in a sentence without its full stop."""
    return find(host.CAUSES, text)
