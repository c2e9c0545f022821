"""The providers in their order: each is asked only for what the ones before it left open."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from shared.clock import Deadline
from shared.errors import (
    DeadlineExceededError,
    QuotaUsedUpError,
    SourceError,
    SourcePayloadError,
    SourceRateLimitedError,
    TallybookError,
    fault_of,
)
from shared.gate import RateGate
from shared.prices.judge import Told, is_good
from shared.sources.base import PricedAsset, Quote, QuoteSource

CALL_S = 8.0  # no single call may take the whole box
TRIES = 2


class Problem(NamedTuple):
    """What went wrong with a provider during a refresh."""

    source: str
    code: str
    detail: str


class Findings(NamedTuple):
    """What was told of each asset; of those in ``open`` some provider could not be asked."""

    told: dict[PricedAsset, list[Told]]
    open: set[PricedAsset]


class Asking:
    """One refresh's way through the providers; one that failed is left alone for its rest."""

    def __init__(self, sources: Sequence[QuoteSource], gate: RateGate) -> None:
        self.calls: Counter[str] = Counter()
        self.problems: list[Problem] = []
        self._sources = sources
        self._gate = gate
        self._down: set[str] = set()

    def ask(self, assets: Sequence[PricedAsset], deadline: Deadline) -> Findings:
        """Ask for some assets; an error leaves its batch open and is noted, never raised."""
        told: dict[PricedAsset, list[Told]] = {asset: [] for asset in assets}
        unasked: set[PricedAsset] = set()
        for source in self._sources:
            wanted = [
                asset for asset in assets if source.second_opinion or not is_good(told[asset])
            ]
            for batch in source.batches(wanted):
                quotes = self._answer(source, batch, deadline)
                if quotes is None:
                    unasked.update(batch)
                    continue
                for asset, quote in quotes.items():
                    told[asset].append(Told(source.key, quote))
        return Findings(told, {asset for asset in unasked if not told[asset]})

    def _answer(
        self, source: QuoteSource, batch: Sequence[PricedAsset], deadline: Deadline
    ) -> Mapping[PricedAsset, Quote] | None:
        """One batch's answer; None when there is none to be had now."""
        if source.key in self._down:
            return None
        try:
            return self._asked(source, batch, deadline)
        except (SourceError, DeadlineExceededError) as exc:
            self._note(source.key, exc)
            # Nonsense is about one batch; the next one may be well.
            if not isinstance(exc, SourcePayloadError):
                self._down.add(source.key)
            return None

    def _asked(
        self, source: QuoteSource, batch: Sequence[PricedAsset], deadline: Deadline
    ) -> Mapping[PricedAsset, Quote]:
        """Wait for our turn and ask; once more when the provider wanted a short pause."""
        for _ in range(TRIES - 1):
            try:
                return self._asked_once(source, batch, deadline)
            except QuotaUsedUpError:
                raise
            except SourceRateLimitedError as exc:
                self._gate.hold(source.key, exc.retry_after_s)
        try:
            return self._asked_once(source, batch, deadline)
        except QuotaUsedUpError:  # a hold would outlive a larger quota
            raise
        except SourceRateLimitedError as exc:
            self._gate.hold(source.key, exc.retry_after_s)
            raise

    def _asked_once(
        self, source: QuoteSource, batch: Sequence[PricedAsset], deadline: Deadline
    ) -> Mapping[PricedAsset, Quote]:
        self._gate.acquire(source.key, deadline)
        self.calls[source.key] += 1
        return source.quotes(batch, deadline.within(CALL_S))

    def _note(self, key: str, error: TallybookError) -> None:
        code, detail, _ = fault_of(error)
        problem = Problem(key, code, detail)
        if problem not in self.problems:
            self.problems.append(problem)
