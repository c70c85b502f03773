# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has to be known by between gateways and engines: a certificate with its key, and whom it believes.

The key is made on the host and never leaves it. The fleet's authority is on the first gateway, and nowhere else.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.gateway import certificates, config, service, store
from ansible_collections.inference.fleet.plugins.module_utils.gateway.service import Service

AUTHORITY = "authority.pem"
# Of a certificate that was asked for.
_PENDING = "fleet-asked.key"


@dataclass(frozen=True)
class Place:
    """The directory of a host's HAProxy, where these files are, too."""

    directory: Path

    @property
    def certificate(self) -> Path:
        """The certificate with its key."""
        return self.directory / config.CERTIFICATE

    @property
    def trusted(self) -> Path:
        """The authorities that are believed."""
        return self.directory / config.TRUSTED

    def complete(self) -> bool:
        """Tell whether everything is there to speak TLS with another host of the fleet."""
        return self.certificate.exists() and self.trusted.exists()

    def context(self) -> ssl.SSLContext | None:
        """Return what a gateway speaks TLS with, None where it has no certificate that fits its key."""
        found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            found.load_verify_locations(self.trusted)
            found.load_cert_chain(self.certificate)
        except OSError:
            return None
        return found


@dataclass
class Kept:
    """What was done for a host's certificate, or would be; *request* is what the authority is asked to sign.

    *usable*: the one that is there is good for now.
    """

    steps: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)
    request: str = ""
    usable: bool = False


def keep(running: Service, host: str, use: str, given: dict[str, Any], now: datetime, *, check_mode: bool) -> Kept:
    """Bring a host's certificate to what is wanted, and have its HAProxy read it.

    *given* has the fleet's ``authority``; the ``certificate`` that this has signed, empty where nothing was asked yet;
    and ``renew``, whether one that is good is replaced. Without a certificate, one is asked for where it is needed.
    """
    place, done = Place(Path(running.directory)), Kept()
    unread = place.directory / service.UNREAD
    before = place.trusted.read_text(encoding="utf-8") if place.trusted.exists() else ""
    after = certificates.trusted(before, given["authority"])
    if after != before or not after:
        done.steps.append("believe the fleet's authority")
        if not check_mode:
            store.write(unread, "")
            store.write(place.trusted, after)
    if given["certificate"]:
        done.steps.append(_take(place, given["certificate"], check_mode))
    else:
        why = _reason(place, host, use, now, check_mode and after != before)
        # The authority of before is what those believe who have not been told of another.
        before_that = why == certificates.OTHER_AUTHORITY and place.context() is not None
        done.usable = not why or (before_that and certificates.is_taken(place.certificate, place.trusted, use))
        why = why or ("it was asked to be" if given["renew"] else "")
        if why:
            done.steps.append(f"ask the fleet's authority for a certificate of {host}: {why}")
            done.diff.append(_told(place, f"a new one: {why}"))
            if not check_mode:
                store.write(place.directory / _PENDING, certificates.private_key())
                done.request = certificates.request(place.directory / _PENDING)
    # A gateway whose engines were all in the clear reads them once it is told to use them.
    uses = running.file.exists() and str(place.trusted) in running.file.read_text(encoding="utf-8")
    if uses and unread.exists() and not check_mode:
        if not service.reload(running):
            raise FleetError(
                f"HAProxy could not begin with the certificate of {host} in {place.directory}, and goes on with the "
                f"one before. Its words: 'journalctl -u {running.name}'."
            )
        unread.unlink()
    return done


def _reason(place: Place, host: str, use: str, now: datetime, other: bool) -> str:
    if other and place.certificate.exists():
        return "the authority is another"
    why = certificates.reason(place.certificate, place.trusted, host, use, now)
    return why or ("it does not fit its key" if place.context() is None else "")


def _take(place: Place, certificate: str, check_mode: bool) -> str:
    pending = place.directory / _PENDING
    if not pending.exists():
        raise FleetError(
            f"wanted the key for which a certificate was asked at {pending}, found none: run gateway.yml again."
        )
    end = certificates.end_of_text(certificate)
    if not check_mode:
        store.write(place.directory / service.UNREAD, "")
        store.write(place.certificate, certificate.strip() + "\n" + pending.read_text(encoding="utf-8"))
        pending.unlink()
    return f"take the certificate that ends on {end:%Y-%m-%d}"


def _told(place: Place, after: str) -> dict[str, str]:
    end = certificates.end_of(place.certificate) if place.certificate.exists() else None
    header = str(place.certificate)
    return {
        **{"before": f"ends on {end:%Y-%m-%d}\n" if end else "", "after": f"{after}\n"},
        **{"before_header": header if end else "missing", "after_header": header},
    }


def authority(directory: Path, now: datetime, *, renew: bool, check_mode: bool) -> tuple[str, list[str]]:
    """Return the certificate of the authority that is kept in a directory, and what that took: it is made where needed.

    It has to outlive what it signs. Empty in check mode, where there is none yet.
    """
    path = directory / AUTHORITY
    end = certificates.end_of(path) if path.exists() else None
    if path.exists() and end is None:
        raise FleetError(
            f"{path}: wanted the fleet's authority, found no certificate that openssl reads. Put it back from a "
            "copy, or move it away: the next run makes another, and gives every host a certificate of that."
        )
    least = timedelta(days=certificates.DAYS + certificates.RENEW_DAYS)
    steps = []
    if end is None or renew or end - now < least:
        steps = [f"make the fleet's authority in {path}"]
        if not check_mode:
            store.write(path, certificates.authority(now))
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return certificates.first(text), steps
