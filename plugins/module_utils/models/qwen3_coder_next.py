# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Qwen3-Coder-Next: 80B parameters, 3B active, BF16 weights of about 160 GB."""

from __future__ import annotations

from ansible_collections.inference.fleet.plugins.module_utils.models.model import Model

# GPU counts: Lambda's inference page of the model. "a100" is the 80 GB card; four of 40 GB do not hold it.
MODEL = Model(
    id="Qwen/Qwen3-Coder-Next",
    tool_call_parser="qwen3_coder",
    gpus={"b200": 2, "h100": 4, "a100": 4},
    weights_gib=149,
    trust_remote_code=True,
)
