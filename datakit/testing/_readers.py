"""What a reader must pass: columns as it names them, ids that stay, files that it declares."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from datakit.core.record import BASE
from datakit.core.step_context import StepContext
from datakit.core.transform import Reader
from datakit.testing._bench import Bench
from datakit.testing._expect import expect, expect_same
from datakit.testing._golden import compare_golden
from datakit.testing._watching import absent_packages, opened_files, strange_files, undeclared_packages


def gives_the_columns_it_names(bench: Bench) -> None:
    """Every batch has the columns of `columns`, and its files exist."""
    reader, context = _reader(bench), bench.context()
    absent = [str(path) for path in reader.files(context) if not path.is_file()]
    expect(not absent, f"`files` names what is no file: {', '.join(absent)}")
    declared = dict(reader.columns(context))
    for batch in reader.read(context):
        real = dict(batch.frame.schema)
        expect(real == declared, f"`columns` says {declared}, but a batch has {real}")


def gives_the_same_for_any_batch_size(bench: Bench) -> None:
    """One record at a time gives what all at once give, with ids of their own and absolute picture paths."""
    whole, single = bench.whole, bench.run(batch_rows=1)
    expect_same(single.frame, whole.frame, "one record at a time gives other output")
    lacking = set(BASE) - set(whole.frame.columns)
    expect(not lacking, f"it lacks {', '.join(sorted(lacking))}, which every record has")
    expect(whole.frame.height > 0, "the case's source gives no record: write one with `write_files`")
    expect(whole.frame["id"].n_unique() == whole.frame.height, "an id stands for two records")
    expect(whole.report.balanced, f"records are not accounted for: {whole.report}")
    for path in whole.frame["images"].explode().drop_nulls():
        fine = Path(path).is_absolute() and Path(path).is_file()
        expect(fine, f"`images` holds {path}, which is no absolute path of a file")


def gives_the_same_ids_in_another_folder(bench: Bench) -> None:
    """A source that is moved keeps its ids, so that nothing is paid for again."""
    with tempfile.TemporaryDirectory(prefix="moved, 第二 ") as place:
        moved = Path(place).resolve() / "files"
        shutil.copytree(bench.folder, moved)
        ids, moved_ids = _ids(bench, bench.context()), _ids(bench, bench.context(folder=moved))
    expect(ids == moved_ids, f"the same source in another folder gives other ids: {ids[:2]}, {moved_ids[:2]}")


def touches_no_file_and_no_package_that_it_does_not_declare(bench: Bench) -> None:
    """Every file that it opens stands in `files`; of datakit's extras it imports what it names."""
    reader, context = bench.transform, bench.context()
    with absent_packages(undeclared_packages(reader, context)), opened_files() as opened:
        bench.run()
    strange = strange_files(opened, reader, context, bench.folder.parent)
    expect(not strange, f"it reads files that `files` does not name: {', '.join(map(str, strange))}")


def golden_records(bench: Bench) -> None:
    """The records are those of the golden file."""
    assert bench.case.golden is not None
    rows = bench.whole.frame.drop("source_file").to_dicts()
    for row in rows:
        row["images"] = [Path(path).name for path in row["images"]]
    compare_golden(bench.case.golden, bench.transform.version, rows, root=bench.case.golden_root)


def _reader(bench: Bench) -> Reader:
    assert isinstance(bench.transform, Reader)
    return bench.transform


def _ids(bench: Bench, context: StepContext) -> list[str]:
    return [id_ for batch in _reader(bench).read(context) for id_ in batch.frame["id"]]


CHECKS = (
    gives_the_columns_it_names,
    gives_the_same_for_any_batch_size,
    gives_the_same_ids_in_another_folder,
    touches_no_file_and_no_package_that_it_does_not_declare,
)
