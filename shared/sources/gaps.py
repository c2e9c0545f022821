"""What the movements of a balance cannot tell, by name."""

from shared.sources.catalog import chain_info


def gaps_of(
    chain_id: int,
    contract: bytes | None,
    *,
    internals_complete: bool,
    withdrawals_complete: bool = True,
) -> list[str]:
    """Why the balance of an asset may differ from the chain's; empty when nothing is missing.

    Args:
        chain_id: A known chain.
        contract: The asset's contract; None for the native coin.
        internals_complete: Whether the internals feed is served and read to the same block.
        withdrawals_complete: The same for withdrawals, on a chain that has them.

    Returns:
        Out of ``l1_fee`` (rows carry no L1 data fee: the true balance is lower),
        ``internals_missing``, ``withdrawals_missing``, ``wrapped_native`` (deposits and
        withdrawals emit no Transfer) and ``rebasing``.
    """
    chain = chain_info(chain_id)
    if contract is None:
        found = {
            "l1_fee": chain.l1_fee,
            "internals_missing": not internals_complete,
            "withdrawals_missing": chain.withdrawals and not withdrawals_complete,
        }
    else:
        found = {
            "wrapped_native": contract == chain.wrapped_native and not chain.wrapped_emits_transfer,
            "rebasing": contract in chain.rebasing,
        }
    return [name for name, is_missing in found.items() if is_missing]
