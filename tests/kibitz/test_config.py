"""Settings: arguments over variables over defaults."""

import pytest

from kibitz.config import describe, load
from kibitz.errors import ConfigError


def test_an_argument_wins_over_its_variable_and_that_over_the_default() -> None:
    environ = {"KIBITZ_ENVIRONMENT": "from variable", "KIBITZ_EXIT_TIMEOUT_S": "0.5"}
    settings = load(environ, environment="from argument")
    assert settings.environment == "from argument"
    assert settings.exit_timeout_s == 0.5
    assert settings.collector == "http://127.0.0.1:4318"


def test_every_setting_can_come_from_a_variable() -> None:
    assert {variable for _, variable, *_ in describe()} >= {
        "KIBITZ_COLLECTOR",
        "KIBITZ_API_KEY",
        "KIBITZ_SERVICE",
        "KIBITZ_CAPTURE",
        "KIBITZ_REDACT",
        "KIBITZ_SAMPLE_RATE",
        "KIBITZ_SPOOL_DIR",
        "KIBITZ_DURABILITY",
        "KIBITZ_ENABLED",
    }
    assert all(description for *_, description in describe())


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("off", False), ("email, card", ("email", "card")), ("", True)],
)
def test_redact_is_read_from_text(text: str, value: object) -> None:
    assert load({"KIBITZ_REDACT": text}).redact == value


@pytest.mark.parametrize(
    ("text", "value"), [("0", False), ("no", False), ("1", True), ("ON", True)]
)
def test_flags_are_read_from_text(text: str, value: bool) -> None:
    assert load({"KIBITZ_ENABLED": text}).enabled is value


def test_the_collectors_url_is_put_into_one_form() -> None:
    assert load({}, collector="http://h:4318/").collector == "http://h:4318"
    assert load({}, collector="https://h/otlp/v1/traces").collector == "https://h/otlp"


def test_the_service_has_a_name_in_any_case() -> None:
    assert load({"OTEL_SERVICE_NAME": "shop"}).service == "shop"
    assert load({}).service


def test_zero_and_false_are_values() -> None:
    settings = load({"KIBITZ_ENABLED": "1"}, enabled=False, sample_rate=0, exit_timeout_s=0)
    assert (settings.enabled, settings.sample_rate, settings.exit_timeout_s) == (False, 0.0, 0.0)


def test_a_key_is_not_shown_in_the_error_about_it() -> None:
    with pytest.raises(ConfigError) as caught:
        load({}, api_key="kb secret words")
    assert "secret" not in str(caught.value)
