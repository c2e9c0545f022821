"""What a wallet's movements and balances truly are, told from the world's events alone.

Nothing here knows the product's adapters, its provider rows or its database.
"""

from collections import Counter, defaultdict

from shared.emulator.truth import Move, moves_of
from shared.emulator.world import World


def movements(world: World, account: bytes, chain_id: int | None = None) -> Counter[Move]:
    """Every movement of an account on a chain, with how often it occurs."""
    found: Counter[Move] = Counter()
    for event in world.events(chain_id):
        for move in moves_of(event, account):
            found[move._replace(at_s=world.block_time(move.block, chain_id))] += 1
    return found


def balances(
    world: World, account: bytes, chain_id: int | None = None
) -> dict[tuple[bytes | None, int | None], int]:
    """What the account holds of each (contract, token id); zeros are left out."""
    sums: defaultdict[tuple[bytes | None, int | None], int] = defaultdict(int)
    for event in world.events(chain_id):
        for move in moves_of(event, account):
            sums[move.contract, move.token_id] += move.amount
    return {asset: amount for asset, amount in sums.items() if amount}


def oracle_document(world: World) -> dict[str, dict[str, list[dict[str, object]]]]:
    """All wallets' final balances for a JSON file, by address and chain; amounts are text."""
    return {
        _hex(wallet): {str(chain): _holdings(world, wallet, chain) for chain in world.chains}
        for wallet in world.wallets
    }


def _holdings(world: World, wallet: bytes, chain_id: int) -> list[dict[str, object]]:
    held = balances(world, wallet, chain_id)
    return [
        {
            "contract": None if contract is None else _hex(contract),
            "token_id": None if token_id is None else str(token_id),
            "amount_raw": str(amount),
        }
        for (contract, token_id), amount in sorted(held.items(), key=_order)
    ]


def _order(item: tuple[tuple[bytes | None, int | None], int]) -> tuple[bytes, int]:
    (contract, token_id), _ = item
    return contract or b"", -1 if token_id is None else token_id


def _hex(account: bytes) -> str:
    return "0x" + account.hex()
