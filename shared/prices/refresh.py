"""Prices by cron: what somebody holds, asked longest ago first, within a box.

Killed at any line it loses at most the answers of one claim: those assets are due again when their
claim ends. Two at once never hold the same claim.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from schema.queries import price
from schema.queries.price import ClaimedAsset, Settled
from schema.types import PriceState
from shared.clock import Deadline
from shared.prices.asking import Asking, Problem
from shared.prices.judge import Told, judged
from shared.prices.spam import Suspicion, is_given_up, suspicion, wait_s
from shared.seams import Clock, RateGate, UnitOfWork
from shared.settings import Settings
from shared.sources.base import PricedAsset, QuoteSource
from shared.sources.registry import priced_chains

CLAIM_ASSETS = 100  # one request of the first provider
CLAIM_GRACE_S = 30.0  # a claim outlives the box that it was made in
RETRY_S = 60.0  # nothing was learned: a provider failed, or the box was over
SHORTEST_ROUND_S = 1.0


@dataclass(slots=True)
class RefreshReport:
    """What one refresh did: ``asked`` is the sum of priced, unknown and unanswered.

    ``flagged`` are among the priced. ``spam`` were given up now, by name or for want of a price.
    ``left`` is due still, or was not answered.
    """

    asked: int = 0
    priced: int = 0
    unknown: int = 0
    unanswered: int = 0
    flagged: int = 0
    spam: int = 0
    left: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class PriceRefresher:
    """Refreshes prices; holds nothing between two calls."""

    def __init__(
        self,
        sources: Sequence[QuoteSource],
        settings: Settings,
        *,
        clock: Clock,
        unit: UnitOfWork,
        gate: RateGate,
    ) -> None:
        self._sources = sources
        self._settings = settings
        self._clock = clock
        self._unit = unit
        self._gate = gate

    def refresh(self, deadline: Deadline) -> RefreshReport:
        """Ask for what is due until nothing is, or the box is nearly over.

        Raises:
            StorageError: The database failed; what was committed stays.
        """
        report = RefreshReport()
        asking = Asking(self._sources, self._gate)
        box = Deadline(deadline.at - self._settings.reserve_s, deadline.monotonic)
        chain_ids = priced_chains()
        self._unit.run("price enrol", lambda c: price.enrol_held(c, chain_ids))
        seen: set[int] = set()
        while box.remaining_s() >= SHORTEST_ROUND_S:
            hold_s = box.remaining_s() + CLAIM_GRACE_S
            claimed = self._claim(hold_s)
            fresh = {asset.asset_id for asset in claimed} - seen
            # Only what was just given back, unanswered, is due: asking again would not help.
            if not fresh:
                break
            seen |= fresh
            settled = self._worked(claimed, asking, box, report)
            self._settle(settled)
        report.left = self.due() + report.unanswered
        report.calls, report.problems = dict(asking.calls), asking.problems
        self._gate.tell(deadline)
        return report

    def due(self) -> int:
        """How many prices are due now."""
        return self._unit.run("price count", price.due_count)

    def forgive(self) -> int:
        """Have all that was given up asked for once more; returns how many."""
        return self._unit.run("price forgive", price.forgive_spam)

    def _claim(self, hold_s: float) -> list[ClaimedAsset]:
        return self._unit.run(
            "price claim", lambda c: price.claim_due(c, most=CLAIM_ASSETS, hold_s=hold_s)
        )

    def _settle(self, settled: Sequence[Settled]) -> None:
        self._unit.run("price settle", lambda c: price.settle(c, settled))

    def _worked(
        self,
        claimed: Sequence[ClaimedAsset],
        asking: Asking,
        box: Deadline,
        report: RefreshReport,
    ) -> list[Settled]:
        """Ask for a claim; what becomes of each asset."""
        baits = [asset for asset in claimed if _is_bait(asset)]
        wanted = {
            PricedAsset(asset.chain_id, asset.contract): asset
            for asset in claimed
            if not _is_bait(asset)
        }
        report.spam += len(baits)
        report.asked += len(wanted)
        found = asking.ask(list(wanted), box)
        return [Settled(asset, 0.0, asset.misses, PriceState.SPAM) for asset in baits] + [
            self._settled(asset, found.told[key], key in found.open, report)
            for key, asset in wanted.items()
        ]

    def _settled(
        self, asset: ClaimedAsset, told: Sequence[Told], is_open: bool, report: RefreshReport
    ) -> Settled:
        """What the answers mean for one asset."""
        found = judged(told, self._clock.now())
        state, refresh_s = PriceState(asset.state), self._settings.price_refresh_s
        if found is not None:
            report.priced += 1
            report.flagged += found.flag is not None
            # Another provider may be behind the one before it: time never goes back.
            if asset.priced_at is not None and found.priced_at < asset.priced_at:
                return Settled(asset, refresh_s, 0, state)
            return Settled(asset, refresh_s, 0, PriceState.PRICED, found)
        if is_open or told:
            report.unanswered += 1
            return Settled(asset, RETRY_S, asset.misses, state)
        report.unknown += 1
        misses = asset.misses + 1
        if _can_be_spam(asset) and is_given_up(misses, suspicion(asset.symbol, asset.name)):
            report.spam += 1
            return Settled(asset, 0.0, misses, PriceState.SPAM)
        return Settled(asset, wait_s(misses), misses, PriceState.UNKNOWN)


def _can_be_spam(asset: ClaimedAsset) -> bool:
    """Neither a native coin nor what had a price once."""
    return asset.contract is not None and asset.state != PriceState.PRICED.value


def _is_bait(asset: ClaimedAsset) -> bool:
    """Whether the name alone is enough."""
    return _can_be_spam(asset) and suspicion(asset.symbol, asset.name) is Suspicion.SURE
