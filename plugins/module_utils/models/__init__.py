# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection knows of models. Add a model: write its file here and name it in ``_MODELS``."""

from __future__ import annotations

from ansible_collections.inference.fleet.plugins.module_utils.models import qwen3_coder_next
from ansible_collections.inference.fleet.plugins.module_utils.models.model import Model

_MODELS = (qwen3_coder_next.MODEL,)


def model(model_id: str) -> Model:
    """Return what is known of a model; an unknown one has no needs and no tool call parser."""
    for known in _MODELS:
        if known.id == model_id:
            return known
    return Model(id=model_id)
