"""results.tar of a stranger: everything as it was packed, or words, and never a file elsewhere."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datakit.artifacts.results import MOST_BYTES, write_results
from datakit.artifacts.results_reader import read_document, unpack
from datakit.core.errors import UserError

ANSWERS = "predictions_val_lora-1a.jsonl"
LINE = b'{"id": "a", "predicted": "b"}\n'


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run wrote: its answers and a log."""
    run = tmp_path_factory.mktemp("far") / "lora-1a"
    (run / "logs").mkdir(parents=True)
    (run / ANSWERS).write_bytes(LINE)
    (run / "logs" / "train.log").write_bytes(b"step 1\n")
    write_results(run / "results.tar", run, name="small", content="c" * 64)
    return run / "results.tar"


def entries(archive: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(archive) as tar:
        return [(entry, tar.extractfile(entry).read()) for entry in tar]  # type: ignore[union-attr]


def packed(
    path: Path, items: Iterable[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.GNU_FORMAT
) -> Path:
    with tarfile.open(path, "w", format=form) as tar:
        for entry, data in items:
            entry.size = len(data) if entry.isreg() else 0
            tar.addfile(entry, io.BytesIO(data))
    return path


def with_document(archive: Path, path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """The archive with another results.json."""
    (head, data), *rest = entries(archive)
    document = json.loads(data)
    changed = change(document)
    return packed(path, [(head, json.dumps(document if changed is None else changed).encode()), *rest])


def refused(path: Path, place: Path) -> str:
    """The words in which an archive is refused, after which nothing lies outside of `place`."""
    place.mkdir()
    beside = {file: file.read_bytes() for file in place.parent.rglob("*") if file.is_file()}
    with pytest.raises(UserError) as error:
        unpack(path, place)
    after = {
        file: file.read_bytes()
        for file in place.parent.rglob("*")
        if file.is_file() and not file.is_relative_to(place)
    }
    assert after == beside
    assert not any(file.is_symlink() for file in place.rglob("*"))
    return str(error.value)


def test_every_file_comes_back_as_it_was_packed(archive: Path, tmp_path: Path) -> None:
    results = unpack(archive, tmp_path)
    assert (results.name, results.run, results.answers) == ("small", "lora-1a", [ANSWERS])
    assert read_document(archive) == results
    files = {file.relative_to(tmp_path).as_posix(): file.read_bytes() for file in tmp_path.rglob("*.*")}
    assert files.pop("results.json") == entries(archive)[0][1]
    assert files == {ANSWERS: LINE, "logs/train.log": b"step 1\n"}


@pytest.mark.parametrize(
    "name",
    ["../outside.jsonl", "/tmp/outside.jsonl", "logs/../../outside.log", "logs/.hidden.log", "served/x.py"],
)
@pytest.mark.fault(
    "results.tar of a stranger names files outside of its folder (`..`, absolute, other places)",
    "it is refused with the name, before a file is written",
    kind="bounds",
)
def test_names_that_lead_elsewhere_are_refused(archive: Path, tmp_path: Path, name: str) -> None:
    first, (head, data), *rest = entries(archive)
    head.name = name
    path = packed(tmp_path / "a.tar", [first, (head, data), *rest])
    assert repr(name) in refused(path, tmp_path / "one")
    named = with_document(
        archive, tmp_path / "b.tar", lambda d: d["files"].update({name: d["files"][ANSWERS]})
    )
    assert f"holds {name!r}, which is no file of a run" in refused(named, tmp_path / "two")
    assert not any((tmp_path / "two").iterdir())


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (tarfile.DIRTYPE, "a folder"),
        (tarfile.GNUTYPE_SPARSE, "a sparse file"),
        (tarfile.XHDTYPE, "no plain file"),
        (tarfile.GNUTYPE_LONGNAME, "no plain file"),
    ],
)
@pytest.mark.fault(
    "results.tar of a stranger holds a link, a device, a pipe, a sparse file or a head of another kind",
    "it is refused, and nothing of that kind is made",
    kind="bounds",
)
def test_what_is_no_plain_file_is_refused(archive: Path, tmp_path: Path, kind: bytes, words: str) -> None:
    first, (head, _), *_ = entries(archive)
    head.type, head.linkname = kind, "/etc/passwd"
    data = b"".join(
        [
            *(block(entry, content) for entry, content in [first]),
            head.tobuf(tarfile.USTAR_FORMAT),
            bytes(1024),
        ]
    )
    (tmp_path / "a.tar").write_bytes(data)
    assert words in refused(tmp_path / "a.tar", tmp_path / "place")


def block(entry: tarfile.TarInfo, content: bytes) -> bytes:
    return entry.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


@pytest.mark.fault(
    "results.tar of a stranger claims terabytes, thousands of files, or is a compressed bomb",
    "it is refused by what it claims, before anything of it is unpacked",
    kind="bounds",
)
def test_more_than_results_may_have_is_refused(archive: Path, tmp_path: Path) -> None:
    def large(document: dict[str, Any]) -> None:
        document["files"][ANSWERS]["bytes"] = MOST_BYTES + 1

    def many(document: dict[str, Any]) -> None:
        document["files"] |= {
            f"predictions_{number}.jsonl": document["files"][ANSWERS] for number in range(1001)
        }

    def negative(document: dict[str, Any]) -> None:
        document["files"]["predictions_x.jsonl"] = {"bytes": -(1 << 50), "sha256": ""}
        document["files"][ANSWERS]["bytes"] = 1 << 50

    assert "4.3 GB" in refused(with_document(archive, tmp_path / "a.tar", large), tmp_path / "a")
    assert "1,003 files" in refused(with_document(archive, tmp_path / "b.tar", many), tmp_path / "b")
    assert "bytes" in refused(with_document(archive, tmp_path / "c.tar", negative), tmp_path / "c")
    bomb = tmp_path / "results.tar"
    bomb.write_bytes(gzip.compress(archive.read_bytes() + bytes(50_000_000)))
    words = refused(bomb, tmp_path / "d")
    assert "is compressed" in words
    assert "gunzip" in words
    head = entries(archive)[0][0]
    head.size = 1 << 40
    (tmp_path / "e.tar").write_bytes(head.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert "1,099,511,627,776 bytes" in refused(tmp_path / "e.tar", tmp_path / "e")


def test_what_was_edited_damaged_cut_off_or_doubled_is_refused(archive: Path, tmp_path: Path) -> None:
    first, (head, data), log = entries(archive)
    edited = packed(tmp_path / "a.tar", [first, (head, data.replace(b'"b"', b'"c"')), log])
    assert f"holds '{ANSWERS}' otherwise than it was packed" in refused(edited, tmp_path / "a")
    longer = packed(tmp_path / "b.tar", [first, (head, data + LINE), log])
    assert "otherwise than it was packed" in refused(longer, tmp_path / "b")
    doubled = packed(tmp_path / "c.tar", [first, (head, data), (head, data), log])
    assert "twice" in refused(doubled, tmp_path / "c")
    short = packed(tmp_path / "d.tar", [first, (head, data)])
    assert "'logs/train.log' is missing" in refused(short, tmp_path / "d")
    extra = tarfile.TarInfo("logs/more.log")
    assert "does not name" in refused(packed(tmp_path / "e.tar", [first, (extra, b"x")]), tmp_path / "e")


@pytest.mark.parametrize("run", ["", "..", "../../x", "a/b", ".hidden", "a\nb", "x" * 300])
def test_a_run_that_is_no_name_of_a_folder_is_refused(archive: Path, tmp_path: Path, run: str) -> None:
    path = with_document(archive, tmp_path / "a.tar", lambda document: document.update(run=run))
    assert "no id of a run" in refused(path, tmp_path / "place")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda document: document.update(version=99), "has format 99"),
        (lambda document: document.pop("content") and None, "content"),
        (lambda document: ["no", "document"], "no archive of results"),
        (lambda document: document.update(files=[]), "files"),
    ],
)
def test_a_document_that_says_something_else_is_refused(
    archive: Path, tmp_path: Path, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    assert words in refused(with_document(archive, tmp_path / "a.tar", change), tmp_path / "place")


def test_deep_json_and_other_files_are_refused_in_words(archive: Path, tmp_path: Path) -> None:
    head, _ = entries(archive)[0]
    deep = packed(tmp_path / "a.tar", [(head, b"[" * 1_000_000)])
    assert "is no JSON" in refused(deep, tmp_path / "a")
    for number, data in enumerate((b"", b"PK\x03\x04", b"notes\n", bytes(2048))):
        (tmp_path / f"{number}.tar").write_bytes(data)
        assert "no archive" in (
            words := refused(tmp_path / f"{number}.tar", tmp_path / f"place{number}")
        ) or ("compressed" in words)
    assert "cannot read" in refused(tmp_path / "nowhere.tar", tmp_path / "b")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(data=st.data())
def test_any_change_of_a_byte_gives_the_same_files_or_words(
    archive: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(archive.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.sampled_from([len(content), at]))]
    folder = tmp_path_factory.mktemp("any")
    (folder / "a.tar").write_bytes(content)
    place = folder / "place"
    place.mkdir()
    try:
        unpack(folder / "a.tar", place)
    except UserError:
        pass
    else:
        assert (place / ANSWERS).read_bytes() == LINE
    assert {path.name for path in folder.iterdir()} == {"a.tar", "place"}
