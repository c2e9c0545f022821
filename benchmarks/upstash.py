"""What the queue on Upstash costs: calls and commands a run, and its time against bare round trips.

The local Upstash counts what the service would bill; a run here is a process of its own that knows
nothing, with a box of two seconds, as on a platform.
"""

from pydantic import SecretStr
from sqlalchemy import Engine

from benchmarks.harness import Measure, interleaved, limit, postgres, ratio
from shared.clock import Deadline, SystemClock
from shared.emulator.emulator import Emulator
from shared.emulator.server import serving
from shared.emulator.store import WorldStore
from shared.emulator.upstash.server import LocalUpstash, serving_upstash
from shared.emulator.world import World, WorldConfig
from shared.queue.base import Done, WakeUp
from shared.queue.factory import make_commons
from shared.runtime import Runtime
from shared.settings import Settings, SourceOptions
from shared.sync.start import wake
from shared.sync.watch import watch
from shared.upstash.client import UpstashClient
from tests import truth
from tests.servers import redis_server

CHAIN, MOVEMENTS, BOX_S, LATENCY_S = 1, 60_000, 2.0, 0.05
ROUNDS, LOOKS = 15, 40


def settings_of(
    engine: Engine, upstash: LocalUpstash, base: str = "http://127.0.0.1:9"
) -> Settings:
    """A deployment on this database, this Upstash and this provider, which sets no rate."""
    free = SourceOptions(
        base_url=f"{base}/etherscan/v2/api", api_key=SecretStr("k"), calls_per_s=1e3, page_rows=1000
    )
    return Settings.load(
        database_url=SecretStr(engine.url.render_as_string(hide_password=False)),
        upstash_redis_rest_url=upstash.url,
        upstash_redis_rest_token=SecretStr(upstash.token),
        source={"etherscan": free},
    )


def synced(engine: Engine, upstash: LocalUpstash) -> list[Measure]:
    """A whole first sync in boxes; what each run and each look at a stream asked of Upstash."""
    world = World(3, WorldConfig(wallets=1, movements=MOVEMENTS, blocks=MOVEMENTS // 10))
    with serving(Emulator(WorldStore(world)), latency_s=LATENCY_S) as base:
        settings = settings_of(engine, upstash, base)
        runtime = Runtime.from_settings(settings)
        watched = watch(
            engine,
            owner="local",
            account=truth.hexed(world.wallets[0]),
            chain_ids=[CHAIN],
            label=None,
            source="etherscan",
            settings=settings,
            clock=runtime.clock,
        )
        wake(engine, runtime.seams.queue, watched.stream_ids)
        runs = chunks = 0
        upstash.reset_counters()
        more = True
        while more:
            # Each run a new process: no kept share, no cached head.
            runtime = Runtime.from_settings(settings)
            report = runtime.sync.run(Deadline.after(runtime.clock, BOX_S))
            runtime.close()
            runs, chunks, more = runs + 1, chunks + len(report.chunks), report.more
        counted = upstash.counters
    # Two for the first stream of a run, one for each further one.
    most = round(2 + max(chunks - runs, 0) / runs, 2)
    return [
        limit(f"REST calls a run, {runs} runs of {BOX_S:g} s with {chunks} chunks",
              counted.calls / runs, "calls", most=most),
        limit("commands billed a run (an EVAL is one)", counted.commands / runs, "commands",
              most=most),
    ]  # fmt: skip


def overhead(engine: Engine, upstash: LocalUpstash) -> Measure:
    """A look at a stream that has nothing to do: begin and finish, against two bare PINGs."""
    settings = settings_of(engine, upstash)
    queue = make_commons(settings, engine, SystemClock()).queue
    client = UpstashClient.of(settings)

    def look(_: int) -> None:
        for number in range(LOOKS):
            queue.push(WakeUp(number + 1))
            claim = queue.claim(30.0)
            assert claim is not None
            queue.finish(claim, Done())

    def bare(_: int) -> None:
        for _number in range(3 * LOOKS):
            client.command("PING")

    ours, floor = interleaved(ROUNDS, look, bare)
    scale = 1e3 / LOOKS
    what = "push, claim and finish on Upstash, against three bare calls"
    return ratio(what, ours * scale, floor * scale, "ms", most=1.5)


def run() -> list[Measure]:
    """The measures of this file."""
    with postgres() as engine, redis_server() as redis, serving_upstash(redis) as upstash:
        upstash.empty()
        return [*synced(engine, upstash), overhead(engine, upstash)]
