"""Who plays in a made-up world: wallets, strangers, contracts and tokens."""

from dataclasses import dataclass

from shared.emulator.dice import address
from shared.emulator.events import ERC20, ERC721, ERC1155, Token
from shared.emulator.spam import spam_tokens

DECIMALS = ("18", "6", "8", "0", "18", "2")


@dataclass(frozen=True, slots=True)
class Cast:
    """The accounts and tokens of one chain; the wallets are the same on every chain."""

    wallets: tuple[bytes, ...]
    strangers: tuple[bytes, ...]
    contracts: tuple[bytes, ...]
    coins: tuple[Token, ...]
    junk: Token
    nfts: tuple[Token, ...]
    multis: tuple[Token, ...]
    spam: tuple[Token, ...]


def cast_of(seed: int, chain_id: int, *, wallets: int, coins: int, nfts: int) -> Cast:
    """The cast that a seed gives a chain."""
    here = (seed, chain_id)
    return Cast(
        wallets=tuple(address("wallet", number, seed) for number in range(wallets)),
        strangers=tuple(address("stranger", number, *here) for number in range(40)),
        contracts=tuple(address("contract", number, *here) for number in range(12)),
        coins=tuple(_coin(number, *here) for number in range(max(1, coins))),
        junk=Token(address("junk", *here), ERC20, "Infinite Junk", "JUNK", "18"),
        nfts=tuple(_nft(ERC721, number, *here) for number in range(max(1, nfts))),
        multis=tuple(_nft(ERC1155, number, *here) for number in range(max(1, nfts))),
        spam=spam_tokens(*here),
    )


def _coin(number: int, *here: object) -> Token:
    decimals = DECIMALS[number % len(DECIMALS)]
    return Token(address("coin", number, *here), ERC20, f"Coin {number}", f"COIN{number}", decimals)


def _nft(action: str, number: int, *here: object) -> Token:
    decimals = "0" if action == ERC721 else None
    kind = "Picture" if action == ERC721 else "Item"
    name = f"{kind} {number}"
    return Token(address(action, number, *here), action, name, f"{kind.upper()}{number}", decimals)
