# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that the gateway's modules share."""

from __future__ import annotations


class ModuleDocFragment:
    """Where a gateway is on its host."""

    DOCUMENTATION = r"""
options:
  directory:
    description: The directory of the gateway's configuration, maps and clients.
    type: path
    default: /etc/inference-fleet-gateway
  run_directory:
    description: The directory of its sockets.
    type: path
    default: /run/inference-fleet-gateway
"""
