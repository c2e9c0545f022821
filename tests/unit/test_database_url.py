"""URLs that cannot work on a platform, each refused with the form that does."""

import pytest
from pydantic import SecretStr

from shared import database_url
from shared.database_url import check, objections
from shared.errors import ConfigError
from shared.platform import Platform
from shared.runtime import Runtime
from shared.settings import Settings

REF = "abcdefghijklmnopqrst"
DIRECT = f"postgresql://postgres:pw@db.{REF}.supabase.co:5432/postgres"
POOLER = f"postgresql://postgres.{REF}:pw@aws-0-eu-central-1.pooler.supabase.com"
TLS = "?sslmode=require"
EPHEMERAL = (Platform.VERCEL, Platform.LAMBDA)
LASTING = (Platform.RAILWAY, Platform.LOCAL)
GOOD = (
    f"{POOLER}:6543/postgres{TLS}",
    f"{POOLER}:6543/postgres?sslmode=verify-full&sslrootcert=/x.crt",
    f"postgres://u:p@ep-a-b-pooler.eu-central-1.aws.neon.tech/db{TLS}&channel_binding=require",
    f"postgresql+psycopg://u:p@example.org/db{TLS}",
    f"postgresql://u:p@/db?host=a.example.org:6543&host=b.example.org&{TLS[1:]}",
    f"{DIRECT}{TLS}&hostaddr=203.0.113.7",
    "postgresql://u:p@127.0.0.1:5432/db",
    "postgresql://u:p@[::1]/db",
    "postgresql://u:p@10.1.2.3/db",
    "postgresql://u:p@localhost/db",
    "postgresql://u:p@postgres.railway.internal:5432/railway",
    "postgresql://postgres@/db?host=/var/run/postgresql",
    "postgresql:///db",
)
BAD = (
    (f"{POOLER}:5432/postgres{TLS}", database_url.SESSION_MODE),
    (f"{POOLER}/postgres{TLS}", database_url.SESSION_MODE),
    (f"{POOLER.replace('.com', '.COM')}/postgres{TLS}", database_url.SESSION_MODE),
    (f"postgresql:///db?host=x.pooler.supabase.com&port=5432&{TLS[1:]}", database_url.SESSION_MODE),
    (f"{DIRECT}{TLS}", database_url.IPV6_ONLY),
    (DIRECT.replace(":5432", ":6543") + TLS, database_url.IPV6_ONLY),
    (f"{POOLER}:6543/postgres", database_url.NO_TLS),
    ("postgresql://u:p@example.org/db", database_url.NO_TLS),
    ("postgresql://u:p@example.org/db?sslmode=prefer", database_url.NO_TLS),
    ("postgresql://u:p@203.0.114.7/db?sslmode=disable", database_url.NO_TLS),
    ("postgresql://u:p@/db?host=/run&host=example.org", database_url.NO_TLS),
)


@pytest.mark.parametrize("url", GOOD)
@pytest.mark.parametrize("platform", list(Platform))
def test_what_works_is_not_objected_to(url: str, platform: Platform) -> None:
    assert objections(url, platform) == []


@pytest.mark.parametrize(("url", "expected"), BAD)
@pytest.mark.parametrize("platform", EPHEMERAL)
def test_what_cannot_work_is_refused_with_the_right_form(
    url: str, expected: tuple[str, str], platform: Platform
) -> None:
    with pytest.raises(ConfigError) as refused:
        check(url, platform)

    assert (refused.value.detail, refused.value.how_to_fix) == expected
    assert "DATABASE_URL" in refused.value.detail
    assert not any(secret in str(refused.value) for secret in (REF, ":pw@", "example.org"))


@pytest.mark.parametrize(("url", "expected"), BAD)
@pytest.mark.parametrize("platform", LASTING)
def test_where_instances_last_it_is_only_worth_a_word(
    url: str, expected: tuple[str, str], platform: Platform
) -> None:
    check(url, platform)

    [objection] = objections(url, platform)
    assert (objection.detail, objection.fix, objection.fatal) == (*expected, False)


def test_the_form_to_use_is_one_that_is_not_objected_to() -> None:
    form = database_url.TRANSACTION_FORM.translate(str.maketrans("", "", "<>"))

    assert objections(form, Platform.VERCEL) == []


def test_all_that_is_wrong_is_told_the_worst_first() -> None:
    found = [objection.detail for objection in objections(DIRECT, Platform.VERCEL)]

    assert found == [database_url.IPV6_ONLY[0], database_url.NO_TLS[0]]


@pytest.mark.parametrize("url", [None, "sqlite:////tmp/x.db"])
def test_a_file_is_no_database_where_there_is_no_disk(url: str | None) -> None:
    for platform in EPHEMERAL:
        with pytest.raises(ConfigError, match=f"DATABASE_URL .*{platform.value} keeps no files"):
            check(url, platform)
    for platform in LASTING:
        check(url, platform)


@pytest.mark.parametrize("url", ["not a url", "postgresql://u:p@h:port/"])
def test_nonsense_is_left_to_the_engine(url: str) -> None:
    assert objections(url, Platform.VERCEL) == []


def test_the_runtime_refuses_before_it_connects() -> None:
    settings = Settings(database_url=SecretStr(DIRECT), vercel="1")

    health = Runtime.from_settings(settings).health()

    assert (health.reachable, health.problem) == (False, database_url.IPV6_ONLY[0])
