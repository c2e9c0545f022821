"""Every table, so that METADATA is complete once this package is imported."""

from schema.tables.address import Address
from schema.tables.asset import Asset
from schema.tables.balance import Balance
from schema.tables.base import METADATA, SCHEMA, Table
from schema.tables.leader import Leader
from schema.tables.movement import Movement
from schema.tables.price import Price
from schema.tables.run import Run
from schema.tables.seen_call import SeenCall
from schema.tables.stream import Stream
from schema.tables.switch import Switch
from schema.tables.sync_job import SyncJob
from schema.tables.wallet import Wallet

__all__ = [
    "METADATA",
    "SCHEMA",
    "Address",
    "Asset",
    "Balance",
    "Leader",
    "Movement",
    "Price",
    "Run",
    "SeenCall",
    "Stream",
    "Switch",
    "SyncJob",
    "Table",
    "Wallet",
]
