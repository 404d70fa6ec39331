"""What a typed URL may reach: nothing of ours by any spelling."""

import socket
from collections.abc import Iterator

import pytest

from kibitz_collector.addresses import (
    AddressRefused,
    Reach,
    check_url,
    resolve,
)
from kibitz_collector.alert.channels import webhook
from kibitz_collector.alert.channels.outgoing import NotDelivered, Outgoing, Surroundings
from kibitz_collector.errors import Invalid
from tests.collector.alert.traffic import SECRET, Trap

MESSAGE = Outgoing(
    id="msg_1", payload={"type": "alert.test", "data": {"title": "t", "text": "t", "url": "u"}}
)
STRICT = Surroundings()

SPELLINGS = [
    "http://127.0.0.1:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://127.255.255.254:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://0x7F.1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://017700000001:{port}/",
    "http://0177.0x0.0.01:{port}/",
    "http://0:{port}/",
    "http://0.0.0.0:{port}/",
    "http://00000000:{port}/",
    "http://localhost:{port}/",
    "http://LOCALHOST:{port}/",
    "http://localhost.:{port}/",
    "http://[::1]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[::]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[0:0:0:0:0:ffff:7f00:0001]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://[64:ff9b:1::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[fe80::1%25lo]:{port}/",
    "http://[fe80::1%lo]:{port}/",
    "http://[fec0::1]:{port}/",
    "http://user@127.0.0.1:{port}/",
    "http://example.com@127.0.0.1:{port}/",
    "http://example.com:80@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@example.com/",
    "http://127.0.0.1:{port}\\@example.com/",
    "http://example.com\\@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/\r\nHost: example.com",
    "http://127.0.0.1\t:{port}/",
    " http://127.0.0.1:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://127。0。0。1:{port}/",
    "http://127.0.0.1%2f@example.com:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://ⓛocalhost:{port}/",
    "HTTP://127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/_x",
    "ftp://127.0.0.1:{port}/",
    "unix:///var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
    "javascript:alert(1)",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://[fd00::1]/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://:{port}/",
    "http://",
    "",
]


@pytest.fixture
def trap() -> Iterator[Trap]:
    with Trap() as trap:
        yield trap


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_reaches_this_machine_or_its_network(spelling: str, trap: Trap) -> None:
    url = spelling.format(port=trap.port)
    with pytest.raises(NotDelivered) as refused:
        webhook.send({"url": url, "secret": SECRET}, MESSAGE, STRICT)
    assert not trap.is_touched
    assert refused.value.reason


@pytest.mark.parametrize(
    "spelling", [one for one in SPELLINGS if "ocalhost" not in one and "LOCAL" not in one]
)
def test_what_can_be_seen_in_the_url_is_refused_when_the_channel_is_made(spelling: str) -> None:
    with pytest.raises(Invalid):
        webhook.read({"url": spelling.format(port=8080)}, STRICT)


def test_a_name_that_turns_private_after_the_check_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch, trap: Trap
) -> None:
    answers = iter(["93.184.216.34", "127.0.0.1"])

    def rebinding(host: str, port: int, **_: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    url = f"http://rebind.example:{trap.port}/"
    check_url(url, Reach())
    assert resolve("rebind.example", trap.port, Reach(), 1) == ["93.184.216.34"]
    with pytest.raises(NotDelivered, match="loopback"):
        webhook.send({"url": url, "secret": SECRET}, MESSAGE, STRICT)
    assert not trap.is_touched


def test_a_name_with_one_private_address_among_public_ones_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, port, **_: [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in ("93.184.216.34", "10.0.0.7")
        ],
    )
    with pytest.raises(AddressRefused, match="private"):
        resolve("mixed.example", 80, Reach(), 1)


def test_a_name_nobody_knows_is_said_so() -> None:
    with pytest.raises(NotDelivered, match="not known"):
        webhook.send({"url": "http://nobody.invalid/", "secret": SECRET}, MESSAGE, STRICT)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook",
        "https://example.com:8443/hook?token=1",
        "http://93.184.216.34/",
        "https://[2606:2800:220:1::1]/",
    ],
)
def test_public_urls_are_allowed(url: str) -> None:
    check_url(url, Reach())


def test_loopback_and_private_addresses_are_the_admins_choice() -> None:
    check_url("http://127.0.0.1:1/", Reach(loopback=True))
    with pytest.raises(AddressRefused, match="KIBITZ_ALLOW_PRIVATE_WEBHOOKS"):
        check_url("http://10.0.0.1/", Reach(loopback=True))
    check_url("http://10.0.0.1/", Reach(private=True))
    check_url("http://[::1]/", Reach(private=True))
    with pytest.raises(AddressRefused, match="may not be reached"):
        check_url("http://169.254.169.254/", Reach(loopback=True, private=True))
