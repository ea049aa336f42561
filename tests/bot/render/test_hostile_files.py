"""Dump files and stored traces that lie about their size, are broken, or were changed: a sentence, and no memory for it."""

from __future__ import annotations

import copy
import gzip
import io
import json
import random
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bot.cli.dump import show
from bot.errors import DumpChoiceError, DumpFileError
from bot.render.export import load, write
from bot.storage.packing import pack_ids, unpack_final_top, unpack_ids
from models import bounds
from models.trace import Trace
from tests.bot.render.test_export import DUMPS, LOADABLE, WHEN, told

HUGE = 10**9


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Python and NumPy allocate no more than this meanwhile."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] <= size
    finally:
        tracemalloc.stop()


def written(name: str, form: Any, folder: Path) -> bytes:
    write(DUMPS[name], form, folder / "good", created=WHEN)
    return (folder / "good").read_bytes()


def refused(data: bytes, folder: Path, room: int = 16 << 20) -> str:
    path = folder / "bad"
    path.write_bytes(data)
    with at_most(room), pytest.raises(DumpFileError) as caught:
        load(path)
    assert "\n" not in caught.value.message
    return caught.value.message


def changed(good: bytes, change: Callable[[Any], Any]) -> bytes:
    about = json.loads(good)
    change(about)
    return json.dumps(about).encode()


def _layers(about: Any) -> None:
    about["meta"]["layers"] = HUGE


def _fraction(about: Any) -> None:
    about["meta"]["layers"] = 1e9


def _truth(about: Any) -> None:
    about["meta"]["layers"] = True


def _shape(about: Any) -> None:
    about["arrays"]["top_ids"].update(shape=[HUGE, HUGE, HUGE], data=[])


def _empty(about: Any) -> None:
    about["arrays"]["top_ids"].update(shape=[0, HUGE, HUGE], data=[])


def _beyond(about: Any) -> None:
    about["positions"][-1] = 10**6


def _before(about: Any) -> None:
    about["positions"][0] = 0


def _digits(about: Any) -> None:
    about["prompt_ids"][0] = 10**40


def _nothing(about: Any) -> None:
    about["findings"] = None


def _words(about: Any) -> None:
    about["tokens"] = 5


def _pieces(about: Any) -> None:
    about["pieces"] = {}


def _probability(about: Any) -> None:
    about["arrays"]["emitted_prob"]["data"][0][0] = 7.0


def _number(about: Any) -> None:
    about["arrays"]["emitted_prob"]["data"][0][0] = "NaN"


def _rank(about: Any) -> None:
    about["arrays"]["emitted_rank"]["data"][0][0] = 0.5


def _minus(about: Any) -> None:
    about["arrays"]["top_ids"]["data"][0][0][0] = -1


def _check(about: Any) -> None:
    about["findings"]["causal"]["t"] = 999


def _kind(about: Any) -> None:
    about["what"] = ["lens"]


CHANGES = (
    _layers, _fraction, _truth, _shape, _empty, _beyond, _before, _digits, _nothing, _words, _pieces, _probability, _number,
    _rank, _minus, _check, _kind,
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_a_dump_that_lies_is_a_sentence(change: Callable[[Any], Any], tmp_path: Path) -> None:
    said = refused(changed(written("lens", "json", tmp_path), change), tmp_path)
    assert "is not a layer dump, or it is damaged" in said


@pytest.mark.parametrize("shape", [[HUGE, HUGE, HUGE], [HUGE], [0, HUGE, 1], [2**70, 1, 1], "many", [1.5], [-1, -1, 1]])
def test_a_table_of_huge_shape_is_refused_before_its_rows_are_counted(shape: Any, tmp_path: Path) -> None:
    lines = written("lens", "csv", tmp_path).decode().split("\n")
    import csv

    head = next(csv.reader([lines[1]]))
    about = json.loads(head[-1])
    about["arrays"]["top_ids"]["shape"] = shape
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([*head[:-1], json.dumps(about)])
    refused("\n".join([lines[0], out.getvalue().strip(), *lines[2:]]).encode(), tmp_path)


def npz(good: bytes, **members: bytes) -> bytes:
    """The archive with other members in their place."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, members.get(name.removesuffix(".npy"), old.read(name)))
    return out.getvalue()


def npy(shape: str, data: bytes = b"", descr: str = "<f4") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    "member",
    [
        npy("(1000000000, 1000000000)"), npy("(0, 1000000000000000000)"), npy("(99999999999999999999,)"), npy("(2, 2)", b"1234"),
        npy("(1,)", b"12345678", "|O"), npy("(1,)", b"12345678", "<U2"), npy("(" * 5000), npy("(1,)", b"1234") + b"5", b"", b"PK",
        b"\x93NUMPY\x09\x00", b"\x93NUMPY\x01\x00\xff\xff", np.lib.format.magic(1, 0) + b"\x05\x00abcde",
    ],
    ids=range(13),
)  # fmt: skip
def test_an_array_is_as_large_as_its_bytes(member: bytes, tmp_path: Path) -> None:
    refused(npz(written("lens", "npz", tmp_path), entropy=member), tmp_path)


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("hidden.npy", "w", force_zip64=True) as member:
        for _ in range(64):
            member.write(bytes(1 << 20))
    bomb = out.getvalue()
    assert len(bomb) < 100_000
    assert "far more" in refused(bomb, tmp_path)
    lying = bytearray(bomb)  # the directory says 100 bytes, the member holds 64 MiB
    at = bomb.rindex(b"PK\x01\x02")
    lying[at + 24 : at + 28] = struct.pack("<I", 100)
    refused(bytes(lying), tmp_path)


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    bomb = gzip.compress(b'{"format":"' + bytes(64 << 20))
    assert len(bomb) < 100_000
    assert "far more" in refused(bomb, tmp_path, room=64 << 20)
    good = written("lens", "json.gz", tmp_path)
    refused(good[:-4], tmp_path)
    refused(good + b"more", tmp_path)
    refused(gzip.compress(bomb), tmp_path)


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"a":' * 100_000, b'{"format":' + b"[" * 100_000])
def test_json_without_a_bottom(deep: bytes, tmp_path: Path) -> None:
    refused(deep, tmp_path)
    refused(gzip.compress(deep), tmp_path)
    refused(struct.pack("<Q", len(deep)) + b"{" + deep, tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":{"dtype":"F32","shape":[1000000000,1000000000],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,4]}}',
        b'{"__metadata__":5}', b'{"__metadata__":{"format":"\\"forward-pass-dump\\"","schema":"1","arrays":"{}"}}', b"{}", b"{",
    ],
    ids=range(6),
)  # fmt: skip
def test_headers_of_safetensors(header: bytes, tmp_path: Path) -> None:
    refused(struct.pack("<Q", len(header)) + header + b"1234", tmp_path)
    refused(struct.pack("<Q", 2**63) + header, tmp_path)


def test_what_is_no_file_or_too_large(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(bounds.MOST + 1)
    with at_most(1 << 20), pytest.raises(DumpFileError, match="larger than a dump"):
        load(tmp_path / "sparse")
    with pytest.raises(DumpFileError, match="cannot be read"):
        load(tmp_path)


def shown(path: Path) -> None:
    """What is readable can also be shown: nothing in it surprises the map, the monologue or the tables."""
    show(path)
    for token in (1, 3):
        try:
            show(path, token)
        except DumpChoiceError:
            continue


def _spots(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield (*at, key)
            yield from _spots(value[key], (*at, key))


JUNK = (
    None,
    True,
    -1,
    0,
    10**9,
    10**40,
    1.5,
    -0.5,
    "NaN",
    "",
    "x" * 5000,
    "\x1b[2J",
    [],
    [[]],
    {},
    {"a": 1},
    [1, "a"],
    ["\ud800"],
)


def test_any_value_of_a_dump_may_be_any_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, path, drawn = json.loads(written("lens", "json", tmp_path)), tmp_path / "bad", random.Random(7)
    spots = [spot for spot in _spots(good) if "data" not in spot[:-1]]
    numbers = [spot for spot in _spots(good) if "data" in spot[:-1]]
    refusals = 0
    for spot in [*spots, *drawn.sample(numbers, 60)]:
        about = copy.deepcopy(good)
        inside = about
        for step in spot[:-1]:
            inside = inside[step]
        inside[spot[-1]] = drawn.choice(JUNK)
        path.write_text(json.dumps(about))
        try:
            shown(path)
        except DumpFileError:
            refusals += 1
    assert refusals > len(spots) // 3
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("form", LOADABLE)
def test_bytes_that_were_flipped_cut_or_doubled(form: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, path, drawn = written("lens", form, tmp_path), tmp_path / "bad", random.Random(form)
    for _ in range(60):
        data, at = bytearray(good), drawn.randrange(len(good))
        match drawn.randrange(4):
            case 0:
                data[at] ^= 1 << drawn.randrange(8)
            case 1:
                del data[at:]
            case 2:
                data[at:at] = data[: drawn.randrange(200)]
            case _:
                data[at : at + 8] = drawn.randbytes(8)
        path.write_bytes(data)
        try:
            shown(path)
        except DumpFileError:
            continue
    assert "\x1b" not in capsys.readouterr().out


def test_stored_traces_are_bounded_and_hold_together() -> None:
    good, drawn = told()[2].to_bytes(), random.Random(3)
    assert Trace.from_bytes(good).length
    with pytest.raises(ValueError, match="not a stored trace"):
        Trace.from_bytes(b"PK")
    bad = [
        npz(good, entropy=npy("(1000000000, 1000000000)")), npz(good, json=npy("(1,)", b"{", "|u1")),
        npz(good, json=npy("(100000,)", b"[" * 100_000, "|u1")), b"", b"PK\x03\x04", good[: len(good) // 2],
        npz(good, top_ids=npy("(1, 1, 1)", bytes(8), "<i8")), npz(good, special=npy("(1,)", b"\x01", "|b1")),
    ]  # fmt: skip
    for _ in range(200):
        data, at = bytearray(good), drawn.randrange(len(good))
        data[at] ^= 1 << drawn.randrange(8)
        bad.append(bytes(data))
    refusals = 0
    for data in bad:
        with at_most(32 << 20):
            try:
                Trace.from_bytes(data)
            except ValueError:
                refusals += 1
    assert refusals >= 150


def test_packed_columns_are_bounded() -> None:
    assert unpack_ids(pack_ids([1, 2, 3])) == (1, 2, 3)
    bomb = zlib.compress(bytes(64 << 20))
    with at_most(64 << 20), pytest.raises(ValueError, match="far more"):
        unpack_ids(bomb)
    with pytest.raises(ValueError, match="too deep"):
        unpack_final_top(zlib.compress(b"[" * 100_000))
