"""Webhooks against real receivers, good and bad."""

import threading
import time
from typing import Any

import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from kibitz_collector.addresses import Reach
from kibitz_collector.alert.channels import webhook
from kibitz_collector.alert.channels.outgoing import NotDelivered, Outgoing, Surroundings
from kibitz_collector.errors import Invalid
from tests.collector.alert.traffic import SECRET, Receiver, Trap, reply

LOOPBACK = Surroundings(reach=Reach(loopback=True))
MESSAGE = Outgoing(id="msg_1", payload={"type": "alert.firing", "data": {"title": "naïve ☂"}})


def send(receiver: Receiver) -> None:
    webhook.send({"url": receiver.url, "secret": SECRET}, MESSAGE, LOOPBACK)


def test_a_receiver_can_verify_what_it_gets() -> None:
    with Receiver() as receiver:
        send(receiver)
    (request,) = receiver.requests
    assert request.verify() == MESSAGE.payload
    assert request.headers["webhook-id"] == "msg_1"
    assert request.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        request.verify("whsec_" + "A" * 32)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_wherever_it_leads(status: int) -> None:
    with Trap() as trap:
        place = f"http://127.0.0.1:{trap.port}/inside"
        with (
            Receiver(lambda handler, _: reply(handler, status, Location=place)) as receiver,
            pytest.raises(NotDelivered, match="redirects are not followed"),
        ):
            send(receiver)
        assert len(receiver.requests) == 1
        assert not trap.is_touched


def test_a_huge_reply_is_not_read_to_its_end() -> None:
    sent = 0

    def flood(handler: Any, _: int) -> None:
        nonlocal sent
        handler.send_response(200)
        handler.send_header("Content-Length", str(10**9))
        handler.end_headers()
        for _chunk in range(1000):
            handler.wfile.write(b"x" * 2**20)
            sent += 2**20

    with Receiver(flood) as receiver:
        send(receiver)
    assert sent < 50 * 2**20


def test_a_reply_that_drips_is_cut_off_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.5)
    ended = threading.Event()

    def drip(handler: Any, _: int) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not ended.wait(0.05):
            handler.wfile.write(b"X-Drip: 1\r\n")

    with Receiver(drip) as receiver:
        started = time.monotonic()
        with pytest.raises(NotDelivered, match="no answer within"):
            send(receiver)
        ended.set()
        assert time.monotonic() - started < 3


def test_a_reply_that_is_no_http_is_refused() -> None:
    with (
        Receiver(lambda handler, _: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n")) as receiver,
        pytest.raises(NotDelivered, match="ProtocolError"),
    ):
        send(receiver)


def test_the_reply_itself_is_never_told() -> None:
    def leak(handler: Any, _: int) -> None:
        handler.send_response(500)
        handler.send_header("Content-Length", "6")
        handler.end_headers()
        handler.wfile.write(b"sesame")

    with Receiver(leak) as receiver, pytest.raises(NotDelivered) as refused:
        send(receiver)
    assert refused.value.reason == "the receiver answered 500"


def test_the_receivers_wish_to_wait_is_kept_in_bounds() -> None:
    for wish, kept in (("7", 7.0), ("999999", 3600.0), ("soon", None)):
        with (
            Receiver(
                lambda handler, _, wish=wish: reply(handler, 429, Retry_After=wish)
            ) as receiver,
            pytest.raises(NotDelivered) as refused,
        ):
            send(receiver)
        assert refused.value.retry_after_s == kept


def test_outer_proxies_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with Trap() as trap, Receiver() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{trap.port}")
        send(receiver)
        assert not trap.is_touched
    assert len(receiver.requests) == 1


def test_a_secret_is_made_or_checked() -> None:
    made = webhook.read({"url": "https://example.com/"}, LOOPBACK)
    assert made["secret"].startswith("whsec_")
    assert webhook.read(made, LOOPBACK) == made
    for bad in ("short", "whsec_AAAA", "whsec_" + "!" * 32, 5):
        with pytest.raises(Invalid, match="secret"):
            webhook.read({"url": "https://example.com/", "secret": bad}, LOOPBACK)
    with pytest.raises(Invalid, match="needs a url"):
        webhook.read({}, LOOPBACK)


def test_the_shown_url_hides_its_query() -> None:
    config = {"url": "https://example.com/hook?token=sesame#x", "secret": SECRET}
    assert webhook.show(config) == {"url": "https://example.com/hook?…"}
