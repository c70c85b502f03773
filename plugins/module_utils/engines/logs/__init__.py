# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How each engine's log is read: its phases, the causes of its failures, and what in it is harmless.

Kept beside the engines' files and not in them: a look at an engine that serves needs none of it.
"""

from __future__ import annotations
