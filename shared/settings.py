"""The only reader of the environment."""

import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from platformdirs import user_data_path
from pydantic import (
    AliasChoices,
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from shared.errors import ConfigError

LONGEST_S = 366 * 86_400.0
LONGEST_DAYS = 36_600.0
PREFIX = re.compile(r"/(?:[A-Za-z0-9._~-]+/)*[A-Za-z0-9._~-]*")
PLACEHOLDER = re.compile(r"\{\w+\}")


class SourceOptions(BaseModel):
    """What an operator may say of one provider: ``SOURCE__ETHERSCAN__API_KEY`` and so on."""

    model_config = {"extra": "forbid", "frozen": True, "allow_inf_nan": False}

    api_key: SecretStr | None = None
    base_url: str | None = None
    calls_per_s: float | None = Field(default=None, gt=0)
    calls_a_day: int | None = Field(default=None, ge=0, description="0: no limit.")
    page_rows: int | None = Field(default=None, ge=1, le=10_000)
    fetch_ahead: int | None = Field(default=None, ge=1, le=8)

    @model_validator(mode="before")
    @classmethod
    def _blank_is_unset(cls, given: Any) -> Any:
        return _filled(given)


class Settings(BaseSettings):
    """Everything that can be set, with its default. Times are in seconds."""

    model_config = SettingsConfigDict(
        env_nested_delimiter="__",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        allow_inf_nan=False,
    )

    database_url: SecretStr | None = Field(
        default=None, description="Default: SQLite in the user's data folder."
    )
    api_prefix: str = "/api"
    api_token: SecretStr | None = Field(
        default=None, description="Bearer token of the owner; unset: loopback only."
    )
    cron_secret: SecretStr | None = Field(
        default=None, description="Bearer token of the cron calls; unset: loopback only."
    )
    lease_s: float = Field(
        default=30.0, gt=0.5, le=LONGEST_S, description="How long a dead run can hold a stream."
    )
    run_budget_s: float = Field(
        default=10.0,
        gt=0,
        le=LONGEST_S,
        description="The box of one run where the platform tells none.",
    )
    reserve_s: float = Field(
        default=0.5, ge=0, le=LONGEST_S, description="Kept free at the end of a box."
    )
    refresh_s: float = Field(
        default=300.0,
        ge=0,
        le=LONGEST_S,
        description="An up-to-date stream is due again after this.",
    )
    max_attempts: int = Field(
        default=8, ge=1, description="Failures in a row before a stream is dead."
    )
    fetch_ahead: int = Field(default=2, ge=1, le=8, description="Pages of one window in flight.")
    rest_days: float = Field(
        default=30.0,
        ge=0,
        le=LONGEST_DAYS,
        description="Streams without a wallet are kept this long.",
    )
    run_keep_days: float = Field(
        default=14.0, ge=0, le=LONGEST_DAYS, description="Rows of the run table are kept this long."
    )
    price_refresh_s: float = Field(
        default=900.0, gt=0, le=LONGEST_S, description="A price is asked for again after this."
    )
    price_stale_s: float = Field(
        default=3600.0,
        gt=0,
        le=LONGEST_S,
        description="An older price is called stale, whoever told it.",
    )
    upstash_redis_rest_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("upstash_redis_rest_url", "kv_rest_api_url"),
        description="Set: the queue is on Upstash. Vercel's integration names it KV_REST_API_URL.",
    )
    upstash_redis_rest_token: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("upstash_redis_rest_token", "kv_rest_api_token"),
    )
    use_bullmq: bool = Field(
        default=False, description="True: long-running workers on BullMQ, which needs REDIS_URL."
    )
    redis_url: SecretStr | None = Field(
        default=None, description="The Redis of the workers, redis:// or rediss://."
    )
    worker_threads: int = Field(default=4, ge=1, le=64, description="Streams worked at once.")
    worker_box_s: float = Field(
        default=30.0, gt=0, le=LONGEST_S, description="The box of one stream's turn in a worker."
    )
    grace_s: float = Field(
        default=20.0,
        ge=0,
        le=LONGEST_S,
        description="How long a worker that is told to end may take.",
    )
    run_trigger: Literal["none", "self", "postgres", "qstash", "sqs"] | None = Field(
        default=None, description="Who starts the next run; unset: self on Vercel, else none."
    )
    max_runs: int = Field(default=3, ge=1, le=50, description="Runs at once of a deployment.")
    public_url: str | None = Field(default=None, description="Where this deployment is reached.")
    vercel_project_production_url: str | None = None
    vercel_automation_bypass_secret: SecretStr | None = None
    qstash_url: str = "https://qstash.upstash.io"
    qstash_token: SecretStr | None = None
    qstash_current_signing_key: SecretStr | None = None
    qstash_next_signing_key: SecretStr | None = None
    sqs_queue_url: str | None = None
    port: int | None = Field(
        default=None, ge=1, le=65_535, description="Of a worker's health; Railway sets it."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"
    source: dict[str, SourceOptions] = Field(default_factory=dict)
    vercel: str | None = Field(default=None, description="Set by Vercel itself.")
    aws_lambda_function_name: str | None = Field(default=None, description="Set by Lambda itself.")
    railway_environment_name: str | None = Field(
        default=None,
        validation_alias=AliasChoices("railway_environment_name", "railway_environment"),
        description="Set by Railway itself.",
    )

    @model_validator(mode="before")
    @classmethod
    def _blank_is_unset(cls, given: Any) -> Any:
        """An empty secret would be one that everybody knows."""
        return _filled(given)

    @field_validator("api_prefix")
    @classmethod
    def _prefix(cls, value: str) -> str:
        if PREFIX.fullmatch(value):
            return value
        detail = "API_PREFIX is not a path that begins with a slash"
        raise ConfigError(detail, fix="Set API_PREFIX to a path such as /api, or unset it.")

    @field_validator("public_url", "qstash_url", "sqs_queue_url")
    @classmethod
    def _url(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None:
            _check_url(str(info.field_name).upper(), value)
        return value

    @field_validator("upstash_redis_rest_token")
    @classmethod
    def _token_of_a_url(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None or info.data.get("upstash_redis_rest_url") is not None:
            return value
        detail = "UPSTASH_REDIS_REST_URL is not set, although UPSTASH_REDIS_REST_TOKEN is"
        raise ConfigError(detail, fix="Copy both from the console, or unset both.")

    @field_validator("source")
    @classmethod
    def _base_urls(cls, value: dict[str, SourceOptions]) -> dict[str, SourceOptions]:
        for key, options in value.items():
            if options.base_url is not None:
                _check_url(f"SOURCE__{key.upper()}__BASE_URL", options.base_url)
        return value

    @classmethod
    def load(cls, **overrides: Any) -> "Settings":
        """Read the environment.

        Raises:
            ConfigError: A variable has a value that cannot be used; names it, never its value.
        """
        try:
            return cls(**overrides)
        except ValidationError as exc:
            first = exc.errors()[0]
            variable = "__".join(str(part) for part in first["loc"]).upper()
            message = f"{variable}: {first['msg']}"
            raise ConfigError(message, fix=f"Correct or unset {variable}.") from None
        except SettingsError:
            # The only variable that is read as JSON.
            fix = "Unset SOURCE, and set SOURCE__<KEY>__API_KEY and its like instead."
            message = "SOURCE: its value is not JSON"
            raise ConfigError(message, fix=fix) from None

    def resolved_database_url(self) -> str:
        """The database in use; makes the folder of the default one."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        folder = Path(user_data_path("tallybook", appauthor=False))
        folder.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{folder / 'tallybook.db'}"

    def options_of(self, source: str) -> SourceOptions:
        """What was said of one provider."""
        return self.source.get(source, SourceOptions())


def _filled(given: Any) -> Any:
    """What was given without the blanks around it, and without what is blank."""
    if not isinstance(given, dict):
        return given
    stripped = {name: _stripped(value) for name, value in given.items()}
    return {name: value for name, value in stripped.items() if value != ""}


def _stripped(value: Any) -> Any:
    """A text or a secret without blanks around it; a blank one is the empty text."""
    if isinstance(value, SecretStr):
        text = value.get_secret_value().strip()
        return SecretStr(text) if text else text
    return value.strip() if isinstance(value, str) else value


def _check_url(variable: str, value: str) -> None:
    """Refuse what nothing can be asked of; the value stays out of it, a URL may hold a secret.

    Raises:
        ConfigError: Names the variable.
    """
    try:
        parts = urlsplit(PLACEHOLDER.sub("1", value))
        port = parts.port
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and port != 0
    except ValueError:
        fits = False
    if not fits or any(letter.isspace() for letter in value):
        detail = f"{variable} is not an http(s) URL with a host"
        raise ConfigError(detail, fix=f"Set {variable} to https://.., or unset it.")
