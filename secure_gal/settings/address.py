"""Addresses of sockets: SCHEME://HOST:PORT."""

from __future__ import annotations

import ipaddress


def host_and_port(address: str) -> tuple[str, int]:
    """Of tls://HOST:PORT; ValueError for another form."""
    scheme, _, rest = address.partition("://")
    host, _, port = rest.rpartition(":")
    if scheme not in ("tls", "tcp") or not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError(address)
    return host.removeprefix("[").removesuffix("]"), int(port)


def loopback(host: str) -> bool:
    """Whether what listens there is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def one_machine(address: str) -> bool:
    """Whether all parties of a study are on this machine: assistors reach the sponsor at `address` there."""
    return loopback(host_and_port(address)[0])
