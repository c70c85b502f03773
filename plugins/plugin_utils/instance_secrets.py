# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module engine gets apart from its option instances, which Ansible shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.serving.options import OPTIONS

SECRETS = tuple(option.name for option in OPTIONS if option.no_log and not option.per_host)


def without_secrets(instances: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the entries without their secrets, and these, so that Ansible hides them as it does any secret option."""
    secret = [{key: entry[key] for key in SECRETS if entry.get(key)} for entry in instances]
    return [{key: value for key, value in entry.items() if key not in SECRETS} for entry in instances], secret
