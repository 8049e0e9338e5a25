"""The prompt of a record as the training of a build had it: the same steps, templates, labels and store."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.report import StepReport
from datakit.artifacts.tasks import of_task
from datakit.core.answer import AnswerFormat
from datakit.core.answer_forms import ContractFormat
from datakit.core.errors import UserError
from datakit.core.files import FileDigests
from datakit.core.outcome import Outcome, Rejected, Retry
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Guard, PromptRenderer, Row
from datakit.core.workers import AsyncRowWorker, RowWorker, WrittenPrompt, async_row_worker, row_worker
from datakit.recipe.recipe import Recipe, Step, load_recipe, project_of
from datakit.run.keys import Keys, fingerprint, guard_print
from datakit.run.prompt_steps import prompt_steps
from datakit.run.proven_results import ProvenResults
from datakit.run.result_store import ResultStore
from datakit.run.store_place import StorePlace
from datakit.run.sub_results import PaidParts
from datakit.serving.images import TrainedView
from datakit.serving.items import NoPrompt
from datakit.serving.requirements import trainer_limits

_AGAIN = "Build again with `datakit build`; it needs `render.chat` and `- llamafactory: {}`."


@dataclass(frozen=True)
class BuildPrompts:
    """What a build says about prompts: settings, not yet at work."""

    build: BuildFolder
    recipe: Recipe
    context: StepContext
    chat: PromptRenderer
    """The recipe's render.chat."""
    steps: tuple[Step, ...]
    """The annotators that make columns of the prompt and the guards that change them, in order."""
    given: tuple[str, ...]
    """Columns that the caller must give, because no step makes them."""
    form: AnswerFormat
    view: TrainedView
    takes_text_alone: bool = True
    """Whether some records of the training have no picture."""

    @classmethod
    def load(cls, build: BuildFolder, *, rendered: bool = False, form: str | None = None) -> BuildPrompts:
        """Of a build. Raises UserError for one that cannot prompt as its training did.

        With `rendered`, only prompts that the build itself holds will be asked: no step has to work anew.
        `form` is one of the forms of a build whose answers have several; the first when not given.
        """
        build = of_task(BuildFolder(build.path.absolute()), None)
        recipe = _recipe(build)
        context = replace(recipe.context(), base=_recipe_folder(build), project=build.path)
        answer_format = build.answer_format
        if isinstance(answer_format, ContractFormat):
            context = replace(context, marks_places=answer_format.contract.marked)
        chat = _chat(recipe, build).for_form(form, context)
        if not rendered or form is not None:  # the prompts of a split come in every form
            answer_format = answer_format.named(form)
        steps, given = ((), ()) if rendered else prompt_steps(recipe, chat, context)
        _check_same(build, steps, context)
        emitted = build.emitted_for(_AGAIN)
        view = TrainedView(emitted.image_max_pixels, trainer_limits(build))
        text_alone = any(not file.pictures for file in emitted.files.values() if file.part != "general")
        return cls(build, recipe, context, chat, steps, given, answer_format, view, text_alone)


@dataclass
class Prompter:
    """Makes prompts, on one event loop. OCR and other work of the CPU runs in threads."""

    prompts: BuildPrompts
    pool: ThreadPoolExecutor

    def __post_init__(self) -> None:
        self._store = _store(self.prompts)
        self.context = replace(self.prompts.context, files=FileDigests(self._store))
        self._writer = self.prompts.chat.writer(self.context)
        self._local = threading.local()
        self._async: dict[int, AsyncRowWorker] = {}
        self._keys = {
            step.number: Keys(step.transform, self.context)
            for step in self.prompts.steps
            if isinstance(step.transform, Annotator)
        }
        self._changed = {step.number: change for step, change in changes(self.prompts.steps, self.context)}

    async def turns(self, row: Row) -> tuple[WrittenPrompt, Row]:
        """A record's prompt as render.chat writes it, and the record with its columns. Raises NoPrompt."""
        row = await self.columns(row)
        prompt = self._writer.prompt(row)
        if isinstance(prompt, Rejected):
            raise NoPrompt(prompt.reason, prompt.detail)
        return prompt, row

    async def columns(self, row: Row) -> Row:
        """The record with the columns that the steps before the prompt make. Raises NoPrompt."""
        missing = [name for name in self.prompts.given if name not in row]
        if missing:
            raise UserError(
                f"the prompt needs `{missing[0]}`, which no step of the recipe makes",
                remedy=f"Give it with the picture: {missing[0]}=….",
            )
        for step in self.prompts.steps:
            if isinstance(step.transform, Guard):
                row = {**row, **self._changed[step.number](row)}
            else:
                row = {**row, **await self._annotated(step, row)}
        return row

    async def close(self) -> None:
        """Ends connections and the store."""
        for worker in self._async.values():
            await worker.close()
        if self._store is not None:
            self._store.close()

    async def _annotated(self, step: Step, row: Row) -> Row:
        annotator = step.transform
        assert isinstance(annotator, Annotator)  # `_chain` takes no other
        key, _ = self._keys[step.number].of(row)
        stored = self._store.get_many([key]).get(key) if self._store is not None else None
        outcome = stored.outcome if stored is not None else await self._worked(step, annotator, row)
        if isinstance(outcome, Retry):
            raise NoPrompt(outcome.reason, f"{step.name}: {outcome.detail}", again=True)
        if stored is None and self._store is not None:
            self._store.put(key, step.name, outcome)
        if isinstance(outcome, Rejected):
            raise NoPrompt(outcome.reason, f"{step.name}: {outcome.detail}")
        columns = annotator.columns(outcome.raw, row, self.context)
        if isinstance(columns, Rejected):
            raise NoPrompt(columns.reason, f"{step.name}: {columns.detail}")
        return columns

    async def _worked(self, step: Step, annotator: Annotator, row: Row) -> Outcome:
        if annotator.executor == "event_loop":
            if step.number not in self._async:
                self._async[step.number] = async_row_worker(annotator.start(self._paying(step)))
            return await self._async[step.number].answer(row)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.pool, self._in_thread, step.number, annotator, row)

    def _paying(self, step: Step) -> StepContext:
        """The surroundings of a step that may pay: what it asks, or a build at this moment, is asked once."""
        if self._store is None:
            return self.context
        report = StepReport(number=step.number, name=step.name)
        parts = PaidParts(self._store, step.name, report, ProvenResults(self._store))
        return self.context.changed(sub_results=parts)

    def _in_thread(self, number: int, annotator: Annotator, row: Row) -> Outcome:
        workers: dict[int, RowWorker] = self._local.__dict__.setdefault("workers", {})
        if number not in workers:  # engines are no two threads' at once
            workers[number] = row_worker(annotator.start(self.prompts.context))
        return workers[number].answer(row)


def changes(steps: Iterable[Step], context: StepContext) -> Iterator[tuple[Step, Callable[[Row], Row]]]:
    """The guards among the steps of a prompt, each with what gives the columns that it changes."""
    for step in steps:
        if isinstance(step.transform, Guard):
            change = step.transform.served(context)
            assert change is not None  # `prompt_steps` takes no other
            yield step, change


def _recipe(build: BuildFolder) -> Recipe:
    _ = build.recipe  # told what is missing in the words of every other reader
    labels = build.labels_file
    return load_recipe(build.recipe_file, overrides=[] if labels is None else [f"labels={labels.name}"])


def _recipe_folder(build: BuildFolder) -> Path:
    """Where relative paths of the recipe start: its own folder, while it is still there."""
    if not build.has_report:
        return build.path
    return (project_of(build.path) / build.report.recipe).parent


def _chat(recipe: Recipe, build: BuildFolder) -> PromptRenderer:
    renderers = [step.transform for step in recipe.steps if isinstance(step.transform, PromptRenderer)]
    if not renderers:
        raise UserError(f"the recipe of {build.path} has no render.chat, so there is no prompt to serve with")
    if build.templates_folder is None:
        raise UserError(
            f"the build {build.path} keeps no templates", remedy="Build again with `datakit build`."
        )
    return renderers[-1]


def _check_same(build: BuildFolder, steps: tuple[Step, ...], context: StepContext) -> None:
    """Raises UserError when a step would not work as it did for the training: another engine or writer."""
    manifest = build.find_manifest()
    if manifest is None:
        raise UserError(f"{build.path} holds no whole build", remedy="Build again with `datakit build`.")
    then = {step["number"]: step for step in manifest.steps}
    for step in steps:
        old = then.get(step.number)
        if isinstance(step.transform, Guard):
            if old is not None and old["fingerprint"] != guard_print(step.transform):
                raise UserError(
                    f"{step.name} would not change texts as it did for the training: its version",
                    remedy="Use the same version of datakit, or build and train again.",
                )
            continue
        assert isinstance(step.transform, Annotator)  # `prompt_steps` takes no other
        if old is None or old["fingerprint"] == fingerprint(step.transform, context):
            continue
        now = step.transform.key_settings(context)
        changed = [
            f"{name} was {old['settings'].get(name)!r} and is {now.get(name)!r}"
            for name in sorted({*now, *old["settings"]})
            if old["settings"].get(name) != now.get(name)
        ]
        raise UserError(
            f"{step.name} would not work as it did for the training: {'; '.join(changed) or 'its version'}",
            remedy="Use the same version, or the same endpoint (OPENAI_API_KEY, OPENAI_BASE_URL), or build "
            "and train again.",
        )


def _store(prompts: BuildPrompts) -> ResultStore | None:
    """The project's result store, when the build still lies in its project."""
    place = StorePlace.of(prompts.recipe.run, project_of(prompts.build.path))
    return place.open() if place.url is not None or place.folder.is_dir() else None
