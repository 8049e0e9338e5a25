"""Fixtures of what must be true of every result store: each test runs with a file and with a database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datakit.core.errors import UserError
from datakit.core.settings import RunSettings
from datakit.run.result_store import ResultStore
from datakit.run.store_place import StorePlace

if TYPE_CHECKING:
    from tests.support.postgres_server import PostgresServer

DATABASE = pytest.param("database", marks=pytest.mark.postgres)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL of the test run."""
    from tests.support.postgres_server import PostgresServer

    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture
def database(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty database, whose password is in the environment."""
    monkeypatch.setenv("PGPASSWORD", postgres.password)
    return postgres.new_database()


@pytest.fixture(params=["file", DATABASE])
def store_setting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """What `run.store` says; None for the file that is there by itself. The environment says it, too."""
    if request.param == "file":
        return None
    url: str = request.getfixturevalue("database")
    monkeypatch.setenv("DATAKIT_STORE", url)
    return url


@pytest.fixture
def open_store(store_setting: str | None, tmp_path: Path) -> Iterator[Callable[[], ResultStore]]:
    """Opens the same store again and again, as several processes do."""
    stores: list[ResultStore] = []

    def opened() -> ResultStore:
        stores.append(StorePlace.of(RunSettings(store=store_setting), tmp_path).open())
        return stores[-1]

    yield opened
    for store in stores:
        with suppress(UserError):
            store.close()
