"""From nothing to the first answer of ``GET balances``, a process of its own each time."""

from functools import partial

from benchmarks.harness import Measure, interleaved, postgres, ratio
from benchmarks.serving import ROOT, UVICORN, free_port, started
from tests.factories import make_address, make_stream, make_wallet, save

ROUNDS = 7
PATH = "/api/wallets/1/balances"


def first_answer(app: str, env: dict[str, str], _: int = 0) -> None:
    """Start a server, get one answer."""
    port = free_port()
    command = [*UVICORN, app, "--port", str(port)]
    with started(command, f"http://127.0.0.1:{port}", env, ROOT, PATH, hurry=True):
        pass


def run() -> list[Measure]:
    """The measures of this file."""
    with postgres() as engine:
        [address] = save(engine, make_address())
        save(engine, make_stream(address_id=address.id))
        save(engine, make_wallet())
        url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        env = {"DATABASE_URL": url}
        ours, bare = interleaved(
            ROUNDS,
            partial(first_answer, "functions.asgi:app", env),
            partial(first_answer, "benchmarks.bare_balances:app", env),
        )
    what = "first balances of a cold process, against FastAPI + SQLModel + psycopg"
    return [ratio(what, ours * 1e3, bare * 1e3, "ms", most=1.2)]
