"""The floor of a cold start: FastAPI, SQLModel and psycopg as a tutorial puts them together."""

import os
from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI
from sqlmodel import Field, Session, SQLModel, create_engine, select  # noqa: TID251 - not ours


class Balance(SQLModel, table=True):
    """What one stream holds of one asset."""

    __table_args__ = {"schema": "tallybook"}

    stream_id: int = Field(primary_key=True)
    asset_id: int = Field(primary_key=True)
    movements: int


app = FastAPI()
url = os.environ["DATABASE_URL"]  # noqa: TID251 - a server of its own
engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))


def session() -> Iterator[Session]:
    """A session for one request."""
    with Session(engine) as opened:
        yield opened


@app.get("/api/wallets/{wallet_id}/balances")
def balances(
    wallet_id: int, opened: Annotated[Session, Depends(session)]
) -> dict[str, list[Balance]]:
    """All there are."""
    del wallet_id
    return {"items": list(opened.exec(select(Balance)))}
