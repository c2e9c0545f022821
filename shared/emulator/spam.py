"""Tokens whose texts break careless code: NUL, lone surrogates, RTL marks, links, 10 kB symbols."""

from shared.emulator.dice import address
from shared.emulator.events import ERC20, ERC721, ERC1155, Token

LONG = 10 * 1024


def spam_tokens(*salt: object) -> tuple[Token, ...]:
    """One token for each nasty text that has been seen in the wild."""
    texts: tuple[tuple[str, str, str, str | None], ...] = (
        (ERC20, "Visit https://claim-usdc.example to claim", "$ USDC.claim", "18"),
        (ERC20, "nul\x00inside", "N\x00L", "18"),
        (ERC20, "lone \ud800 surrogate", "\udfff", "6"),
        (ERC20, "\u202eCDSU\u202c", "\u200fUSDC\u200e", "6"),
        (ERC20, "long", "L" * LONG, "18"),
        (ERC20, "", "", ""),
        (ERC20, "no decimals", "NODEC", None),
        (ERC20, "too many decimals", "DEC", "200"),
        (ERC20, '"quoted\\" <script>', "\n\t", "0"),
        (ERC721, "free mint \x00 www.example", "\ud83d", ""),
        (ERC1155, "airdrop \U0001f381", "\x00", None),
    )
    return tuple(
        Token(address("spam", number, *salt), action, name, symbol, decimals)
        for number, (action, name, symbol, decimals) in enumerate(texts)
    )
