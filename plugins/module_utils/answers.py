# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How every module ends: with its result and warnings, or with the one message of its failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError


def answer(module: AnsibleModule, work: Callable[[], dict[str, Any]], **needed: ImportError | None) -> None:
    """Do a module's *work* and end the module with what it returns; ``warnings`` of that become Ansible's.

    *needed* are Python libraries by name, each with the error of its import, or None where it is there.
    """
    for library, error in needed.items():
        if error is not None:
            module.fail_json(msg=missing_required_lib(library), exception=str(error))
    try:
        result = work()
    except FleetError as error:
        module.fail_json(msg=str(error), **error.details)
    except PermissionError as error:
        module.fail_json(msg=f"the module works as root, and may not touch {error.filename}. Use become: true.")
    for warning in result.pop("warnings", ()):
        module.warn(warning)
    module.exit_json(**result)
