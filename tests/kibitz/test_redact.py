import json
import random
import string
from typing import Any

import pytest

import kibitz
from kibitz import _redact, _secrets
from kibitz import semconv as sc
from kibitz._patterns import SECRETS
from kibitz.testing import capture

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def some(alphabet: str, size: int) -> str:
    return "".join(random.Random(size).choices(alphabet, k=size))


A, B, C, D = (some(ALNUM, n) for n in (36, 40, 48, 93))
H32, H40, H64 = (some(HEX, n) for n in (32, 40, 64))
UPPER = some(string.ascii_uppercase + string.digits, 16)
KEYS = {
    "openai": f"sk-{C}",
    "openai-project": f"sk-proj-{D}",
    "openai-service": f"sk-svcacct-{D}",
    "openai-admin": f"sk-admin-{D}",
    "anthropic": f"sk-ant-api03-{D}",
    "openrouter": f"sk-or-v1-{H64}",
    "langfuse": "sk-lf-1234abcd-12ab-34cd-56ef-1234567890ab",
    "stripe": f"sk_live_{A}",
    "stripe-restricted": f"rk_test_{A}",
    "stripe-webhook": f"whsec_{A}",
    "aws-access": f"AKIA{UPPER}",
    "aws-session": f"ASIA{UPPER}",
    "aws-secret": f"aws_secret_access_key = {B}",
    "aws-bedrock": f"ABSK{B}{B}",
    "google-api": f"AIza{A[:35]}",
    "google-oauth": f"ya29.{B}",
    "google-secret": f"GOCSPX-{A[:28]}",
    "github": f"ghp_{A}",
    "github-app": f"ghs_{A}",
    "github-fine": f"github_pat_{A}_{A}",
    "gitlab": f"glpat-{A[:20]}",
    "slack-bot": f"xoxb-123456789012-{A[:24]}",
    "slack-app": f"xapp-1-A0123-{A}",
    "slack-hook": f"https://hooks.slack.com/services/T000/B000/{A[:24]}",
    "discord-hook": f"https://discord.com/api/webhooks/123456789012345678/{C}",
    "telegram": f"123456789:AA{A[:33]}",
    "huggingface": f"hf_{A}",
    "groq": f"gsk_{C}",
    "xai": f"xai-{C}",
    "perplexity": f"pplx-{C}",
    "replicate": f"r8_{A}",
    "fireworks": f"fw_{A}",
    "tavily": f"tvly-{A}",
    "pinecone": f"pcsk_{C}",
    "langsmith": f"lsv2_pt_{H32}_{H32[:10]}",
    "humanloop": f"hl_sk_{C}",
    "kibitz": f"kbz_{C}",
    "sendgrid": f"SG.{A[:22]}.{B}",
    "mailgun": f"key-{H32}",
    "npm": f"npm_{A}",
    "pypi": f"pypi-AgEIcHlwaS5vcmc{C}",
    "docker": f"dckr_pat_{A}",
    "digitalocean": f"dop_v1_{H64}",
    "shopify": f"shpat_{H32}",
    "linear": f"lin_api_{B}",
    "notion": f"ntn_{C}",
    "vault": f"hvs.{C}",
    "databricks": f"dapi{H32}",
    "supabase": f"sbp_{H40}",
    "azure": f"AccountKey={C}==",
    "jwt": f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.{B}",
    "bearer": f"Authorization: Bearer {A}",
    "basic": "Authorization: Basic dXNlcjpodW50ZXIyMjI=",
    "url": "postgresql://user:hunter2222@db.example.com/app",
    "password-json": '{"password": "hunter2 with blanks"}',
    "password-env": "DB_PASSWORD=hunter2222",
    "password-prose": "my password: hunter2222",
    "token-json": f'{{"access_token":"{A}"}}',
    "private-key": f"-----BEGIN RSA PRIVATE KEY-----\n{C}\n{C}\n-----END RSA PRIVATE KEY-----",
    "ssh-key": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{C}\n-----END OPENSSH PRIVATE KEY-----",
}
SECRET_PARTS = [
    A,
    A[:20],
    A[:22],
    B,
    C,
    D[:40],
    H32,
    H64[:32],
    UPPER,
    "hunter2",
    "aHVudGVy",
    "dXNlcjp",
]


def is_clean(text: str) -> bool:
    return not any(part in text for part in SECRET_PARTS)


@pytest.mark.parametrize("name", KEYS)
def test_a_secret_is_found_wherever_it_stands(name: str) -> None:
    secret = KEYS[name]
    with capture() as spans:

        @kibitz.flow(path="f")
        def run(text: str, nested: dict[str, Any]) -> str:
            kibitz.current().add_metadata({"m": secret})
            kibitz.current().add_tag(secret)
            raise ValueError(f"failed with {secret}!")

        with kibitz.session(secret, user=secret), pytest.raises(ValueError, match="failed"):
            run(f"use {secret} now", {"deep": [{"er": secret}]})
        kibitz.judge("log_x", "rating", secret, explanation=secret)
    for _, payload in spans.payloads:
        json.loads(payload)
        assert is_clean(payload.decode()), payload
    inputs = json.loads(spans.named("f")["attributes"][sc.LOG_INPUTS])
    assert inputs["text"].startswith("use ")
    assert inputs["text"].endswith(" now")
    assert "[secret:" in inputs["nested"]["deep"][0]["er"]


@pytest.mark.parametrize(
    "text",
    [
        "Reset your password: please follow the link at https://example.com/reset?id=12",
        "The task-force asked for a risk-free key-value store, max_tokens=100, input_tokens: 5",
        "Bearer of good news, basic authorization is off",
        '{"usage":{"input_tokens":1234567,"output_tokens":88}}',
        "order SK-1234, commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "sk-short and AKIA and eyJust.a.word and ghp_",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    payload = json.dumps({"t": text}).encode()
    assert _secrets.scrub_secrets(payload) == payload


def test_no_anchor_of_a_format_slips_through_the_search() -> None:
    anchors = {anchor: n for n, each in enumerate(SECRETS) for anchor in each.anchors}
    for anchor, number in anchors.items():
        test = next(test for test, numbers in _secrets._GROUPS if number in numbers)
        for before in anchors:  # that ends in what this one begins with, too
            size = next((k for k in (3, 2, 1) if before.endswith(anchor[:k])), 0)
            assert test(f'{{"t":"{before}{anchor[size:]}"}}'.encode())


@pytest.mark.parametrize("name", KEYS)
def test_a_secret_is_found_behind_a_lone_surrogate_and_other_letters(name: str) -> None:
    secret = KEYS[name]
    with capture() as spans:
        kibitz.flow(path="f")(lambda *texts: None)(f"\ud800 {secret}", f"größer: {secret}")
    said = b"".join(payload for _, payload in spans.payloads)
    assert said.count(b"[secret:") == 2
    assert is_clean(said.decode()), said


def test_the_words_for_secrets_cost_no_search_by_patterns() -> None:
    text = (
        "A secret about a password, the basic api_key idea; bearer of it: https://a.example/b?c=d"
    )
    assert _secrets._present(json.dumps({"t": text}).encode()) == []


def test_secrets_in_a_large_record_are_found_too() -> None:
    filler = b"nothing to see, move on. " * 10_000
    payload = b"".join([filler, KEYS["openai"].encode(), b" ", filler, KEYS["github"].encode()])
    clean = _secrets.scrub_secrets(payload)
    assert is_clean(clean.decode())
    assert len(clean) > 490_000


@pytest.mark.parametrize(
    ("names", "text", "expected"),
    [
        (("email",), "to ana@example.org!", "to [email]!"),
        (("card",), "pay 4111 1111 1111 1111 now", "pay [card] now"),
        (("card",), "order 4111 1111 1111 1112", "order 4111 1111 1111 1112"),
        (("phone",), "call +49 30 1234 5678", "call [phone]"),
        (("email", "card"), "a@b.example 4111-1111-1111-1111", "[email] [card]"),
    ],
)
def test_personal_data_goes_when_asked_for(names: Any, text: str, expected: str) -> None:
    with capture(redact=names) as spans:

        @kibitz.flow(path="f")
        def run(text: str, number: int) -> None: ...

        run(text, 4111111111111111)
    span = spans.named("f")
    inputs = json.loads(span["attributes"][sc.LOG_INPUTS])
    assert inputs["text"] == expected
    assert inputs["number"] == ("[card]" if "card" in names else 4111111111111111)
    assert span["start_ns"] > 0
    assert span["trace_id"] == f"{1:032x}"


def test_a_function_of_the_user_sees_every_string_with_its_path() -> None:
    seen = []

    def hook(path: str, text: str) -> str:
        seen.append(path)
        return text.replace("ana", "***")

    with capture(redact=hook) as spans:

        @kibitz.flow(path="f")
        def run(names: list[str]) -> str:
            raise ValueError("ana")

        with pytest.raises(ValueError, match="ana"):
            run(["ana", "bob"])
    assert json.loads(spans.named("f")["attributes"][sc.LOG_INPUTS]) == {"names": ["***", "bob"]}
    assert spans.named("f")["error"] == "***"
    assert {"kibitz.log.inputs.names.0", "exception.message", "status.message", "name"} <= set(seen)


def test_a_function_of_the_text_alone_is_fine() -> None:
    with capture(redact=str.upper) as spans:
        kibitz.flow(path="f")(lambda text: None)("abc")
    assert json.loads(spans.as_dicts()[0]["attributes"][sc.LOG_INPUTS])["TEXT"] == "ABC"


@pytest.mark.parametrize("answer", [None, 3, RuntimeError("no")])
def test_a_failing_function_lets_nothing_out(answer: Any) -> None:
    def hook(path: str, text: str) -> str:
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    with capture(redact=hook) as spans:
        kibitz.flow(path="f")(lambda text: text)("private")
    assert b"private" not in b"".join(payload for _, payload in spans.payloads)
    assert len(spans) == 1


def test_a_record_that_cannot_be_scrubbed_is_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(payload: bytes) -> bytes:
        raise MemoryError

    monkeypatch.setattr(_redact, "scrub_secrets", broken)
    with capture() as spans:
        kibitz.flow(path="f")(lambda text: text)("private")
    (span,) = spans.as_dicts()
    assert span["name"] == _redact.FAILED
    assert set(span["attributes"]) == {sc.FILE_PATH, sc.FILE_TYPE, sc.OPERATION, sc.TRUNCATED}


def test_redaction_can_be_off() -> None:
    with capture(redact=False) as spans:
        kibitz.flow(path="f")(lambda text: None)(KEYS["openai"])
    assert KEYS["openai"] in json.dumps(spans.as_dicts())


def test_an_unknown_pattern_is_named() -> None:
    with pytest.raises(kibitz.ConfigError, match="'iban'"):
        _redact.build_redactor(("iban",))
