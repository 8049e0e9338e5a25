"""Videos, sound, preference rows, data that lies elsewhere, files for other ends: each gets its own words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datakit.checking.check import Check, Report
from datakit.checking.templates import media_of
from datakit.checking.training import Training
from datakit.core.errors import UserError
from datakit.core.tokens import TokenCounter
from tests.support.data_folder import SHARED, TAGS, DataFolder, good, picture, row

EVERY = {name: name for name in ("messages", "images", "videos", "audios", "tools", "system")}
MEDIA = {**SHARED, "columns": {key: EVERY[key] for key in ("messages", "images", "videos", "audios")}}
A = ("assistant", "购物车")
OMNI = {"template": "qwen2_omni", "model_name_or_path": "Qwen/Qwen2.5-Omni-7B"}
TEXT = {"template": "qwen", "model_name_or_path": "Qwen/Qwen2.5-7B-Instruct"}


def check(folder: DataFolder, *args: Any, **more: Any) -> Report:
    return Check(Training.load(folder.write(*args, **more))).run()


def codes(report: Report) -> list[str]:
    return [finding.code for finding in report.findings.all]


def media(text: str, *, videos: Any = None, audios: Any = None, images: Any = None) -> dict[str, Any]:
    return row(("user", text), A, images=images, videos=videos, audios=audios)


@pytest.fixture
def files(folder: DataFolder) -> DataFolder:
    for name in ("v.mp4", "f1.jpg", "f2.jpg", "s.wav"):
        (folder.path / name).write_bytes(b"content")
    (folder.path / "none.mp4").write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    ("line", "settings", "code", "verdict"),
    [
        (media("<video>看", videos=["v.mp4"]), {}, "media_unchecked", "kept"),
        (media("<video>看", videos=[["f1.jpg", "f2.jpg"]]), {}, "media_unchecked", "kept"),
        (media("<audio>听", audios=["s.wav"]), OMNI, "media_unchecked", "kept"),
        (media("<video><audio>看", videos=["v.mp4"], audios=["s.wav"]), OMNI, "media_unchecked", "kept"),
        (media("<audio>听", audios=["s.wav"]), {}, "template_blind", "stops"),
        (media("<video><audio>看", videos=["v.mp4"], audios=["s.wav"]), {}, "template_blind", "stops"),
        (media("<video>看", videos=["v.mp4"]), TEXT, "template_blind", "stops"),
        (media("<video>看", videos=["v.mp4"]), {"template": "llama3"}, "template_blind", "stops"),
        (media("<video>看", videos=["v.mp4"]), {"template": None}, "template_blind", "stops"),
        (media("看", videos=["v.mp4"]), {}, "media_place", "stops"),
        (media("<video><video>看", videos=["v.mp4"]), {}, "media_place", "stops"),
        (media("<video><audio>看", videos=["v.mp4"]), {}, "media_place", "stops"),
        (media("<audio>听"), OMNI, "media_place", "stops"),
        (media("<video>看", videos=["gone.mp4"]), {}, "media_missing", "stops"),
        (media("<video>看", videos=[["f1.jpg", "gone.jpg"]]), {}, "media_missing", "stops"),
        (media("<video>看", videos=["none.mp4"]), {}, "media_broken", "stops"),
        (media("<audio>听", audios=["gone.wav"]), OMNI, "media_missing", "stops"),
    ],
)
def test_a_medium_needs_its_template_its_places_and_its_files(
    files: DataFolder, line: dict[str, Any], settings: dict[str, Any], code: str, verdict: str
) -> None:
    report = check(files, [line], MEDIA, settings)
    (tally,) = report.tallies
    assert code in codes(report)
    assert {"kept": tally.kept, "stops": tally.stops}[verdict] == 1
    assert bool(report.errors) == (verdict == "stops")
    assert tally.uncounted == (verdict == "kept")
    assert (tally.text_tokens, tally.longest) == (0, 0)


@pytest.mark.parametrize("settings", [TEXT, {"template": "llama3", "model_name_or_path": "m"}])
def test_for_a_text_model_places_are_words(folder: DataFolder, settings: dict[str, Any]) -> None:
    report = check(folder, [row(("user", "写作 <image> <video>"), A)], None, settings)
    (tally,) = report.tallies
    assert (tally.kept, report.errors) == (1, 0)
    if settings is TEXT:
        turns = [
            {
                "role": "system",
                "content": "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
            }
        ]
        turns += [
            {"role": "user", "content": "写作 < image> <video>"},
            {"role": "assistant", "content": A[1]},
        ]
        spaced = check(folder, [row(("user", turns[1]["content"]), A)], None, settings)
        counter = TokenCounter()
        change = counter.count("写作 <image>") - counter.count("写作 < image>")
        assert tally.text_tokens == spaced.tallies[0].text_tokens + change


def test_proposals_are_of_counted_rows_alone(files: DataFolder) -> None:
    seen = good([picture(files.path, "a.png")])
    whole = check(files, [seen], MEDIA).proposal
    report = check(files, [seen, media("<video>看" + "很长" * 900, videos=["v.mp4"])], MEDIA)
    assert whole is not None
    assert report.proposal is not None
    assert report.proposal.fits_all == whole.fits_all
    assert report.proposal.uncounted == 1
    words = " ".join(report.proposal.advice)
    assert "every row" not in words
    assert "no harm" not in words
    assert "1 rows were not counted" in words
    only = check(files, [media("<video>看", videos=["v.mp4"])], MEDIA)
    assert only.proposal is None


def test_media_of_templates() -> None:
    assert media_of("qwen2_vl") == {"images", "videos"}
    assert media_of("qwen2_audio") == {"audios"}
    assert media_of("qwen3_omni") == {"images", "videos", "audios"}
    assert media_of("llama4") == {"images"}
    assert media_of("llama3") == media_of(None) == frozenset()
    assert media_of("no_such") is None


KTO = {**SHARED, "columns": {"messages": "messages", "kto_tag": "label"}}
PLAIN_KTO = {"columns": {"prompt": "instruction", "response": "output", "kto_tag": "label"}}
ROW = {"instruction": "问", "input": "", "output": "答"}
PAIR = {"chosen": "好", "rejected": "坏"}


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (KTO, row(("user", "问"), A)),
        (PLAIN_KTO, ROW),
        ({**KTO, "formatting": "openai"}, row(("user", "问"), A)),
    ],
)
@pytest.mark.parametrize("mark", [True, False])
def test_marked_rows_are_dropped_by_supervised_training(
    folder: DataFolder, entry: dict[str, Any], line: dict[str, Any], mark: bool
) -> None:
    report = check(folder, [{**line, "label": mark}, {**line, "label": None}], entry)
    (tally,) = report.tallies
    assert (tally.kept, tally.dropped) == (1, 1)
    (finding,) = [finding for finding in report.findings.all if finding.code == "marked"]
    assert ("unwanted" if not mark else "as wanted") in finding.message
    assert "stage: kto" in finding.plain()["remedy"]


@pytest.mark.parametrize(
    ("line", "entry", "settings", "code"),
    [
        ({**ROW, **PAIR}, {"ranking": True}, {}, "ranked"),
        ({**ROW, **PAIR}, {}, {}, "preference_ignored"),
        (
            {**ROW, **PAIR},
            {"columns": {"prompt": "instruction", **{key: key for key in PAIR}}},
            {},
            "answer_not_text",
        ),
        ({**row(("user", "问")), **PAIR}, SHARED, {}, "turn_count"),
        ({**row(("user", "问")), **PAIR}, SHARED, {}, "preference_ignored"),
        ({**row(("user", "问")), **PAIR}, {**SHARED, "ranking": True}, {}, "ranked"),
        (row(("user", "问"), A), SHARED, {"stage": "dpo"}, "not_ranked"),
        (row(("user", "问"), A), SHARED, {"stage": "rm"}, "not_ranked"),
        (row(("user", "问"), A), SHARED, {"stage": "kto"}, "not_marked"),
        ({**row(("user", "问")), **PAIR}, {**SHARED, "ranking": True}, {"stage": "kto"}, "ranked"),
        ({**row(("user", "问")), **PAIR}, {**SHARED, "ranking": True}, {"stage": "dpo"}, "stage_unchecked"),
        (
            {"messages": row(("user", "问"), A)["messages"], "label": True},
            KTO,
            {"stage": "kto"},
            "stage_unchecked",
        ),
    ],
)
def test_preference_data_is_called_so(
    folder: DataFolder, line: dict[str, Any], entry: dict[str, Any], settings: dict[str, Any], code: str
) -> None:
    report = check(folder, [line], entry, settings)
    assert code in codes(report)
    if code in ("ranked", "preference_ignored"):
        titles = [group.title for group in report.findings.groups() if group.code == code]
        assert "preference data" in titles[0]


CHAT = row(("user", "问"), A)


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ({**ROW, "label": False}, {}),
        ({**ROW, "label": 0}, {}),
        ({**ROW, "kto_tag": False}, {}),
        ({**ROW, "desirable": "false"}, {}),
        ({**CHAT, "label": False}, SHARED),
        ({**CHAT, "kto_tag": 0}, SHARED),
        ({**CHAT, "rejected_response": "坏"}, SHARED),
        ({**ROW, "rejected": "坏"}, {}),
        ({**CHAT, "label": 0}, KTO),
        ({**CHAT, "label": "false"}, KTO),
        ({**ROW, "label": "False"}, PLAIN_KTO),
    ],
)
def test_marks_that_the_trainer_does_not_look_at_are_told(
    folder: DataFolder, line: dict[str, Any], entry: dict[str, Any]
) -> None:
    assert "marks_ignored" in codes(check(folder, [line], entry))


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ({**ROW, "label": "false"}, {}),
        ({**ROW, "label": "购物车"}, {}),
        ({**ROW, "label": 3}, {}),
        ({**ROW, "label": True}, {}),
        ({**ROW, "label": None, "kto_tag": None, "rejected": None}, {}),
        ({**ROW, "label": [0]}, {}),
        ({**ROW, "label": False}, PLAIN_KTO),
    ],
)
def test_classes_and_marks_of_wanted_answers_alone_are_no_finding(
    folder: DataFolder, line: dict[str, Any], entry: dict[str, Any]
) -> None:
    assert "marks_ignored" not in codes(check(folder, [line], entry))


@pytest.mark.parametrize(
    ("formatting", "template", "more"),
    [("sharegpt", "qwen3_vl_nothink", 5), ("sharegpt", "qwen2_vl", 0), ("openai", "qwen3_vl_nothink", None)],
)
def test_an_empty_list_of_tools_opens_a_system_turn(
    folder: DataFolder, formatting: str, template: str, more: int | None
) -> None:
    entry = {
        "formatting": formatting,
        "columns": {key: EVERY[key] for key in ("messages", "tools")},
        "tags": TAGS,
    }
    settings = {"template": template, "model_name_or_path": "m"}
    lines = [row(("user", "问"), A, tools=tools) for tools in (None, "[]", "")]
    without, empty, blank = [check(folder, [line], entry, settings).tallies[0].text_tokens for line in lines]
    assert without == blank
    if more is None:  # without tools this formatting writes a system turn of its own
        assert empty < without
    else:
        assert empty == without + more


def test_lines_of_a_text_file_are_rows_without_answers(folder: DataFolder) -> None:
    report = check(folder, "一\n二\n\n", {"columns": {"prompt": "text"}}, file="set.txt")
    (tally,) = report.tallies
    assert (tally.rows, tally.dropped) == (3, 3)
    assert set(codes(report)) == {"answer_not_text"}


@pytest.mark.parametrize(
    ("entry", "code", "words"),
    [
        ({"hf_hub_url": "a/b", "ms_hub_url": "a/b"}, "data_set_remote", "Hugging Face"),
        ({"ms_hub_url": "a/b"}, "data_set_remote", "modelscope"),
        ({"om_hub_url": "a/b"}, "data_set_remote", "openmind"),
        ({"cloud_file_name": "s3://a/b.json"}, "data_set_remote", "cloud"),
        ({"script_url": "a.py"}, "data_set_script", "script"),
        ({"hf_hub_url": "a/b", "ranking": True}, "ranked", "stage: sft"),
    ],
)
def test_data_that_lies_elsewhere_is_named(
    folder: DataFolder, entry: dict[str, Any], code: str, words: str
) -> None:
    path = folder.write([good()])
    (folder.path / "dataset_info.json").write_text(json.dumps({"set": entry}))
    report = Check(Training.load(path)).run()
    (found,) = [finding for finding in report.findings.all if finding.code == code]
    assert words in found.message
    assert report.errors == (code == "ranked")


@pytest.mark.parametrize("place", ["ONLINE", "REMOTE:me/data"])
def test_an_index_at_the_hub_is_no_error(folder: DataFolder, place: str) -> None:
    report = Check(Training.load(folder.write([good()], None, {"dataset_dir": place}))).run()
    assert codes(report) == ["data_set_remote"]
    assert place in report.findings.all[0].message
    here = Check(Training.load(folder.path / "train.yaml"), dataset_dir=folder.path).run()
    assert here.tallies[0].kept == 1


MODEL = "model_name_or_path: Qwen/Qwen3-VL-4B-Instruct\ntemplate: qwen3_vl_nothink\n"


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (
            MODEL + "adapter_name_or_path: saves\nexport_dir: out\nexport_size: 5\n",
            "no_data_set",
            "an export",
        ),
        (MODEL + "infer_backend: huggingface\n", "no_data_set", "inference"),
        (
            "compute_environment: LOCAL_MACHINE\ndistributed_type: FSDP\nnum_processes: 2\n",
            "not_training",
            "accelerate",
        ),
        ("zero_optimization: {stage: 3}\nbf16: {enabled: auto}\n", "not_training", "DeepSpeed"),
        ("model: Qwen/Qwen3-4B\nmodel_class: llm\ntrain_dataset: data.yaml\n", "not_training", "version 1"),
    ],
)
def test_files_for_other_ends_are_no_error(tmp_path: Path, text: str, code: str, words: str) -> None:
    path = tmp_path / "some.yaml"
    path.write_text(text, "utf-8")
    report = Check(Training.load(path)).run()
    assert codes(report) == [code]
    assert words in report.findings.all[0].message
    assert report.errors == 0
    assert report.proposal is None


def test_a_training_that_names_no_data_set_is_an_error(folder: DataFolder) -> None:
    report = Check(Training.load(folder.write([good()], None, {"dataset": None}))).run()
    assert "setting_missing" in codes(report)
    with pytest.raises(UserError, match="no data set is named"):
        Check(Training(), dataset_dir=folder.path)


def test_a_faulty_export_is_still_an_error(tmp_path: Path) -> None:
    path = tmp_path / "export.yaml"
    path.write_text(MODEL + "export_dir: out\nexport_quantization_bit: 4\nexport_sizes: 5\n", "utf-8")
    assert set(codes(Check(Training.load(path)).run())) == {"setting_unknown", "quantised", "no_data_set"}
