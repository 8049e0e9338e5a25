"""What would stop a build halfway is told before its first step works, all of it at once, with its line."""

from __future__ import annotations

import errno
import importlib.util
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datakit.core.errors import Exit, RecipeErrors, UserError
from datakit.library import load
from datakit.run.build import Options, build
from datakit.run.progress import Progress
from tests.support.loopback import KEY, Loopback, Reply

RECIPE = """\
name: shop
llm: {{provider: openai, model: {model}, base_url: "{url}", max_down_s: {down}}}
steps:
  - read.jsonl: {{path: ../rows.jsonl}}
  - toy.work: {{log: {log}}}
  - annotate.ask: {{template: ask.j2, into: answer}}
  - render.chat: {{prompt: ask.j2, answer: reply.j2}}
emit:
  - llamafactory: {{images: link}}
run: {{max_reject_rate: 1.0}}
"""
Make = Callable[..., Path]


@pytest.fixture
def make(project: Path, toys: None) -> Make:
    def write(url: str, *, model: str = "gpt-4o-mini", down: float = 0.0, emit: str = "") -> Path:
        (project / "templates" / "ask.j2").write_text("类别？[id:{{ text }}]", encoding="utf-8")
        (project / "templates" / "reply.j2").write_text("{{ answer }}", encoding="utf-8")
        rows = "".join(f'{{"id": "r{n}", "text": "t{n}"}}\n' for n in range(4))
        (project / "rows.jsonl").write_text(rows)
        path = project / "recipes" / "shop.yaml"
        text = RECIPE.format(model=model, url=url, down=down, log=project / "log")
        path.write_text(text.replace("emit:\n", f"emit:\n{emit}") if emit else text, encoding="utf-8")
        return path

    return write


def told(recipe: Path, project: Path, **options: Any) -> list[UserError]:
    """The errors of a build that ends before its first step works."""
    with pytest.raises(RecipeErrors) as caught:
        build(load(recipe), Options(), **options)
    assert not (project / "log").exists(), "a step worked"
    assert not (project / "build" / "shop").exists()
    return caught.value.errors


def test_build_that_lacks_nothing_is_made_with_no_further_call(
    make: Make, server: Loopback, project: Path
) -> None:
    assert build(load(make(server.url))).exit_code == Exit.FINE
    assert server.count == 4


def test_missing_packages_and_keys_are_told_together_with_their_lines(
    make: Make, server: Loopback, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "datasets" else find(name))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    recipe = make(server.url, emit="  - hub: {push: somebody/shop}\n")
    key, package = sorted(told(recipe, project), key=lambda error: error.exit_code == Exit.USAGE)
    assert "environment variable HF_TOKEN" in key.message
    assert "pip install" in package.remedy
    assert "datakit[hub]" in package.remedy
    assert key.where.endswith("shop.yaml:9:5")
    assert package.where == key.where


def test_unwritable_folders_are_told_together(
    make: Make, server: Loopback, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "data_cards").write_text("a file where a folder is needed")
    temporary = tempfile.TemporaryFile

    def refused(*args: Any, **more: Any) -> Any:
        if more.get("dir") == project / "build":
            raise OSError(errno.EROFS, "Read-only file system")
        return temporary(*args, **more)

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    errors = told(make(server.url), project, writes=[project / "data_cards"])
    assert [error.message for error in errors] == [
        f"cannot write to {project / 'build'}: Read-only file system",
        f"cannot write to {project / 'data_cards'}: Not a directory",
    ]


@pytest.mark.fault("the disk has no room for the build", "told before the work", kind="folders")
def test_disk_without_room_is_told(
    make: Make, server: Loopback, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.disk_usage(project)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=1_000_000))
    (error,) = told(make(server.url), project)
    assert "no space for the build: 1 MB are free" in error.message


def test_wrong_key_is_told_with_the_line_of_the_endpoint(
    make: Make, server: Loopback, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-key-of-somebody")
    (error,) = told(make(server.url), project)
    assert "refused the key" in error.message
    assert "sk-wrong" not in str(error)
    assert error.where.endswith("shop.yaml:2:1")
    assert error.exit_code == Exit.PROVIDER
    assert server.count == 0


def test_missing_key_is_told(
    make: Make, server: Loopback, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    recipe = make(server.url)
    recipe.write_text(recipe.read_text().replace(f'base_url: "{server.url}", ', ""))
    (error,) = told(recipe, project)
    assert "OPENAI_API_KEY is not set" in error.message
    assert error.where.endswith("shop.yaml:2:1")


def test_unknown_model_is_told_with_what_is_offered(make: Make, server: Loopback, project: Path) -> None:
    (error,) = told(make(server.url, model="gpt-4o-mimi"), project)
    assert "does not know the model gpt-4o-mimi" in error.message
    assert "It offers: gpt-4o-mini" in error.remedy
    assert "Did you mean `gpt-4o-mini`?" in error.remedy
    assert server.count == 1, "one cheap call"


def test_model_that_is_served_but_not_listed_is_good(make: Make, server: Loopback) -> None:
    server.listed = ("other",)
    assert build(load(make(server.url))).exit_code == Exit.FINE
    assert server.count == 1 + 4, "the model was asked one word first"


def test_endpoint_that_is_down_is_told_after_so_long(make: Make, project: Path, server: Loopback) -> None:
    began = time.monotonic()
    (error,) = told(make("http://127.0.0.1:9/v1", down=1.0), project)
    assert 1.0 <= time.monotonic() - began < 30.0
    assert "http://127.0.0.1:9/v1 is down" in error.message
    assert "max_down_s" in error.remedy


def test_endpoint_that_comes_up_in_time_is_waited_for(
    make: Make, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Loopback() as first:
        url = first.url
    port = int(url.split(":")[2].partition("/")[0])
    late = Loopback()

    class Starting(Progress):
        def say(self, text: str) -> None:
            assert "waiting for it" in text
            late.__enter__(port)

    try:
        assert build(load(make(url, down=60.0)), progress=Starting(quiet=True)).exit_code == Exit.FINE
    finally:
        late.__exit__()


def test_endpoint_is_left_alone_when_nothing_is_to_be_asked(
    make: Make, server: Loopback, project: Path
) -> None:
    build(load(make(server.url)))
    recipe = make("http://127.0.0.1:9/v1", down=30.0)
    recipe.write_text(recipe.read_text().replace("name: shop", "name: again"))
    assert build(load(recipe)).exit_code == Exit.FINE


def test_other_faults_do_not_wait_for_an_endpoint_that_is_down(
    make: Make, project: Path, monkeypatch: pytest.MonkeyPatch, server: Loopback
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    began = time.monotonic()
    errors = told(make("http://127.0.0.1:9/v1", down=60.0, emit="  - hub: {push: a/b}\n"), project)
    assert len(errors) == 2
    assert time.monotonic() - began < 30  # of the 60 that an endpoint that is down is waited for


def test_server_that_lists_nothing_and_answers_is_good(make: Make, server: Loopback) -> None:
    server.listing = 500
    assert build(load(make(server.url))).exit_code == Exit.FINE
    assert server.count == 1 + 4


def test_server_in_trouble_is_waited_for(make: Make, server: Loopback) -> None:
    server.listing = 503
    replies = iter([Reply(503, "loading the model"), Reply(503, "loading the model")])
    server.script = lambda call: next(replies, None)
    assert build(load(make(server.url, down=20.0))).exit_code == Exit.FINE


def test_each_model_of_several_is_tried(make: Make, server: Loopback, project: Path) -> None:
    recipe = make(server.url)
    two = f"endpoints: [{{base_url: '{server.url}'}}, {{base_url: '{server.url}', model: nowhere}}]"
    recipe.write_text(recipe.read_text().replace(f'base_url: "{server.url}"', two))
    (error,) = told(recipe, project)
    assert "does not know the model nowhere" in error.message


def test_list_that_wants_another_right_says_nothing(make: Make, server: Loopback) -> None:
    server.listing = 403
    assert build(load(make(server.url))).exit_code == Exit.FINE


def test_look_at_few_records_asks_for_those_alone(make: Make, server: Loopback) -> None:
    build(load(make(server.url)), Options(limit=2))
    dead = load(make("http://127.0.0.1:9/v1", down=30.0))
    assert build(dead, Options(limit=2, force=True)).exit_code == Exit.FINE


def test_missing_pictures_are_told_before_anything_is_asked(
    make: Make, server: Loopback, project: Path
) -> None:
    recipe = make(server.url)
    (project / "rows.jsonl").write_text('{"id": "r0", "text": "t", "images": ["nowhere.jpg"]}\n')
    with pytest.raises(UserError, match=r"1 of 1 pictures are missing, such as .*nowhere\.jpg") as error:
        build(load(recipe))
    assert error.value.where.endswith("shop.yaml:4:5")
    assert server.count == 0


def test_model_that_nothing_can_be_trained_from_is_told(make: Make, server: Loopback, project: Path) -> None:
    recipe = make(server.url)
    recipe.write_text(recipe.read_text() + "train: {model: ./nowhere, method: lora, preset: ecom}\n")
    from datakit.library import build as whole_build

    with pytest.raises(RecipeErrors, match=r"there is no model folder .*/recipes/nowhere\. Mend the path"):
        whole_build(recipe)
    assert server.count == 0


def test_steps_that_never_fire_are_told_before_anything_is_asked(make: Make, server: Loopback) -> None:
    recipe = make(server.url)
    own = "eval_steps: 500, warmup_steps: 900"
    recipe.write_text(recipe.read_text() + f"train: {{model: Qwen/Qwen2.5-VL-7B-Instruct, {own}}}\n")
    from datakit.library import build as whole_build

    with pytest.raises(
        RecipeErrors, match=r"the warm-up of 900 steps never ends: the training has \d+ steps?"
    ) as error:
        whole_build(recipe)
    assert "they are computed from the data" in str(error.value)
    assert server.count == 0
