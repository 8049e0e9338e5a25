"""Proposals for a build's label file: which there are, whether the prompts still fit, and writing them in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.changed_files import edit_of_build
from datakit.core.errors import UserError, did_you_mean
from datakit.core.labels import LabelSet
from datakit.core.regular_files import read_regular
from datakit.core.shown_path import show_path
from datakit.evaluation.evaluation import Options
from datakit.evaluation.from_build import evaluate
from datakit.evaluation.label_audit.last_evaluation import Mistakes, last_mistakes, mistakes_in
from datakit.evaluation.label_proposals import label_file
from datakit.evaluation.label_proposals.proposing import LabelProposal, proposed, with_proposals
from datakit.opened_build import recipe_of
from datakit.prompt_room import PromptRoom, prompt_room
from datakit.recipe.recipe import Recipe
from datakit.run.manifest import settings_digest

EVERY = "all"
"""In place of an id: every proposal."""


@dataclass(frozen=True)
class Proposals:
    """What a build's label file might say besides."""

    build: BuildFolder
    recipe: Recipe | None
    """None where it is gone: then nothing can be written, and nobody knows how long prompts get."""
    mistakes: Mistakes | None
    fitting: tuple[LabelProposal, ...]
    too_long: tuple[LabelProposal, ...]
    """Those with which some prompts would not fit any more."""
    no_room: tuple[LabelProposal, ...]
    """Those whose words have no room in the description any more."""
    before: PromptRoom | None
    after: PromptRoom | None
    """With all of `fitting`; None where the recipe makes no prompts, or is gone."""

    @classmethod
    def of(cls, build: BuildFolder, predictions: Path | None = None, split: str = "val") -> Proposals:
        """Those of the mistakes in a file of answers, or in the newest evaluation. Raises UserError."""
        mistakes = _mistakes(build, predictions, split)
        every = tuple(proposed(build, mistakes))
        found = tuple(own for own in every if own.added or own.confusable)
        no_room = tuple(own for own in every if own.words and not own.added)
        recipe = recipe_of(build)
        room = _Room(build, _own(build, recipe))
        before = room.with_these(())
        fitting = room.longest_prefix(found, before)
        after = room.with_these(fitting) if fitting else before
        return cls(build, recipe, mistakes, fitting, found[len(fitting) :], no_room, before, after)

    @cached_property
    def edit_of_build(self) -> str:
        """That the build is not as it was built, in words."""
        return edit_of_build(self.build)

    def chosen(self, ids: Sequence[str]) -> tuple[LabelProposal, ...]:
        """The proposals with these ids, or all of them. Raises UserError for an id that is none."""
        by_id = {own.id: own for own in self.fitting}
        wanted = list(by_id) if EVERY in ids else list(dict.fromkeys(ids))
        blocked = {own.id for own in self.too_long}
        for id_ in wanted:
            if id_ in blocked:
                raise UserError(
                    f"with proposal {id_} some prompts would be too long, so it is not written",
                    remedy="Raise max_chars of render.chat, or shorten other descriptions first.",
                )
            if id_ not in by_id:
                hint = did_you_mean(id_, by_id) or f"There are: {', '.join(by_id) or 'none'}."
                raise UserError(f"there is no proposal {id_}", remedy=hint)
        return tuple(by_id[id_] for id_ in wanted)

    def edit(self, accepted: Sequence[LabelProposal]) -> Edited:
        """The label file with these proposals, not written yet.

        Raises UserError where the build is not that of the recipe, its templates and its label file as they
        stand, and where the file cannot be edited without damage.
        """
        recipe, labels = self.recipe, self.build.labels
        own = _own(self.build, recipe)
        if recipe is None or own is None or own.labels is None or labels is None:
            raise UserError(
                f"the recipe of {self.build.path} is gone, or does not check, so nobody knows its label file",
                remedy="Put it back, build again, and propose again.",
            )
        path = Path(own.labels.path)
        if own.labels.digest != labels.digest:
            raise UserError(
                f"{show_path(path)} was edited since {self.build.path} was made, so these proposals are of "
                "another file",
                remedy=f"Build again (datakit build {self.build.report.recipe}), and propose again.",
            )
        if self.build.manifest.settings != settings_digest(recipe, recipe.context(), None):
            raise UserError(
                f"{self.build.path} is not the build of its recipe as it stands: the recipe or a template "
                "was edited since, or it was made with --limit or --set",
                remedy=f"Build again (datakit build {self.build.report.recipe}), and propose again.",
            )
        before = read_regular(path)
        if before != labels.content:
            raise UserError(f"{show_path(path)} was edited just now", remedy="Run the same command again.")
        after = label_file.edited(before, path, labels, accepted)
        diff = label_file.difference_of(before, after, path, self.build.place(str(path)))
        return Edited(path, before, after, diff)


@dataclass(frozen=True)
class Edited:
    """A label file before and after."""

    path: Path
    before: bytes
    after: bytes
    diff: str

    def write(self) -> None:
        """Puts it in place, unless the file is no longer what it was. Raises UserError."""
        label_file.write(self.path, self.before, self.after)


def _own(build: BuildFolder, recipe: Recipe | None) -> Recipe | None:
    """The recipe of the build's task alone; None where the recipe has no such task any more."""
    if recipe is None or build.whole is None:
        return recipe
    name = build.path.name
    return recipe.for_task(name) if name in [task.name for task in recipe.tasks] else None


def _mistakes(build: BuildFolder, predictions: Path | None, split: str) -> Mistakes | None:
    labels = build.labels
    if labels is None:
        return None  # `proposed` says so
    if predictions is None:
        return last_mistakes(build, labels)
    (result,) = evaluate(build, [predictions], Options(split=split, resamples=2))
    return mistakes_in(result.evaluation, build.place(str(predictions.absolute())), build, labels)


@dataclass(frozen=True)
class _Room:
    """The room of prompts with some proposals."""

    build: BuildFolder
    recipe: Recipe | None

    def with_these(self, accepted: Sequence[LabelProposal]) -> PromptRoom | None:
        labels: LabelSet | None = self.build.labels
        if self.recipe is None or labels is None:
            return None
        return prompt_room(self.build, self.recipe, with_proposals(labels, accepted))

    def longest_prefix(
        self, found: tuple[LabelProposal, ...], before: PromptRoom | None
    ) -> tuple[LabelProposal, ...]:
        """As many of them, from the first on, as leave every prompt within its bound."""
        if before is None:
            return found
        fits, more = 0, len(found)
        while fits < more:  # more text never makes a prompt shorter
            middle = (fits + more + 1) // 2
            room = self.with_these(found[:middle])
            if room is not None and room.fits_as(before):
                fits = middle
            else:
                more = middle - 1
        return found[:fits]
