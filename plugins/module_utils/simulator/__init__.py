# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that answers like an engine, as fast as a published row. Nothing measured on it is a measurement.

The package has no dependency: its files are copied as they are into an image with a Python of the host.
"""

from __future__ import annotations
