# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates by openssl: the self-signed one of first steps, the fleet's own authority, and what it signs."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.command import run

# ICANN keeps .internal for names that no public DNS has.
_DOMAIN = "inference-fleet.internal"
# Of the authority, and of what it signs. A certificate is renewed by the first run in its last days.
AUTHORITY_DAYS, DAYS, RENEW_DAYS = 3650, 397, 90
# Clients have to be told of another self-signed one: not sooner than it has to be.
SELF_SIGNED_RENEW_DAYS = 30
OTHER_AUTHORITY = "it is not of the fleet's authority"
# What the purposes are called in a certificate. An engine's host is no client, and so no gateway.
_USES = {"server": "serverAuth", "client": "clientAuth"}
# The clock of a host that has just been told of a certificate may be behind.
_EARLIER = timedelta(hours=1)
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.S)
_CA = """[ca]
default_ca = fleet
[fleet]
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
unique_subject = no
policy = any
x509_extensions = what
[any]
commonName = supplied
[what]
subjectKeyIdentifier = hash
{extensions}
"""
_OF_AUTHORITY = "basicConstraints = critical,CA:true,pathlen:0\nkeyUsage = critical,keyCertSign,cRLSign"
_OF_HOST = (
    "basicConstraints = critical,CA:false\nkeyUsage = critical,digitalSignature\nauthorityKeyIdentifier = keyid\n"
    "extendedKeyUsage = {use}\nsubjectAltName = DNS:{name}"
)


def host_name(host: str) -> str:
    """Return the name that certificates have for a host of the inventory, whatever that calls it.

    >>> host_name("h100-1"), host_name("GPU_1")
    ('h100-1.inference-fleet.internal', 'gpu-1-4afdc82c.inference-fleet.internal')
    """
    label = re.sub(r"[^a-z0-9.]+", "-", host.lower()).strip("-.")
    if label != host:
        label = f"{label}-{hashlib.sha256(host.encode()).hexdigest()[:8]}".strip("-.")
    return f"{label}.{_DOMAIN}"


def engine_name(host: str, port: int) -> str:
    """Return the name by which a gateway asks a host for the engine on one of its ports.

    >>> engine_name("h100-1", 8000)
    '8000.h100-1.inference-fleet.internal'
    """
    return f"{port}.{host_name(host)}"


def wanted_name(host: str, use: str) -> str:
    """Return what a host's certificate is made out to: all engines of it (server), or itself (client)."""
    return f"*.{host_name(host)}" if use == "server" else host_name(host)


def ends(told: str) -> datetime | None:
    """Return the time that openssl tells, or HAProxy.

    >>> ends("notAfter=Nov  6 14:00:09 2027 GMT").isoformat()
    '2027-11-06T14:00:09+00:00'
    """
    found = re.search(r"notAfter[=:] ?(\w+ +\d+ [\d:]+ \d+) GMT", told)
    if not found:
        return None
    return datetime.strptime(" ".join(found[1].split()), "%b %d %H:%M:%S %Y").replace(tzinfo=timezone.utc)


def end_of(path: Path) -> datetime | None:
    """Return when the first certificate of a file ends, None where there is none that can be read."""
    code, output, _error = run(["openssl", "x509", "-noout", "-enddate", "-in", str(path)])
    return ends(output) if code == 0 else None


def end_of_text(text: str) -> datetime:
    """Return when a certificate ends. FleetError where the text is none."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(text)
        file.flush()
        end = end_of(Path(file.name))
    if end is None:
        raise FleetError("wanted a certificate in PEM, found none that openssl reads.")
    return end


def first(text: str) -> str:
    """Return the first certificate of a text, empty where it has none."""
    found = _BLOCK.search(text)
    return found[0].strip() + "\n" if found else ""


def trusted(before: str, authority: str) -> str:
    """Return which authorities a host believes: the fleet's, and the one *before* it, whose certificates still go
    about.

    >>> a, b = ("-----BEGIN CERTIFICATE-----\\n%s\\n-----END CERTIFICATE-----\\n" % name for name in "ab")
    >>> trusted("", a) == a, trusted(a, a) == a, trusted(a, b) == b + a, trusted(b + a, b) == b + a
    (True, True, True, True)
    """
    known = first(before)
    return before if known == first(authority) else first(authority) + known


def self_signed(names: Sequence[str]) -> str:
    """Return a certificate that nobody vouches for, for DAYS, with its key."""
    alternatives = ",".join(f"{'IP' if re.fullmatch(r'[0-9.]+|.*:.*', name) else 'DNS'}:{name}" for name in names)
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = Path(folder) / "key.pem", Path(folder) / "certificate.pem"
        _openssl(
            f"a self-signed certificate for {alternatives}",
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", str(DAYS), "-subj", "/CN=inference.fleet gateway", "-addext", f"subjectAltName={alternatives}"),
            *("-keyout", str(key), "-out", str(certificate)),
        )
        return certificate.read_text(encoding="utf-8") + key.read_text(encoding="utf-8")


def self_signed_reason(path: Path, now: datetime) -> str:
    """Return in words why another self-signed certificate is made than that of a file, empty where none is."""
    if not path.exists():
        return "there is none yet"
    end = end_of(path)
    if end is None:
        return "it cannot be read"
    last = last_days(end, now, SELF_SIGNED_RENEW_DAYS)
    return f"it {last}" if last else ""


def last_days(end: datetime, now: datetime, days: int) -> str:
    """Return in words when a certificate ends of which less than *days* are left, empty for another one.

    >>> last_days(datetime(2026, 12, 1), datetime(2026, 11, 26), 30)
    'ends on 2026-12-01'
    """
    word = "ended" if end < now else "ends"
    return f"{word} on {end:%Y-%m-%d}" if (end - now).days < days else ""


def private_key() -> str:
    """Return a new private key."""
    return _openssl("a key", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")


def request(key: Path) -> str:
    """Return a request for a certificate, signed by the key of a file. Who asks and for what the authority is told."""
    return _openssl("a request for a certificate", "req", "-new", "-key", str(key), "-subj", f"/CN={_DOMAIN}")


def authority(now: datetime) -> str:
    """Return an authority: its certificate, and the key with which it signs."""
    key = private_key()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "key.pem").write_text(key, encoding="utf-8")
        asked = request(Path(folder) / "key.pem")
        # Two that have one name would be taken for each other.
        subject = f"/CN=inference.fleet authority {now:%Y-%m-%dT%H.%M.%S}"
        options = ("-selfsign", "-keyfile", f"{folder}/key.pem")
        return _signed(Path(folder), asked, subject, _OF_AUTHORITY, now, AUTHORITY_DAYS, *options) + key


def signed(path: Path, asked: str, host: str, use: str, now: datetime) -> str:
    """Return the certificate for a request, by the authority of a file. Its name is the host's, whatever it asks."""
    with tempfile.TemporaryDirectory() as folder:
        extensions = _OF_HOST.format(use=_USES[use], name=wanted_name(host, use))
        options = ("-cert", str(path), "-keyfile", str(path))
        return _signed(Path(folder), asked, "/CN=inference.fleet host", extensions, now, DAYS, *options)


def _signed(folder: Path, asked: str, subject: str, extensions: str, now: datetime, days: int, *options: str) -> str:
    (folder / "index.txt").touch()
    (folder / "ca.cnf").write_text(_CA.format(folder=folder, extensions=extensions), encoding="utf-8")
    (folder / "request.pem").write_text(asked, encoding="utf-8")
    begin, end = (
        f"{moment.astimezone(timezone.utc):%Y%m%d%H%M%SZ}" for moment in (now - _EARLIER, now + timedelta(days))
    )
    return _openssl(
        "a certificate",
        *("ca", "-batch", "-notext", "-config", f"{folder}/ca.cnf", "-in", f"{folder}/request.pem"),
        *("-subj", subject, "-startdate", begin, "-enddate", end, *options),
    )


def reason(path: Path, authorities: Path, host: str, use: str, now: datetime) -> str:
    """Return in words why a host needs another certificate than that of a file, empty where it does not.

    It is to be signed by the first of the *authorities*, for all engines of the host, and not in its last days.
    """
    if not path.exists():
        return "there is none yet"
    code, told, _error = run(["openssl", "x509", "-noout", "-enddate", "-ext", "subjectAltName", "-in", str(path)])
    end = ends(told)
    if code or end is None:
        return "it cannot be read"
    if f"DNS:{wanted_name(host, use)}" not in told.replace(",", " ").split():
        return "it is made out to another name"
    if last := last_days(end, now, RENEW_DAYS):
        return f"it {last}"
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as current:
        current.write(first(authorities.read_text(encoding="utf-8")))
        current.flush()
        good = is_taken(path, Path(current.name), use)
    return "" if good else OTHER_AUTHORITY


def is_taken(path: Path, authorities: Path, use: str) -> bool:
    """Tell whether who believes any of the *authorities* takes the certificate of a file now."""
    code, _told, _error = run(["openssl", "verify", "-CAfile", str(authorities), "-purpose", f"ssl{use}", str(path)])
    return code == 0


def _openssl(what: str, *arguments: str) -> str:
    code, output, error = run(["openssl", *arguments])
    if code:
        raise FleetError(f"{what} could not be made by openssl: {(error or output).strip()[-400:]}")
    return output
