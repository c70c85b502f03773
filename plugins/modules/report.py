#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does the work on the control host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Write the report of a folder of benchmark results
version_added: "0.1.0"
description:
  - Reads every result document in a folder on the control host and writes one HTML page that needs nothing else - no
    network and no font. What a run was measured on is shown by a script in the page; its tables need none.
  - The same can be written as Markdown for a pull request or a chat, and as CSV for a spreadsheet.
  - Returns the latest run of each host, engine, model, profile and workload beside the published figures, as text.
  - No file holds a time but those of the documents. The same documents give the same files, and no change.
  - A file that cannot be read as a result document is named in a warning and left out. It is never changed or deleted.
  - The evaluations and acceptance tests beside the results are in it too, also where there are no others.
  - Where there is no document to report, the module fails and says what to run. In check mode it says so without
    failing, because the benchmark that would have come before it wrote nothing either.
options:
  results_dir:
    description:
      - Folder on the control host with the result documents, one C(*.json) file a run.
      - A relative path is relative to the current directory of C(ansible-playbook).
    type: path
    required: true
  path:
    description:
      - Where to write the page on the control host. Missing folders are made.
      - Default is C(report.html) in O(results_dir).
    type: path
  markdown_path:
    description:
      - Where to write the report as Markdown on the control host. Not written where it is not given.
      - It has the three answers of the page's first screen, and with O(markdown_whole) all tables instead.
      - It is short enough for a comment on GitHub (65536 characters). It says which sections it had to leave out.
    type: path
  markdown_whole:
    description: Whether the Markdown has all tables instead of the three answers.
    type: bool
    default: false
  csv_path:
    description:
      - Where to write the report as CSV on the control host. Not written where it is not given.
      - One row a run and point of its sweep, with every metric in full and its unit in the header.
    type: path
  rent_csv_path:
    description:
      - Where to write the table of what to rent as CSV on the control host. Not written where it is not given.
      - One row each load of a configuration, with the figures in full, why it is no measure, and the runs behind it.
    type: path
  json_path:
    description:
      - Where to write the three answers as JSON on the control host. Not written where it is not given.
    type: path
  show:
    description: Whether to print the table, and where the page is, as plain lines as well.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The difference of the page is that of its printed tables, not of its HTML.
  idempotent:
    support: full
    details: Another version of zlib on the control host may pack the same data in other bytes.
extends_documentation_fragment:
  - inference.fleet.attributes
  - inference.fleet.history
notes:
  - Runs on the control host and connects to no host, whatever host the task is for. In a play with several hosts,
    use C(run_once).
seealso:
  - module: inference.fleet.regressions
  - module: inference.fleet.benchmark
author: inference.fleet contributors (@inference-fleet)
"""

EXAMPLES = r"""
- name: Write the report and print its table
  inference.fleet.report:
    results_dir: results
    path: reports/index.html
    show: true
  delegate_to: localhost
  run_once: true

- name: Write the report for a pull request and for a spreadsheet as well
  inference.fleet.report:
    results_dir: results
    path: reports/index.html
    markdown_path: reports/report.md
    csv_path: reports/runs.csv
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
path:
  description: Absolute path of the page on the control host.
  returned: always
  type: str
  sample: /home/me/fleet/reports/index.html
markdown_path:
  description: Absolute path of the Markdown on the control host.
  returned: when O(markdown_path) is given
  type: str
csv_path:
  description: Absolute path of the CSV on the control host.
  returned: when O(csv_path) is given
  type: str
rent_csv_path:
  description: Absolute path of the table of what to rent on the control host.
  returned: when O(rent_csv_path) is given
  type: str
json_path:
  description: Absolute path of the JSON on the control host.
  returned: when O(json_path) is given
  type: str
results_dir:
  description: Absolute path of the folder that was read.
  returned: always
  type: str
  sample: /home/me/fleet/results
table:
  description:
    - The latest run of each series beside the published row and the ratio, as text at most 80 columns wide.
    - Of more than eight hosts with the same engine, profile and workload, the median, the fastest and the slowest.
  returned: when there is a document
  type: str
runs:
  description: How many result documents the report holds.
  returned: always
  type: int
  sample: 12
evaluations:
  description: How many models' evaluations the report holds, the last of each by each benchmark.
  returned: always
  type: int
  sample: 2
series:
  description: How many different combinations of host, engine, model, profile and workload.
  returned: always
  type: int
  sample: 3
simulated:
  description: How many of the runs are simulated.
  returned: always
  type: int
  sample: 0
absent:
  description:
    - The hosts of O(hosts) that were not measured and are not acknowledged, as M(inference.fleet.regressions) returns
      them.
  returned: always
  type: list
  elements: dict
damaged:
  description: The files that were left out.
  returned: always
  type: list
  elements: dict
  contains:
    file:
      description: Name of the file in RV(results_dir).
      type: str
      sample: 20261123T153000Z-gpu1-0a1b2c.json
    reason:
      description: Why it is no result document.
      type: str
      sample: the file is empty
msg:
  description: Why there is no report.
  returned: when there is no document
  type: str
"""
