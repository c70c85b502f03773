# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A HAProxy of the fleet on its host: its files, how they differ from what is wanted, and how it takes them."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.gateway import config, sockets, store
from ansible_collections.inference.fleet.plugins.module_utils.host.command import run, search_path

LEAST_VERSION = (2, 6)
# Is there while what HAProxy has read is not what is in its directory, also where a run was ended in between.
UNREAD = "unread"
# A buffer has room for a whole body, and each token of a stream takes one: without these glibc gives the memory of each
# back to the kernel, which takes a quarter of the processor's time, and more where bodies may be larger. In bytes; the
# first is the largest that glibc takes.
_MEMORY = (
    f"MALLOC_MMAP_THRESHOLD_={32 << 20}",
    f"MALLOC_TRIM_THRESHOLD_={256 << 20}",
    f"MALLOC_TOP_PAD_={64 << 20}",
)


@dataclass
class Outcome:
    """What was done, or would be: *steps* in words, *diff* as Ansible shows it."""

    steps: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Service:
    """A HAProxy with a systemd service and directories of its own, so that another of the host is left alone.

    *ports* are those that it listens on, for what is said where it cannot.
    """

    name: str
    title: str
    directory: str
    run_directory: str
    ports: tuple[int, ...] = ()

    @property
    def unit(self) -> Path:
        """The systemd service's file."""
        return Path(f"/etc/systemd/system/{self.name}.service")

    @property
    def file(self) -> Path:
        """The configuration."""
        return Path(self.directory) / config.FILE

    @property
    def master(self) -> Path:
        """The socket at which the master is told to reload."""
        return master_socket(self.run_directory)


def master_socket(run_directory: str) -> Path:
    """Return where HAProxy's master is told to reload."""
    return Path(run_directory) / config.MASTER_SOCKET


def admin_socket(run_directory: str) -> Path:
    """Return where a running HAProxy is asked and told."""
    return Path(run_directory) / config.ADMIN_SOCKET


def program() -> str:
    """Return HAProxy's path. FleetError where there is none, or one that is too old."""
    found = shutil.which("haproxy", path=search_path())
    if not found:
        raise FleetError("wanted HAProxy 2.6 or newer on this host, found none: apt-get install haproxy.")
    _code, output, _error = run([found, "-v"])
    version = re.search(r"version (\d+)\.(\d+)", output)
    if not version or tuple(map(int, version.groups())) < LEAST_VERSION:
        raise FleetError(f"wanted HAProxy 2.6 or newer on this host, found: {(output.splitlines() or ['?'])[0]}.")
    return found


def systemd() -> bool:
    """Tell whether systemd runs this host."""
    return Path("/run/systemd/system").is_dir()


def unit(service: Service, haproxy: str) -> str:
    """Return the systemd service."""
    return f"""[Unit]
Description=inference.fleet {service.title} (HAProxy)
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
RuntimeDirectory={service.name}
Environment={" ".join(_MEMORY)}
ExecStartPre={haproxy} -c -q -f {service.file}
ExecStart={haproxy} -Ws -f {service.file} -S {service.master},mode,600,level,admin
ExecReload={haproxy} -c -q -f {service.file}
ExecReload=/bin/kill -USR2 $MAINPID
KillMode=mixed
Restart=always
SuccessExitStatus=143
# A line a request is what usage is counted from.
LogRateLimitIntervalSec=0
NoNewPrivileges=yes
PrivateTmp=yes
ProtectHome=read-only
ProtectSystem=strict
ReadWritePaths={service.directory}

[Install]
WantedBy=multi-user.target
"""


def read(directory: Path, names: Sequence[str]) -> dict[str, str | None]:
    """Return what stands there now, None for what does not."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = (directory / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            found[name] = None
        except OSError as error:
            raise FleetError(f"{directory / name} cannot be read: {error.strerror}. The gateway needs root.") from error
    return found


def masked(text: str) -> str:
    """Return a text without keys: an engine's stands in the configuration, a client's as its hash in a map.

    >>> masked('set-header Authorization "Bearer abc"')
    'set-header Authorization "Bearer (hidden)"'
    """
    return re.sub(r"\b([0-9a-f]{8})[0-9a-f]{56}\b", r"\1...", re.sub(r"(Bearer )[^\"\s]+(?=\")", r"\1(hidden)", text))


def differences(directory: Path, now: Mapping[str, str | None], after: Mapping[str, str]) -> list[dict[str, str]]:
    """Return how the files differ, as Ansible's diffs."""
    shown = []
    for name, text in after.items():
        before = now[name]
        if before != text:
            header = str(directory / name)
            hidden = "\n(an engine's or a client's key differs)\n"
            old, new = masked(before or ""), masked(text)
            shown.append(
                {
                    "before": old,
                    "after": new + (hidden if old == new and before is not None else ""),
                    "before_header": header if before is not None else "missing",
                    "after_header": header,
                }
            )
    return shown


def bring(
    service: Service,
    files: Callable[[str], Mapping[str, str]],
    outcome: Outcome,
    *,
    check_mode: bool,
    unread: bool = False,
) -> Outcome:
    """Bring a HAProxy to where it has its files and runs with them; *outcome* gets what that takes.

    *files* tells their texts by their names, for the directory that they will be in. What HAProxy does not take is
    never put in place, and what cannot be started is taken back. *unread*: it has to read something else anew.
    """
    # Check mode on a host where nothing is installed yet still tells what would be done.
    missing = check_mode and not shutil.which("haproxy", path=search_path())
    haproxy = "/usr/sbin/haproxy" if missing else program()
    after = files(service.directory)
    now = read(Path(service.directory), list(after))
    outcome.diff += differences(Path(service.directory), now, after)
    differ = [name for name in after if now[name] != after[name]]
    unit_text = unit(service, haproxy)
    other_unit = systemd() and (not service.unit.exists() or service.unit.read_text(encoding="utf-8") != unit_text)
    running, mark = sockets.answers(service.master), Path(service.directory) / UNREAD
    outcome.steps += [f"write {service.unit}"] if other_unit else []
    outcome.steps += ["write " + ", ".join(differ)] if differ else []
    anew = bool(differ) or unread or mark.exists() or not running
    outcome.steps += ["reload HAProxy" if running else "start HAProxy"] if anew else []
    if check_mode or not outcome.steps:
        return outcome
    validate(haproxy, files)
    store.write(mark, "")
    for name in differ:
        store.write(Path(service.directory) / name, after[name])
    if other_unit:
        store.write(service.unit, unit_text, 0o644)
        run(["systemctl", "daemon-reload"], timeout=60)
    if anew and not (sockets.reload(service.master) if running else start(service, haproxy)):
        _back(service, {name: now[name] for name in differ}, running)
    mark.unlink()
    return outcome


def _back(service: Service, before: Mapping[str, str | None], running: bool) -> None:
    """Put back what stood there before, and say so."""
    for name, text in before.items():
        if text is None:
            (Path(service.directory) / name).unlink(missing_ok=True)
        else:
            store.write(Path(service.directory) / name, text)
    if running and sockets.reload(service.master, patience=5):
        (Path(service.directory) / UNREAD).unlink(missing_ok=True)
    raise FleetError(
        f"HAProxy took the new configuration and could not begin with it; the old one is back"
        f"{' and goes on' if running else ''}. Are the ports {', '.join(map(str, service.ports))} free? HAProxy's "
        f"words: 'journalctl -u {service.name}'."
    )


def validate(haproxy: str, files: Callable[[str], Mapping[str, str]]) -> None:
    """Raise FleetError, with HAProxy's words, where it does not take the configuration. Nothing is in place yet."""
    with tempfile.TemporaryDirectory(prefix="inference-fleet-haproxy-") as name:
        for file, text in files(name).items():
            store.write(Path(name) / file, text)
        code, output, error = run([haproxy, "-c", "-f", f"{name}/{config.FILE}"], timeout=60)
    if code:
        words = [line for line in (output + error).splitlines() if "ALERT" in line] or [output + error]
        raise FleetError(
            "HAProxy does not take the configuration that was made, and nothing was changed: "
            + masked(" ".join(words[:3])).strip()
        )


def start(service: Service, haproxy: str) -> bool:
    """Start HAProxy, by systemd where that runs; tell whether it answers."""
    run_directory = Path(service.run_directory)
    run_directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    if systemd():
        run(["systemctl", "enable", "--no-reload", service.name], timeout=60)
        code, _output, _error = run(["systemctl", "restart", service.name], timeout=90)
    else:
        argv = ["env", *_MEMORY, haproxy, "-W", "-D", "-f", str(service.file), "-p", str(run_directory / "haproxy.pid")]
        argv += ["-S", f"{service.master},mode,600,level,admin"]
        code, _output, _error = run(argv, timeout=60)
    path = admin_socket(service.run_directory)
    return code == 0 and sockets.wait_until(lambda: sockets.answers(path), 10)


def reload(service: Service) -> bool:
    """Have HAProxy read its files again, where it runs; tell whether it did, or does not run."""
    return not sockets.answers(service.master) or sockets.reload(service.master)


def left(service: Service) -> list[str]:
    """Return what there is to remove: HAProxy, its unit, its directories."""
    paths = (service.unit, Path(service.directory), Path(service.run_directory))
    process = ["HAProxy's process"] if sockets.answers(service.master) else []
    return process + [str(path) for path in paths if path.exists() and (path != service.unit or systemd())]


def remove(service: Service) -> None:
    """Remove what left tells."""
    if systemd() and service.unit.exists():
        run(["systemctl", "disable", "--now", "--no-reload", service.name], timeout=90)
        service.unit.unlink(missing_ok=True)
    else:
        end(service.run_directory)
    for path in (service.directory, service.run_directory):
        shutil.rmtree(path, ignore_errors=True)


def end(run_directory: str) -> None:
    """End a HAProxy that no systemd runs."""
    path = master_socket(run_directory)
    if not sockets.answers(path):
        return
    masters = [line.split() for line in sockets.ask(path, "show proc").splitlines() if " master " in line]
    for fields in masters:
        os.kill(int(fields[0]), 15)
    sockets.wait_until(lambda: not sockets.answers(path), 15)
