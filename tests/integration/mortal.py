# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests put before a daemon's command: it ends with them, however they end."""

# Of util-linux: the signal comes when the process that started the daemon is no more.
MORTAL = ("setpriv", "--pdeathsig", "TERM")
# For what heeds no other signal, such as unshare while its child runs.
MORTAL_BY_FORCE = ("setpriv", "--pdeathsig", "KILL")
