"""Apprise, Slack and e-mail through the real library: fixed hosts only, against local servers."""

import socketserver
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from kibitz_collector.alert.channels import apprise, email, slack
from kibitz_collector.alert.channels.apprise import FIXED_HOSTS
from kibitz_collector.alert.channels.outgoing import NotDelivered, Outgoing, Surroundings
from kibitz_collector.errors import Invalid
from tests.collector.alert.traffic import Receiver, reply

MESSAGE = Outgoing(
    id="msg_1",
    payload={
        "type": "alert.firing",
        "data": {"title": "FIRING: quality", "text": "FIRING: quality\npass rate is 40 %"},
    },
)
STRICT = Surroundings()
SLACK = "https://hooks.slack.com/services/T1JJ3T3L2/B1BRTD4JD/TIiajkdnlazkcOXrIdevi7"


def test_no_allowed_service_takes_a_host() -> None:
    import apprise as library

    tokens = {
        scheme: set(schema["details"]["tokens"])
        for schema in library.Apprise().details()["schemas"]
        for scheme in [*(schema["protocols"] or []), *(schema["secure_protocols"] or [])]
    }
    assert set(tokens) >= FIXED_HOSTS
    for scheme in FIXED_HOSTS:
        assert not tokens[scheme] & {"host", "hostname", "port", "server", "url", "path"}, scheme


@pytest.mark.parametrize(
    "url",
    [
        "json://127.0.0.1/",
        "jsons://10.0.0.1/x",
        "xml://localhost",
        "form://localhost",
        "gotify://localhost/token",
        "ntfy://localhost/topic",
        "mailto://user:pass@localhost",
        "apprise://localhost/token",
        "syslog://",
        "windows://",
        "dbus://",
        "http://127.0.0.1/",
        "https://example.com",
        "file:///etc/passwd",
        "discord://1234/token?template=/etc/passwd",
        "discord://1234/token?avatar_url=http://127.0.0.1",
        "sendgrid://k:a@b.c/d@e.f?verify=no",
        "discord://1234/token\n json://127.0.0.1",
        "discord://1234/token json://127.0.0.1",
        "DISCORD",
        "",
    ],
)
def test_urls_with_a_host_or_a_file_are_refused(url: str) -> None:
    with pytest.raises(Invalid):
        apprise.read({"url": url}, STRICT)


def test_a_fixed_host_service_is_taken_and_its_tokens_are_not_shown() -> None:
    url = f"discord://{'4' * 18}/{'a' * 60}"
    config = apprise.read({"url": url}, STRICT)
    assert apprise.show(config) == {"url": "discord://…"}


def test_a_url_apprise_does_not_understand_is_refused() -> None:
    with pytest.raises(Invalid, match="does not understand"):
        apprise.read({"url": "pover://"}, STRICT)


def test_a_custom_host_needs_the_admin_and_is_checked_again_when_sending() -> None:
    with Receiver(lambda handler, _: reply(handler, 200)) as receiver:
        url = f"json://127.0.0.1:{receiver.port}/"
        config = apprise.read({"url": url}, Surroundings(custom_hosts=True))
        apprise.send(config, MESSAGE, Surroundings(custom_hosts=True))
        with pytest.raises(NotDelivered, match="fixed host"):
            apprise.send(config, MESSAGE, STRICT)
    (request,) = receiver.requests
    assert request.payload["title"] == "FIRING: quality"
    assert "pass rate is 40 %" in request.payload["message"]


def test_what_a_service_answers_becomes_the_reason() -> None:
    allowed = Surroundings(custom_hosts=True)
    with (
        Receiver(lambda handler, _: reply(handler, 503)) as receiver,
        pytest.raises(NotDelivered, match="503"),
    ):
        apprise.send({"url": f"json://127.0.0.1:{receiver.port}/"}, MESSAGE, allowed)


def test_slack_gets_the_message_at_its_webhook(monkeypatch: pytest.MonkeyPatch) -> None:
    from apprise.plugins.slack import NotifySlack

    config = slack.read({"url": SLACK}, STRICT)
    assert slack.show(config) == {"url": "https://hooks.slack.com/services/T1JJ3T3L2/…"}

    def ok(handler: Any, _: int) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"ok")

    with Receiver(ok) as receiver:
        base = f"http://127.0.0.1:{receiver.port}/services"
        monkeypatch.setattr(NotifySlack, "webhook_url", base)
        slack.send(config, MESSAGE, STRICT)
    (request,) = receiver.requests
    assert "pass rate is 40 %" in request.body.decode()


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.slack.com.evil.example/services/T1/B1/x",
        "http://hooks.slack.com/services/T1/B1/x",
        "https://hooks.slack.com/services/T1/B1/x?a=b",
        "https://hooks.slack.com@127.0.0.1/services/T1/B1/x",
        "slack://T1/B1/x",
        None,
    ],
)
def test_only_slacks_own_webhooks_are_slack(url: str | None) -> None:
    with pytest.raises(Invalid, match=r"hooks\.slack\.com"):
        slack.read({"url": url}, STRICT)


class MailServer(socketserver.ThreadingTCPServer):
    """As much SMTP as a client needs to hand over a mail."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], str]] = []
        super().__init__(("127.0.0.1", 0), _Smtp)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.server_address[1]}?from=kibitz@example.com"


class _Smtp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        recipients: list[str] = []
        self._say("220 here")
        while line := self.rfile.readline().decode().strip():
            verb = line.split(":")[0].split(" ")[0].upper()
            if verb == "RCPT":
                recipients.append(line.partition("<")[2].partition(">")[0])
            if verb == "DATA":
                self._say("354 go on")
                text = b"".join(iter(self.rfile.readline, b".\r\n")).decode()
                assert isinstance(self.server, MailServer)
                self.server.mails.append((list(recipients), text))
                recipients.clear()
            self._say("221 bye" if verb == "QUIT" else "250 ok")
            if verb == "QUIT":
                return

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_mail_reaches_every_recipient(mail_server: MailServer) -> None:
    around = Surroundings(smtp_url=mail_server.url)
    config = email.read({"to": ["ana@example.com", "ben@example.com"]}, around)
    email.send(config, MESSAGE, around)
    assert sorted(one for to, _ in mail_server.mails for one in to) == [
        "ana@example.com", "ben@example.com",
    ]  # fmt: skip
    text = mail_server.mails[0][1]
    assert "From: " in text
    assert "kibitz@example.com" in text
    assert "FIRING: quality" in text


def test_a_mail_server_that_is_away_is_the_reason(mail_server: MailServer) -> None:
    with Receiver() as gone:
        port = gone.port
    around = Surroundings(smtp_url=f"smtp://127.0.0.1:{port}?from=kibitz@example.com")
    with pytest.raises(NotDelivered, match="did not take it"):
        email.send({"to": ["ana@example.com"]}, MESSAGE, around)


def test_mail_needs_a_server_and_addresses() -> None:
    with pytest.raises(Invalid, match="KIBITZ_SMTP_URL"):
        email.read({"to": "ana@example.com"}, STRICT)
    around = Surroundings(smtp_url="smtp://mail.example.com")
    for bad in ([], "ana", ["a@b.c", "x\r\nBcc: y@z"], ["a@b.c?smtp=evil"], ["a@b"] * 51, None):
        with pytest.raises(Invalid):
            email.read({"to": bad}, around)
    with pytest.raises(Invalid, match="must be smtp"):
        email.read({"to": "ana@example.com"}, Surroundings(smtp_url="http://x"))


@pytest.mark.parametrize(
    ("smtp_url", "begins", "mode"),
    [
        ("smtp://mail.example.com", "mailto://mail.example.com:25?", "insecure"),
        ("smtps://u%40x:p%26w@mail.example.com", "mailtos://mail.example.com:465?", "ssl"),
        ("smtps://u:p@mail.example.com:587", "mailtos://mail.example.com:587?", "starttls"),
    ],
)
def test_the_admins_mail_server_becomes_apprises_url(smtp_url: str, begins: str, mode: str) -> None:
    url = email.apprise_url(smtp_url, ["ana@example.com"])
    assert url.startswith(begins)
    assert f"mode={mode}" in url
    assert "smtp=mail.example.com" in url
