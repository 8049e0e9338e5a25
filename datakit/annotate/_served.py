"""What annotate.predict does with `from_build`: the model of a finished build is asked as it was trained."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import orjson
import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import BudgetSpent, StopProvider
from datakit.core.image import ImageProblem
from datakit.core.outcome import Done, Outcome, Rejected, Retry
from datakit.core.settings import LlmSettings
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, AsyncRowWorker, Columns, Executor, Row

if TYPE_CHECKING:
    from datakit.serving.asking import Asked, Reply
    from datakit.serving.trained import Training

_TRAINED = {"trained": True}


def columns_of(into: str) -> dict[str, Any]:
    """What every way to predict gives: label, its probability, those of all labels, who predicted, and what
    else speaks for the label."""
    text = pl.String()
    return {
        into: text,
        f"{into}_probability": pl.Float64(),
        f"{into}_probabilities": text,
        f"{into}_by": text,
        f"{into}_evidence": pl.List(pl.Float64),
    }


class ServedPredictions(Annotator):
    """annotate.predict with the model of a build; its parameters are described there."""

    registered_name: ClassVar[str] = "annotate.predict"
    executor: ClassVar[Executor] = "event_loop"
    of_one_task: ClassVar[bool] = True

    into: str = "prediction"
    from_build: str
    base_url: str
    model: str | None = None
    weights: str = ""
    form: str | None = None
    api_key_env: str = "VLLM_API_KEY"
    max_answer_tokens: int | None = None
    price_in: float = 0.0
    price_out: float = 0.0

    def endpoint(self, context: StepContext) -> LlmSettings:
        return LlmSettings(
            provider="openai",
            base_url=self.base_url,
            model=self._model(context),
            api_key_env=self.api_key_env,
            price_in=self.price_in,
            price_out=self.price_out,
            timeout_s=context.llm.timeout_s,
            max_retries=context.llm.max_retries,
            max_down_s=context.llm.max_down_s,
        )

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        training = self.training(context)
        training.check_steps(context)
        return tuple(sorted({"id", "images", *training.columns}))

    def outputs(self, context: StepContext) -> Columns:
        return columns_of(self.into)

    def files(self, context: StepContext) -> list[Path]:
        return [BuildFolder(context.path(self.from_build)).manifest_file]

    def key_settings(self, context: StepContext) -> Row:
        training = self.training(context)
        return {
            "model": self._model(context),
            "weights": self.weights,
            "build": training.content,
            "form": self.form,
            "room": self.max_answer_tokens,
        }

    def key_fields(self, row: Row, context: StepContext) -> Any:
        training = self.training(context)
        images = [context.files.sha256(path) for path in row["images"] or ()]
        if training.knows(row["id"], images):
            return _TRAINED
        prompt = training.prompt(row)
        if isinstance(prompt, Rejected):
            return {"unasked": prompt.reason, "detail": prompt.detail}
        return {"system": prompt.system, "users": list(prompt.users), "images": images}

    def start(self, context: StepContext) -> AsyncRowWorker:
        return _Predictor(self, context)

    def columns(self, raw: Any, row: Row, context: StepContext) -> Row:
        if not raw.get("label"):
            return dict.fromkeys(columns_of(self.into))
        probabilities = raw.get("probabilities")
        training = self.training(context)
        by = f"{self._model(context)} of {training.name} (content {training.content[:12]})"
        values = (
            raw["label"],
            None if not probabilities else probabilities.get(raw["label"]),
            orjson.dumps(probabilities).decode() if probabilities else None,
            by + (f", weights {self.weights}" if self.weights else ""),
            None,
        )
        return dict(zip(columns_of(self.into), values, strict=True))

    def training(self, context: StepContext) -> Training:
        """The build that the model was trained on. Raises UserError where it is gone or cannot prompt."""
        from datakit.serving.trained import training_of

        return training_of(context.path(self.from_build), self.form)

    def _model(self, context: StepContext) -> str:
        return self.model or self.training(context).served_name


class _Unanswered(Exception):
    """The endpoint gave no answer to a turn."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


class _Predictor(AsyncRowWorker):
    """Asks through the same calls as every paid step: budget, pace, tries and limits are theirs."""

    def __init__(self, step: ServedPredictions, context: StepContext) -> None:
        from datakit.llm.calls import Calls

        self._step, self._context, self._training = step, context, step.training(context)
        self._calls = Calls(context.llm, context.run, context.budget, context.stats)
        self._problems: Counter[str] = Counter()

    @property
    def notes(self) -> Row:
        """For the report: what the endpoint refused, and answers that state no label."""
        notes = dict(self._calls.notes)
        if self._problems:
            words = ", ".join(f"{count:,} {problem}" for problem, count in sorted(self._problems.items()))
            notes.setdefault("warnings", []).append(f"Records without a prediction: {words}.")
        return notes

    async def close(self) -> None:
        await self._calls.close()

    async def answer(self, row: Row) -> Outcome:
        training = self._training
        images = [self._context.files.sha256(path) for path in row["images"] or ()]
        if training.knows(row["id"], images):
            return Done(_TRAINED)
        prompt = training.prompt(row)
        if isinstance(prompt, Rejected):
            return self._without(prompt.reason, prompt.detail)
        from datakit.llm._judge import Spent
        from datakit.serving.asking import Question

        spent = Spent(self._context.llm.model)
        try:
            view = training.prompts.view
            pictures = [await asyncio.to_thread(view.data_url, path) for path in row["images"] or ()]
            question = Question(row["id"], prompt.system, prompt.users, tuple(pictures))
            server = _Server(self._calls, spent, tuple(row["images"] or ()))
            asked = await question.ask(server, self._context.llm.model, self._room, None)
        except ImageProblem as problem:
            return self._without(problem.reason, problem.detail)
        except _Unanswered as unanswered:
            return self._unanswered(unanswered.outcome)
        except (StopProvider, BudgetSpent) as error:
            self._calls.halt(error)
            if spent.answers:  # a turn that was paid for is accounted for
                reason = "budget_spent" if isinstance(error, BudgetSpent) else "provider_stopped"
                return Retry(reason, str(error), spent.meta())
            raise
        return self._read(asked, spent.meta())

    def _room(self, turn: int, _spent: int) -> int:
        rooms = self._training.rooms
        return self._step.max_answer_tokens or rooms[min(turn, len(rooms) - 1)]

    def _read(self, asked: Asked, meta: Row) -> Outcome:
        prompts = self._training.prompts
        said = asked.prediction(prompts.form, prompts.recipe.labels, None, (), self._context.llm.model)
        if said.predicted is None:
            problem = said.problem or "label_missing"
            self._problems[problem] += 1
            return Done({"problem": problem, "detail": said.detail, "answer": said.answer}, meta)
        return Done(
            {"label": said.predicted, "probabilities": said.probabilities, "answer": said.answer}, meta
        )

    def _unanswered(self, outcome: Outcome) -> Outcome:
        """A record that the endpoint will never answer stays in the data, without a prediction."""
        if isinstance(outcome, Rejected):
            return self._without(outcome.reason, outcome.detail, outcome.meta)
        return outcome

    def _without(self, reason: str, detail: str, meta: Row | None = None) -> Done:
        self._problems[reason] += 1
        return Done({"problem": reason, "detail": detail}, meta or {})


class _Server:
    """The endpoint as serving's questions ask it."""

    def __init__(self, calls: Any, spent: Any, images: tuple[str, ...]) -> None:
        self._calls, self._spent, self._images = calls, spent, images

    async def chat(self, body: dict[str, Any]) -> Reply:
        from datakit.llm._faults import Fault
        from datakit.llm.answer import HOLDS_KEY
        from datakit.llm.answer_schema import AnswerSchema
        from datakit.llm.request import Request
        from datakit.serving.asking import Reply

        sent: dict[str, Any] = {
            name: body[name] for name in ("messages", "logprobs", "top_logprobs") if name in body
        }
        text = "\n".join(_texts(body["messages"]))
        request = Request(text, self._images, AnswerSchema.line("label"), 0.0, body["max_tokens"], body=sent)
        answer = await self._calls.ask(request, (), self._spent)
        if isinstance(answer, Fault):
            kind = Rejected if answer.fate == "reject" else Retry
            raise _Unanswered(kind(answer.reason, answer.detail, self._spent.meta()))
        if answer.finish_reason == HOLDS_KEY:
            words = "the answer repeats the key that the question was sent with; it is not kept"
            raise _Unanswered(Rejected("answer_holds_key", words, self._spent.meta()))
        return Reply.of(answer, self._spent.meta()["seconds"])


def _texts(messages: Sequence[Row]) -> list[str]:
    """What a chat says in words, for counting what goes in."""
    texts: list[str] = []
    for turn in messages:
        content = turn["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        texts += [part["text"] for part in parts if part["type"] == "text"]
    return texts
