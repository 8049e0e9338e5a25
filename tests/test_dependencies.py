"""What is installed: pinned where tests run, audited where it can be, under licences that are known."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from email.message import Message
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import audit_dependencies  # noqa: E402 (its folder is no package)
import make_constraints  # noqa: E402
import make_licences  # noqa: E402

DOCUMENT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PINNED = make_constraints.pinned((ROOT / ".ci" / "constraints.txt").read_text("utf-8"))
LICENCES = dict(
    re.findall(
        r"^\| `([\w.-]+)` \| ([^|]+) \| [\w, ]+ \|$", make_licences.PAGE.read_text("utf-8"), re.MULTILINE
    )
)


def versions(name: str, python: str) -> list[str]:
    """The versions that the constraints name for a package on one Python."""
    return [
        str(line.specifier).removeprefix("==")
        for line in PINNED
        if canonicalize_name(line.name) == canonicalize_name(name)
        and (line.marker is None or line.marker.evaluate({"python_version": python}))
    ]


def workflow(name: str) -> str:
    return (ROOT / ".github" / "workflows" / name).read_text("utf-8")


# constraints


def test_extras_are_those_of_the_test_command() -> None:
    assert make_constraints.extras().split(",") == ["ocr", "hub", "test"]
    assert make_constraints.pythons() == ["3.11", "3.12", "3.13"]


@pytest.mark.parametrize("python", make_constraints.pythons())
def test_every_requirement_has_one_exact_version_that_it_allows(python: str) -> None:
    extras = DOCUMENT["project"]["optional-dependencies"]
    lines = [*DOCUMENT["project"]["dependencies"], *DOCUMENT["build-system"]["requires"]]
    for extra in ("ocr", "hub", "test", "docs", "socks"):
        lines += [line for line in extras[extra] if not line.startswith("datakit[")]
    assert len(lines) > 40
    for requirement in map(Requirement, lines):
        (version,) = versions(requirement.name, python)
        assert requirement.specifier.contains(version, prereleases=True), requirement


def test_nothing_is_pinned_twice_or_by_a_place() -> None:
    assert {str(line.specifier)[:2] for line in PINNED} == {"=="}
    assert [line.name for line in PINNED if line.url or line.extras] == []
    names = [canonicalize_name(line.name) for line in PINNED if line.marker is None]
    assert len(set(names)) == len(names) > 100
    assert {"torch", "datakit", "pip", "setuptools"} & set(names) == set()


def test_a_version_that_differs_between_pythons_gets_a_marker() -> None:
    text = make_constraints.constraints(
        {"3.11": {"a": "1", "b": "2"}, "3.12": {"a": "1", "b": "3"}, "3.13": {"a": "1", "b": "3", "c": "4"}}
    )
    assert text.removeprefix(make_constraints.HEAD).splitlines() == [
        "a==1",
        'b==2 ; python_version == "3.11"',
        'b==3 ; python_version == "3.12" or python_version == "3.13"',
        'c==4 ; python_version == "3.13"',
    ]


def test_differences_are_told_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "constraints.txt"
    place.write_text('pytest==0.1\nnot-there==1\nelsewhere==1 ; python_version == "3.0"\n')
    monkeypatch.setattr(make_constraints, "CONSTRAINTS", place)
    lines = make_constraints.differences()
    assert f"pytest: 0.1 -> {pytest.__version__}" in lines
    assert "not-there: 1 -> not installed" in lines
    assert any(line.startswith("numpy: not named -> ") for line in lines)
    assert not [line for line in lines if line.startswith(("elsewhere", "datakit", "pip:"))]


@pytest.mark.fault(
    "a package has a new release that breaks datakit",
    "CI has the pinned versions; a weekly run has the newest, and names what differs",
    kind="dependencies",
)
def test_ci_installs_the_pinned_versions_and_a_weekly_run_the_newest() -> None:
    for text in ((ROOT / ".ci" / "run").read_text("utf-8"), workflow("ci.yml")):
        for variable in ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT"):
            assert re.search(rf"\b{variable}=\S*/\.ci/constraints\.txt", text), variable
    weekly = workflow("upstream.yml")
    assert "CONSTRAINT=" not in weekly
    assert "make_constraints.py --compare" in weekly
    ci, upstream = yaml.safe_load(workflow("ci.yml")), yaml.safe_load(weekly)
    assert upstream["jobs"]["newest"]["strategy"] == ci["jobs"]["task"]["strategy"]
    assert upstream[True].keys() == {"schedule", "workflow_dispatch"}  # YAML 1.1 reads `on` as true


@pytest.mark.parametrize("name", ["ci.yml", "upstream.yml"])
def test_workflows_may_read_alone(name: str) -> None:
    assert yaml.safe_load(workflow(name))["permissions"] == {"contents": "read"}


# audit

REPORT = {
    "dependencies": [
        {"name": "good", "version": "1", "vulns": []},
        {"name": "bad", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"], "aliases": []}]},
        {"name": "lost", "skip_reason": "Dependency not found on PyPI and could not be audited: lost (1)"},
    ],
    "fixes": [],
}
"""As pip-audit 2.10 writes it."""


@pytest.mark.fault(
    "a pinned package has a known vulnerability",
    "the weekly audit fails, with its name and the release that mends it",
    kind="dependencies",
)
def test_vulnerable_packages_are_named_with_what_mends_them() -> None:
    code, lines = audit_dependencies.judged(json.dumps(REPORT), "")
    assert code == 1
    assert lines[0] == "bad 2: PYSEC-1, mended in 3"
    assert lines[1].startswith("1 of 3 packages could not be looked up, the first: Dependency not found")


@pytest.mark.fault(
    "the database of vulnerabilities cannot be reached, or does not know a package",
    "the audit says so and is not taken for a good one",
    kind="dependencies",
)
@pytest.mark.parametrize(
    ("output", "errors", "words"),
    [
        (json.dumps({"dependencies": [REPORT["dependencies"][0], REPORT["dependencies"][2]]}), "", "1 of 2"),
        (json.dumps({"dependencies": []}), "", "0 of 0"),
        ("", "Traceback\nConnectionError: no such host\n", "ConnectionError: no such host"),
        ("", "", "printed nothing"),
    ],
)
def test_audit_that_could_not_look_is_no_good_one(output: str, errors: str, words: str) -> None:
    code, lines = audit_dependencies.judged(output, errors)
    assert code == 75
    assert words in lines[0]


def test_audit_of_good_packages_ends_with_0() -> None:
    assert audit_dependencies.judged(json.dumps({"dependencies": REPORT["dependencies"][:1]}), "") == (
        0,
        ["1 packages: nothing known"],
    )


def test_weekly_audit_must_reach_the_database() -> None:
    assert "nox -s audit -- --must-reach" in workflow("upstream.yml")


# licences


@pytest.mark.fault(
    "a package comes under a licence that is unknown, or that binds programs which use it",
    "the page of licences cannot be made; the package is named",
    kind="dependencies",
)
@pytest.mark.parametrize(
    "fields",
    [
        {"License-Expression": "GPL-3.0-only"},
        {"License-Expression": "MIT AND AGPL-3.0-or-later", "License": "MIT"},
        {"License": "see the file"},
        {"Classifier": "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"},
        {},
    ],
)
def test_licence_that_is_unknown_or_binds_is_an_error(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"^it: licence .* is not in the lists"):
        make_licences.licence_of(stated(fields))


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License-Expression": "MPL-2.0 AND (Apache-2.0 OR MIT)"}, "MPL-2.0 AND (Apache-2.0 OR MIT)"),
        ({"License": "BSD 3-Clause License\n\nCopyright"}, "BSD-3-Clause"),
        ({"License": "UNKNOWN", "Classifier": "License :: OSI Approved :: MIT License"}, "MIT"),
        ({"License": "a text", "Classifier": "License :: OSI Approved :: BSD License"}, "BSD"),
    ],
)
def test_licence_is_read_from_the_most_exact_field(fields: dict[str, str], licence: str) -> None:
    assert make_licences.licence_of(stated(fields)) == licence


def stated(fields: dict[str, str]) -> Message:
    """The metadata of a package."""
    message = Message()
    message["Name"] = "it"
    for name, value in fields.items():
        message[name] = value
    return message


def test_page_of_licences_names_the_pinned_packages_and_no_others() -> None:
    assert set(LICENCES) == {canonicalize_name(line.name) for line in PINNED}
    assert [name for name, licence in LICENCES.items() if not make_licences.known(licence)] == []


def test_page_of_licences_says_what_the_packages_say() -> None:
    """Of the very versions that are pinned; an environment without constraints may hold few of them."""
    for name, licence in LICENCES.items():
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        if package.version in versions(name, f"{sys.version_info[0]}.{sys.version_info[1]}"):
            assert make_licences.licence_of(package.metadata) == licence, name
