"""Reading for a load: whatever the file is, memory stays flat and the place of damage is named."""

from __future__ import annotations

import gzip
import io
import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xinglin.cli.loading.sources import GROUP_BYTES, GROUP_LINES, Reader, Unit, find
from xinglin.exchange.loading.report import Refusal
from xinglin.kernel.errors import Invalid

LIMIT = 1 << 16


def read(path: Path, limit: int = LIMIT) -> tuple[list[Unit], list[Refusal]]:
    parts = list(Reader(find([str(path)]), "here", limit))
    return [part for part in parts if isinstance(part, Unit)], [part for part in parts if isinstance(part, Refusal)]


def pieces(units: list[Unit]) -> list[tuple[int | None, bytes]]:
    return [piece for unit in units for piece in unit.pieces]


def line(number: int, size: int = 0) -> bytes:
    return json.dumps({"resourceType": "Basic", "id": str(number), "pad": "x" * size}).encode()


def test_lines_keep_their_numbers_past_blank_ones(tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson"
    file.write_bytes(b"\xef\xbb\xbf" + line(1) + b"\r\n\n   \n" + line(2) + b"\n" + line(3))
    units, refused = read(file)
    assert not refused
    assert pieces(units) == [(1, line(1)), (4, line(2)), (5, line(3))]


def test_content_not_name_tells_lines_from_a_document(tmp_path: Path) -> None:
    lines = tmp_path / "lines.json"
    lines.write_bytes(line(1) + b"\n" + line(2))
    document = tmp_path / "document.json"
    document.write_bytes(json.dumps({"resourceType": "Basic"}, indent=1).encode())
    assert [number for number, _ in pieces(read(lines)[0])] == [1, 2]
    assert pieces(read(document)[0]) == [(None, document.read_bytes())]


def test_gzip_is_known_by_its_content_and_read_as_a_stream(tmp_path: Path) -> None:
    file = tmp_path / "a.json"  # no .gz in the name
    file.write_bytes(gzip.compress(b"\n".join(line(n) for n in range(1, 2001))))
    units, refused = read(file)
    assert not refused
    assert [number for number, _ in pieces(units)] == list(range(1, 2001))
    assert all(len(unit.pieces) <= GROUP_LINES for unit in units)


def test_a_line_over_the_limit_is_refused_and_the_next_ones_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson"
    file.write_bytes(b"\n".join([line(1), line(2, LIMIT * 5), line(3)]))
    units, refused = read(file)
    assert [number for number, _ in pieces(units)] == [1, 3]
    assert [(one.line, "--max-mb" in one.text) for one in refused] == [(2, True)]


def test_a_document_over_the_limit_is_refused_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b"{\n" + b" " * LIMIT + b"}")
    units, refused = read(file)
    assert not units and refused[0].line is None and "larger than" in refused[0].text


def test_two_hundred_mebibytes_in_one_line_do_not_fill_the_memory(tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson.gz"
    with gzip.open(file, "wb", compresslevel=1) as out:
        out.write(b'{"pad":"')
        for _ in range(200):
            out.write(b"x" * (1 << 20))
        out.write(b'"}\n' + line(2))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    units, refused = read(file, 1 << 20)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40 << 10  # KiB
    assert refused[0].line == 1 and pieces(units) == [(2, line(2))]


@given(cut=st.integers(min_value=1, max_value=400))
def test_a_cut_off_gzip_is_reported_without_broken_lines(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    whole = gzip.compress(b"\n".join(line(n) for n in range(1, 3000)), compresslevel=1)
    file = tmp_path_factory.mktemp("cut") / "a.ndjson.gz"
    file.write_bytes(whole[: len(whole) * cut // 401 + 3])
    units, refused = read(file)
    assert "damaged or cut off" in refused[-1].text
    assert all(json.loads(text) for _, text in pieces(units))


def test_a_damaged_gzip_document_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.json.gz"
    whole = bytearray(gzip.compress(json.dumps({"a": list(range(5000))}, indent=1).encode()))
    whole[len(whole) // 2] ^= 0xFF
    file.write_bytes(bytes(whole))
    units, refused = read(file)
    assert not units and len(refused) == 1


def test_empty_files_and_missing_paths_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.json").touch()
    assert "empty" in read(tmp_path / "empty.json")[1][0].text
    with pytest.raises(Invalid, match="does not exist"):
        find([str(tmp_path / "nowhere")])
    (tmp_path / "other").mkdir()
    with pytest.raises(Invalid, match="No FHIR file"):
        find([str(tmp_path / "other")])


def test_folders_give_their_fhir_files_in_order(tmp_path: Path) -> None:
    for name in ("b.json", "a.ndjson.gz", "deep/c.jsonl", "notes.txt", "d.JSON"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(line(1))
    assert [Path(source.name).name for source in find([str(tmp_path)])] == [
        "a.ndjson.gz",
        "b.json",
        "d.JSON",
        "c.jsonl",
    ]


def test_standard_input_is_read_as_a_file_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Input:
        buffer = io.BufferedReader(io.BytesIO(gzip.compress(line(1) + b"\n" + line(2))))  # type: ignore[arg-type]

    monkeypatch.setattr(sys, "stdin", Input)
    units = [part for part in Reader(find(["-"]), "here", LIMIT) if isinstance(part, Unit)]
    assert pieces(units) == [(1, line(1)), (2, line(2))]


def test_the_position_reaches_the_total_and_never_goes_back(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.ndjson").write_bytes(b"\n".join(line(n, 900) for n in range(3000)))
    reader = Reader(find([str(tmp_path)]), "here", LIMIT)

    def positions() -> Iterator[int]:
        for unit in reader:
            assert isinstance(unit, Unit) and unit.size <= GROUP_BYTES + LIMIT
            yield reader.position

    seen = list(positions())
    assert seen == sorted(seen) and reader.position == reader.total
