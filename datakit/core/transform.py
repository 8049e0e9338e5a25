"""The kinds of transform. A transform is frozen data (its parameters) plus the method of its kind.

One transform per file: `guard.prompt_length` is the one public class of datakit/guard/prompt_length.py.
Parameter help stands as a docstring under each field; it becomes the JSON schema and the reference page.

A step declares all that it touches, and the engine holds it to that. A plug-in that joins a price list:

    class Prices(TableTransform):
        "Column `price`, out of a CSV file."

        table: str
        "CSV file with the columns `text` and `price`, from the recipe's folder."

        def inputs(self, context: StepContext) -> tuple[str, ...]:
            return ("text",)

        def outputs(self, context: StepContext) -> Columns:
            return {"price": pl.Int64()}

        def files(self, context: StepContext) -> list[Path]:
            return [context.path(self.table)]  # edited: the build is made anew

        def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
            prices = pl.read_csv(context.read_bytes(self.table)).lazy()
            return Table(frame.join(prices, on="text", how="left", maintain_order="left"))
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import polars as pl
from pydantic import BaseModel, ConfigDict, ValidationError

from datakit.core.documented import Documented
from datakit.core.errors import RecipeErrors, UserError
from datakit.core.final_records import Artifact as Artifact
from datakit.core.final_records import FinalRecords as FinalRecords
from datakit.core.old_names import accept_old_names
from datakit.core.outcome import Batch, Done, Rejected, Table
from datakit.core.parameters import as_json, as_plain, described_faults
from datakit.core.record import BASE
from datakit.core.training_columns import SourceColumn
from datakit.core.workers import AsyncRowWorker as AsyncRowWorker
from datakit.core.workers import BatchWorker as BatchWorker
from datakit.core.workers import FactoredChatsWorker as FactoredChatsWorker
from datakit.core.workers import PromptWriter as PromptWriter
from datakit.core.workers import Row as Row
from datakit.core.workers import RowWorker as RowWorker
from datakit.core.workers import Worker as Worker

if TYPE_CHECKING:
    from datakit.core.answer import AnswerFormat
    from datakit.core.blocks import Section
    from datakit.core.settings import LlmSettings
    from datakit.core.step_account import StepAccount
    from datakit.core.step_context import StepContext

Columns = Mapping[str, Any]
"""Column name -> polars dtype."""
Package = tuple[str, str]
"""A module and the extra of datakit that brings it: `("rapidocr", "ocr")`."""
Executor = Literal["inline", "process", "event_loop"]
EVERY = ("*",)
"""`optional` of an emitter that writes whatever columns there are."""


class Transform(Documented, ABC):
    """Frozen parameters; unknown names and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    version: ClassVar[int] = 1
    """Raised when the same parameters and input give another output."""
    registered_name: ClassVar[str] = ""
    """Set by transforms that live outside datakit; inside, the file's place is the name."""
    needs_images: ClassVar[bool] = False
    """Whether the step has nothing to do where no record has a picture."""
    of_one_task: ClassVar[bool] = False
    """Whether it goes by labels, so that in a recipe of several tasks it stands in the block of each: behind
    the blocks it would take classes of different tasks for classes of one."""
    example: ClassVar[dict[str, Any] | None] = None
    """Parameters for the reference page, when no shipped recipe has the step."""

    if not TYPE_CHECKING:  # type checkers read the fields, which say more than **parameters

        def __init__(self, **parameters: Any) -> None:
            """Takes what a recipe takes, lists and all. Raises RecipeErrors with every fault."""
            validator = type(self).__pydantic_validator__
            try:
                if any(isinstance(value, BaseModel) for value in parameters.values()):  # kept as it is
                    validator.validate_python(as_plain(parameters), self_instance=self)
                else:
                    validator.validate_json(as_json(parameters), self_instance=self)
            except ValidationError as error:
                raise RecipeErrors(
                    [
                        UserError(f"{type(self).name()}: {text}", remedy=remedy)
                        for text, remedy in described_faults(error, type(self))
                    ]
                ) from None

        __init__.__pydantic_base_init__ = True  # as in pydantic's RootModel: validation goes without it

    @classmethod
    def name(cls) -> str:
        """The name in a recipe, such as `guard.prompt_length`."""
        return cls.registered_name or ".".join(cls.__module__.split(".")[-2:])

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        accept_old_names(cls)

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        """Names of the columns that this step reads."""
        return ()

    def optional(self, context: StepContext) -> tuple[str, ...]:
        """Names of further columns that this step reads where records have them."""
        return ()

    def reads(self, context: StepContext) -> tuple[str, ...]:
        """All columns that this step may look at: those that it needs, then the optional ones."""
        return tuple(dict.fromkeys((*self.inputs(context), *self.optional(context))))

    def check_columns(self, columns: Columns, context: StepContext) -> None:
        """Raises UserError for columns that this step cannot work on. Called before anything is read."""

    def outputs(self, context: StepContext) -> Columns:
        """Columns that this step adds or replaces."""
        return {}

    def files(self, context: StepContext) -> list[Path]:
        """The files that this step reads: an edit of one of them makes the build anew.

        What is not declared here cannot be opened through `context`. Templates and the label file are watched
        without it, and so are the pictures of records.
        """
        return []

    def packages(self, context: StepContext) -> tuple[Package, ...]:
        """Packages beyond datakit's own dependencies that this step imports."""
        return ()

    def credentials(self, context: StepContext) -> tuple[str, ...]:
        """Environment variables without which this step cannot work, such as the key of a hub."""
        return ()

    def templates(self) -> tuple[str, ...]:
        """Names of the templates that this step renders."""
        return ()

    def resolved(self) -> Transform:
        """The transform that does the work: one of another kind where the parameters ask for that."""
        return self

    def card_sections(self, account: StepAccount) -> Sequence[Section]:
        """Sections that the step has on the card of a build, made of the blocks of datakit.core.blocks.

        Called when the card is written, with what came of the step. Whatever the blocks hold is escaped.
        """
        return ()

    @property
    def asks_model(self) -> bool:
        """Whether this step has texts written, by a model or by the offline writer."""
        return False

    @property
    def is_paid(self) -> bool:
        """Whether results of this step cost time or money and go through the result store."""
        return False


class Reader(Transform):
    """Makes records out of a source."""

    @abstractmethod
    def read(self, context: StepContext) -> Iterator[Batch]:
        """Records in source order, all batches with the schema of `columns`; broken ones as rejects."""

    @abstractmethod
    def columns(self, context: StepContext) -> Columns:
        """The columns that `read` will give, found without reading everything."""

    @abstractmethod
    def files(self, context: StepContext) -> list[Path]:
        """The files that the records come from: when none has changed, a build can be reused."""

    def brought(self, context: StepContext) -> Mapping[str, tuple[str, str]] | None:
        """Id -> core.judged.brought_digest and column_digests of the records whose source says what they
        brought first; None for a source whose columns are the records' own."""
        return None

    def source_columns(self, context: StepContext) -> list[str]:
        """What the columns are called in the source, for people; those of the records when not given."""
        return [name for name in self.columns(context) if name not in BASE]

    def training_columns(self, context: StepContext) -> list[SourceColumn]:
        """Columns of the source that mean something to a trainer (core.training_columns) and have values."""
        return []


class Asked(NamedTuple):
    """How often a step asks one of its questions about a record, at most, and how long each answer may be."""

    times: int
    max_tokens: int


class Annotator(Transform):
    """Adds columns by work that costs money or time, one record at a time, through the result store."""

    keyed: ClassVar[tuple[str, ...]] = ()
    """The parameters that change the paid result. Only these reach the store's key (an allow-list)."""
    reading: ClassVar[int] = 1
    """Raised when a stored raw result is read as other columns. Not in the key: nothing is paid again."""
    loading: ClassVar[str] = ""
    """What it waits for before its first answer, as progress says it; "" where that takes no time."""
    executor: ClassVar[Executor] = "inline"
    """Where `answer` runs: the engine's own thread, worker processes, or the event loop."""

    @property
    def is_paid(self) -> bool:
        return True

    def endpoint(self, context: StepContext) -> LlmSettings | None:
        """The endpoint that this step asks, in place of the recipe's `llm:`; None for that one.

        It is asked by calls whatever `run.mode` says, and looked for before anything is paid.
        """
        return None

    @abstractmethod
    def start(self, context: StepContext) -> RowWorker | AsyncRowWorker:
        """The worker whose `answer` does the paid work, an AsyncRowWorker for "event_loop"."""

    def columns(self, raw: Any, row: Row, context: StepContext) -> Row | Rejected:
        """The columns made of a stored raw result. Cheap and pure: runs again when only reading changed."""
        return dict(raw)

    def key_fields(self, row: Row, context: StepContext) -> Any:
        """What of the record reaches the key (JSON-able). Images enter by content, never by path."""
        fields = {name: row[name] for name in self.inputs(context)}
        if "images" in fields:
            fields["images"] = [context.files.sha256(path) for path in fields["images"]]
        return fields

    def sub_result_keys(self, row: Row, context: StepContext) -> list[bytes]:
        """Keys of the parts that the record's result is sure to need; see `StepContext.sub_results`."""
        return []

    def other_keys(self, row: Row, context: StepContext) -> list[bytes]:
        """Keys of other steps' results that may answer this record as well; see `take_over`."""
        return []

    def take_over(self, raw: Any) -> Done | None:
        """This step's result made of another step's stored raw one, so that no work is done twice."""
        return None

    def questions(self) -> tuple[Asked, ...]:
        """What a record's result may take of a model at most; empty for work on this machine, or unknown."""
        return ()

    def key_settings(self, context: StepContext) -> Row:
        """What of the step reaches the key besides name and version, such as the engine's version."""
        return {name: getattr(self, name) for name in self.keyed}


class Guard(Transform):
    """Lets records pass or rejects them with a reason; cheap, runs at every build."""

    compares: ClassVar[bool] = False
    """Whether records are judged by one another, so that `start` needs the whole input."""

    @abstractmethod
    def start(self, context: StepContext, frame: pl.LazyFrame) -> Worker:
        """The check for one batch. `frame` is the whole input if the guard `compares`, else maybe empty."""

    def served(self, context: StepContext) -> Callable[[Row], Row] | None:
        """For a guard that changes texts: what gives the changed columns of one record that is served, which
        may lack columns of the training. None for one that does nothing to prompts."""
        return None


class Reviser(BatchWorker):
    """A worker of a guard that has faulty records answered anew before it checks them.

    The engine asks it for records, has them answered by `annotator` through the result store, hands the
    answers back, and asks again until it wants no more. Each round depends on the answers of the round before
    and on nothing else, so a run that was killed goes through the same rounds and pays for no answer twice.
    """

    annotator: Annotator
    """What answers; its columns are handed back."""
    budget_usd: float | None
    """The most that the answers may cost, stored ones included. None: what the build has left."""

    probes: bool = False
    """Whether it may first ask for a few records of a round, to see whether the others are worth it."""

    @abstractmethod
    def wanted(self) -> pl.DataFrame | None:
        """Records of the next round, with the columns that the annotator reads; None when it is over."""

    @abstractmethod
    def take(self, batch: Batch) -> None:
        """The answers of a round: records with the annotator's columns, and rejects for the others."""

    @abstractmethod
    def most_wanted(self, others: int) -> int:
        """Answers that may be wanted at most; besides the records at hand, `others` may come whose input is
        not known yet."""

    @abstractmethod
    def stop(self, why: Literal["budget", "open"]) -> None:
        """No further round is to come: the budget is spent (`budget`), or answers are not there (`open`)."""

    @abstractmethod
    def __call__(self, frame: pl.DataFrame) -> Batch:
        """The check of one batch, after the last round."""


class Renderer(Transform):
    """Makes `messages` out of a record's columns; streamed, the texts are never all in memory."""

    @property
    def compares(self) -> bool:
        """Whether `start` needs the ids of the whole input, so that shares of it hold."""
        return False

    @abstractmethod
    def start(self, context: StepContext, frame: pl.LazyFrame) -> Worker:
        """The rendering of one batch. `frame` has the input's columns, and maybe no records."""

    def answer_format(self, context: StepContext) -> AnswerFormat | None:
        """How the answers are written and read back; None for a renderer whose answers are not read."""
        return None


class PromptRenderer(Renderer):
    """A renderer that can write the prompt of one record too, so that what was trained can be served."""

    @abstractmethod
    def prompt_columns(self, context: StepContext) -> tuple[str, ...]:
        """The columns that the prompts alone take, without those of the answer."""

    @abstractmethod
    def writer(self, context: StepContext) -> PromptWriter:
        """What writes prompts for records given as dicts: the very code that the training used."""

    def checking_columns(self, context: StepContext) -> tuple[str, ...]:
        """Columns that served answers are checked by, where a step makes them of the picture."""
        return ()

    def source_columns(self, context: StepContext) -> Mapping[str, str]:
        """Column of an answer that the step itself makes -> the column of the records that holds the same."""
        return {}

    def for_form(self, form: str | None, context: StepContext) -> PromptRenderer:
        """The same prompts for one of the answer's forms; None for the one that is served by default. Raises
        UserError for a form that there is not."""
        if form is not None:
            raise UserError(f"{self.name()} knows no answer form `{form}`", remedy="Leave the form out.")
        return self


class TableTransform(Transform):
    """Works on the whole table: splits, weights, joins, adds or removes records."""

    @abstractmethod
    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        """The new table. Called with zero rows too, to check columns before anything is paid."""


class Emitter(Transform):
    """Writes the build's files."""

    @property
    def trained_max_pixels(self) -> int | None:
        """What it scales the pictures down to that LLaMA-Factory trains on; None where it leaves them."""
        return None

    def carries(self, context: StepContext) -> tuple[str, ...]:
        """Columns of core.training_columns that the files have a place for; EVERY for all columns."""
        return ()

    @abstractmethod
    def write(self, records: FinalRecords, folder: Path, context: StepContext) -> list[Artifact]:
        """The files written. `folder` becomes the build only when everything succeeded.

        A record that the files have no place for joins `context.left_out` with its reason, once, and the
        others are written: another emitter may have a place for it, and the build accounts for both.
        """
