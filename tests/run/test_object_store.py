"""Pictures of a real object store: the build of the same files, what is missing named, nothing got twice."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from datakit.annotate.image_facts import ImageFacts
from datakit.cli import cli
from datakit.core import remote_pictures
from datakit.core.errors import Exit, UserError
from datakit.core.step_context import StepContext
from datakit.library import build
from datakit.read.jsonl import Jsonl
from datakit.run.executors.base import Job
from datakit.run.executors.ray_actor import Actor, Setup, versions
from datakit.run.executors.ray_desk import SentJob
from tests.support.object_store import SECRET, ObjectStore, object_store

pytestmark = pytest.mark.ray
RECIPE = """\
version: 1
name: {name}
steps:
  - read.jsonl: {{path: ../data.jsonl{more}}}
  - guard.image: {{}}
  - render.chat: {{prompt: ask.j2, answer: answer.j2}}
emit: [llamafactory]
run: {{max_reject_rate: 0.9}}
"""


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    remote_pictures._connected.cache_clear()
    with object_store() as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        yield store
    remote_pictures._connected.cache_clear()


@pytest.fixture
def pictures(project: Path, store: ObjectStore) -> Path:
    """Three records of a picture each, here and in the store."""
    for number in range(3):
        Image.new("RGB", (64, 64), (80 * number, 10, 90)).save(project / f"{number}.png")
    store.put_all(project)
    for name, text in {"ask": "<image>问", "answer": "{{ label }}"}.items():
        (project / "templates" / f"{name}.j2").write_text(text, "utf-8")
    rows(project, "0.png", "1.png", ["2.png"])
    return project


def rows(project: Path, *images: Any) -> None:
    lines = [json.dumps({"id": f"r{at}", "image": image, "label": "甲"}) for at, image in enumerate(images)]
    (project / "data.jsonl").write_text("\n".join(lines), "utf-8")


def content(project: Path, name: str, more: str = "", *overrides: str) -> str:
    """The content hash of a build."""
    path = project / "recipes" / f"{name}.yaml"
    path.write_text(RECIPE.format(name="same", more=more), "utf-8")
    folder = build(path, card=False, overrides=overrides).folder
    return str(json.loads((folder / "manifest.json").read_bytes())["content"])


def test_build_is_that_of_the_same_files(pictures: Path, store: ObjectStore) -> None:
    near = content(pictures, "near")
    shutil.rmtree(pictures / "build")
    rows(pictures, "0.png", f"{store.url}/1.png", ["2.png"])
    assert content(pictures, "far", f", image_root: '{store.url}'") == near
    emitted = [path for path in (pictures / "build/same/images").rglob("*") if path.is_file()]
    assert {path.stat().st_mode for path in emitted} == {(pictures / "0.png").stat().st_mode}
    assert SECRET.encode() not in b"".join(
        path.read_bytes() for path in pictures.rglob("*") if path.is_file()
    )


@pytest.mark.fault(
    "an object of a picture is overwritten after a build",
    "the next build fetches it, it alone, and is made anew",
    kind="inputs changed",
)
def test_changed_object_alone_is_fetched_again(
    pictures: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    write = remote_pictures._write

    def noted(store: Any, url: str, *place: Any) -> None:
        fetched.append(url.rpartition("/")[2])
        write(store, url, *place)

    monkeypatch.setattr(remote_pictures, "_write", noted)
    more = f", image_root: '{store.url}'"
    first = content(pictures, "far", more)
    assert sorted(fetched) == ["0.png", "1.png", "2.png"]
    assert content(pictures, "far", more) == first
    assert len(fetched) == 3
    store.put("1.png", (pictures / "2.png").read_bytes())
    assert content(pictures, "far", more) != first
    assert fetched[3:] == ["1.png"]


@pytest.mark.fault(
    "an object of a picture is overwritten, and the next build goes on with another result store",
    "the objects are looked at as ever: the build is made anew",
    kind="inputs changed",
)
def test_changed_object_is_seen_with_another_result_store(pictures: Path, store: ObjectStore) -> None:
    more = f", image_root: '{store.url}'"
    first = content(pictures, "far", more)
    made = (pictures / "build/same/manifest.json").stat().st_mtime_ns
    assert content(pictures, "far", more, "run.store=other") == first
    assert (pictures / "build/same/manifest.json").stat().st_mtime_ns == made
    store.put("1.png", (pictures / "2.png").read_bytes())
    assert content(pictures, "far", more, "run.store=third") != first


def test_why_asks_for_no_object_and_names_pictures_by_their_urls(
    pictures: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("1.png", b"no picture")
    content(pictures, "far", f", image_root: '{store.url}'")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    remote_pictures._connected.cache_clear()
    told = {}
    for id_ in ("r0", "r1"):
        told[id_] = CliRunner().invoke(cli, ["why", str(pictures / "recipes/far.yaml"), id_]).output
    assert f"{store.url}/0.png" in told["r0"]
    assert f"{store.url}/1.png: is none of" in told["r1"]
    assert "remote" not in "".join(told.values())


@pytest.mark.fault(
    "a picture's object is missing, or may not be read",
    "the record is rejected with the object's URL and without a credential",
    kind="bounds",
)
def test_missing_and_forbidden_objects_are_rejects_with_their_url(
    pictures: Path,
    store: ObjectStore,
    make_context: Callable[..., StepContext],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = Jsonl(path="data.jsonl", image_root=store.url)
    store.remove("1.png")
    context = make_context(base=pictures, project=pictures)
    [reject] = [one for batch in reader.read(context) for one in batch.rejects]
    assert (reject.id, reject.reason) == ("r1", "image_missing")
    assert f"{store.url}/1.png" in reject.detail
    sign_in(store, monkeypatch, "2.png")
    rejects = [one for batch in reader.read(context) for one in batch.rejects]
    assert [(one.id, one.reason) for one in rejects] == [("r1", "image_missing"), ("r2", "image_no_access")]
    assert f"{store.url}/2.png" in rejects[1].detail
    assert "Access Denied" in rejects[1].detail
    assert SECRET not in str(rejects)


def sign_in(store: ObjectStore, monkeypatch: pytest.MonkeyPatch, *forbidden: str) -> None:
    """Goes on as a user who may not read some objects."""
    for name, value in store.user(*forbidden).items():
        monkeypatch.setenv(name, value)
    store.refuse()
    remote_pictures._connected.cache_clear()


@pytest.mark.fault(
    "credentials of an object store are wrong, or may read none of its pictures, or the bucket is missing",
    "the run stops at once with the store's words and exit code 5, whatever max_reject_rate says",
    kind="answers",
)
@pytest.mark.parametrize(
    ("key", "root", "words"),
    [
        ("AKIAOFNOBODY", "", "InvalidAccessKeyId: The AWS Access Key Id you provided does not exist"),
        ("", "", "none of the first 3 pictures may be read: .*Access Denied"),
        (None, "s3://no-such-bucket/a", "there is no bucket s3://no-such-bucket"),
    ],
    ids=["wrong key", "nothing allowed", "no bucket"],
)
def test_store_that_refuses_all_stops_the_run(
    pictures: Path,
    store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
    key: str | None,
    root: str,
    words: str,
) -> None:
    if key is not None:
        sign_in(store, monkeypatch, "*")
    if key:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    with pytest.raises(UserError, match=words) as caught:
        content(pictures, "far", f", image_root: '{root or store.url}'", "run.max_reject_rate=1")
    assert caught.value.exit_code == Exit.PROVIDER
    assert "far.yaml:4" in caught.value.where
    assert SECRET not in str(caught.value)


@pytest.mark.fault(
    "the package that reads an object store is not installed",
    "plan and build name the extra to install",
    kind="answers",
)
def test_missing_package_is_named_with_its_extra(
    pictures: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "s3fs" else find_spec(name, *more)
    )
    with pytest.raises(
        UserError, match=r'needs the package s3fs.*\s+Install it: pip install "datakit\[s3\]"'
    ):
        remote_pictures.fetched([f"{store.url}/0.png"], pictures / "pictures")


@pytest.mark.fault(
    "the object store of the pictures does not answer",
    "the run ends with the URL and what to set, without a credential",
    kind="answers",
)
def test_store_that_does_not_answer_ends_the_run(
    pictures: Path,
    store: ObjectStore,
    make_context: Callable[..., StepContext],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    reader = Jsonl(path="data.jsonl", image_root=store.url)
    with pytest.raises(UserError, match=r"s3://screens/shop/\d\.png cannot be read") as caught:
        list(reader.read(make_context(base=pictures, project=pictures)))
    assert "AWS_ENDPOINT_URL" in str(caught.value)
    assert caught.value.exit_code == Exit.PROVIDER
    assert SECRET not in str(caught.value)


def test_chats_name_pictures_of_the_store(
    pictures: Path, store: ObjectStore, make_context: Callable[..., StepContext]
) -> None:
    content = [{"type": "image", "image": "1.png"}, {"type": "text", "text": "问"}]
    turns = [{"role": "user", "content": content}, {"role": "assistant", "content": "甲"}]
    (pictures / "data.jsonl").write_text(json.dumps({"id": "a", "messages": turns}), "utf-8")
    reader = Jsonl(path="data.jsonl", image_root=store.url)
    batches = list(reader.read(make_context(base=pictures, project=pictures)))
    [[[path]]] = [batch.frame["images"].to_list() for batch in batches if len(batch.frame)]
    assert Path(path).read_bytes() == (pictures / "1.png").read_bytes()


@pytest.mark.parametrize("there", [True, False], ids=["same version", "other version"])
def test_ray_node_reads_the_object_itself_and_asks_for_one_that_it_finds_changed(
    pictures: Path,
    store: ObjectStore,
    make_context: Callable[..., StepContext],
    monkeypatch: pytest.MonkeyPatch,
    there: bool,
) -> None:
    """The node has no file: the path is that of a copy on the driver's machine."""
    data = (pictures / "0.png").read_bytes()
    if not there:
        store.put("0.png", (pictures / "1.png").read_bytes())
    path = remote_pictures.copy_of(f"{store.url}/0.png", Path("/of/the/driver"))
    digest = hashlib.sha256(data).hexdigest()
    job = SentJob(Job(b"k", {"id": "a", "images": [path]}), {path: digest}, {path: f"{store.url}/0.png"})
    given = remote_pictures.environment(job.urls.values())
    for name in store.environment:
        monkeypatch.delenv(name)
    work = pickle.dumps((ImageFacts(), {"": make_context()}))
    actor = Actor()
    kept = dict(os.environ)
    try:
        assert actor.start(Setup(versions(), work, 0, (), (), ()), {})[1] is None
        asked: list[str] = []
        monkeypatch.setattr(actor._post, "ask", lambda kind, path: (asked.append(kind), data)[1])
        actor.begin([job], given)
        while not (letters := actor.letters().letters):
            pass
    finally:
        os.environ.clear()
        os.environ.update(kept)
    assert letters[0].values[1].raw[0]["sha256"] == digest
    assert asked == ([] if there else ["picture"])
