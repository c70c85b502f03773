# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses on which a host publishes an endpoint, and the URLs at which it is reached."""

from __future__ import annotations

import ipaddress

LOOPBACK = "127.0.0.1"
ALL_INTERFACES = "0.0.0.0"
# What a port may be bound to where that means every address of the host.
EVERY = (ALL_INTERFACES, "", "::")
# Where the host itself asks for them. Docker binds :: for IPv6 alone.
_OWN = {ALL_INTERFACES: LOOPBACK, "": LOOPBACK, "::": "::1"}


def normal(address: str) -> str:
    """Return an address as daemons and resolvers write it: short, lower case, without brackets. A name stays a name.

    >>> normal("[FD00:0:0::5]"), normal("0:0:0:0:0:0:0:0"), normal("gpu1.example.com")
    ('fd00::5', '::', 'gpu1.example.com')
    """
    bare = address.strip().removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return bare


def is_loopback(address: str) -> bool:
    """Tell whether an address is one that only its own host reaches.

    >>> is_loopback("127.0.0.2"), is_loopback("::1"), is_loopback("::ffff:127.0.0.1"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    try:
        known = ipaddress.ip_address(normal(address))
    except ValueError:
        return normal(address).lower() == "localhost"
    return (getattr(known, "ipv4_mapped", None) or known).is_loopback


# Of carriers' networks, and of VPNs such as Tailscale's.
_SHARED = ipaddress.ip_network("100.64.0.0/10")


def is_private(address: str) -> bool:
    """Tell whether an address is one of a private network, and not a name.

    >>> [is_private(each) for each in ("10.0.0.5", "fd00::5", "100.64.1.2", "8.8.8.8", "gpu1")]
    [True, True, True, False, False]
    """
    try:
        known = ipaddress.ip_address(normal(address).partition("%")[0])
    except ValueError:
        return False
    known = getattr(known, "ipv4_mapped", None) or known
    return known.is_private or known in _SHARED


def at(address: str, port: int | None) -> str:
    """Return an address or a name with a port.

    >>> at("10.0.0.5", 80), at("fd00::5", 80)
    ('10.0.0.5:80', '[fd00::5]:80')
    """
    bare = normal(address)
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def url_at(address: str, port: int | None) -> str:
    """Return the URL of a port at an address or a name.

    >>> url_at("fd00::5", 8000)
    'http://[fd00::5]:8000'
    """
    return f"http://{at(address, port)}"


def url(bind_address: str, port: int) -> str:
    """Return where the host itself reaches an endpoint.

    >>> url("0.0.0.0", 8000), url("::", 8000), url("10.0.0.5", 8000)
    ('http://127.0.0.1:8000', 'http://[::1]:8000', 'http://10.0.0.5:8000')
    """
    bound = normal(bind_address)
    return url_at(_OWN.get(bound, bound), port)


def external_url(bind_address: str, port: int | None, host_address: str) -> str | None:
    """Return where other machines reach an endpoint: at *host_address*, the host's own, where it is bound to every one.

    None where only the host itself does.

    >>> external_url("0.0.0.0", 8000, "10.0.0.5"), external_url("192.0.2.9", 8000, "gpu1")
    ('http://10.0.0.5:8000', 'http://192.0.2.9:8000')
    >>> external_url("127.0.0.1", 8000, "10.0.0.5") is None
    True
    """
    bound = normal(bind_address)
    if is_loopback(bound):
        return None
    return url_at(host_address if bound in EVERY else bound, port)
