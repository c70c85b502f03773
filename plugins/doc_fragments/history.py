# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the modules that tell what changed in a history."""

from __future__ import annotations


class ModuleDocFragment:
    """What counts as a change, and which hosts were to be measured: one rule for all of them."""

    DOCUMENTATION = r"""
options:
  acknowledged_file:
    description:
      - YAML or JSON file on the control host with a list of changes that are known and accepted, each as an item of
        O(acknowledged). What is accepted is shown as such, after the others.
      - Default is C(acknowledged.yml) in O(results_dir), where there is one.
    type: path
  acknowledged:
    description:
      - Changes that are known and accepted, besides those of O(acknowledged_file). They are no regressions, and later
        runs are compared with what is since.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: The host, or a pattern such as V(gpu*).
        type: str
        required: true
      since:
        description:
          - The run with which it began, or its day, as V(2026-11-23). A run or two beside it will do.
          - Needed for O(acknowledged[].kind=step) and O(acknowledged[].kind=worse), and for no other.
        type: str
      metric:
        description:
          - The figure, as V(output_throughput), or, of a model that scores worse, the benchmark, as V(tau2_retail). All
            of them where it is not given.
        type: str
      kind:
        description:
          - What is accepted - a step in the host's own history, that it is slower than its siblings, that it is slow in
            disturbed runs, that it is not measured, that it did not pass its acceptance test (that whose run id is
            O(acknowledged[].since), or any), or that its model scores worse than it did.
        type: str
        choices: [step, siblings, disturbed, absent, sick, worse]
        default: step
      reason:
        description: Why it is accepted.
        type: str
        required: true
  minimum_change:
    description:
      - The figures to watch, each with the smallest change in per cent that counts.
    type: dict
    default:
      output_throughput: 1.5
      mean_ttft_ms: 5.0
      p99_ttft_ms: 10.0
      mean_tpot_ms: 1.5
      mean_itl_ms: 1.5
  confirm:
    description: How many runs in a row must show a step.
    type: int
    default: 2
  max_age:
    description:
      - A host whose last run is older than that of the whole folder by more than so many days is no longer watched.
    type: int
    default: 30
  hosts:
    description:
      - The hosts that were to be measured, as those of a schedule. One without a run within O(expected_hours) is told
        of in RV(absent). Of a host whose variables in the inventory describe several engines, each was to be measured.
    type: list
    elements: str
    default: []
  expected_hours:
    description: Within how many hours before now each of O(hosts) was to be measured.
    type: int
    default: 26
  summaries:
    description:
      - JSON files on the control host that C(benchmark.yml) left at its end. They tell why a host was not measured. One
        that is not there is passed over.
    type: list
    elements: path
    default: []
"""
