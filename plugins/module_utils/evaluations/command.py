# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be evaluated, and the command lines of it. Pure functions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.evaluations.suites import EXECUTABLES, INSPECT, Suite

# A request is tried so often again; then its sample has failed. Seconds for one answer.
RETRIES, ANSWER_SECONDS = 5, 1800
# The tries again of a sample that failed, before the run is over.
SAMPLE_RETRIES = 1
# An endpoint without a key still gets one: clients refuse to start without.
_NO_KEY = "none"


@dataclass(frozen=True)
class Endpoint:
    """A model behind a URL, which has no C(/v1)."""

    url: str
    served_model_name: str
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Plan:
    """What is asked for. *user* is the model that plays the user; None where the benchmark has none.

    *limit* is how many samples, 0 for all; *trials* how often each is run. *args* are the task's own options.
    """

    suite: Suite
    endpoint: Endpoint
    user: Endpoint | None
    limit: int = 0
    trials: int = 1
    seed: int | None = None
    concurrency: int = 8
    message_limit: int | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    extra_args: tuple[str, ...] = ()
    image: str | None = None

    def __post_init__(self) -> None:
        for name, least in (("limit", 0), ("trials", 1), ("concurrency", 1)):
            if getattr(self, name) < least:
                raise FleetError(f"{name}: wanted {least} or more, found {getattr(self, name)}")
        if self.message_limit is not None and self.message_limit < 2:
            raise FleetError(f"message_limit: wanted 2 or more, found {self.message_limit}")

    def place(self, served: Any) -> str:
        """Return the name of what a run of this plan leaves; another is only taken up by the same.

        *served* tells what answers, such as the engine's container: with another one it is another run.
        """
        return hashlib.sha256(json.dumps([self.as_dict(), served], sort_keys=True).encode()).hexdigest()[:16]

    def as_dict(self) -> dict[str, Any]:
        """Return what makes two runs the same question."""
        return {
            "benchmark": self.suite.name,
            "endpoint": [self.endpoint.url, self.endpoint.served_model_name],
            "user": [self.user.url, self.user.served_model_name] if self.user else None,
            "limit": self.limit,
            "trials": self.trials,
            "seed": self.seed,
            "message_limit": self.message_limit,
            "args": dict(self.args),
            "extra_args": list(self.extra_args),
            "image": self.image,
        }

    def task_args(self) -> dict[str, str]:
        """Return the options of the task itself, as text."""
        args = dict(self.suite.options)
        if self.suite.has_user and self.message_limit and self.suite.harness == INSPECT:
            args["message_limit"] = str(self.message_limit)
        return args | {
            name: value if isinstance(value, str) else json.dumps(value) for name, value in self.args.items()
        }


def start(plan: Plan, directory: str, bin_dir: str) -> list[str]:
    """Return the command line that begins a run, whose log it leaves in *directory*."""
    program = f"{bin_dir}/{EXECUTABLES[plan.suite.harness]}"
    return [program, *(_inspect(plan, directory) if plan.suite.harness == INSPECT else _openbench(plan, directory))]


def again(plan: Plan, log: str, directory: str, bin_dir: str) -> list[str]:
    """Return the command line that goes on with the run of *log*: samples that it has are not run again."""
    if plan.suite.harness != INSPECT:
        program = f"{bin_dir}/{EXECUTABLES[plan.suite.harness]}"
        return [program, "eval-retry", log, "--log-dir", directory, *_openbench_common(plan)]
    return [
        *(f"{bin_dir}/inspect", "eval-retry", log, "--log-dir", directory, "--max-samples", str(plan.concurrency)),
        *("--max-connections", str(plan.concurrency), *_COMMON),
    ]


# Each sample is in the log as soon as it is done; the raw requests would make it ten times as large.
_COMMON = (
    *("--log-buffer", "1", "--no-log-model-api", "--ctl-server", "false", "--display", "plain"),
    *("--max-retries", str(RETRIES), "--timeout", str(ANSWER_SECONDS)),
    # A sample that fails ends no other one; the run then ends as failed.
    "--continue-on-fail",
)


def _extent(plan: Plan, message_limit: int | None) -> list[str]:
    """Return what of a benchmark is run, in words that both harnesses take."""
    words = []
    if plan.limit:
        words += ["--limit", str(plan.limit)]
    if plan.trials > 1:
        words += ["--epochs", str(plan.trials)]
    if plan.seed is not None:
        words += ["--seed", str(plan.seed)]
    if message_limit:
        words += ["--message-limit", str(message_limit)]
    for name, value in plan.task_args().items():
        words += ["-T", f"{name}={value}"]
    return words


def _inspect(plan: Plan, directory: str) -> list[str]:
    suite = plan.suite
    task = f"{directory.rpartition('/')[0]}/{suite.task}.py@{suite.name}" if suite.runs_code else suite.task
    words = ["eval", task, "--model", f"openai-api/fleet/{plan.endpoint.served_model_name}"]
    if plan.user:
        words += ["--model-role", f"user=openai-api/user/{plan.user.served_model_name}"]
    words += _extent(plan, None if suite.has_user else plan.message_limit)
    words += ["--max-samples", str(plan.concurrency), "--max-connections", str(plan.concurrency)]
    words += ["--retry-on-error", str(SAMPLE_RETRIES)]
    return [*words, *_COMMON, "--log-dir", directory, *plan.extra_args]


def _openbench(plan: Plan, directory: str) -> list[str]:
    words = ["eval", plan.suite.task, "--model", f"openai/{plan.endpoint.served_model_name}"]
    # Its own option: with -M base_url=, openbench 0.5.3 gives the URL twice, and ends.
    words += ["--model-base-url", f"{plan.endpoint.url}/v1"]
    if plan.user:
        words += ["-T", f"user_model=openai-api/user/{plan.user.served_model_name}"]
    if plan.suite.task.startswith("tau_bench"):
        words += ["--alpha"]
    words += _extent(plan, plan.message_limit)
    return [*words, *_openbench_common(plan), "--display", "plain", "--log-dir", directory, *plan.extra_args]


def _openbench_common(plan: Plan) -> list[str]:
    return [
        *("--max-connections", str(plan.concurrency), "--log-buffer", "1", "--retry-on-error", str(SAMPLE_RETRIES)),
        # It would ask an endpoint that is gone for ever; a sample that fails ends no other one.
        *("--max-retries", str(RETRIES), "--timeout", str(ANSWER_SECONDS), "--no-fail-on-error"),
    ]


def environment(plan: Plan, directory: str, docker_host: str) -> dict[str, str]:
    """Return what the harness reads from its environment: keys are in no command line."""
    found = {
        "FLEET_BASE_URL": f"{plan.endpoint.url}/v1",
        "FLEET_API_KEY": plan.endpoint.api_key or _NO_KEY,
        "OPENAI_API_KEY": plan.endpoint.api_key or _NO_KEY,
        # What it keeps of a run beside the log goes with the run.
        "XDG_DATA_HOME": f"{directory}/data",
        "INSPECT_DISPLAY": "plain",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    if plan.user:
        found |= {"USER_BASE_URL": f"{plan.user.url}/v1", "USER_API_KEY": plan.user.api_key or _NO_KEY}
    if plan.suite.runs_code:
        found |= {"FLEET_SANDBOX_IMAGE": plan.image or "", "DOCKER_HOST": docker_host}
    return found
