# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of models. The catalogue is one YAML file a model, beside this: only the controller reads it.

Ansible sends a host Python and no data: the controller hands a host the facts of the model that it is to serve
(:mod:`.model`). What the catalogue does not have is computed from a model's own files (:mod:`.architecture`).
"""
