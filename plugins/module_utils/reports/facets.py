# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By what the page's parts are chosen: model, engine, profile, host, whether it is simulated, and time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ansible_collections.inference.fleet.plugins.module_utils.evaluations.kept import Told
from ansible_collections.inference.fleet.plugins.module_utils.reports.places import Places
from ansible_collections.inference.fleet.plugins.module_utils.results import words
from ansible_collections.inference.fleet.plugins.module_utils.results.series import Document, Series, engine, profile


class Facet(NamedTuple):
    """What a part of the page is of. What it does not tell is empty."""

    model: str
    engine: str
    profile: str
    host: str
    simulated: bool


class Facets:
    """All that the parts of a page are of, each once, in the order of the series."""

    def __init__(self, every: Iterable[Series], evaluations: Iterable[Told], hosts: Iterable[tuple[str, bool]]) -> None:
        self._places = Places()
        self._of_host: dict[tuple[str, bool], list[int]] = {}
        for item in every:
            self._place(Facet(item.subject.model, item.subject.engine, item.subject.profile, *_host(item.subject)))
        for told in evaluations:
            self._place(_evaluated(told.document))
        for host, simulated in hosts:
            # Nothing else is known of a host that was tested, or to be measured, and has no run.
            if (host, simulated) not in self._of_host:
                self._place(Facet("", "", "", host, simulated))

    def _place(self, facet: Facet) -> int:
        if facet not in self._places:
            self._of_host.setdefault((facet.host, facet.simulated), []).append(self._places.place(facet))
        return self._places[facet]

    def of_runs(self, runs: Sequence[Document]) -> Any:
        """Return the attributes of a part that is made of runs."""
        return _attributes(map(self.place_of, runs), [run["started_at"] for run in runs])

    def of_series(self, listed: Iterable[Series]) -> Any:
        """Return the attributes of a part that is made of all runs of some series."""
        listed = list(listed)
        moments = [run["started_at"] for item in listed for run in (item.runs[0], item.latest)]
        return _attributes(map(self.place, listed), moments)

    def place(self, item: Series) -> int:
        """Return the place of what a series is of."""
        of = item.subject
        return self._place(Facet(of.model, of.engine, of.profile, *_host(of)))

    def place_of(self, run: Document) -> int:
        """Return the place of what a run is of."""
        return self._place(Facet(run["model"]["id"], engine(run), profile(run), run["host"], run["simulated"]))

    def of_evaluation(self, document: Document) -> Any:
        """Return the attributes of a part that is an evaluation."""
        return _attributes([self._place(_evaluated(document))], [document["started_at"]])

    def of_host(self, host: str, simulated: bool, moment: str | None = None) -> Any:
        """Return the attributes of a part that is of a host, whatever it serves."""
        places = self._of_host.get((host, simulated)) or [self._place(Facet("", "", "", host, simulated))]
        return _attributes(places, [moment] if moment else [])

    def data(self, unwell: Iterable[tuple[str, bool]]) -> dict[str, Any]:
        """Return what the script chooses by; *unwell* hosts are counted again of those that are chosen."""
        shown = {
            "model": words.clean,
            "engine": lambda name: words.engine(words.clean(name)),
            "profile": lambda name: words.profile(words.clean(name)),
            "host": words.clean,
        }
        return {
            "facets": [[*map(words.clean, facet[:-1]), facet.simulated] for facet in self._places],
            # [value, what it is called] of each choice.
            "choices": {
                name: [
                    [words.clean(value), str(word(value))]
                    for value in sorted({getattr(facet, name) for facet in self._places} - {""})
                ]
                for name, word in shown.items()
            },
            "unwell": [[words.clean(host), simulated] for host, simulated in unwell],
        }


def _host(of: Any) -> tuple[str, bool]:
    return of.host, of.simulated


def _evaluated(document: Document) -> Facet:
    model, found = document["model"], document["engine"]
    name = model.get("id") or model["served_model_name"]
    where = found.get("profile") or document["hardware"]["profile"]
    return Facet(name, found.get("name") or "", where, document["host"], document["simulated"])


def _attributes(places: Iterable[int], moments: Sequence[str]) -> Any:
    """Return the attributes that the script reads: places of facets, and the first and the last second."""
    from markupsafe import Markup

    of = " ".join(map(str, sorted(set(places))))
    seconds = sorted(round(words.parse_time(moment).timestamp()) for moment in moments)
    at = f' data-at="{seconds[0]} {seconds[-1]}"' if seconds else ""
    return Markup(f' data-of="{of}"{at}')
