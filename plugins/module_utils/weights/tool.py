# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that downloads weights: huggingface_hub, installed once on a host in a virtual environment of its own."""

# Runs outside modules too, where there is no run_command.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.weights.told import Say, Waiting

TOOL = "huggingface_hub>=1.0,<3"
# Seconds: how long another program may hold the package manager's lock, and how long a program runs unsaid.
APT_LOCK_TIMEOUT = 900
TELL_EVERY = 25
_RUN_TIMEOUT = 900
# What a user sets for an engine, and its weights' download, holds for the installation of what downloads them: proxies,
# certificates, and pip's own variables, such as PIP_INDEX_URL.
_HEEDED = re.compile(r"\w+_PROXY|\w+_proxy|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE|PIP_\w+")
# apt says it in the user's language, unless it is asked in none.
_LOCKED = re.compile(r"Could not get lock|Unable to (?:acquire|lock)|is another process using it")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


class ToolError(FleetError):
    """The program that downloads cannot be had on this host."""


def python(directory: Path, environment: Mapping[str, str], say: Say) -> Path:
    """Return the Python that has huggingface_hub; install it at the first time.

    *environment* are the engine's variables, of which proxies, certificates and pip's are heeded, before this
    process's own.
    """
    found, marker = directory / "bin" / "python", directory / f".{re.sub('[^a-z0-9.]', '-', TOOL)}"
    directory.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with directory.with_name(f"{directory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # The marker is made last, so an installation that was cut off is made anew.
        if not marker.exists():
            variables = _environment(environment)
            say("installing huggingface_hub, which downloads weights")
            _have_ensurepip(variables, say)
            _run(
                [sys.executable, "-m", "venv", "--clear", str(directory)], "make a virtual environment", variables, say
            )
            _run(
                [str(found), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", TOOL],
                "install huggingface_hub from the host's Python package index",
                variables,
                say,
                "Set proxy or index in environment (HTTPS_PROXY, PIP_INDEX_URL), or in the host's /etc/pip.conf.",
            )
            marker.touch()
    return found


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an installation; apt reads those of proxies in small letters only."""
    heeded = {name: value for name, value in given.items() if _HEEDED.fullmatch(name)}
    variables = {**os.environ, **heeded}
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        value = heeded.get(name.lower()) or heeded.get(name) or variables.get(name.lower()) or variables.get(name)
        if value:
            variables[name] = variables[name.lower()] = value
    return {**variables, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}


def _have_ensurepip(variables: Mapping[str, str], say: Say) -> None:
    """Have what a virtual environment is made with, which Debian packages on its own."""
    if subprocess.run([sys.executable, "-c", "import ensurepip"], capture_output=True, check=False).returncode == 0:
        return
    install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", "python3-venv"]
    try:
        apt(install, "install python3-venv", variables, say)
    except ToolError:
        apt(["apt-get", "update", "-qq"], "read the host's package lists", variables, say)
        apt(install, "install python3-venv", variables, say)


def apt(argv: Sequence[str], what: str, variables: Mapping[str, str], say: Say) -> None:
    """Run apt-get; while another program has its lock, as after a boot, wait and say so."""
    started, waiting = time.monotonic(), Waiting(say)
    while True:
        try:
            _run(argv, what, variables, say)
            return
        except ToolError as error:
            waited = time.monotonic() - started
            if not _LOCKED.search(str(error)):
                raise
            if waited > APT_LOCK_TIMEOUT:
                raise ToolError(
                    f"{error} Another program has held it for {waited:.0f} s. See who: "
                    "fuser -v /var/lib/dpkg/lock-frontend."
                ) from error
            waiting.tell("waiting for another program that installs packages")
            time.sleep(1)


def _run(argv: Sequence[str], what: str, variables: Mapping[str, str], say: Say, remedy: str = "") -> None:
    waiting, deadline = Waiting(say), time.monotonic() + _RUN_TIMEOUT
    try:
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(variables)
        ) as process:
            try:
                output, errors = _communicate(process, lambda: waiting.tell(f"still at it: {what}"), deadline)
            except BaseException:
                process.kill()
                raise
    except (OSError, TimeoutError) as error:
        raise ToolError(f"Could not {what}: {error}. {remedy}".strip()) from error
    if process.returncode:
        lines = [line for line in (errors or output).splitlines() if line.strip()]
        # Of several lines of apt, the one that names a lock is the reason.
        last = next(filter(_LOCKED.search, lines), lines[-1] if lines else f"exit code {process.returncode}")
        raise ToolError(f"Could not {what}: {_CREDENTIALS.sub('***@', last.strip())}. {remedy}".strip())


def _communicate(process: subprocess.Popen[str], tell: Callable[[], None], deadline: float) -> tuple[str, str]:
    """Wait for a program to end; tell that it is waited for, after a while."""
    while True:
        try:
            return process.communicate(timeout=TELL_EVERY)
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise TimeoutError(f"it took longer than {_RUN_TIMEOUT} s") from None
            tell()
