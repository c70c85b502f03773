# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway on its host: what stands there, how it differs from what is wanted, and how it becomes that."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.gateway import (
    config,
    lengths,
    maps,
    metrics,
    routes,
    sockets,
    store,
)
from ansible_collections.inference.fleet.plugins.module_utils.gateway.spec import Pool, Settings
from ansible_collections.inference.fleet.plugins.module_utils.gateway.store import Clients
from ansible_collections.inference.fleet.plugins.module_utils.host.command import run, search_path

UNIT = Path(f"/etc/systemd/system/{config.NAME}.service")
SELF_SIGNED = "self-signed.pem"
LEAST_VERSION = (2, 6)
# No server is drained.
_NO_STATE = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state\n"


@dataclass
class Outcome:
    """What was done, or would be: *steps* in words, *diff* as Ansible shows it."""

    steps: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)


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


def master_socket(run_directory: str) -> Path:
    """Return where HAProxy's master is told to reload."""
    return Path(run_directory) / config.MASTER_SOCKET


def admin_socket(run_directory: str) -> Path:
    """Return where a running HAProxy is asked and told."""
    return Path(run_directory) / config.ADMIN_SOCKET


def unit(settings: Settings, haproxy: str) -> str:
    """Return the systemd service: a unit of its own, so that another HAProxy of the host is left alone."""
    file = f"{settings.directory}/{config.FILE}"
    return f"""[Unit]
Description=inference.fleet gateway (HAProxy)
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
RuntimeDirectory={config.NAME}
ExecStartPre={haproxy} -c -q -f {file}
ExecStart={haproxy} -Ws -f {file} -S {master_socket(settings.run_directory)},mode,600,level,admin
ExecReload={haproxy} -c -q -f {file}
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
ReadWritePaths={settings.directory}

[Install]
WantedBy=multi-user.target
"""


def wanted(settings: Settings, pools: Sequence[Pool], clients: Clients, objects: Mapping[str, Any]) -> dict[str, str]:
    """Return every file of the gateway's directory that follows from what is wanted, by its name.

    *objects* are the models as clients see them.
    """
    every = {**maps.of_pools(pools, objects), **maps.of_clients(clients.known, objects)}
    return {
        config.FILE: config.text(settings, pools, root=os.geteuid() == 0),
        store.FILE: clients.text(),
        metrics.FILE: metrics.service(),
        **{name: maps.text(entries) for name, entries in every.items()},
    }


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
                    "after": new + (hidden if old == new else ""),
                    "before_header": header if before is not None else "missing",
                    "after_header": header,
                }
            )
    return shown


def bring(
    settings: Settings, pools: Sequence[Pool], clients: Clients, *, check_mode: bool, names: Sequence[str]
) -> Outcome:
    """Bring the gateway to what is wanted; *names* are what a self-signed certificate is made out to.

    What HAProxy does not take is never put in place, and what cannot be started is taken back.
    """
    outcome = Outcome()
    directory = Path(settings.directory)
    # Check mode on a host where nothing is installed yet still tells what would be done.
    missing = check_mode and not shutil.which("haproxy", path=search_path())
    haproxy = "/usr/sbin/haproxy" if missing else program()
    if not settings.certificate:
        settings = replace(settings, certificate=str(directory / SELF_SIGNED))
        if not (directory / SELF_SIGNED).exists():
            outcome.steps.append(f"make a self-signed certificate for {', '.join(names)}")
            if not check_mode:
                self_signed(directory / SELF_SIGNED, names)
    elif not Path(settings.certificate).is_file():
        raise FleetError(
            f"gateway_certificate: wanted a PEM file of the chain and its key on the gateway, at "
            f"{settings.certificate}, found none."
        )
    before = maps.parsed(read(directory, [maps.OBJECTS])[maps.OBJECTS] or "")
    objects = {model: routes.model_object(model, length) for model, length in lengths.asked(pools, before).items()}
    after = wanted(settings, pools, clients, objects)
    now = read(directory, list(after))
    outcome.diff = differences(directory, now, after)
    unit_text = unit(settings, haproxy)
    unit_now = UNIT.read_text(encoding="utf-8") if UNIT.exists() else None
    if systemd() and unit_now != unit_text:
        outcome.steps.append(f"write {UNIT}")
    running = sockets.answers(master_socket(settings.run_directory))
    if outcome.diff:
        outcome.steps.append("write " + ", ".join(name for name in after if now[name] != after[name]))
    if not running:
        outcome.steps.append("start HAProxy")
    elif outcome.diff:
        outcome.steps.append("reload HAProxy")
    if check_mode or not outcome.steps:
        return outcome
    _apply(settings, pools, now, after, haproxy, running=running)
    return outcome


def _apply(
    settings: Settings,
    pools: Sequence[Pool],
    now: Mapping[str, str | None],
    after: Mapping[str, str],
    haproxy: str,
    *,
    running: bool,
) -> None:
    directory = Path(settings.directory)
    validate(settings, after, haproxy, pools)
    if not (directory / config.STATE_FILE).exists():
        store.write(directory / config.STATE_FILE, _NO_STATE)
    for name, text in after.items():
        if now[name] != text:
            store.write(directory / name, text)
    if systemd() and (not UNIT.exists() or UNIT.read_text(encoding="utf-8") != unit(settings, haproxy)):
        store.write(UNIT, unit(settings, haproxy), 0o644)
        run(["systemctl", "daemon-reload"], timeout=60)
    taken = sockets.reload(master_socket(settings.run_directory)) if running else start(settings, haproxy)
    if not taken:
        for name, text in now.items():
            if text is None:
                (directory / name).unlink(missing_ok=True)
            else:
                store.write(directory / name, text)
        if running:
            sockets.reload(master_socket(settings.run_directory), patience=5)
        ports = ", ".join(str(port) for port in (settings.port, settings.redirect_port, settings.metrics_port) if port)
        raise FleetError(
            f"HAProxy took the new configuration and could not begin with it; the old one is back"
            f"{' and goes on' if running else ''}. Are the ports {ports} free? HAProxy's words: 'journalctl -u "
            f"{config.NAME}'."
        )


def validate(settings: Settings, after: Mapping[str, str], haproxy: str, pools: Sequence[Pool]) -> None:
    """Raise FleetError, with HAProxy's words, where it does not take the configuration. Nothing is in place yet."""
    with tempfile.TemporaryDirectory(prefix="inference-fleet-gateway-") as name:
        staged = {**after, config.FILE: config.text(replace(settings, directory=name), pools, root=os.geteuid() == 0)}
        store.write(Path(name) / config.STATE_FILE, _NO_STATE)
        for file, text in staged.items():
            store.write(Path(name) / file, text)
        code, output, error = run([haproxy, "-c", "-f", f"{name}/{config.FILE}"], timeout=60)
    if code:
        words = [line for line in (output + error).splitlines() if "ALERT" in line] or [output + error]
        raise FleetError(
            "HAProxy does not take the configuration that was made, and nothing was changed: "
            + masked(" ".join(words[:3])).strip()
        )


def start(settings: Settings, haproxy: str) -> bool:
    """Start HAProxy, by systemd where that runs; tell whether it answers."""
    Path(settings.run_directory).mkdir(mode=0o755, parents=True, exist_ok=True)
    if systemd():
        run(["systemctl", "enable", "--no-reload", config.NAME], timeout=60)
        code, _output, _error = run(["systemctl", "restart", config.NAME], timeout=90)
    else:
        run_directory = Path(settings.run_directory)
        argv = [
            haproxy,
            "-W",
            "-D",
            "-f",
            f"{settings.directory}/{config.FILE}",
            "-p",
            str(run_directory / "haproxy.pid"),
        ]
        argv += ["-S", f"{run_directory / config.MASTER_SOCKET},mode,600,level,admin"]
        code, _output, _error = run(argv, timeout=60)
    path = admin_socket(settings.run_directory)
    return code == 0 and sockets.wait_until(lambda: sockets.answers(path), 10)


def stop(run_directory: str, directory: str) -> list[str]:
    """Take the gateway down: HAProxy, its unit, its directories. Return what went."""
    gone = []
    if sockets.answers(master_socket(run_directory)):
        gone.append("HAProxy's process")
    gone += [
        str(path)
        for path in (UNIT, Path(directory), Path(run_directory))
        if path.exists() and (path != UNIT or systemd())
    ]
    return gone


def remove(run_directory: str, directory: str) -> None:
    """Do what stop tells."""
    if systemd() and UNIT.exists():
        run(["systemctl", "disable", "--now", "--no-reload", config.NAME], timeout=90)
        UNIT.unlink(missing_ok=True)
    else:
        end(run_directory)
    for path in (directory, run_directory):
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


def self_signed(path: Path, names: Sequence[str]) -> None:
    """Make a certificate that nobody vouches for, for a year, with its key in the same file."""
    alternatives = ",".join(f"{'IP' if re.fullmatch(r'[0-9.]+|.*:.*', name) else 'DNS'}:{name}" for name in names)
    with tempfile.TemporaryDirectory() as name:
        key, certificate = Path(name) / "key.pem", Path(name) / "certificate.pem"
        code, output, error = run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
                *("-days", "397", "-subj", "/CN=inference.fleet gateway", "-addext", f"subjectAltName={alternatives}"),
                *("-keyout", str(key), "-out", str(certificate)),
            ]
        )
        if code:
            raise FleetError(
                f"a self-signed certificate for {alternatives} could not be made: {(error or output).strip()}"
            )
        store.write(path, certificate.read_text(encoding="utf-8") + key.read_text(encoding="utf-8"))


def use_clients(directory: Path, run_directory: str, clients: Clients) -> None:
    """Keep other clients, on disk and in a running HAProxy, without a reload."""
    kept = maps.parsed((directory / maps.OBJECTS).read_text(encoding="utf-8"))
    objects = {model: json.loads(text) for model, text in kept.items()}
    now = read(directory, maps.OF_CLIENTS)
    before = {name: maps.parsed(text or "") for name, text in now.items()}
    after = maps.of_clients(clients.known, objects)
    # The disk first: whatever happens then, nobody who was revoked is let in again.
    store.write(directory / store.FILE, clients.text())
    for name, entries in after.items():
        store.write(directory / name, maps.text(entries))
    path = admin_socket(run_directory)
    if sockets.answers(path):
        sockets.tell(path, maps.changes(str(directory), before, after))
