"""The checks of a case, by the kind of its transform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from datakit.core.transform import Annotator, Emitter, Reader, Transform
from datakit.testing import _annotators, _emitters, _every, _readers, _steps
from datakit.testing._bench import Bench
from datakit.testing._case import Case, Rows

Checking = Callable[[Bench], None]


@dataclass(frozen=True)
class Check:
    """One check of one transform; called, it raises AssertionError with what is wrong."""

    name: str
    """Such as `any_batch_size_gives_the_same`."""
    checking: Checking
    bench: Bench

    def __call__(self) -> None:
        try:
            self.checking(self.bench)
        except AssertionError as error:
            kind = self.bench.case.kind.name()
            raise AssertionError(f"{kind}, check {self.name}: {error}") from error.__cause__

    def __str__(self) -> str:
        return self.name


def check_transform(
    transform: Transform | type[Transform], records: Rows | Callable[[], Rows] | None = None, **options: Any
) -> None:
    """Raises one AssertionError that lists every check of the suite that the transform does not pass.

    `records` are example records, `options` the further fields of `Case`.
    """
    faults: list[str] = []
    cause: BaseException | None = None
    case = Case(transform, records, **options)
    kind = case.kind.name()
    for check in checks_of(case):
        try:
            check()
        except AssertionError as error:
            faults.append(str(error))
            cause = cause or error.__cause__
        except Exception as error:  # the author sees it: with its check, the first as the cause
            faults.append(f"{kind}, check {check}: {type(error).__name__}: {error}")
            cause = cause or error
    if faults:
        raise AssertionError("\n\n".join(faults)) from cause


def transform_checks(
    transform: Transform | type[Transform], records: Rows | Callable[[], Rows] | None = None, **options: Any
) -> list[Check]:
    """The same one by one, for `pytest.mark.parametrize("check", transform_checks(...), ids=str)`."""
    return checks_of(Case(transform, records, **options))


def checks_of(case: Case) -> list[Check]:
    """The checks of a case. Nothing is run or constructed yet."""
    kind, bench = case.kind, Bench(case)
    chosen = list(_every.CHECKS)
    if issubclass(kind, Reader):
        chosen += _readers.CHECKS
    elif issubclass(kind, Emitter):
        chosen += _emitters.CHECKS
    else:
        chosen += _steps.CHECKS
        if not case.by_neighbours:
            chosen.append(_steps.a_record_gives_the_same_without_the_others)
        if issubclass(kind, Annotator):
            chosen += _annotators.CHECKS
    if case.golden is not None:
        chosen.append(
            _readers.golden_records
            if issubclass(kind, Reader)
            else _emitters.golden_files
            if issubclass(kind, Emitter)
            else _steps.golden_output
        )
    return [Check(checking.__name__, checking, bench) for checking in chosen]
