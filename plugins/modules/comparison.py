#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does the work on the control host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: comparison
short_description: Plan a comparison of engines, note what failed in it, and show what it showed
version_added: "0.1.0"
description:
  - The part of the role P(inference.fleet.compare#role) that the control host does. It connects to no host.
  - What is done of a comparison is in its result documents, each of which names its turn, and in one file a host in
    C(comparisons) of O(results_dir). So one that was cut off goes on where it was.
author: inference.fleet contributors (@inference-fleet)
extends_documentation_fragment: inference.fleet.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  state:
    description:
      - V(planned) says which turns are left and what they take, and begins the comparison, or goes on with one of the
        same variants, rounds and workload that is not over. In check mode it begins none.
      - V(noted) keeps why a turn has no result.
      - V(finished) notes that a comparison is over, where no turn is left. Until then the next run goes on with it.
      - V(reported) prints tables, verdicts and what to choose, for all hosts of O(paths) together.
    type: str
    choices: [planned, noted, reported, finished]
    required: true
  results_dir:
    description: Folder on the control host with the result documents.
    type: path
    required: true
  id:
    description: With V(planned), the name of a comparison that begins.
    type: str
  slot:
    description: With V(planned), the engine's place on the host.
    type: str
  variants:
    description: With V(planned), a list of dictionaries, each a C(name) and options of M(inference.fleet.engine).
    type: raw
  rounds:
    description: How often each variant takes a turn.
    type: int
    default: 2
  first:
    description: The variant that begins, counted from 0. Hosts that begin with different ones have less in common.
    type: int
    default: 0
  looks:
    description:
      - With V(planned), for each variant what M(inference.fleet.engine) returns with C(state=prefetched) in check mode.
    type: list
    elements: dict
    default: []
  serves:
    description: Whether something serves in the slot now.
    type: bool
    default: false
  keep:
    description: What is to serve afterwards.
    type: str
    choices: [before, winner, none]
    default: before
  abandon:
    description: Whether a comparison that is not over is given up. What was measured stays, and is reported.
    type: bool
    default: false
  path:
    description: With V(noted) and V(finished), the file of the host's comparison.
    type: path
  variant:
    description: With V(noted), the variant.
    type: str
  round:
    description: With V(noted), the round.
    type: int
  stage:
    description: With V(noted), where it failed. One that did not start takes no further turn.
    type: str
    choices: [start, measure]
    default: start
  cause:
    description: With V(noted), why.
    type: str
  paths:
    description: With V(reported), the files of the comparisons.
    type: list
    elements: path
    default: []
  markdown_path:
    description: With V(reported), where to write the same as Markdown.
    type: path
seealso:
  - module: inference.fleet.benchmark
  - module: inference.fleet.engine_pause
"""

EXAMPLES = r"""
- name: Show again what a comparison showed
  inference.fleet.comparison:
    state: reported
    results_dir: results
    paths: [results/comparisons/20261126T090000Z-a1b2c3-gpu1-8000.progress]
    markdown_path: comparison.md
"""

RETURN = r"""
turns:
  description: The turns that are left, each a C(variant) and a C(round).
  returned: with V(planned)
  type: list
  elements: dict
lines:
  description: The plan as it was printed.
  returned: with V(planned)
  type: list
  elements: str
seconds:
  description: About how long the turns take.
  returned: with V(planned)
  type: int
cost_usd:
  description: What that costs in US dollars, where a price is known.
  returned: with V(planned)
  type: float
table:
  description: Tables, verdicts and what to choose, as text.
  returned: with V(reported)
  type: str
sentences:
  description: The verdicts, and what to choose.
  returned: with V(reported)
  type: list
  elements: str
winners:
  description: By host, the variant whose output is better than that of every other; empty where none is.
  returned: with V(reported)
  type: dict
"""
