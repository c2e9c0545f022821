"""Progress as it happens, where a process lives long: the same events by SSE and by WebSocket.

The one rule for clients: ask for the events; where the answer is ``not_live`` (501, or the close
code 4501), this is a platform whose calls end, and one polls ``GET sync`` instead.
https://html.spec.whatwg.org/multipage/server-sent-events.html (read 2026-11-25)
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from functions.api.sync import EXAMPLE, SyncView, sync_view
from functions.api.wallets import LARGEST_ID, WalletId, wallet_for
from functions.deps import OWNER, OwnerDep, RuntimeDep, websocket_objection
from functions.openapi import answers
from functions.problems import problem
from shared.errors import TallybookError
from shared.platform import platform_of
from shared.runtime import Runtime

router = APIRouter(tags=["sync"])
MODELS: tuple[type[msgspec.Struct], ...] = ()  # those of sync

LOOK_S = 1.0
ALIVE_S = 15.0  # proxies close what is silent for longer
LONGEST_S = 3600.0
SSE = "text/event-stream"
NOT_LIVE, DENIED, GONE = 4501, 4401, 4404  # close codes; 4000 and above are an application's own
STATUS_NOT_LIVE = 501
REASON = "on this platform a call ends too soon: poll GET sync"


@router.get(
    "/wallets/{wallet_id}/sync/events",
    operation_id="watchSync",
    responses={
        **answers(
            SyncView,
            description="Server-sent events, each a JSON document like this one.",
            example=EXAMPLE,
            problems=(401, 404, 422, STATUS_NOT_LIVE, 503),
        ),
        200: {"description": "Server-sent events ``sync``.", "content": {SSE: {}}},
    },
)
async def watch_sync(
    request: Request, owner: OwnerDep, runtime: RuntimeDep, wallet_id: WalletId
) -> Response:
    """Progress whenever it changes, until the wallet is up to date or the client leaves."""
    if platform_of(runtime.settings).is_ephemeral:
        return problem(request.scope, STATUS_NOT_LIVE, "not_live", REASON, fix="Poll GET sync.")
    await run_in_threadpool(wallet_for, runtime, owner, wallet_id)

    async def lines() -> AsyncIterator[bytes]:
        async for view in _changes(runtime, owner, wallet_id):
            if view is None:
                yield b": alive\n\n"
            else:
                yield b"event: sync\ndata: " + msgspec.json.encode(view) + b"\n\n"

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(lines(), media_type=SSE, headers=headers)


@router.websocket("/wallets/{wallet_id}/sync/socket")
async def watch_sync_by_socket(
    socket: WebSocket, wallet_id: Annotated[int, Path(ge=1, le=LARGEST_ID)]
) -> None:
    """The same, a text message each. The token comes as subprotocol ``bearer.<API_TOKEN>``."""
    runtime: Runtime = socket.app.state.runtime
    await socket.accept(subprotocol=next(iter(socket.scope.get("subprotocols", [])), None))
    code, why = await _refusal(runtime, socket, wallet_id)
    if code:
        await socket.close(code, why)
        return
    try:
        async for view in _changes(runtime, OWNER, wallet_id):
            if view is not None:
                await socket.send_text(msgspec.json.encode(view).decode())
        await socket.close()
    except WebSocketDisconnect:
        return


async def _refusal(runtime: Runtime, socket: WebSocket, wallet_id: int) -> tuple[int, str]:
    """Close code and reason, or zero."""
    if websocket_objection(socket):
        return DENIED, "this needs the API_TOKEN as subprotocol bearer.<API_TOKEN>"
    if platform_of(runtime.settings).is_ephemeral:
        return NOT_LIVE, REASON
    try:
        await run_in_threadpool(runtime.ensure_schema)
        await run_in_threadpool(wallet_for, runtime, OWNER, wallet_id)
    except TallybookError as exc:
        return GONE, exc.detail[:100]
    return 0, ""


async def _changes(runtime: Runtime, owner: str, wallet_id: int) -> AsyncIterator[SyncView | None]:
    """The progress when it changes, None when it has not for a while; ends with ``up_to_date``."""
    loop = asyncio.get_running_loop()
    end, told_at = loop.time() + LONGEST_S, loop.time()
    last: SyncView | None = None
    while loop.time() < end:
        try:
            view = await run_in_threadpool(_look, runtime, owner, wallet_id)
        except TallybookError:
            return  # gone, or the database is: the client asks again and is told why
        if view != last:
            yield view
            last, told_at = view, loop.time()
            if view.state == "up_to_date":
                return
        elif loop.time() - told_at >= ALIVE_S:
            yield None
            told_at = loop.time()
        await asyncio.sleep(LOOK_S)


def _look(runtime: Runtime, owner: str, wallet_id: int) -> SyncView:
    return sync_view(runtime, wallet_for(runtime, owner, wallet_id))
