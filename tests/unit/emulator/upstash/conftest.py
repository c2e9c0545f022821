from collections.abc import Iterator

import httpx
import pytest

from shared.emulator.upstash.server import LocalUpstash, serving_upstash

READ_ONLY = "reads-only"
DATABASE = 7  # of the shared Redis: what these tests empty is theirs


@pytest.fixture(scope="module", params=["redis", "fakeredis"])
def served(request: pytest.FixtureRequest) -> Iterator[LocalUpstash]:
    """The emulator over a real Redis, and over none."""
    url = None
    if request.param == "redis":
        url = request.getfixturevalue("redis_url").removesuffix("/0") + f"/{DATABASE}"
    with serving_upstash(url, token="all", read_only_token=READ_ONLY) as made:
        yield made


@pytest.fixture
def upstash(served: LocalUpstash) -> LocalUpstash:
    """The same with nothing in it, nothing wrong and nothing counted."""
    served.faults.clear()
    served.empty()
    served.forget_scripts()
    served.reset_counters()
    return served


@pytest.fixture
def anybody(upstash: LocalUpstash) -> Iterator[httpx.Client]:
    """A caller without a token."""
    # Plain HTTP: a certificate store takes longer to load than a test to run.
    with httpx.Client(base_url=upstash.url, verify=False) as client:  # noqa: S501
        yield client


@pytest.fixture
def http(upstash: LocalUpstash) -> Iterator[httpx.Client]:
    """A caller with the token."""
    headers = {"Authorization": f"Bearer {upstash.token}"}
    with httpx.Client(base_url=upstash.url, headers=headers, verify=False) as client:  # noqa: S501
        yield client


@pytest.fixture
def reader(upstash: LocalUpstash) -> Iterator[httpx.Client]:
    """A caller with the token that only reads."""
    headers = {"Authorization": f"Bearer {READ_ONLY}"}
    with httpx.Client(base_url=upstash.url, headers=headers, verify=False) as client:  # noqa: S501
        yield client
