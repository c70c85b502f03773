# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's summary for the playbooks beside it: Ansible loads what stands here without being told."""

from __future__ import annotations

from ansible_collections.inference.fleet.plugins.callback import summary

DOCUMENTATION = summary.DOCUMENTATION


class CallbackModule(summary.CallbackModule):
    """The same, without a line in anybody's ansible.cfg."""

    CALLBACK_NEEDS_ENABLED = False
