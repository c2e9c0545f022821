"""The only reader of the environment."""

from pathlib import Path
from typing import Any, Literal

from platformdirs import user_data_path
from pydantic import AliasChoices, BaseModel, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import ConfigError


class SourceOptions(BaseModel):
    """What an operator may say of one provider: ``SOURCE__ETHERSCAN__API_KEY`` and so on."""

    model_config = {"extra": "forbid", "frozen": True}

    api_key: SecretStr | None = None
    base_url: str | None = None
    calls_per_s: float | None = Field(default=None, gt=0)
    calls_a_day: int | None = Field(default=None, ge=0, description="0: no limit.")
    page_rows: int | None = Field(default=None, ge=1, le=10_000)
    fetch_ahead: int | None = Field(default=None, ge=1, le=8)


class Settings(BaseSettings):
    """Everything that can be set, with its default. Times are in seconds."""

    model_config = SettingsConfigDict(env_nested_delimiter="__", frozen=True, extra="ignore")

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
        default=30.0, gt=0.5, description="How long a dead run can hold a stream."
    )
    run_budget_s: float = Field(
        default=10.0, gt=0, description="The box of one run where the platform tells none."
    )
    reserve_s: float = Field(default=0.5, ge=0, description="Kept free at the end of a box.")
    refresh_s: float = Field(
        default=300.0, ge=0, description="An up-to-date stream is due again after this."
    )
    max_attempts: int = Field(
        default=8, ge=1, description="Failures in a row before a stream is dead."
    )
    fetch_ahead: int = Field(default=2, ge=1, le=8, description="Pages of one window in flight.")
    rest_days: float = Field(
        default=30.0, ge=0, description="Streams without a wallet are kept this long."
    )
    run_keep_days: float = Field(
        default=14.0, ge=0, description="Rows of the run table are kept this long."
    )
    price_refresh_s: float = Field(
        default=900.0, gt=0, description="A price is asked for again after this."
    )
    price_stale_s: float = Field(
        default=3600.0, gt=0, description="An older price is called stale, whoever told it."
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
        default=30.0, gt=0, description="The box of one stream's turn in a worker."
    )
    grace_s: float = Field(
        default=20.0, ge=0, description="How long a worker that is told to end may take."
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

    @classmethod
    def load(cls, **overrides: Any) -> "Settings":
        """Read the environment.

        Raises:
            ConfigError: A variable has a value that cannot be used; names it.
        """
        try:
            return cls(**overrides)
        except ValidationError as exc:
            first = exc.errors()[0]
            variable = "__".join(str(part) for part in first["loc"]).upper()
            message = f"{variable}: {first['msg']}"
            raise ConfigError(message, fix=f"Correct or unset {variable}.") from None

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
