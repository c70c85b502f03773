#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does the work on the control host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: metrics_textfile
short_description: Write the last benchmark of each host for Prometheus
version_added: "0.1.0"
description:
  - Reads every result document in a folder on the control host, and writes the last run of each host, profile, engine,
    model and workload as a textfile for node_exporter, with its figures, its time, its gates and its regressions; and
    the last evaluation of each model, with its score and the score's interval.
  - The file is replaced in one step, and only where its content changed.
  - C(docs/history.md) in the collection lists the metrics.
options:
  results_dir:
    description: Folder on the control host with the result documents, one C(*.json) file a run.
    type: path
    required: true
  path:
    description:
      - Where to write the file on the control host, in the folder that node_exporter was given as
        C(--collector.textfile.directory). Its name ends in C(.prom).
    type: path
    required: true
  regressions:
    description: What M(inference.fleet.regressions) returned as RV(inference.fleet.regressions#module:regressions).
    type: list
    elements: dict
    default: []
  absent:
    description: What it returned as RV(inference.fleet.regressions#module:absent).
    type: list
    elements: dict
    default: []
  worse:
    description: What it returned as RV(inference.fleet.regressions#module:worse).
    type: list
    elements: dict
    default: []
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
extends_documentation_fragment:
  - inference.fleet.attributes
notes:
  - Runs on the control host and connects to no host, whatever host the task is for. In a play with several hosts,
    use C(run_once).
seealso:
  - module: inference.fleet.regressions
author: inference.fleet contributors (@inference-fleet)
"""

EXAMPLES = r"""
- name: Look for regressions
  inference.fleet.regressions:
    results_dir: results
    fail: false
  register: looked
  delegate_to: localhost
  run_once: true

- name: Write the last runs for node_exporter
  inference.fleet.metrics_textfile:
    results_dir: results
    path: /var/lib/prometheus/node-exporter/inference_fleet.prom
    regressions: "{{ looked.regressions }}"
    worse: "{{ looked.worse }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
path:
  description: Absolute path of the file on the control host.
  returned: success
  type: str
  sample: /var/lib/prometheus/node-exporter/inference_fleet.prom
runs:
  description: How many result documents were read.
  returned: success
  type: int
  sample: 1000
"""
