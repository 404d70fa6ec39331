"""Which addresses a URL that somebody typed may reach, checked at the moment of connecting.

For webhooks, for Tools that call an API, and for the addresses of model providers.

A name is resolved once, every address it gave is checked, and the connection goes to a checked one:
a name that answers differently the second time (DNS rebinding) gains nothing.
"""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpcore

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
MAX_URL_CHARACTERS = 2048
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NEVER = [
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/3",
        "::/96", "100::/64", "64:ff9b:1::/48", "2001::/23", "2002::/16", "fe80::/10", "fec0::/10",
        "ff00::/8",
    )
]  # fmt: skip
"""For nobody's URLs: this host by other names, link-local (cloud metadata), tunnels."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What this collector lets a URL reach beside the public internet."""

    loopback: bool = False
    private: bool = False  # loopback too
    hosts: frozenset[str] = frozenset()  # these at whatever address, in small letters
    setting: str = "KIBITZ_ALLOW_PRIVATE_WEBHOOKS=true"  # how an admin allows more


class AddressRefused(Exception):
    """A URL, or where it leads, is not allowed; the message says why."""


def check_url(url: str, reach: Reach) -> None:
    """Check a URL as far as this is possible without asking the name service.

    Raises: AddressRefused.
    """
    if len(url) > MAX_URL_CHARACTERS:
        raise AddressRefused(f"a URL has at most {MAX_URL_CHARACTERS} characters")
    # Parsers disagree about these; so nobody gets to parse them.
    if any(character <= " " or character in '\\"<>^`{|}\x7f' for character in url):
        raise AddressRefused("the URL holds a space, a backslash or a control character")
    if not url.isascii():
        raise AddressRefused(
            "the URL holds non-ASCII characters; write the host as xn--…, the rest %-encoded"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressRefused(f"the URL cannot be read: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise AddressRefused(
            f"the URL must start with https:// or http://, not {parts.scheme or 'nothing'}"
        )
    if "@" in parts.netloc:
        raise AddressRefused("the URL must not hold user or password")
    host = parts.hostname
    if not host or "%" in parts.netloc:
        raise AddressRefused("the URL names no host" if not host else "the host holds a %")
    if port == 0:
        raise AddressRefused("port 0 cannot be reached")
    literal = _literal(host)
    if literal is not None and host not in reach.hosts:
        check_address(literal, reach)


def check_address(address: IPAddress, reach: Reach) -> None:
    """Make sure an address may be reached.

    Raises: AddressRefused.
    """
    inner = _unwrapped(address)
    if inner.is_loopback:
        if not (reach.loopback or reach.private):
            raise AddressRefused(_refusal(address, "a loopback address", reach))
        return
    if any(inner in network for network in _NEVER if network.version == inner.version):
        raise AddressRefused(
            f"{address} is a link-local or special address, which may not be reached"
        )
    if inner.is_global and not inner.is_multicast and not inner.is_reserved:
        return
    if not reach.private:
        raise AddressRefused(_refusal(address, "a private address", reach))


def resolve(host: str, port: int, reach: Reach, timeout_s: float) -> list[str]:
    """Return the addresses of a host, all of them checked.

    Raises: AddressRefused: one of them may not be reached. OSError: there is none.
    """
    found = [
        ipaddress.ip_address(text.partition("%")[0]) for text in _lookup(host, port, timeout_s)
    ]
    for address in found if host.lower() not in reach.hosts else ():
        check_address(address, reach)
    return [str(address) for address in found]


def check_host(url: str, reach: Reach, timeout_s: float) -> None:
    """Check a URL and the addresses of its host, for those who connect in their own way.

    A name that is not known here may be known to a proxy, so it passes. Raises: AddressRefused.
    """
    check_url(url, reach)
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    with suppress(OSError):
        resolve(parts.hostname or "", port, reach, timeout_s)


class CheckedBackend(httpcore.NetworkBackend):
    """Connects only to checked addresses, and ends everything at one deadline."""

    def __init__(self, reach: Reach, timeout_s: float) -> None:
        self._reach = reach
        self._deadline = time.monotonic() + timeout_s
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve, check, connect to the first address that answers."""
        try:
            addresses = resolve(host.strip("[]"), port, self._reach, left_s(self._deadline))
        except OSError as error:
            raise httpcore.ConnectError(f"{host} is not known: {error}") from None
        failure: Exception | None = None
        for address in addresses:
            try:
                stream = self._plain.connect_tcp(
                    address, port, left_s(self._deadline), local_address, socket_options
                )
                return _BoundedStream(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")


class _BoundedStream(httpcore.NetworkStream):
    """A stream whose operations share one deadline: a reply of a byte per second ends too."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, left_s(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, left_s(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, left_s(self._deadline))
        return _BoundedStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def left_s(deadline: float) -> float:
    """Return the time left.

    Raises: httpcore.ReadTimeout: none.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("out of time")
    return left


def _literal(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        # The C library also reads 2130706433, 0x7f.1 and 0177.0.0.1 as addresses.
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _unwrapped(address: IPAddress) -> IPAddress:
    """Return the IPv4 address an IPv6 one stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _lookup(host: str, port: int, timeout_s: float) -> list[str]:
    # getaddrinfo has no time limit of its own and may take half a minute.
    found: list[str] = []
    problems: list[OSError] = []

    def look() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend(dict.fromkeys(str(row[4][0]) for row in rows))
        except OSError as error:
            problems.append(error)
        except UnicodeError as error:  # a label of more than 63 characters
            problems.append(OSError(str(error)))

    thread = threading.Thread(target=look, name="kibitz-lookup", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if problems:
        raise problems[0]
    if not found:
        raise OSError("the name service did not answer in time")
    return found


def _refusal(address: IPAddress, what: str, reach: Reach) -> str:
    return f"{address} is {what}; an admin may allow these with {reach.setting}"
