"""What the environment may say, and that what it may not is told by name and never by value."""

import pytest
from pydantic import SecretStr

from shared.errors import ConfigError
from shared.settings import Settings, SourceOptions

OPTIONAL = sorted(
    name.upper()
    for name, field in Settings.model_fields.items()
    if not field.is_required() and field.default is None
)


@pytest.mark.parametrize("blank", ["", " ", "\t\n "])
@pytest.mark.parametrize("variable", OPTIONAL)
def test_a_blank_variable_is_an_unset_one(
    variable: str, blank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, blank)

    assert getattr(Settings.load(), variable.lower()) is None


@pytest.mark.parametrize(
    "variable", ["API_PREFIX", "LEASE_S", "MAX_RUNS", "QSTASH_URL", "LOG_LEVEL"]
)
@pytest.mark.parametrize("blank", ["", " "])
def test_a_blank_variable_leaves_the_default(
    variable: str, blank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = getattr(Settings.load(), variable.lower())
    monkeypatch.setenv(variable, blank)

    assert getattr(Settings.load(), variable.lower()) == default


def test_a_blank_secret_given_by_code_is_none() -> None:
    assert Settings(cron_secret=SecretStr(" ")).cron_secret is None
    assert SourceOptions(api_key=SecretStr("")).api_key is None


def test_blanks_around_a_value_are_not_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {
        "CRON_SECRET": " secret\n",
        "PUBLIC_URL": " https://app.example ",
        "RUN_TRIGGER": " self ",
        "LEASE_S": " 40 ",
        "SOURCE__ETHERSCAN__API_KEY": " key ",
        "SOURCE__BLOCKSCOUT__API_KEY": "  ",
    }.items():
        monkeypatch.setenv(variable, value)

    found = Settings.load()

    assert found.cron_secret == SecretStr("secret")
    assert (found.public_url, found.run_trigger, found.lease_s) == (
        "https://app.example",
        "self",
        40,
    )
    assert found.options_of("etherscan").api_key == SecretStr("key")
    assert found.options_of("blockscout").api_key is None


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("API_PREFIX", "api"),
        ("API_PREFIX", "/a b"),
        ("API_PREFIX", "/{x}"),
        ("API_PREFIX", "//api"),
        ("SOURCE", "notjson"),
        ("SOURCE", "[1]"),
        ("SOURCE__ETHERSCAN", "notjson"),
        ("SOURCE__ETHERSCAN__BASE_URL", "notaurl"),
        ("SOURCE__ETHERSCAN__BASE_URL", "ftp://hunter2@host"),
        ("SOURCE__ETHERSCAN__CALLS_PER_S", "inf"),
        ("SOURCE__ETHERSCAN__KEY", "hunter2"),
        ("LEASE_S", "inf"),
        ("LEASE_S", "nan"),
        ("LEASE_S", "1e300"),
        ("LEASE_S", "soon"),
        ("RESERVE_S", "inf"),
        ("REFRESH_S", "inf"),
        ("REST_DAYS", "1e12"),
        ("PUBLIC_URL", "app.example"),
        ("PUBLIC_URL", "https://[bad"),
        ("PUBLIC_URL", "https://"),
        ("PUBLIC_URL", "https://user:hunter2@app.example:port"),
        ("PUBLIC_URL", "https://app .example"),
        ("QSTASH_URL", "qstash"),
        ("SQS_QUEUE_URL", "tallybook.fifo"),
        ("RUN_TRIGGER", "hunter2"),
    ],
)
def test_a_value_that_cannot_be_used_is_told_by_its_variable(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigError) as caught:
        Settings.load()

    assert caught.value.detail.startswith((variable, "SOURCE:"))
    assert variable.partition("__")[0] in caught.value.how_to_fix
    assert "hunter2" not in caught.value.detail + caught.value.how_to_fix


@pytest.mark.parametrize("variable", ["UPSTASH_REDIS_REST_TOKEN", "KV_REST_API_TOKEN"])
def test_a_token_without_its_url_is_not_ignored(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "hunter2")

    with pytest.raises(ConfigError, match="UPSTASH_REDIS_REST_URL is not set") as caught:
        Settings.load()

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PUBLIC_URL", "http://127.0.0.1:8000"),
        ("PUBLIC_URL", "https://[::1]:8000/below/"),
        ("SOURCE__ROUTESCAN__BASE_URL", "http://127.0.0.1:1/{network}/evm/{chain_id}/api"),
        ("API_PREFIX", "/"),
        ("API_PREFIX", "/v1/api/"),
        ("LEASE_S", "1e2"),
    ],
)
def test_what_can_be_used_is_taken(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)

    assert Settings.load() is not None
