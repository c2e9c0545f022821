"""A progress bar on a terminal: what the ledger says, twice a second."""

import sys
import threading
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from sqlalchemy import Engine

from shared.sync.progress import StreamProgress, progress

REFRESH_S = 0.5


class ProgressBar:
    """One bar a stream, while the block runs."""

    def __init__(self, engine: Engine, address_id: int, chain_id: int) -> None:
        self._engine = engine
        self._address_id = address_id
        self._chain_id = chain_id
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._bars: dict[int, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description:10}"),
            BarColumn(),
            TextColumn("{task.fields[state]:10} {task.fields[movements]:>9,} movements"),
            TimeElapsedColumn(),
            console=Console(file=sys.stderr),
        )

    def __enter__(self) -> None:
        self._progress.start()
        self._watcher.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._watcher.join()
        self._show()
        self._progress.stop()

    def _watch(self) -> None:
        while not self._over.wait(REFRESH_S):
            self._show()

    def _show(self) -> None:
        streams = progress(self._engine, address_id=self._address_id, chain_ids=[self._chain_id])
        for stream in streams:
            self._draw(stream)

    def _draw(self, stream: StreamProgress) -> None:
        if stream.stream_id not in self._bars:
            self._bars[stream.stream_id] = self._progress.add_task(
                stream.kind, total=None, state=stream.state, movements=0
            )
        self._progress.update(
            self._bars[stream.stream_id],
            total=stream.blocks_known,
            completed=stream.blocks_done,
            state=stream.state,
            movements=stream.movements,
        )
