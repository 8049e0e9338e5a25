"""Every transform of datakit passes the conformance suite of datakit.testing, and some rules of the house.

A changed golden file needs a raised `version` of the transform, or `reading` of an annotator:
    DATAKIT_GOLDEN=write python -m pytest tests/test_every_transform.py
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.core.errors import UserError
from datakit.core.outcome import Reject
from datakit.core.parameters import validated
from datakit.core.registry import find, names
from datakit.core.step_context import UndeclaredFile
from datakit.core.transform import Annotator, Emitter, Reader
from datakit.testing import checks_of
from datakit.testing._bench import Bench
from datakit.testing._case import with_nulls
from datakit.testing._golden import compare_golden
from datakit.testing._watching import MODULES_OF_EXTRAS, absent_packages, opened_files, strange_files
from tests.support.every import CASES, GOLDEN, ROOT, case_of
from tests.support.file_toys import Banned

NAMES = names()
READERS = [name for name in CASES if name.startswith("read.")]
EMITTERS = [name for name in CASES if name.startswith("emit.")]


def suite(names: tuple[str, ...]) -> Iterator[Any]:
    """The checks of all transforms. One that has no case, or cannot be loaded, has a check that fails."""
    for name in names:
        try:
            checks = checks_of(case_of(name))
        except Exception as error:  # shown by the failing test below
            yield pytest.param(_failing(error), id=f"{name}-has_a_case")
            continue
        for check in checks:
            yield pytest.param(check, id=f"{name}-{check}")


def _failing(error: Exception) -> Callable[[], None]:
    def has_a_case() -> None:
        raise error

    return has_a_case


@pytest.mark.parametrize("check", list(suite(NAMES)))
def test_conforms(check: Callable[[], None]) -> None:
    check()


def test_transform_without_a_case_fails_with_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(CASES, "guard.label")
    (param,) = suite(("guard.label",))
    with pytest.raises(AssertionError, match=r'write "guard.label": Case\(\.\.\.\) .*tests/support/every.py'):
        param.values[0]()


def test_no_case_and_no_golden_file_is_left_over() -> None:
    assert set(CASES) <= set(NAMES)
    assert {path.stem for path in GOLDEN.glob("*.json")} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_has_tests_of_its_own(name: str) -> None:
    folder, _, transform = name.partition(".")
    assert (ROOT / "tests" / folder / f"test_{transform}.py").exists()


@pytest.mark.parametrize("name", NAMES)
def test_is_named_after_its_place(name: str) -> None:
    kind = find(name)
    assert kind.name() == name
    assert inspect.cleandoc(kind.__doc__ or "")


def test_file_that_is_opened_behind_the_tools_is_noticed(tmp_path: Path) -> None:
    bench = Bench(case_of("guard.label"))
    words = bench.folder / "words.txt"
    words.write_text("a")
    with opened_files() as opened:
        words.read_text()
    context, scratch = bench.context(), bench.folder.parent
    assert strange_files(opened, bench.transform, context, scratch) == [words]
    assert strange_files(opened, Banned(words="words.txt"), context, scratch) == []


@pytest.mark.parametrize("name", READERS)
def test_reader_cannot_read_a_file_that_it_does_not_declare(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(case_of(name))
    monkeypatch.setattr(find(name), "files", lambda self, context: [])
    with pytest.raises(UndeclaredFile, match=rf"{name} opens .* which it does not declare"):
        bench.run()


@pytest.mark.parametrize("name", CASES)
def test_packages_are_at_hand_and_their_absence_is_told(name: str) -> None:
    bench = Bench(case_of(name))
    transform, context = bench.transform, bench.context()
    for module, extra in transform.packages(context):
        assert importlib.util.find_spec(module) is not None
        assert module in MODULES_OF_EXTRAS[extra]
        told = pytest.raises(UserError, match=rf'pip install "datakit\[{extra}\]"')
        with absent_packages({module}), told:
            if isinstance(transform, Reader):
                list(transform.read(context))
            elif isinstance(transform, Emitter):
                bench.emit()
            else:
                assert isinstance(transform, Annotator)
                transform.key_settings(context)


def test_only_these_steps_ask_a_model() -> None:
    asking = {name for name in CASES if case_of(name).made().asks_model}
    assert asking == {"annotate.ask", "annotate.describe", "annotate.reason"}
    assert validated(find("guard.reason"), {"on_fail": "rewrite"}).asks_model


@pytest.mark.parametrize("name", EMITTERS)
@pytest.mark.parametrize("fault", ["no records", "no messages"])
def test_emitter_refuses_to_write_nothing(name: str, fault: str) -> None:
    bench = Bench(case_of(name))
    given = bench.records
    given = {
        "no records": given.clear(),
        "no messages": given.with_columns(messages=pl.lit(None, given.schema["messages"])),
    }[fault]
    with pytest.raises(UserError):
        bench.emit(given)


@pytest.mark.parametrize("name", EMITTERS)
def test_emitter_leaves_out_what_a_trainer_would_stumble_over(name: str) -> None:
    bench, left_out = Bench(case_of(name)), list[Reject]()
    given = with_nulls(bench.records)
    bench.emit(given, left_out=left_out)
    silent = given.filter(pl.col("messages").is_null())["id"].to_list()
    assert [(reject.id, reject.reason) for reject in left_out] == [
        (id_, "messages_missing") for id_ in silent
    ]
    assert len(silent) == given.height // 2


def test_a_golden_file_is_written_anew_only_for_a_new_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "guard.toy.json"
    monkeypatch.setenv("DATAKIT_GOLDEN", "write")
    compare_golden(path, 1, ["first"])
    with pytest.raises(AssertionError, match="raise its `version`"):
        compare_golden(path, 1, ["second"])
    compare_golden(path, 2, ["second"])
    monkeypatch.delenv("DATAKIT_GOLDEN")
    compare_golden(path, 2, ["second"])
    with pytest.raises(AssertionError, match="no golden output of version 3"):
        compare_golden(path, 3, ["second"])
