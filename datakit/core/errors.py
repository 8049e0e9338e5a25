"""The errors a user sees: what happened, where in the user's file, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """Exit codes of every command."""

    FINE = 0
    """All is well."""
    FAILED = 1
    """A guard or check failed, or builds differ; of `diff --fail-on`: a limit is passed."""
    USAGE = 2
    """The recipe or the call is wrong."""
    PARTIAL = 3
    """Records are left to retry, or batch files are to be run: then run the same command again."""
    BUDGET = 4
    """Stopped at the budget; resumable."""
    PROVIDER = 5
    """The provider refused (key, model or account), or the server that is asked is gone."""
    HUNG_UP = 129
    """Stopped because the terminal was closed (SIGHUP); resumable."""
    INTERRUPTED = 130
    """Stopped by the user (Ctrl-C); resumable."""
    TERMINATED = 143
    """Stopped by the system or a job scheduler (SIGTERM); resumable."""


class DatakitError(Exception):
    """Base of all errors that datakit raises on purpose."""

    exit_code: Exit = Exit.FAILED

    def __reduce__(self) -> tuple[Any, ...]:
        return _as_it_was, (type(self), self.args, vars(self))  # whatever its class is made with


class UserError(DatakitError):
    """Something in the recipe, the data or the environment that its owner can mend.

    `where` is "file:line:column" as far as it is known; `remedy` says what to do next.
    """

    exit_code = Exit.USAGE

    def __init__(
        self, message: str, *, remedy: str = "", where: str = "", exit_code: Exit = Exit.USAGE
    ) -> None:
        super().__init__(message)
        self.message, self.remedy, self.where, self.exit_code = message, remedy, where, exit_code

    def __str__(self) -> str:
        head = f"{self.where}\n  {self.message}" if self.where else self.message
        return f"{head}\n  {self.remedy}" if self.remedy else head


class RecipeErrors(DatakitError):
    """Every error found in a recipe at once, sorted by line."""

    exit_code = Exit.USAGE

    def __init__(self, errors: Sequence[UserError]) -> None:
        self.errors = sorted(errors, key=_line_of)
        if all(error.exit_code == Exit.PROVIDER for error in self.errors):
            self.exit_code = Exit.PROVIDER
        super().__init__("\n\n".join(str(error) for error in self.errors))


class StopProvider(DatakitError):
    """The provider will refuse every further call (wrong key, unknown model): stop at once."""

    exit_code = Exit.PROVIDER

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}\n  {remedy}" if remedy else message)


class BudgetSpent(DatakitError):
    """The recipe's budget is used up; what was paid for is in the store."""

    exit_code = Exit.BUDGET

    def __init__(self, budget_usd: float, spent_usd: float, next_usd: float = 0.0) -> None:
        self.spent_usd = spent_usd
        more = f"; the next call may cost ${next_usd:.4f}" if next_usd else ""
        super().__init__(
            f"run.budget_usd ({budget_usd:g}) is used up: ${spent_usd:.4f} spent{more}.\n"
            "  Everything paid for is stored. Raise run.budget_usd and run the same command to go on."
        )


class BatchFilesWritten(DatakitError):
    """Requests wait in batch files that somebody must run; the same command goes on with their answers."""

    exit_code = Exit.PARTIAL

    def __init__(
        self,
        requests: int,
        commands: Sequence[str],
        unanswered: Mapping[str, int],
        kept: Sequence[str] = (),
    ) -> None:
        failed = "".join(f"\n  {count:,} were asked before: {why}." for why, count in unanswered.items())
        failed += f"\n  What was answered then is kept: {', '.join(kept)}" if kept else ""
        lines = "".join(f"\n    {command}" for command in commands)
        super().__init__(
            f"{requests:,} requests stand in batch files and wait for their answers.{failed}\n"
            f"  Run where the model is:{lines}\n"
            "  Then run the same command again: it takes up the answers and goes on."
        )


def missing_extra(package: str, extra: str, purpose: str) -> UserError:
    """The error for an optional package that is not installed."""
    return UserError(
        f"{purpose} needs the package {package}, which is not installed.",
        remedy=f'Install it: pip install "datakit[{extra}]"',
    )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`Did you mean ...?` for the nearest known word, or an empty string."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"Did you mean `{near[0]}`?" if near else ""


def _as_it_was(kind: type[DatakitError], args: tuple[Any, ...], state: dict[str, Any]) -> DatakitError:
    """An error that comes from another process."""
    error = kind.__new__(kind, *args)
    vars(error).update(state)
    return error


def _line_of(error: UserError) -> tuple[str, int, int]:
    parts = error.where.rsplit(":", 2)
    numbers = [int(part) for part in parts[1:] if part.isdigit()]
    return parts[0], numbers[0] if numbers else 0, numbers[1] if len(numbers) > 1 else 0
