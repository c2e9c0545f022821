"""A movement's place comes from what it says, never from the order in which it is told."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.types import MovementKind
from shared.errors import SourcePayloadError
from shared.sources.base import NATIVE, AssetRef, Draft
from shared.sync import position
from shared.sync.position import LOW_BITS, TX_INDEX_LIMIT, positions

COIN = AssetRef(b"c" * 20)
LOW = 2**LOW_BITS - 1


def draft(
    tx: int = 0,
    kind: MovementKind = MovementKind.ERC20,
    leg: int = 1,
    amount: int = 5,
    identity: bytes = b"",
    asset: AssetRef = COIN,
    counterparty: bytes | None = b"p" * 20,
) -> Draft:
    return Draft(tx, tx.to_bytes(32), kind, leg, asset, counterparty, amount, identity)


@st.composite
def blocks(draw: st.DrawFn) -> list[Draft]:
    """One block: equal coins among others, at most one payment and one fee a transaction."""
    found = []
    for tx in draw(st.lists(st.integers(0, 40), unique=True, max_size=8)):
        found += [
            draft(tx, leg=draw(st.integers(0, 1)), amount=draw(st.integers(-2, 2)))
            for _ in range(draw(st.integers(0, 5)))
        ]
        if draw(st.booleans()):
            found.append(draft(tx, MovementKind.FEE, 0, -1, asset=NATIVE))
        if draw(st.booleans()):
            found.append(draft(tx, MovementKind.TRANSFER, 1, 7, asset=NATIVE))
        found += [
            draft(tx, MovementKind.INTERNAL, 1, 7, identity=bytes([trace]), asset=NATIVE)
            for trace in range(draw(st.integers(0, 3)))
        ]
    return found


@given(blocks(), st.randoms(use_true_random=False))
def test_the_order_in_which_a_block_is_told_does_not_matter(
    block: list[Draft], rng: object
) -> None:
    told = positions("x", 7, block)
    shuffled = list(block)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]

    assert positions("x", 7, shuffled) == told
    assert [pos for pos, _ in told] == sorted({pos for pos, _ in told})
    assert Counter(each for _, each in told) == Counter(block)
    assert all(pos >> LOW_BITS == each.tx_index for pos, each in told)


def test_equal_movements_are_counted_over_the_whole_transaction() -> None:
    one, other = draft(3, amount=5), draft(3, amount=6)

    [(first, _)] = positions("x", 7, [one])
    together = positions("x", 7, [one, other, one, other, one])

    assert len({pos for pos, _ in together}) == 5
    # The first of the equal ones keeps the place that it has alone.
    assert first in {pos for pos, each in together if each == one}


def test_a_movement_keeps_its_place_when_another_of_its_transaction_is_told_later() -> None:
    early = positions("x", 7, [draft(3, amount=5)])
    late = positions("x", 7, [draft(3, amount=6), draft(3, amount=5)])

    assert early[0] in late


def test_payment_and_fee_of_a_transaction_have_places_of_their_own() -> None:
    payment = draft(9, MovementKind.TRANSFER, 1, 7, asset=NATIVE)
    paid = draft(9, MovementKind.TRANSFER, 0, -7, asset=NATIVE)
    fee = draft(9, MovementKind.FEE, 0, -1, asset=NATIVE)

    places = dict(positions("x", 7, [payment, fee, paid]))

    assert set(places) == {9 << 40 | 1 << 8 | 1, 9 << 40 | 1 << 8, 9 << 40 | 2 << 8}


def test_movements_that_want_one_place_take_the_next_free_ones_by_their_content() -> None:
    rivals = [draft(1, amount=amount) for amount in (3, 1, 2)]
    base = 1 << LOW_BITS | 77
    neighbour = draft(1, amount=9)
    wanted = {base: rivals, base + 1: [neighbour]}

    placed = position._settle("x", 7, wanted)

    by_content = sorted(rivals, key=repr)
    # What wants its place alone is never pushed away.
    assert placed == [
        (base, by_content[0]),
        (base + 1, neighbour),
        (base + 2, by_content[1]),
        (base + 3, by_content[2]),
    ]
    assert position._settle("x", 7, {base + 1: [neighbour], base: rivals[::-1]}) == placed


def test_places_wanted_twice_next_to_each_other_stay_apart() -> None:
    first, second = [draft(1, amount=n) for n in (1, 2)], [draft(1, amount=n) for n in (3, 4)]
    base = 1 << LOW_BITS | 77

    placed = position._settle("x", 7, {base + 1: second, base: first})

    assert len({pos for pos, _ in placed}) == 4
    assert Counter(each for _, each in placed) == Counter([*first, *second])


@pytest.mark.parametrize(
    "repeated",
    [
        draft(2, MovementKind.INTERNAL, identity=b"0_1", asset=NATIVE),
        draft(2, MovementKind.WITHDRAWAL, identity=b"9", asset=NATIVE),
        draft(2, MovementKind.TRANSFER, asset=NATIVE),
        draft(2, MovementKind.FEE, asset=NATIVE),
    ],
)
def test_a_row_with_an_identity_that_is_told_twice_is_refused(repeated: Draft) -> None:
    with pytest.raises(SourcePayloadError, match="block 7 lists one row twice"):
        positions("x", 7, [repeated, draft(1), repeated])


def test_a_repeated_row_without_a_transaction_is_named_so() -> None:
    row = draft(0, MovementKind.WITHDRAWAL, identity=b"9")._replace(tx_hash=b"")

    with pytest.raises(SourcePayloadError, match="transaction none"):
        positions("x", 7, [row, row])


def test_two_transactions_with_one_index_are_refused() -> None:
    payment = draft(5, MovementKind.TRANSFER, asset=NATIVE)

    with pytest.raises(SourcePayloadError, match="two transactions with index 5"):
        positions("x", 7, [payment, payment._replace(tx_hash=b"o" * 32)])


@pytest.mark.parametrize("index", [-1, TX_INDEX_LIMIT, 2**40])
def test_an_impossible_transaction_index_is_refused(index: int) -> None:
    with pytest.raises(SourcePayloadError, match=f"transaction index of {index}"):
        positions("x", 7, [draft(1)._replace(tx_index=index)])


def test_the_last_possible_place_fits_into_a_signed_64_bit_column() -> None:
    [(pos, _)] = positions("x", 7, [draft(1)._replace(tx_index=TX_INDEX_LIMIT - 1)])

    assert 0 <= pos < 2**63
