"""Hostile values in generated scripts and YAML: each arrives as it is, and none is executed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from datakit.core.errors import UserError
from datakit.core.plain_yaml import dump, parse, with_values, yaml_inline
from datakit.core.scripts import assignment, comment, flag_words, shell_words
from datakit.serving.plan import Flag, Memory, ServingPlan
from datakit.serving.requirements import Requirements
from datakit.serving.serve_files import script
from datakit.training.yaml_text import export_text, train_text

BREAKS = ["\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\x1b[2J", "\x7f", "\ufeff"]
HOSTILE = [
    *(f"a{sign}touch pwned" for sign in BREAKS),
    *(
        "$(touch pwned)",
        "`touch pwned`",
        "${IFS}",
        "$HOME",
        "a; touch pwned",
        "a && touch pwned",
        "| touch pwned",
    ),
    *(
        "'; touch pwned; '",
        '"; touch pwned; "',
        "\\",
        "\\'",
        "a\\\ntouch pwned",
        "#",
        "a #b",
        "!",
        "!!",
        "!x",
    ),
    *("-rf", "--help", "-", "", " ", " a", "a ", "~", "*", "?", "[a]", "{a,b}", ">pwned", "<(touch pwned)"),
    *(
        "yes",
        "null",
        "~",
        "1e5",
        "0x1f",
        "2024-01-01",
        "a: b",
        "- a",
        "---",
        "a\n---\nb",
        "a\n...\n",
        "&a",
        "*a",
    ),
    *(
        "%TAG",
        "@a",
        "|",
        ">-",
        "? a",
        "{a: b}",
        "[1]",
        "!!python/object:os.system",
        "电商",
        "😀",
        "\u202eabc",
    ),
]
words = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12),
    st.lists(st.sampled_from([*HOSTILE, "\n", "'", '"', "$(", ")", "`", " "]), max_size=4).map("".join),
)
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def run(text: str, folder: Path, *arguments: str, **environ: str) -> list[str]:
    """What bash prints of a script, taken apart at NUL; nothing may come into being beside it."""
    path = folder / "script.sh"
    path.write_bytes(text.encode())
    before = sorted(folder.iterdir())
    done = subprocess.run(
        ["bash", str(path), *arguments],
        cwd=folder,
        capture_output=True,
        timeout=20,
        env={"PATH": f"{folder}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", **environ},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert sorted(folder.iterdir()) == before, "something was executed"
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.fault(
    "a value with quotes, `$(...)`, line breaks or dashes becomes a word of a command",
    "it reaches the command byte for byte; nothing is executed",
    kind="scripts",
)
@quick
@given(st.lists(words, min_size=1, max_size=4))
@example(HOSTILE)
def test_words_reach_a_command_byte_for_byte(tmp_path: Path, values: list[str]) -> None:
    assert run(f"printf '%s\\0' -- {shell_words(values)}\n", tmp_path)[1:] == values


@pytest.mark.fault("such a value stands in a comment of a script", "nothing is executed", kind="scripts")
@quick
@given(words)
@example("\n".join(HOSTILE))
def test_comment_executes_nothing_in_bash(tmp_path: Path, text: str) -> None:
    assert run(f"{comment(text)}\nx=(a {comment(text)}\n)\nprintf '%s\\0' \"${{x[@]}}\"\n", tmp_path) == ["a"]


@pytest.mark.fault("such a value stands in a comment of a YAML file", "no key comes of it", kind="scripts")
@given(words, words)
def test_comment_holds_no_key_of_yaml(text: str, value: str) -> None:
    document = f"{comment(text)}\n{dump({'key': value})}{comment(text)}\n"
    assert yaml.safe_load(document) == parse(document) == {"key": value}


@pytest.mark.fault("such a value stands in a YAML file", "it is read back as it was", kind="scripts")
@pytest.mark.parametrize("value", [*HOSTILE, "".join(HOSTILE)])
def test_yaml_gives_every_value_back(value: str) -> None:
    for document in (
        dump({"a": value, "b": [value]}),
        f"a: {yaml_inline(value)}\nb: {yaml_inline([value])}\n",
    ):
        assert yaml.safe_load(document) == parse(document) == {"a": value, "b": [value]}


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("text", ["a: {b: 1, c: 2} # d\n", "a:\n  b: 1 # d\n  c: 2\n"])
def test_changed_value_stays_one_value_in_its_file(text: str, value: str) -> None:
    changed = with_values(text, {("a", "b"): value})
    assert yaml.safe_load(changed) == parse(changed) == {"a": {"b": value, "c": 2}}


@pytest.mark.fault(
    "such a value is assigned to a shell variable",
    "the variable has it; nothing is executed",
    kind="scripts",
)
@quick
@given(words)
def test_assignment_sets_the_variable_and_runs_nothing(tmp_path: Path, value: str) -> None:
    assert run(f"{assignment('NAME', value)}printf '%s\\0' \"$NAME\"\n", tmp_path) == [value]


@pytest.mark.fault("a variable's name is shell code", "refused", kind="scripts")
@pytest.mark.parametrize("name", ["a b", "$(touch pwned)", "1a", "", "a\n"])
def test_name_that_is_none_of_a_variable_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="no name of a shell variable"):
        assignment(name, "x")


@pytest.mark.fault("a value holds NUL", "refused in words", kind="scripts")
def test_value_with_nul_is_refused_as_no_command_can_be_given_it() -> None:
    with pytest.raises(UserError, match="NUL"):
        shell_words(["a\0b"])


def plan_of(name: str, value: str, why: str) -> ServingPlan:
    return ServingPlan(
        model="MODEL",
        name=name,
        port=8000,
        tensor_parallel=1,
        max_model_len=512,
        max_answer_tokens=64,
        flags=(
            Flag("--served-model-name", name, why),
            Flag(f"--{value}", value, why),
            Flag("--eager", None, why),
        ),
        memory=Memory(1, 1, 1, 1, 1, 1.0, 1),
        demand=cast(Requirements, None),
        notes=(why,),
    )


@pytest.mark.fault(
    "names of models, builds and paths in serve.sh are hostile",
    "each is one argument",
    kind="scripts",
)
@quick
@given(words, words, words)
@example("x\ntouch pwned", "$(touch pwned)", "y\ntouch pwned #")
@example("-x", "-y", "z")
def test_serve_script_gives_each_value_as_one_argument(
    tmp_path: Path, name: str, value: str, why: str
) -> None:
    stub = tmp_path / "vllm"
    stub.write_text("#!/bin/bash\nprintf '%s\\0' \"$@\"\n")
    stub.chmod(0o755)
    text = script(plan_of(name, value, why), value)
    model = f"/models/{value}"
    expected = [*flag_words("--served-model-name", name), *flag_words(f"--{value}", value), "--eager"]
    assert run(text, tmp_path, model, "--further") == ["serve", model, *expected, "--further"]


@pytest.mark.fault(
    "names and paths in train.yaml and export.yaml are hostile",
    "each is read back as it was",
    kind="scripts",
)
@given(words, words)
def test_training_files_give_each_value_back(name: str, path: str) -> None:
    keys: dict[str, Any] = {"model_name_or_path": path, "output_dir": name, "finetuning_type": "lora"}
    keys |= {"dataset": path, "num_train_epochs": 1}  # something in every section
    reasons = {next(iter(keys)): f"because of {name} and {path}"}
    text = train_text((f"Training of {name}", f"Warning: {path}"), keys, reasons)
    assert yaml.safe_load(text) == parse(text) == keys
    keys |= {"template": name, "trust_remote_code": True}
    exported = yaml.safe_load(export_text(keys, path))
    assert (exported["model_name_or_path"], exported["export_dir"], exported["template"]) == (
        path,
        path,
        name,
    )
