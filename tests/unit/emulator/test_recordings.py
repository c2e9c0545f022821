import json
from pathlib import Path
from typing import Any

import pytest

from shared.emulator.listed import ListedStore
from shared.emulator.provider import EtherscanLike
from shared.emulator.recordings import load_recordings
from shared.errors import ConfigError

WALLET = "0x" + "ab" * 20
HASH = "0x" + "cd" * 32


def row(block: int, name: str = "a") -> dict[str, str]:
    return {
        "blockNumber": str(block),
        "timeStamp": str(1000 + block),
        "blockHash": f"0x{block:064x}",
        "hash": name,
        "confirmations": "9",
    }


def record(
    folder: Path,
    file: str,
    rows: Any,
    *,
    query: dict[str, str] | None = None,
    status: str = "1",
) -> None:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"status": status, "message": "OK", "result": rows}))
    manifest = folder / "manifest.json"
    entries = json.loads(manifest.read_text()) if manifest.exists() else []
    entry: dict[str, Any] = {"file": file}
    if query is not None:
        entry["request"] = {"query": query}
    manifest.write_text(json.dumps([*entries, entry]))


def file(number: int, action: str = "txlist", provider: str = "etherscan") -> str:
    return f"{provider}/1/{WALLET}/{action}-{number}.json"


def names(
    store: ListedStore, path: str = "/v2/api", action: str = "txlist", **asked: str
) -> list[str]:
    params = {"chainid": "1", "module": "account", "action": action, "address": WALLET}
    answer = EtherscanLike(store).answer(path, params | asked, 0.0)
    return [entry["hash"] for entry in json.loads(answer.body)["result"]]


def test_overlapping_recordings_are_merged_by_whole_blocks(tmp_path: Path) -> None:
    record(tmp_path, file(0), [row(1), row(5, "equal"), row(5, "equal"), row(7, "x")])
    record(tmp_path, file(1), [row(5, "equal"), row(7, "x"), row(7, "y"), row(9)])

    found = names(load_recordings(tmp_path))

    assert found == ["a", "equal", "equal", "x", "y", "a"]


def test_a_block_that_paging_cut_comes_from_another_recording(tmp_path: Path) -> None:
    cut = [row(1), row(2, "half"), row(2, "half")]
    record(tmp_path, file(0), cut, query={"page": "1", "offset": "3"})
    record(tmp_path, file(1), [row(2, "whole")], query={"startblock": "2"})

    assert names(load_recordings(tmp_path)) == ["a", "whole"]


def test_a_cut_block_is_better_than_none(tmp_path: Path) -> None:
    record(tmp_path, file(0), [row(2, "only")], query={"page": "1", "offset": "1"})

    assert names(load_recordings(tmp_path)) == ["only"]


def test_a_descending_recording_is_turned_round(tmp_path: Path) -> None:
    record(tmp_path, file(0), [row(9, "c"), row(5, "b"), row(5, "a")])

    assert names(load_recordings(tmp_path)) == ["a", "b", "c"]


def test_blockscout_is_taken_for_descending_where_one_block_cannot_tell(tmp_path: Path) -> None:
    record(tmp_path, file(0, provider="blockscout"), [row(5, "b"), row(5, "a")])
    record(
        tmp_path,
        file(0, "tokentx", "blockscout"),
        [row(5, "a"), row(5, "b")],
        query={"sort": "asc"},
    )
    store = load_recordings(tmp_path)

    assert names(store, "/blockscout/v2/api", sort="asc") == ["a", "b"]
    assert names(store, "/blockscout/v2/api", "tokentx", sort="asc") == ["a", "b"]


def test_the_head_is_the_largest_end_or_row_of_the_chain(tmp_path: Path) -> None:
    record(tmp_path, file(0), [row(5)], query={"endBlock": "80"})
    record(tmp_path, file(1), [row(70)], query={"endblock": "99999999"})

    assert load_recordings(tmp_path).head(1) == 80


def test_confirmations_are_counted_anew_and_the_rest_is_passed_through(tmp_path: Path) -> None:
    record(tmp_path, file(0), [row(5) | {"extra": "kept"}], query={"endblock": "80"})
    store = load_recordings(tmp_path)
    params = {"chainid": "1", "module": "account", "action": "txlist", "address": WALLET.upper()}
    params["address"] = "0x" + params["address"][2:]

    (served,) = json.loads(EtherscanLike(store).answer("/api", params, 0.0).body)["result"]

    assert served == row(5) | {"extra": "kept", "confirmations": "76"}


def test_blocks_are_known_where_rows_carry_their_hash(tmp_path: Path) -> None:
    record(tmp_path, file(0), [row(5), {"blockNumber": "6", "timestamp": "1"}])
    store = load_recordings(tmp_path)

    header = store.header(1, 5)
    assert header is not None
    assert (header.hash, header.time_s) == (f"0x{5:064x}", 1005)
    assert store.header(1, 6) is None


def test_rows_of_status_2_count_and_errors_do_not(tmp_path: Path) -> None:
    record(tmp_path, file(0), [row(5)], status="2")
    record(tmp_path, file(1), "Max rate limit reached", status="0")
    record(tmp_path, file(2), None, status="0")

    assert names(load_recordings(tmp_path)) == ["a"]


def test_a_recorded_refusal_of_a_chain_is_given_again(tmp_path: Path) -> None:
    record(tmp_path, file(0), [row(5)])
    refusal = f"etherscan/56/{WALLET}/txlist-0.json"
    record(tmp_path, refusal, "Free API access is not supported for this chain.", status="0")
    params = {"chainid": "56", "module": "account", "action": "txlist", "address": WALLET}

    answer = EtherscanLike(load_recordings(tmp_path)).answer("/api", params, 0.0)

    assert b"Free API access is not supported" in answer.body


def test_folders_of_hosts_and_other_actions_are_skipped(tmp_path: Path) -> None:
    record(tmp_path, file(0), [row(5)])
    record(tmp_path, f"blockscout/www.example.com/{WALLET}/txlist-0.json", [row(5)])
    record(tmp_path, f"blockscout/1/{WALLET}/getminedblocks-0.json", [row(5)])

    assert not load_recordings(tmp_path).chains("blockscout")


@pytest.mark.parametrize("manifest", [None, "{}", '[1, {"file": 3}, {"file": "x", "request": 1}]'])
def test_a_manifest_that_lacks_things_is_no_obstacle(tmp_path: Path, manifest: str | None) -> None:
    record(tmp_path, file(0), [row(5)])
    (tmp_path / "manifest.json").unlink()
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)

    assert names(load_recordings(tmp_path)) == ["a"]


@pytest.mark.parametrize("body", ["<html>", "[]", '{"result": [{"hash": "a"}]}', '{"result": [1]}'])
def test_a_broken_recording_is_named(tmp_path: Path, body: str) -> None:
    record(tmp_path, file(0), [row(5)])
    (tmp_path / file(0)).write_text(body)

    with pytest.raises(ConfigError, match=r"txlist-0\.json"):
        load_recordings(tmp_path)


def test_a_folder_without_recordings_is_refused_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Point --load"):
        load_recordings(tmp_path)
    with pytest.raises(ConfigError, match="is not a folder"):
        load_recordings(tmp_path / "missing")
