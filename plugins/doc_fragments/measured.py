# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that the modules which measure an endpoint share."""

from __future__ import annotations


class ModuleDocFragment:
    """Which endpoint is measured, and what is known of it."""

    DOCUMENTATION = r"""
options:
  url:
    description: The endpoint, without C(/v1), as the host reaches it.
    type: str
    default: http://127.0.0.1:8000
  served_model_name:
    description: What requests call the model.
    type: str
    default: qwen3-coder-next
  engine:
    description: What serves, as an item of RV(inference.fleet.engine_info#module:engines). It goes into the document.
    type: dict
  hardware:
    description: The host, as RV(inference.fleet.host_info#module:host). It goes into the document.
    type: dict
  run_host:
    description: The host's name in the document. The inventory name where it is not given.
    type: str
  progress_file:
    description: File on the host to which plain progress lines are appended.
    type: path
"""
