# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This machine as a host behind a real sshd on loopback, whose connections can be lost.

The sshd runs with process ids and users of its own, so that root's home is a temporary one, and
everything that was started through it, detached or not, ends with it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import mortal
from debian_package import NotToBeHadError, unpacked

# sshd insists on this directory, on its own user, and on a password of root's that is not locked.
_EMPTY = Path("/run/sshd")
_USERS = "root:x:0:0:root:{home}:/bin/sh\nsshd:x:{user}:65534::/run/sshd:/usr/sbin/nologin\n"
_SSHD_USER = 64999
# The listener comes back by itself, unless the host is to be unreachable.
_START = """
mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/shadow" /etc/shadow || exit 1
while :; do
    while [ -e "$1/unreachable" ]; do sleep 0.05; done
    LD_LIBRARY_PATH="$2" "$3" -D -e -f "$1/sshd_config"
done
"""
_CONFIG = """
Port {port}
ListenAddress {address}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/client_key.pub
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
MaxStartups 100
Subsystem sftp internal-sftp
"""


class SshHost:
    """A host that Ansible reaches over SSH with ``variables``. Use it as a context manager.

    ``home`` is the home of its root; all other files are this machine's.
    """

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.address = address
        for needed in ("ssh", "ssh-keygen", "unshare"):
            if not shutil.which(needed):
                raise NotToBeHadError(f"{needed} is not installed")
        # sshd starts itself again by its whole path.
        self._sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin") or ""
        self._libraries = ""
        if not self._sshd:
            files = unpacked("sshd", "openssh-server", "libwrap0")
            self._sshd = str(files / "usr/sbin/sshd")
            self._libraries = ":".join(str(path.parent) for path in files.rglob("libwrap.so.0"))
        self._folder = Path(tempfile.mkdtemp(prefix="fleet-ssh-"))
        self.home = self._folder / "home"
        with socket.socket() as listener:
            listener.bind((address, 0))
            self.port: int = listener.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> SshHost:
        self.home.mkdir()
        for name in ("host_key", "client_key"):
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._folder / name)]
            subprocess.run(make, check=True, capture_output=True)
        kind, key, *_comment = (self._folder / "host_key.pub").read_text().split()
        (self._folder / "known_hosts").write_text(f"[{self.address}]:{self.port} {kind} {key}\n")
        config = _CONFIG.format(address=self.address, port=self.port, folder=self._folder)
        (self._folder / "sshd_config").write_text(config)
        others = [
            line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith(("root:", "sshd:"))
        ]
        users = _USERS.format(home=self.home, user=_SSHD_USER)
        (self._folder / "passwd").write_text(users + "\n".join(others) + "\n")
        (self._folder / "shadow").write_text("root:*:20000:0:99999:7:::\n")
        # It stays: another sshd may be there by the time that this one ends.
        _EMPTY.mkdir(mode=0o755, exist_ok=True)
        self.start()
        return self

    def __exit__(self, *details: object) -> None:
        for control in (self._folder / "control").glob("*"):
            subprocess.run(
                ["ssh", "-F", "none", "-O", "exit", "-S", str(control), "-"], check=False, capture_output=True
            )
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def files(self) -> dict[str, Path]:
        """The private key that logs in, and the file of known hosts, for a control host elsewhere."""
        return {"id_ed25519": self._folder / "client_key", "known_hosts": self._folder / "known_hosts"}

    @property
    def variables(self) -> dict[str, Any]:
        """What an inventory says of this host."""
        options = {
            "UserKnownHostsFile": self._folder / "known_hosts",
            "GlobalKnownHostsFile": "/dev/null",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "ConnectTimeout": 5,
        }
        return {
            "ansible_connection": "ssh",
            "ansible_host": self.address,
            "ansible_port": self.port,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self._folder / "client_key"),
            # Nothing of the user's own configuration.
            "ansible_ssh_common_args": "-F none " + " ".join(f"-o {key}={value}" for key, value in options.items()),
            "ansible_control_path_dir": str(self._folder / "control"),
            "ansible_python_interpreter": sys.executable,
        }

    def start(self) -> None:
        """Boot: return when connections are taken."""
        arguments = [str(self._folder), self._libraries, self._sshd]
        with (self._folder / "sshd.log").open("ab") as log:
            self._process = mortal.start(
                [
                    "unshare",
                    "--mount",
                    "--pid",
                    "--fork",
                    "--kill-child",
                    "--mount-proc",
                    "sh",
                    "-c",
                    _START,
                    "sh",
                    *arguments,
                ],
                signal="KILL",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._await()

    def stop(self) -> None:
        """End every process of the host at once, as a loss of power does."""
        if self._process is None:
            return
        for first in _children(self._process.pid):
            # The first process of a set of process ids takes all the others with it.
            _signal(first, signal.SIGKILL)
        self._process.wait(30)
        self._process = None

    def drop(self) -> None:
        """Cut every connection; new ones are taken. What the connections started goes on."""
        listener = self._listener()
        _signal(listener, signal.SIGSTOP)
        try:
            self._cut(listener)
        finally:
            _signal(listener, signal.SIGCONT)

    def refuse(self, seconds: float) -> None:
        """Cut every connection, and refuse new ones for a while; return when they are taken again."""
        (self._folder / "unreachable").touch()
        try:
            listener = self._listener()
            _signal(listener, signal.SIGSTOP)
            self._cut(listener)
            _signal(listener, signal.SIGKILL)
            time.sleep(seconds)
        finally:
            (self._folder / "unreachable").unlink()
        self._await()

    def _listener(self) -> int:
        assert self._process, "the host is not running"
        return next(pid for first in _children(self._process.pid) for pid in _children(first) if _is_sshd(pid))

    def _cut(self, listener: int) -> None:
        """End what serves a connection, and nothing that it serves."""
        for pid in list(_descendants(listener)):
            if _is_sshd(pid):
                _signal(pid, signal.SIGKILL)

    def _await(self) -> None:
        for _attempt in range(100):
            with suppress(OSError), socket.create_connection((self.address, self.port), 5):
                return
            if self._process is None or self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError("sshd did not start:\n" + (self._folder / "sshd.log").read_text()[-2000:])


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _descendants(pid: int) -> Iterator[int]:
    for child in _children(pid):
        yield child
        yield from _descendants(child)


def _is_sshd(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().startswith("sshd")
    return False


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
