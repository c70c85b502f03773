#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does the work on the control host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: regressions
short_description: Tell which hosts became slower, from a folder of benchmark results
version_added: "0.1.0"
description:
  - Reads every result document in a folder on the control host, and compares the latest runs of each host with its own
    earlier runs of the same profile, engine, model and workload, and with its siblings, the hosts that ran the same
    versions.
  - A regression is a step down that is larger than chance explains and than O(minimum_change), and that O(confirm) runs
    in a row show. It says which figure changed by how much, since which run, and what changed with it.
  - Simulated runs are compared with simulated ones only, and are marked.
  - Fails where there is a regression, or a host that was to be measured has no run. C(docs/history.md) in the
    collection says in full what counts as one.
options:
  results_dir:
    description:
      - Folder on the control host with the result documents, one C(*.json) file a run.
      - A relative path is relative to the current directory of C(ansible-playbook).
    type: path
    required: true
  webhook_url:
    description:
      - Where to send the regressions, as a POST with a JSON body of C(text), which chats such as Slack and Mattermost
        show, and C(regressions). Nothing is sent where there are none, nor in check mode.
      - One that cannot be reached is a warning, and hides no regression.
    type: str
  webhook_headers:
    description: Headers to send with it, such as one with a key.
    type: dict
    default: {}
  webhook_timeout:
    description: Seconds to wait for its answer. It is tried twice.
    type: int
    default: 10
  fail:
    description: Whether a regression fails the task.
    type: bool
    default: true
  show:
    description: Whether to print what was found as plain lines as well.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    details: Looks, and fails, as ever; sends nothing.
  diff_mode:
    support: none
  idempotent:
    support: full
    details: Changes nothing. The webhook is told each time.
extends_documentation_fragment:
  - inference.fleet.attributes
  - inference.fleet.history
requirements:
  - requests (on the control host, for O(webhook_url))
notes:
  - Runs on the control host and connects to no host, whatever host the task is for. In a play with several hosts,
    use C(run_once).
seealso:
  - module: inference.fleet.benchmark
  - module: inference.fleet.metrics_textfile
author: inference.fleet contributors (@inference-fleet)
"""

EXAMPLES = r"""
- name: Fail where a host became slower
  inference.fleet.regressions:
    results_dir: results
    show: true
  delegate_to: localhost
  run_once: true

- name: Watch the throughput alone, and tell a chat of what is below by 3 % or more
  inference.fleet.regressions:
    results_dir: results
    minimum_change:
      output_throughput: 3
    acknowledged:
      - host: gpu7
        since: 2026-11-05
        reason: its power limit is 500 W since then
    webhook_url: "{{ chat_webhook }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
regressions:
  description: What became slower and is not acknowledged.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description:
        - V(step) in the host's own history, V(siblings) where the others are faster, V(disturbed) where it is slow in
          runs that do not count.
      type: str
      sample: step
    subject: {description: Id of what was measured. Runs of one subject are compared., type: str, sample: 0a1b2c3d4e5f}
    host: {description: The host., type: str, sample: gpu7}
    slot: {description: "The engine's place on the host.", type: str, sample: "8000"}
    simulated: {description: Whether its runs are simulated., type: bool, sample: false}
    profile: {description: Its profile., type: str, sample: h100x4}
    engine: {description: The engine., type: str, sample: vllm}
    model: {description: The model., type: str, sample: Qwen/Qwen3-Coder-Next}
    workload: {description: The workload in words., type: str, sample: "8,192 in, 1,024 out, 512 prompts, 32 at once"}
    metric: {description: The figure., type: str, sample: output_throughput}
    unit: {description: Its unit., type: str, sample: tok/s}
    before: {description: What it was. Of V(siblings) it is their median., type: float, sample: 2143.7}
    now: {description: What it is., type: float, sample: 2015.1}
    change_percent: {description: The change in per cent of before., type: float, sample: -6.0}
    since_run: {description: The first run that shows it., type: str, sample: 20261105T020000Z-gpu7-0a1b2c}
    since: {description: When that run began., type: str, sample: "2026-11-05T02:00:00Z"}
    last_good_run:
      description: The run before it. None of V(siblings).
      type: str
      sample: 20261104T020000Z-gpu7-3d4e5f
    runs: {description: How many runs show it., type: int, sample: 4}
    changed:
      description: What changed between those two runs, each with C(what), C(before) and C(after).
      type: list
      elements: dict
      sample: [{what: driver, before: 570.124.06, after: 575.57.08}]
    sentence: {description: All of it in words., type: str}
acknowledged:
  description: What became slower and is acknowledged, as items of RV(regressions).
  returned: always
  type: list
  elements: dict
improved:
  description: Steps for the better, as items of RV(regressions).
  returned: always
  type: list
  elements: dict
absent:
  description:
    - Hosts of O(hosts) without a run, and engines without one of a host that was measured. Each has C(host), C(port),
      which is null where it is the whole host, C(since), the time of the last run, C(last_run), C(reason) and
      C(sentence); what is not known is null.
  returned: always
  type: list
  elements: dict
sick:
  description:
    - Hosts that did not pass their last test by M(inference.fleet.gpu_acceptance), which fails the task. Each has
      C(host), C(run_id) and C(sentence).
  returned: always
  type: list
  elements: dict
worse:
  description:
    - Models that score worse in M(inference.fleet.evaluation) than they did, which fails the task. Each has C(host),
      C(run_id), the C(subject) of the series, and C(sentence).
  returned: always
  type: list
  elements: dict
suspected:
  description: Last runs that look like a step, and are fewer than O(confirm).
  returned: always
  type: list
  elements: str
unused:
  description: Acknowledgements of changes that are not there.
  returned: always
  type: list
  elements: str
watched:
  description: How many series, of one host, profile, engine, model and workload each, were looked at.
  returned: always
  type: int
  sample: 40
young:
  description: How many of them have too few runs for a step to be found.
  returned: always
  type: int
  sample: 2
runs:
  description: How many result documents were read.
  returned: always
  type: int
  sample: 1000
damaged:
  description: Files that were left out, each with C(file) and C(reason).
  returned: always
  type: list
  elements: dict
results_dir:
  description: Absolute path of the folder that was read.
  returned: always
  type: str
  sample: /home/me/fleet/results
text:
  description: All that was found, as lines.
  returned: always
  type: str
webhook_sent:
  description: Whether the webhook took it.
  returned: when there is a regression and O(webhook_url)
  type: bool
msg:
  description: The regressions in short, or why there was nothing to look at.
  returned: when there is a regression, or no document
  type: str
"""
