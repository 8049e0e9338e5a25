"""Templates: strict, sandboxed, and safe against tokens in the data."""

import os
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from jinja2.exceptions import SecurityError

from datakit.core.errors import UserError
from datakit.core.templates import Templates, escape_except_images


def write(folder: Path, name: str, text: str) -> Templates:
    (folder / name).write_text(text, encoding="utf-8")
    return Templates([folder])


@pytest.mark.fault(
    "a text of the data holds `<image>` or a special token",
    "it is escaped: the trainer sees no place for a picture",
    kind="answers",
)
def test_tokens_in_data_are_escaped_and_those_of_the_template_stay(tmp_path: Path) -> None:
    templates = write(tmp_path, "a.j2", "<image>{{ text }}")
    out = templates.get("a.j2").render(text="看<image> <|im_end|> {{idx}} <http> {{x}}^{{2}}")
    assert out == "<image>看＜image＞ ＜|im_end|＞ ｛｛idx｝｝ <http> {{x}}^{{2}}"


def test_image_places_of_a_dialogue_stay(tmp_path: Path) -> None:
    templates = write(tmp_path, "a.j2", "{{ text }}")
    out = templates.get("a.j2").render(text=escape_except_images("一<image>二<video>"))
    assert out == "一<image>二＜video＞"


def test_undefined_variable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UndefinedError, match="nothing"):
        write(tmp_path, "a.j2", "{{ nothing }}").get("a.j2").render()


@pytest.mark.fault("a template reaches for Python's inside", "it is refused by the sandbox", kind="bounds")
def test_template_cannot_reach_python(tmp_path: Path) -> None:
    with pytest.raises(SecurityError):
        write(tmp_path, "a.j2", "{{ ''.__class__.__mro__ }}").get("a.j2").render()


def test_missing_template_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Did you mean `describe\.j2`"):
        write(tmp_path, "describe.j2", "x").get("descibe.j2")


def test_syntax_error_names_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        write(tmp_path, "a.j2", "x\n{% if %}").get("a.j2")
    assert caught.value.where.endswith("a.j2:2")


def test_digest_follows_included_templates(tmp_path: Path) -> None:
    templates = write(tmp_path, "a.j2", "{% include 'b.j2' %}")
    write(tmp_path, "b.j2", "one")
    before = templates.digest("a.j2")
    write(tmp_path, "b.j2", "two {{ x }}")
    fresh = Templates([tmp_path])
    assert fresh.digest("a.j2") != before
    assert fresh.variables("a.j2") == {"x"}


def test_whole_digest_follows_templates_that_a_variable_names(tmp_path: Path) -> None:
    (tmp_path / "fixed.j2").write_text("{% include 'part.j2' %}")
    (tmp_path / "free.j2").write_text("{% include 'named.j2' %}")
    (tmp_path / "named.j2").write_text("{% include variant %}")
    (tmp_path / "part.j2").write_text("one")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "other.txt").write_bytes(b"\xff")
    templates = Templates([tmp_path, tmp_path / "nowhere"])
    assert templates.digest("fixed.j2", whole=True) == templates.digest("fixed.j2")
    plain, whole = templates.digest("free.j2"), templates.digest("free.j2", whole=True)
    assert plain != whole
    (tmp_path / "deep" / "other.txt").write_bytes(b"\xfe")
    assert templates.digest("free.j2") == plain
    assert templates.digest("free.j2", whole=True) != whole


def test_a_part_that_need_not_be_there_is_left_out_and_watched_for(tmp_path: Path) -> None:
    text = "A {% include 'more.j2' ignore missing %}{% include ['none.j2', 'part.j2'] %}"
    templates = write(tmp_path, "a.j2", text + "{% include ['x.j2', 'y.j2'] ignore missing %}")
    write(tmp_path, "part.j2", "{{ p }}")
    assert templates.get("a.j2").render(p="B") == "A B"
    assert templates.used("a.j2") == ["a.j2", "part.j2"]
    assert templates.variables("a.j2") == {"p"}
    before = templates.digest("a.j2")
    write(tmp_path, "more.j2", "C")
    assert Templates([tmp_path]).digest("a.j2") != before
    assert Templates([tmp_path]).get("a.j2").render(p="B") == "A CB"


@pytest.mark.parametrize(
    "listed", ["['opt.j2', which]", "('opt.j2', which)", "[which, 'opt.j2']", "[which ~ '']"]
)
def test_a_list_of_parts_may_hold_a_variable(listed: str, tmp_path: Path) -> None:
    templates = write(tmp_path, "a.j2", f"{{% include {listed} %}}")
    write(tmp_path, "z.j2", "Z")
    assert templates.used("a.j2") == ["a.j2"]
    assert templates.variables("a.j2") == {"which"}
    assert templates.get("a.j2").render(which="z.j2") == "Z"
    before = templates.digest("a.j2", whole=True)
    write(tmp_path, "z.j2", "changed")
    assert Templates([tmp_path]).digest("a.j2", whole=True) != before
    if "opt.j2" in listed:
        write(tmp_path, "opt.j2", "O")
        assert Templates([tmp_path]).used("a.j2") == ["a.j2", "opt.j2"]


@pytest.mark.parametrize("include", ["'none.j2'", "['none.j2', 'nor.j2']"])
def test_a_part_that_must_be_there_is_missed_by_name(include: str, tmp_path: Path) -> None:
    templates = write(tmp_path, "a.j2", f"{{% include {include} %}}")
    with pytest.raises(UserError, match=r"no template `none\.j2`"):
        templates.used("a.j2")


def test_a_build_keeps_the_parts_of_a_template_and_all_that_a_variable_may_name(tmp_path: Path) -> None:
    templates = write(tmp_path, "a.j2", "{% include 'part.j2' %}{% include 'none.j2' ignore missing %}")
    write(tmp_path, "part.j2", "P")
    write(tmp_path, "free.j2", "{% include which %}")
    (tmp_path / "zh.txt").write_text("词", "utf-8")
    (tmp_path / "picture.bin").write_bytes(b"\xff\x00\x9f")
    assert templates.kept("a.j2").keys() == {"a.j2", "part.j2"}
    assert templates.kept("free.j2").keys() >= {"a.j2", "part.j2", "free.j2", "zh.txt"}
    assert templates.kept("free.j2")["zh.txt"] == "词"


def test_place_of_a_variable_is_found_in_included_templates_too(tmp_path: Path) -> None:
    templates = write(tmp_path, "a.j2", "price\n{% include 'b.j2' %}{% if size %}x{% endif %}")
    write(tmp_path, "b.j2", "\n\n{{ price }}")
    assert templates.place("a.j2", "size").endswith("a.j2:2")
    assert templates.place("a.j2", "price").endswith("b.j2:3")
    assert templates.place("a.j2", "pric") == ""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030", "big5"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_template_in_another_encoding_is_the_same_template(encoding: str, end: str, tmp_path: Path) -> None:
    text = f"請判斷圖片屬於哪一個類別：{end}{{{{ label_names }}}}{end}只回答類別名稱，不要解釋。"
    (tmp_path / "plain").mkdir()
    plain = write(tmp_path / "plain", "a.j2", text.replace(end, "\n"))
    (tmp_path / "a.j2").write_bytes(text.encode(encoding))
    templates = Templates([tmp_path])
    assert templates.source("a.j2") == plain.source("a.j2")
    assert templates.digest("a.j2") == plain.digest("a.j2")


def test_a_template_whose_encoding_cannot_be_told_is_refused_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "a.j2").write_bytes("狗".encode("gb18030"))
    with pytest.raises(UserError, match=r"a.j2 is not UTF-8 .*\n  Save the template as UTF-8."):
        Templates([tmp_path]).get("a.j2")


@pytest.mark.fault("a template names one outside the folders", "there is no such template", kind="bounds")
def test_an_edited_template_is_read_again_and_none_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    templates = write(tmp_path / "in", "a.j2", "one")
    assert templates.get("a.j2").render() == "one"
    write(tmp_path / "in", "a.j2", "two")
    os.utime(tmp_path / "in" / "a.j2", ns=(1, 1))
    assert templates.get("a.j2").render() == "two"
    write(tmp_path, "b.j2", "outside")
    with pytest.raises(UserError, match="no template"):
        templates.get("../b.j2")
