"""The tasks of CONTRIBUTING.md, which CI runs too: nox --list.

lint, types, tests and docs use the environment that nox runs in, so that they start at once without network;
wheel, trainer, swift, vllm, exchange and audit make environments of their own.
"""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "types", "tests", "docs"]
nox.options.default_venv_backend = "none"


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and layout."""
    session.run("python", "-m", "ruff", "check", ".")
    session.run("python", "-m", "ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict."""
    session.run("python", "-m", "mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """The tests without those that install the project; `-- PATH` runs some."""
    session.run(
        "python",
        "-m",
        "pytest",
        "-m",
        "not trainer and not vllm and not browser and not exchange and not postgres and not ray "
        "and not clean_install",
        *session.posargs,
    )


@nox.session
def docs(session: nox.Session) -> None:
    """The generated pages, then the site in site/."""
    session.run("python", "scripts/make_reference.py", "--check")
    session.run("python", "-m", "mkdocs", "build", "--strict", "--quiet", env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def wheel(session: nox.Session) -> None:
    """The wheel in an empty environment and an empty folder; the README's two commands."""
    session.run("python", "-m", "pytest", "-m", "clean_install", *session.posargs)


@nox.session
def trainer(session: nox.Session) -> None:
    """The suite with the real LLaMA-Factory."""
    session.run("scripts/test_trainer.sh", *session.posargs, external=True)


@nox.session
def swift(session: nox.Session) -> None:
    """Ms-swift loads what emit.ms_swift wrote."""
    session.run("scripts/test_swift.sh", *session.posargs, external=True)


@nox.session
def vllm(session: nox.Session) -> None:
    """The suite with a real vLLM."""
    session.run("scripts/test_vllm.sh", *session.posargs, external=True)


@nox.session
def browser(session: nox.Session) -> None:
    """Pages in Chromium without a window; needs Chromium, playwright and a Chinese font."""
    session.run("python", "-m", "pytest", "-n", "0", "-m", "browser", *session.posargs)


@nox.session
def postgres(session: nox.Session) -> None:
    """The result store in a real PostgreSQL, which the tests start; needs its programs and psycopg."""
    session.run("python", "-m", "pytest", "-n", "0", "-m", "postgres", "tests/run", *session.posargs)


@nox.session
def ray(session: nox.Session) -> None:
    """Builds on real Ray clusters of this machine, nodes killed in the middle; needs the extra ray."""
    session.run("python", "-m", "pytest", "-n", "0", "-m", "ray", "tests/run", *session.posargs)


@nox.session(venv_backend="virtualenv")
def exchange(session: nox.Session) -> None:
    """Label Studio's and Argilla's own packages read what a review writes for them."""
    session.install("label-studio-sdk==2.1.2", "argilla==2.8.0", "-e", ".[test]")
    session.run("python", "-m", "pytest", "-n", "0", "-m", "exchange", *session.posargs)


@nox.session(venv_backend="virtualenv")
def audit(session: nox.Session) -> None:
    """Known vulnerabilities of the pinned packages, or that no advisory database can be reached."""
    session.install("pip-audit")
    unreachable = () if "--must-reach" in session.posargs else (75,)
    session.run("python", "scripts/audit_dependencies.py", success_codes=[0, *unreachable])
