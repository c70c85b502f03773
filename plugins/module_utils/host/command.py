# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program that may be missing or may hang. What comes of it is data, never an exception."""

# Runs outside modules too, where there is no run_command.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence

# (exit code, standard output, standard error) of a command.
RunCommand = Callable[[Sequence[str]], "tuple[int, str, str]"]

# As in a shell.
NOT_FOUND = 127
NOT_EXECUTABLE = 126
TIMED_OUT = 124

# sudo's PATH, or that of a service, may lack these.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def search_path() -> str:
    """Return PATH with the system's own directories in it."""
    return os.pathsep.join(item for item in (os.environ.get("PATH"), _PATH) if item)


def run(argv: Sequence[str], timeout: float = 20) -> tuple[int, str, str]:
    """Return exit code, output and error output of a command, in the C locale.

    A driver in trouble can hang nvidia-smi for good: after *timeout* seconds the command is killed,
    which gives exit code 124. A missing program gives 127.
    """
    environment = dict(os.environ, LC_ALL="C", PATH=search_path())
    try:
        done = subprocess.run(
            list(argv), capture_output=True, check=False, env=environment, stdin=subprocess.DEVNULL, timeout=timeout
        )
    except FileNotFoundError:
        return NOT_FOUND, "", f"{argv[0]}: not found"
    except OSError as error:
        return NOT_EXECUTABLE, "", f"{argv[0]}: {error.strerror}"
    except subprocess.TimeoutExpired:
        return TIMED_OUT, "", f"{argv[0]} did not answer within {timeout:g} s"
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
