"""What an emitter must pass: files as it says, the same bytes again, and words where it cannot write."""

from __future__ import annotations

import polars as pl

from datakit.core.errors import UserError
from datakit.core.outcome import Reject
from datakit.core.transform import EVERY
from datakit.testing._bench import Bench
from datakit.testing._case import with_nulls
from datakit.testing._expect import expect
from datakit.testing._golden import compare_golden
from datakit.testing._watching import (
    absent_packages,
    opened_files,
    strange_files,
    undeclared_packages,
    with_others_moved,
)


def writes_the_files_that_it_names(bench: Bench) -> None:
    """Every artifact stands in the build's folder, and something does."""
    artifacts, files = bench.emit()
    expect(artifacts, "`write` names no file that it wrote")
    absent = {artifact.path for artifact in artifacts} - files.keys()
    expect(not absent, f"`write` names files that are not there: {', '.join(sorted(absent))}")


def writes_the_same_bytes_again(bench: Bench) -> None:
    """The same records give the same files in another folder, to the byte."""
    _, files = bench.emit()
    _, again = bench.emit(name="又 again")
    differing = sorted(name for name in {*files, *again} if files.get(name) != again.get(name))
    expect(not differing, f"written again, these files differ: {', '.join(differing)}")


def writes_no_column_that_it_does_not_declare(bench: Bench) -> None:
    """Its files are the same when columns that it does not declare hold other values."""
    emitter = bench.transform
    if emitter.optional(bench.context()) == EVERY:
        if "columns" not in type(emitter).model_fields:
            return  # it declares that it writes all
        emitter = emitter.model_copy(update={"columns": ("label",)})
    moved = with_others_moved(bench.records, emitter, bench.context())
    _, files = bench.emit(emitter=emitter)
    _, moved_files = bench.emit(moved, emitter)
    expect(moved_files == files, "its files depend on a column that neither `inputs` nor `optional` names")


def touches_no_file_and_no_package_that_it_does_not_declare(bench: Bench) -> None:
    """Every file that it opens stands in `files`; of datakit's extras it imports what it names."""
    emitter, context = bench.transform, bench.context()
    with absent_packages(undeclared_packages(emitter, context)), opened_files() as opened:
        bench.emit()
    strange = strange_files(opened, emitter, context, bench.folder.parent)
    expect(not strange, f"it reads files that `files` does not name: {', '.join(map(str, strange))}")


def says_in_words_what_it_cannot_write(bench: Bench) -> None:
    """No records, nulls, or no chats: it writes them, leaves some out with a reason, or raises UserError."""
    valid = bench.records
    hard = {
        "no records": valid.clear(),
        "records with nulls": with_nulls(valid),
        "records without messages": valid.with_columns(messages=pl.lit(None, valid.schema["messages"])),
    }
    for case, records in hard.items():
        left_out: list[Reject] = []
        try:
            bench.emit(records, left_out=left_out)
        except UserError:
            continue
        except AssertionError:
            raise
        except Exception as error:  # the author sees it, with what brought it about
            raise AssertionError(
                f"{case} raise {type(error).__name__}: {error}; raise UserError with words for the user"
            ) from error
        ids = [reject.id for reject in left_out]
        expect(len(set(ids)) == len(ids), f"{case}: it leaves a record out twice")
        expect(set(ids) <= set(records["id"]), f"{case}: it leaves out what is no record")
        bare = [reject.id for reject in left_out if not (reject.reason and reject.detail)]
        expect(not bare, f"{case}: left out without a reason or a sentence: {', '.join(bare[:3])}")


def golden_files(bench: Bench) -> None:
    """The files are those of the golden file; of pictures and tables, their names."""
    assert bench.case.golden is not None
    _, files = bench.emit()
    texts = {
        file: data.decode().splitlines() if file.endswith((".json", ".jsonl", ".yaml")) else None
        for file, data in files.items()
    }
    compare_golden(bench.case.golden, bench.transform.version, texts, root=bench.case.golden_root)


CHECKS = (
    writes_the_files_that_it_names,
    writes_the_same_bytes_again,
    writes_no_column_that_it_does_not_declare,
    touches_no_file_and_no_package_that_it_does_not_declare,
    says_in_words_what_it_cannot_write,
)
