"""The stages of a handoff in their order: each runs or is passed over for a reason that is told."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from datakit.core.clock import utc_now
from datakit.core.disk_faults import disk_fault
from datakit.core.errors import DatakitError, Exit, UserError, did_you_mean
from datakit.handoff.heartbeat import Heartbeat
from datakit.handoff.journal import Journal
from datakit.handoff.reasons import Decision, changed, decide, listed
from datakit.handoff.road import Ended, Road
from datakit.handoff.stages import (
    EVALUATE,
    EVERY_NODE,
    EXPORT,
    KEYED,
    PREDICT,
    SERVE,
    STAGES,
    TRAIN,
    StageRecord,
    StageRecords,
)
from datakit.handoff.status import DONE, FAILED, INTERRUPTED, write_status
from datakit.training.run_lock import held_run

_OWN = (TRAIN, EXPORT)
"""Stages that are passed over where the model is served elsewhere."""


@dataclass
class Passed:
    """What became of one stage, for `--json`."""

    stage: str
    ran: bool
    reason: str
    seconds: float = 0.0
    exit: int = 0
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass
class Account:
    """What a handoff came to."""

    folder: str
    stages: list[Passed] = field(default_factory=list)
    exit: int = 0
    failure: str = ""
    """Which stage failed, why, its log and the next command; "" where none did."""
    summary: str = ""
    """The scores, the page, and where everything lies."""
    figures: dict[str, Any] = field(default_factory=dict)
    """The scores as numbers."""

    def document(self) -> dict[str, Any]:
        """All of it, for `--json`."""
        return {
            "run": self.folder,
            "exit": self.exit,
            "failure": self.failure or None,
            "stages": [asdict(passed) for passed in self.stages],
            "scores": self.figures or None,
        }


def chosen(only: Sequence[str], again: str, start_from: str) -> list[str]:
    """The stages that are wanted, in their order. Raises UserError for words that do not go together."""
    for word in (*only, again, start_from):
        if word and word not in STAGES:
            hint = did_you_mean(word, STAGES) or f"Stages: {', '.join(STAGES)}."
            raise UserError(f"there is no stage `{word}`", remedy=hint)
    if only and start_from:
        raise UserError("--only and --from both choose the stages", remedy="Leave one of them out.")
    if start_from and again and STAGES.index(again) < STAGES.index(start_from):
        raise UserError(
            f"--again {again} comes before --from {start_from}", remedy=f"Leave --from out, or name {again}."
        )
    if only:
        return [stage for stage in STAGES if stage in only or stage == again]
    wanted = STAGES[STAGES.index(start_from or STAGES[0]) :]
    return [stage for stage in wanted if stage != SERVE or SERVE in (again, start_from)]


SERVED, SERVING = "served weights", "serving"
"""Names of inputs of predict, which a server may know better than folder and plan."""


class Handoff:
    """Goes a road, stage by stage. It may end at any moment: what was done is in the run's records."""

    def __init__(self, road: Road, show: Callable[[str], None] = print) -> None:
        """`show` puts a line on the terminal."""
        self.road, self._show = road, show
        self._records = StageRecords(road.folder, road.rank)

    def go(self, *, only: Sequence[str] = (), again: str = "", start_from: str = "") -> Account:
        """Goes through the stages that are wanted; what came of them.

        `again` redoes a stage and those after it. A stage that fails ends the handoff; its error is in the
        account. Raises UserError for a wrong call and for a run that another process works on, and
        KeyboardInterrupt where it is interrupted.
        """
        wanted = chosen(only, again, start_from)
        if self.road.rank:
            wanted = [stage for stage in wanted if stage in EVERY_NODE]
        look = f"{self.road.command} --status"
        with held_run(self.road.folder, self.road.rank, self.road.command, look) as lock:
            self.road.lock = lock
            return self._go(wanted, again)

    def _go(self, wanted: Sequence[str], again: str) -> Account:
        account = Account(str(self.road.folder))
        with Journal(self.road.logs, self._show) as journal:
            self.road.say = journal.say
            self.road.begin()
            with self._heartbeat(journal) as beat:
                self._note_stale(wanted)
                for stage in wanted:
                    passed = self._pass(stage, again, beat, account)
                    account.stages.append(passed)
                    if passed.exit:
                        account.exit = passed.exit
                        journal.note(account.failure)
                        return account
                self._conclude(account, wanted)
                if EVALUATE in wanted:
                    beat.conclude(self.road.command_after)
                journal.note(account.summary)
        return account

    def _heartbeat(self, journal: Journal) -> Heartbeat:
        road = self.road
        return Heartbeat(
            journal,
            lambda status: write_status(road.folder, status, road.rank),
            road.progress,
            road.log_of,
            road.command,
        )

    def _note_stale(self, wanted: Sequence[str]) -> None:
        """Says where the stages that are wanted go on from what is older than what it came from."""
        if self.road.elsewhere or self.road.rank:
            return
        for stage, following in ((EXPORT, PREDICT), (PREDICT, EVALUATE)):
            if following in wanted and stage not in wanted:
                with contextlib.suppress(UserError):  # told by the stage that lacks something
                    decision = self._decided(stage, "")
                    if decision.runs:
                        self.road.say(f"Note: {stage} is not wanted, and would run: {decision.why}.")

    def _pass(self, stage: str, again: str, beat: Heartbeat, account: Account) -> Passed:
        """One stage, decided and run. Its failure is told in the account."""
        forced = again if again and STAGES.index(stage) >= STAGES.index(again) else ""
        beat.begin(stage)
        began = time.monotonic()
        try:
            decision = self._decided(stage, forced)
            self.road.say(decision.text)
            ended = self._run(stage, decision, beat) if decision.runs else self._adopt(stage, decision)
            if ended.exit:
                account.failure = self._failure(stage, ended.text, partial=ended.exit == Exit.PARTIAL)
                beat.end(FAILED, account.failure.splitlines()[0])
            else:
                beat.end(DONE)
                if ended.text:
                    self.road.say(ended.text)
            return Passed(stage, decision.runs, decision.why, _since(began), ended.exit, ended.figures)
        except KeyboardInterrupt:
            beat.end(INTERRUPTED)
            raise
        except (DatakitError, OSError) as error:
            text = str(error) if isinstance(error, DatakitError) else _os_error(error, self.road.folder)
            account.failure = self._failure(beat.stage, text)
            beat.end(FAILED, account.failure.splitlines()[0])
            code = int(error.exit_code) if isinstance(error, DatakitError) else 2
            return Passed(stage, True, text.splitlines()[0], _since(began), code or 1)
        except BaseException:
            beat.end(FAILED)
            raise

    def _decided(self, stage: str, forced: str) -> Decision:
        if stage not in KEYED:
            return Decision(stage, True, "it looks at what is there now")
        if self.road.elsewhere and stage in _OWN:
            return Decision(stage, False, f"the model is served at {self.road.elsewhere}")
        inputs = self.road.inputs(stage)
        record = self._records.read(self.road.record_of(stage))
        begun_with = self.road.trained_with() if stage == TRAIN else None
        if record is not None and not record.is_done and begun_with is not None:
            record.inputs = begun_with  # not those of a call that was refused before anything was touched
        if record is None:
            earlier = self._records.read(self.road.earlier_record_of(stage))
            record = earlier if earlier is not None and not changed(earlier.inputs, inputs) else None
        decision = decide(stage, record, inputs, forced, self.road.outputs, self.road.stands)
        begins = decision.runs and not decision.anew
        if begins and begun_with is not None and (others := changed(begun_with, inputs)):
            why = f"what was begun there has other {listed(others)}"
            return Decision(stage, True, why, anew=True, inputs=inputs)
        return decision

    def _adopt(self, stage: str, decision: Decision) -> Ended:
        """Takes an outcome as it stands for that of the stage, from here on."""
        if decision.adopts:
            now = utc_now()
            record = StageRecord(
                stage=self.road.record_of(stage), inputs=decision.inputs, begun=now, finished=now, exit=0
            )
            record.outputs = self.road.outputs(stage)
            self._records.write(record)
        return Ended()

    def _run(self, stage: str, decision: Decision, beat: Heartbeat) -> Ended:
        if stage not in KEYED:
            return self._do(stage, decision, beat)[0]
        if stage == TRAIN and decision.anew:
            self.road.refuse_training_anew()  # before the record says that it was begun
        before = self._records.read(self.road.record_of(stage))
        record = StageRecord(stage=self.road.record_of(stage), inputs=decision.inputs, begun=utc_now())
        self._records.write(record)
        try:
            ended, known = self._do(stage, decision, beat)
        except DatakitError as error:
            self._note_failure(stage, record, before, int(error.exit_code) or 1)
            raise
        record.inputs = {**record.inputs, **known}
        record.end(ended.exit)
        record.note = ended.note
        record.outputs = self.road.outputs(stage)
        self._records.write(record)
        return ended

    def _note_failure(self, stage: str, record: StageRecord, before: StageRecord | None, code: int) -> None:
        """What was done before stays done where the failure came before anything was touched."""
        with contextlib.suppress(OSError):  # a full disk: the record says that the stage was begun
            if before is not None and before.is_done and self.road.outputs(stage) == before.outputs:
                self._records.write(before)
                return
            record.end(code)
            self._records.write(record)

    def _do(self, stage: str, decision: Decision, beat: Heartbeat) -> tuple[Ended, dict[str, str]]:
        """What the stage came to, and inputs that were not known before."""
        road = self.road
        if stage == TRAIN:
            return road.train(anew=decision.anew), {}
        if stage == EXPORT:
            return road.export(), {}
        if stage == EVALUATE:
            return road.evaluate(), {}
        if stage in (SERVE, PREDICT):
            beat.begin(SERVE)
            with road.serving() as address:
                if stage == SERVE:
                    beat.rest()
                    if road.lock is not None:
                        road.lock.release()  # meanwhile another call may predict
                    return road.serve_until_ended(address), {}
                beat.begin(PREDICT)
                known = {SERVED: address.weights}
                known |= {SERVING: address.flags} if address.flags is not None else {}
                return road.predict(address, anew=decision.anew), known
        return road.check(), {}

    def _failure(self, stage: str, text: str, *, partial: bool = False) -> str:
        log = self.road.log_of(stage)
        lines = [f"{stage} {'is not finished' if partial else 'failed'}: {text}"]
        if log is not None and str(log) not in text:
            lines.append(f"  Log: {log}")
        lines.append(f"  Go on with: {self.road.command}")
        return "\n".join(lines)

    def _conclude(self, account: Account, wanted: Sequence[str]) -> None:
        if EVALUATE in wanted:
            scores = self.road.scores()
            account.summary, account.figures = scores.text, scores.figures
        lies = f"Everything lies in {self.road.folder}"
        account.summary = "\n".join(filter(None, (account.summary, lies)))


def _os_error(error: OSError, folder: Path) -> str:
    what, remedy = disk_fault(error, folder)
    return f"{what}\n  {remedy}"


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)
