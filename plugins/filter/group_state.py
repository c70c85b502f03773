# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the deployment of an engine group is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.plugin_utils import groups

DOCUMENTATION = r"""
name: group_state
version_added: "0.1.0"
short_description: Tell how far the deployment of an engine group is
author: inference.fleet contributors (@inference-fleet)
description:
  - Puts together what the role P(inference.fleet.engine#role) registered on each host of a group as C(engine_result).
options:
  _input:
    description: The hosts of the group, as in C(engine_group). There may be none.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of all hosts, which Ansible has under this name.
    type: dict
    required: true
  batch:
    description: The hosts that are in the play, C(ansible_play_batch).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Tell whether anything is to be done for the group
  ansible.builtin.debug:
    msg: "{{ (engine_group | inference.fleet.group_state(hostvars, ansible_play_batch)).differs }}"
"""

RETURN = r"""
_value:
  description:
    - Whether anything C(differs); the reasons for which all hosts start C(anew); what C(failed); whether the hosts go
      C(back); and whether the last stage is to be gone through again, as the head C(awaits) to serve.
  type: dict
"""


def group_state(names: Sequence[str], hostvars: Mapping[str, Any], batch: Collection[str]) -> dict[str, Any]:
    """Return it."""
    if not names:
        return {**groups.State()._asdict(), "back": False, "awaits": False}
    histories = {name: groups.history(hostvars[name].get("engine_result") or {}) for name in names if name in hostvars}
    stage, known = groups.now(names, histories, batch)
    return {**known._asdict(), "back": known.back, "awaits": groups.awaits(stage, known)}


class FilterModule:
    """The filter, under its name."""

    def filters(self) -> dict[str, Any]:
        """Return it."""
        return {"group_state": group_state}
