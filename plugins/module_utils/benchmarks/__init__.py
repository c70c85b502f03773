# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Benchmark clients: one file each, the same workload in, the same measures out.

Every client is a module with

- C(NAME), C(DISTRIBUTION) (the Python package that has its version), C(EXECUTABLE), and C(MODULES) where it is a module
  of a Python interpreter,
- C(MANAGED_FLAGS): flags, in every spelling, that an option of the module sets, and which,
- C(argv), C(environment), C(files): what to run,
- C(requests_done): how far it is,
- C(load), C(parse), C(compact): what came of it.
"""

from __future__ import annotations

from types import ModuleType

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import aiperf, sglang, vllm

CLIENTS: dict[str, ModuleType] = {module.NAME: module for module in (vllm, sglang, aiperf)}
