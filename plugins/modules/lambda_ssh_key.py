#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does the work on the control host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lambda_ssh_key
version_added: "0.1.0"
short_description: Bring about an SSH key of a Lambda Cloud account
author: inference.fleet contributors (@inference-fleet)
description:
  - Adds a public key to the account, or removes one. The private key stays where it is.
  - The API cannot change a key. A name that has another one is refused.
extends_documentation_fragment:
  - inference.fleet.attributes
  - inference.fleet.lambda_cloud
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  name:
    description: The key's name in the account.
    type: str
    required: true
  state:
    description: Whether the account has it.
    type: str
    choices: [present, absent]
    default: present
  public_key:
    description: The public key.
    type: str
  public_key_file:
    description: A file on the control host that holds it.
    type: path
seealso:
  - module: inference.fleet.lambda_instance
"""

EXAMPLES = r"""
- name: Add the laptop's key
  inference.fleet.lambda_ssh_key:
    name: laptop
    public_key_file: ~/.ssh/id_ed25519.pub
  run_once: true
"""

RETURN = r"""
ssh_key:
  description: The key, with C(id), C(name) and C(public_key). None where there is none.
  returned: success
  type: dict
"""
