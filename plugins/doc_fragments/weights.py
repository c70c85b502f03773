# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the modules that bring weights from host to host."""

from __future__ import annotations


class ModuleDocFragment:
    """The weights, and the word that both sides know."""

    DOCUMENTATION = r"""
options:
  model:
    description: The model, by its name on the hub.
    type: str
    required: true
  revision:
    description: The revision, a branch, a tag or a commit. Without it, the hub's default.
    type: str
  cache_dir:
    description: The host's directory of weights. A leading V(~) and V(auto) are as for M(inference.fleet.engine).
    type: str
    default: ~/.cache/huggingface
  token:
    description: A word that the host which shares and those that take agree on, for this once.
    type: str
    required: true
"""
