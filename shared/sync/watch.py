"""To watch an address and to stop: wallets come and go, streams start, rest and wake."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Engine

from schema.engine import session_scope
from schema.queries import address, stream_view, wallet
from schema.queries.stream_view import Wanted
from schema.queries.wallet import WalletRow
from shared.clock import Clock
from shared.errors import InvalidInputError, NotFoundError
from shared.settings import Settings
from shared.sources import registry


@dataclass(frozen=True, slots=True)
class WatchedWallet:
    """A wallet as stored, whether it is new, and the streams of the chains just asked for."""

    wallet: WalletRow
    created: bool
    stream_ids: tuple[int, ...]


def watch(
    engine: Engine,
    *,
    owner: str,
    account: str,
    chain_ids: Collection[int],
    label: str | None,
    source: str | None,
    settings: Settings,
    clock: Clock,
) -> WatchedWallet:
    """Watch an address on some chains; again, it adds chains and leaves what is there as it is.

    Args:
        engine: The ledger.
        owner: Whose wallet it is.
        account: As ``parse_account`` returns it.
        chain_ids: Chains wanted, at least one.
        label: The owner's name for it; None keeps the one there is.
        source: Key of the provider for new streams; None takes each chain's default.
        settings: Say which providers are usable.
        clock: Dates the wallet. What is due is decided by the database's clock.

    Raises:
        InvalidInputError: No chain, an unknown one, or one that the source does not serve.
        ConfigError: No provider of a chain can be used as things are set.
    """
    wanted = _feeds(chain_ids, source, settings)
    with session_scope(engine) as session:
        connection = session.connection()
        address_id = address.locked_address_id(connection, account)
        row, created = wallet.put_wallet(
            connection,
            owner=owner,
            address_id=address_id,
            chain_ids=chain_ids,
            label=label,
            now=clock.now(),
        )
        stream_ids = stream_view.want(connection, address_id, wanted)
    return WatchedWallet(row, created, tuple(stream_ids))


def unwatch(engine: Engine, *, owner: str, wallet_id: int) -> None:
    """Forget a wallet; streams that no other wallet wants rest from now on.

    Raises:
        NotFoundError: The owner has no such wallet.
    """
    with session_scope(engine) as session:
        connection = session.connection()
        found = wallet_or_raise(wallet.wallet_of(connection, owner, wallet_id))
        address.lock_address(connection, found.address_id)
        wallet.delete_wallet(connection, wallet_id)
        still_wanted = wallet.chains_wanted(connection, found.address_id)
        stream_view.rest(connection, found.address_id, but=still_wanted)


def wallet_or_raise(found: WalletRow | None) -> WalletRow:
    """The wallet, if the owner has it.

    Raises:
        NotFoundError: They do not; whether somebody else does is not said.
    """
    if found is None:
        message = "no such wallet"
        raise NotFoundError(message)
    return found


def _feeds(chain_ids: Collection[int], source: str | None, settings: Settings) -> list[Wanted]:
    """Every feed of every chain, with the provider that would serve it."""
    if not chain_ids:
        message = "at least one chain must be given"
        raise InvalidInputError(message)
    wanted = []
    for chain_id in sorted(set(chain_ids)):
        provider = source or registry.default_source(chain_id, settings)
        kinds = registry.kinds(provider, chain_id)
        if not kinds:
            message = f"source {provider} does not serve chain {chain_id}"
            raise InvalidInputError(message, fix="Leave the source out, or choose another.")
        wanted += [Wanted(chain_id, kind.value, provider) for kind in kinds]
    return wanted
