"""The page: one file that holds everything, or a folder whose files it loads one by one."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from datakit.core.image import ImageProblem, is_plain, read_bytes, read_header
from datakit.core.shown_picture import ShownPicture
from datakit.reviewing import pictures
from datakit.reviewing.records import PageRecords, Row
from datakit.reviewing.searched import BLOCK, Blocks
from datakit.reviewing.words import language_of_names, words_in

ONE_FILE_MOST = 2_000
"""Records that one file holds: some 45 kB each, of which the browser decodes what is looked at."""
CHUNK = 100
"""Records whose details are loaded together."""
_COPIED_MOST = 1_500_000
"""Bytes of a picture that a folder takes as it is; larger ones are encoded anew."""
_ASSETS = Path(__file__).parent / "page"
_SCRIPTS = ("state.js", "search.js", "grid.js", "main.js")
_MARK = "datakit-review"
"""A file that marks a folder of ours, which may be replaced."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Picture:
    """A picture of a record as the page has it."""

    facts: Row
    data: bytes
    thumbnail: bytes


def write_page(records: PageRecords, target: Path, progress: Progress = lambda done, of: None) -> None:
    """One HTML file that needs no other."""
    index, texts = page_index(records), Blocks()
    thumbs: list[bool] = []
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    head, tail = _shell(folder=False).split("@data@")
    try:
        with draft.open("wb") as file:
            file.write(head.encode())
            for number, rows in enumerate(_chunks(records, progress, readable=_encoded)):
                thumbs += [bool(drawn and drawn[0].thumbnail) for _, drawn in rows]
                file.write(_inline_chunk(number, rows))
                for at, block in texts.add(row["searched"] for row, _ in rows):
                    file.write(_block(f"texts-{at}", block))
            for at, block in texts.rest():
                file.write(_block(f"texts-{at}", block))
            index["thumbs"] = [int(there) for there in thumbs]
            file.write(_block("index", index))
            file.write(tail.replace("@after@", "").encode())
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def write_folder(records: PageRecords, target: Path, progress: Progress = lambda done, of: None) -> None:
    """A folder with index.html and what it loads; one of ours that is there is replaced, unless it is of the
    same records and version of the page."""
    index = page_index(records)
    if is_ours(target) and (target / _MARK).read_text("utf-8").splitlines()[:1] == [print_of(index)]:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        thumbs: list[bool] = []
        texts = Blocks()
        (draft / "data").mkdir()
        for number, rows in enumerate(_chunks(records, progress, readable=_as_it_is)):
            thumbs += [bool(drawn and drawn[0].thumbnail) for _, drawn in rows]
            _write_chunk(draft, number, rows)
            _write_texts(draft, texts.add(row["searched"] for row, _ in rows))
        _write_texts(draft, texts.rest())
        index["thumbs"] = [int(there) for there in thumbs]
        (draft / "data" / "index.js").write_bytes(b"datakitIndex(" + _json(index) + b");\n")
        shell = _shell(folder=True).replace("@data@", "")
        shell = shell.replace("@after@", '<script src="data/index.js"></script>')
        (draft / "index.html").write_text(shell, "utf-8")
        (draft / _MARK).write_text(f"{print_of(index)}\nWritten by datakit review, which may replace it.\n")
        _replace(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def print_of(index: Row) -> str:
    """Digest of what the page shows of its records, and of the page itself."""
    shown = {name: value for name, value in index.items() if name != "thumbs"}
    return hashlib.sha256(_json(shown) + _shell(folder=True).encode()).hexdigest()


def is_ours(folder: Path) -> bool:
    """Whether a folder was written here, so that another may take its place."""
    return (folder / _MARK).is_file()


def _replace(draft: Path, target: Path) -> None:
    """Puts the folder in its place; the one before goes when the new one stands."""
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        target.rename(old)
    draft.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def page_index(records: PageRecords) -> Row:
    """What the page reads first: the columns of the grid, the labels, the words."""
    language = language_of_names(records.labels)
    return {
        "build": records.build.report.name,
        "digest": records.build.manifest.content or hashlib.sha256(records.build.fingerprint()).hexdigest(),
        "language": language,
        "words": words_in(language),
        "labels": records.label_rows(),
        "relabels": records.relabels,
        "chunk": CHUNK,
        "block": BLOCK,
        "prompt": records.shared_prompt,
        "answered": records.answers.digest,
        "notices": records.notices,
        **records.columns(),
    }


Rows = list[tuple[Row, list[Picture]]]


def _chunks(
    records: PageRecords, progress: Progress, readable: Callable[[ShownPicture], tuple[Row, bytes]]
) -> Iterator[Rows]:
    """Details and pictures of some records at a time, in order."""
    rows: Rows = []
    done = 0
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:  # Pillow decodes without the GIL
        for batch in _batches(records.details()):
            drawn = pool.map(lambda row: [_picture(own, readable) for own in row["pictures"]], batch)
            rows = list(zip(batch, drawn, strict=True))
            done += len(batch)
            progress(done, records.count)
            yield rows


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == CHUNK:
            yield batch
            batch = []
    if batch:
        yield batch


def _picture(own: ShownPicture, readable: Callable[[ShownPicture], tuple[Row, bytes]]) -> Picture:
    facts, data = readable(own)
    return Picture(facts, data, pictures.thumbnail(own) if data else b"")


def _encoded(own: ShownPicture) -> tuple[Row, bytes]:
    drawn = pictures.readable(own)
    return _facts(drawn.width, drawn.height, "webp", drawn.problem), drawn.readable


def _as_it_is(own: ShownPicture) -> tuple[Row, bytes]:
    """The file itself where a browser shows it as datakit sees it, else the picture encoded anew."""
    try:
        header = read_header(own.path)
        if own.boxes or not is_plain(header) or header.bytes > _COPIED_MOST:
            return _encoded(own)
        return _facts(header.width, header.height, header.format.lower(), ""), read_bytes(own.path)
    except ImageProblem as problem:
        return _facts(0, 0, "", problem.detail), b""


def _facts(width: int, height: int, kind: str, problem: str) -> Row:
    return {"width": width, "height": height, "type": kind, "problem": problem}


def _detail(row: Row, drawn: list[Picture]) -> Row:
    """A record's details as the page reads them: nothing of it names a file by the data's words."""
    shown = [{**picture.facts, "number": number} for number, picture in enumerate(drawn)]
    return {
        "facts": row["facts"],
        "ocr": row["ocr"],
        "probabilities": row["probabilities"],
        "prompt": row["prompt"],
        "is_whole_prompt": row["is_whole_prompt"],
        "pictures": shown,
    }


def _inline_chunk(number: int, rows: Rows) -> bytes:
    blocks = [_block(f"chunk-{number}", [_detail(row, drawn) for row, drawn in rows])]
    thumbs = [base64.b64encode(drawn[0].thumbnail).decode() if drawn else "" for _, drawn in rows]
    blocks.append(_block(f"thumbs-{number}", thumbs))
    for record, (_, drawn) in enumerate(rows, number * CHUNK):
        for at, picture in enumerate(drawn):
            if picture.data:
                data = base64.b64encode(picture.data)
                blocks.append(
                    b'<script type="text/plain" id="picture-%d-%d">%b</script>\n' % (record, at, data)
                )
    return b"".join(blocks)


def _write_chunk(folder: Path, number: int, rows: Rows) -> None:
    details = []
    for record, (row, drawn) in enumerate(rows, number * CHUNK):
        detail = _detail(row, drawn)
        name = f"{record:06d}"
        for picture, facts in zip(drawn, detail["pictures"], strict=True):
            if picture.data:
                facts["file"] = f"pictures/{name[:-3]}/{name}-{facts['number']}.{facts['type']}"
                _put(folder / facts["file"], picture.data)
        if drawn and drawn[0].thumbnail:
            _put(folder / "thumbs" / name[:-3] / f"{name}.jpg", drawn[0].thumbnail)
        details.append(detail)
    script = b"datakitChunk(%d," % number + _json(details) + b");\n"
    (folder / "data" / f"{number:05d}.js").write_bytes(script)


def _write_texts(folder: Path, blocks: Iterable[tuple[int, list[str]]]) -> None:
    for number, texts in blocks:
        script = b"datakitTexts(%d," % number + _json(texts) + b");\n"
        (folder / "data" / f"texts-{number:05d}.js").write_bytes(script)


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _json(value: Any) -> bytes:
    """JSON that may stand in a script: no sign ends the element, begins a comment or ends a line."""
    data = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    for sign, escaped in ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026")):
        data = data.replace(sign, escaped)
    return data.replace("\u2028".encode(), b"\\u2028").replace("\u2029".encode(), b"\\u2029")


def _block(name: str, value: Any) -> bytes:
    return f'<script type="application/json" id="{name}">'.encode() + _json(value) + b"</script>\n"


def _shell(*, folder: bool) -> str:
    """The page without its data. Its policy has it load its own files alone, and run its own script."""
    style = (_ASSETS / "page.css").read_text("utf-8")
    script = "\n".join((_ASSETS / name).read_text("utf-8") for name in _SCRIPTS)
    own = "'self' file:" if folder else ""  # `self` is no file of a page that was opened from a disk
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}' {own}".rstrip(),
            f"style-src '{_hash(style)}'",
            f"img-src data: {own}".rstrip(),
            "connect-src 'self'" if folder else "connect-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    page = (_ASSETS / "page.html").read_text("utf-8")
    return page.replace("@policy@", policy).replace("@style@", style).replace("@script@", script)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
