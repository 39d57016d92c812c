"""Who may speak to the server: pages that it gave out itself, and elsewhere who knows the token."""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from kinelex.errors import InputError


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, which nobody else reaches.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Guard:
    """The checks of a request.

    Args:
        host: the address that the server listens on.
        port: its port.
        token: what every request has to bring where it is not None.

    Raises:
        InputError: an address that others reach, without a token.
    """

    host: str
    port: int
    token: str | None = None

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and not self.token:
            raise InputError(f"--host {self.host} can be reached by others: expects --token SECRET, too")

    def refusal(self, headers: Mapping[str, str], query: Mapping[str, str], page: bool) -> str | None:
        """Why a request is refused; None where it is not.

        The name in ``Host`` must be the server's (a page of another name that points here is none of ours),
        and an ``Origin`` the server's own page; what is no page has to have one.
        """
        host = headers.get("host", "")
        if not self._is_own(host):
            return "this name is not the server's"
        origin = headers.get("origin")
        if (origin is None and not page) or (origin is not None and origin != f"http://{host}"):
            return "only the server's own page may ask"
        if self.token is not None and not secrets.compare_digest(
            query.get("token", "").encode(), self.token.encode()
        ):
            return "expects the token: open the address with ?token=..."
        return None

    def _is_own(self, host: str) -> bool:
        parts = re.fullmatch(r"(\[.+\]|[^:]*)(?::(\d+))?", host)
        if parts is None or int(parts[2] or 80) != self.port:  # browsers leave out the port 80
            return False
        name = parts[1].strip("[]")
        if is_loopback(self.host):
            return is_loopback(name)
        return name == self.host or (self.host in ("0.0.0.0", "::") and _is_address(name))


def _is_address(name: str) -> bool:
    """Whether a name is an IP address, which no other's domain can be."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
