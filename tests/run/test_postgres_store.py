"""A result store in PostgreSQL: what goes wrong between machines, and what is said of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from datakit.cli import run as datakit
from datakit.core.errors import UserError
from datakit.core.outcome import Done
from datakit.core.sub_results import QUESTION
from datakit.run import postgres_connection, postgres_leases
from datakit.run.postgres_store import PostgresStore
from datakit.run.result_store import ResultStore
from tests.run.test_two_builds import answered, answers, both, end, server, start, write
from tests.support.loopback import Loopback, Reply
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.postgres_server import PostgresServer

__all__ = ["both", "server"]
pytestmark = pytest.mark.postgres
K, Q = b"k" * 16, bytes(range(16))
Maker = Callable[[], PostgresStore]


@pytest.fixture
def store_setting(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Here it is always the database."""
    monkeypatch.setenv("DATAKIT_STORE", database)
    return database


@pytest.fixture
def opened(database: str) -> Maker:
    """Opens the store as a machine of its own does."""
    return lambda: PostgresStore(database, None)


def name_of(url: str) -> str:
    return urlsplit(url).path[1:]


def keys(count: int) -> list[bytes]:
    return [number.to_bytes(16, "big") for number in range(count)]


@pytest.mark.fault(
    "the database of a shared store dies in the middle of a build",
    "the build waits and goes on when it is back; each question is paid for once",
    kind="store",
)
def test_build_goes_on_when_a_killed_server_is_back(
    both: Path, server: Loopback, postgres: PostgresServer
) -> None:
    write(both, "one", range(80))
    server.script = lambda call: Reply(delay_s=2.0) if call.number >= 40 else None
    build = start(both, "one")
    until(lambda: server.count > 40, build)
    postgres.kill()
    postgres.start()
    code, words = end(build)
    assert code == 0, words
    assert server.count == 80
    assert answers(both, "one").keys() == answered(range(80)).keys()


@pytest.mark.fault("a lost connection to a shared store", "no result is lost or stored twice", kind="store")
def test_results_outlast_lost_connections(
    opened: Maker, postgres: PostgresServer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name_of(database)}'"
    for at, key in enumerate(keys(4000)):
        if at % 500 == 250:
            store.flush()
            postgres.execute(cut)
        store.put(key, "step", Done(at, {QUESTION: key.hex()}))
    store.close()
    other = opened()
    assert len(other.get_many(keys(4000))) == 4000
    assert postgres.execute("SELECT count(*) FROM datakit.questions", name_of(database)) == [(4000,)]
    other.close()


def test_a_result_is_written_within_a_second_when_nothing_more_comes(opened: Maker) -> None:
    store, other = opened(), opened()
    store.put(K, "step", Done(1))
    until(lambda: other.known([K]), within_s=20)
    store.close()
    other.close()


def test_lease_of_a_silent_owner_ends_by_the_databases_clock(
    opened: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_leases, "LEASE_S", 1.0)
    silent, waiting = opened(), opened()
    assert silent.leases.take(Q)
    silent._ended.set()  # nobody says that he is there, as where the power is off
    assert not waiting.leases.take(Q)
    until(lambda: waiting.leases.take(Q))
    assert not silent.leases._lock(Q)
    silent.close()  # gives back nothing that is another's
    assert not opened().leases.take(Q)


def test_lease_of_an_owner_who_works_is_renewed(opened: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_leases, "LEASE_S", 2.0)
    working, waiting = opened(), opened()
    assert working.leases.take(Q)
    ends = time.monotonic() + 5
    while time.monotonic() < ends:
        assert not waiting.leases.take(Q)
        time.sleep(0.1)
    working.close()
    assert waiting.leases.take(Q)


def test_first_users_at_once_make_the_tables_once(opened: Maker) -> None:
    stores: list[ResultStore] = []
    threads = [threading.Thread(target=lambda: stores.append(opened())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stores) == 6
    for store in stores:
        store.close()


def test_writers_of_the_same_keys_do_not_stop_each_other(opened: Maker) -> None:
    def write_all(order: list[bytes]) -> None:
        store = opened()
        for key in order:
            store.put(key, "step", Done(1))
        store.close()

    orders = [keys(3000), keys(3000)[::-1], keys(3000)]
    threads = [threading.Thread(target=write_all, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened().known(keys(3000))) == 3000


@pytest.mark.fault(
    "a shared store cannot be used (server, user, password, database, rights, version)",
    "the command ends with what to do; the password is not shown",
    kind="store",
)
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("refused", "pg_isready"),
        ("password", "PGPASSWORD"),
        ("no password", "PGPASSWORD"),
        ("no database", "createdb"),
        ("no rights", "GRANT CREATE ON DATABASE"),
        ("no rights on tables", "GRANT SELECT, INSERT"),
        ("only reads", "only reads"),
        ("too old", "PostgreSQL 99 or newer"),
        ("newer format", "newer datakit"),
        ("no variable", "export NOBODY_SET_THIS"),
    ],
)
def test_a_store_that_cannot_be_used_says_what_to_do(
    kind: str,
    words: str,
    database: str,
    postgres: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    opened: Maker,
) -> None:
    url, name = database, name_of(database)
    if kind == "refused":
        url = "postgresql://keeper@127.0.0.1:1/team"
    elif kind == "password":
        monkeypatch.setenv("PGPASSWORD", "secret-but-wrong")
    elif kind == "no password":
        monkeypatch.delenv("PGPASSWORD")
    elif kind == "no database":
        url = postgres.url("nothing_here")
    elif kind.startswith("no rights"):
        postgres.execute("DROP ROLE IF EXISTS guest")
        postgres.execute(f"CREATE ROLE guest LOGIN PASSWORD '{postgres.password}'")
        url = postgres.url(name, "guest")
        if kind == "no rights on tables":
            opened().close()
            postgres.execute("GRANT USAGE ON SCHEMA datakit TO PUBLIC", name)
    elif kind == "only reads":
        postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    elif kind == "too old":
        monkeypatch.setattr(postgres_connection, "OLDEST", 99)
    elif kind == "newer format":
        opened().close()
        postgres.execute("UPDATE datakit.store SET format = 99", name)
    elif kind == "no variable":
        url = database.replace("keeper@", "keeper:${NOBODY_SET_THIS}@")
    with pytest.raises(UserError) as caught:
        PostgresStore(url, None)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)
    assert postgres.password not in str(caught.value)


@pytest.mark.fault(
    "the disk of a shared store is full", "the build says so; what was stored stays", kind="store"
)
def test_a_full_disk_of_the_database_is_told(opened: Maker, database: str, postgres: PostgresServer) -> None:
    store = opened()
    store.put(K, "step", Done(1))
    store.flush()
    postgres.execute(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END$$",
        name_of(database),
    )
    postgres.execute(
        "CREATE TRIGGER no_room BEFORE INSERT ON datakit.results EXECUTE FUNCTION full_disk()",
        name_of(database),
    )
    store.put(Q, "step", Done(2))
    with pytest.raises(UserError, match="disk of the database is full"):
        store.flush()
    postgres.execute("DROP TRIGGER no_room ON datakit.results", name_of(database))
    store.close()  # what waited is not lost
    assert opened().known([K, Q]) == {K, Q}


def test_a_server_that_stays_away_ends_the_build(
    opened: Maker, database: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connection.PatientPostgres, "most_s", 0.5)
    store = opened()
    postgres.kill()
    store.put(K, "step", Done(1))
    try:
        with pytest.raises(UserError, match="could not be reached for"):
            store.flush()
    finally:
        postgres.start()
    store.close()
    assert opened().known([K]) == {K}


@pytest.mark.fault(
    "a password in the address of a shared store",
    "from the environment it reaches no file and no message; in a recipe it is refused",
    kind="secrets",
)
def test_a_password_of_the_environment_is_nowhere(
    both: Path, server: Loopback, postgres: PostgresServer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(both, "one", range(5))
    monkeypatch.delenv("PGPASSWORD")
    url = database.replace("keeper@", f"keeper:{postgres.password}@")
    monkeypatch.setenv("DATAKIT_STORE", url)
    code, words = end(start(both, "one"))
    assert code == 0, words
    command = [sys.executable, "-m", "datakit.cli", "cache", "ls"]
    listed = subprocess.run(command, cwd=both, capture_output=True, text=True, check=True)
    assert f"Store: {database} (" in listed.stdout, listed.stdout[-300:]
    for text in (words, listed.stdout, listed.stderr):
        assert postgres.password not in text
    for file in both.rglob("*"):
        assert not file.is_file() or postgres.password.encode() not in file.read_bytes(), file
    monkeypatch.setenv("DATAKIT_STORE", url.replace(postgres.password, "an0ther"))
    code, words = end(start(both, "one"))
    assert code == 2
    assert "an0ther" not in words


def test_recipe_names_the_store_and_the_variable_that_holds_the_password(
    both: Path, server: Loopback, postgres: PostgresServer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(both, "one", range(5))
    for name in ("PGPASSWORD", "DATAKIT_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEAM", postgres.password)
    recipe = both / "recipes" / "one.yaml"
    url = database.replace("keeper@", "keeper:${TEAM}@")
    recipe.write_text(recipe.read_text().replace("run: {", f'run: {{store: "{url}", '))
    code, words = end(start(both, "one"))
    assert code == 0, words
    assert postgres.execute("SELECT count(*) FROM datakit.results", name_of(database)) == [(5,)]
    assert postgres.password not in (both / "build/one/recipe.yaml").read_text()


def test_stores_are_copied_there_and_back(
    both: Path,
    server: Loopback,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(both, "one", range(30))
    monkeypatch.delenv("DATAKIT_STORE")
    assert end(start(both, "one"))[0] == 0
    monkeypatch.chdir(both)
    assert datakit(["cache", "copy", ".datakit", database, "--json"]) == 0
    assert '"copied": 30' in capsys.readouterr().out
    assert datakit(["cache", "copy", ".datakit", database]) == 0
    assert "Copied 0 of 30 results (0 B) into" in capsys.readouterr().out
    assert datakit(["cache", "copy", database, "back"]) == 0
    monkeypatch.setenv("DATAKIT_STORE", database)
    write(both, "two", range(30))
    for name in ("one", "two"):  # the other recipe has other keys and the same questions
        assert end(start(both, name, "--force"))[0] == 0
    monkeypatch.setenv("DATAKIT_STORE", "back")
    assert end(start(both, "two", "--force"))[0] == 0
    assert server.count == 30


def test_a_copy_that_was_killed_goes_on(
    opened: Maker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    for key in keys(20_000):
        store.put(key, "step", Done("x" * 200, {QUESTION: key.hex()}))
    store.flush()
    copy = [sys.executable, "-m", "datakit.cli", "cache", "copy", database, str(tmp_path / "new")]
    process = subprocess.Popen(copy, env=os.environ, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until((tmp_path / "new" / "results.sqlite-wal").exists, None)
    time.sleep(1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = subprocess.run(copy, capture_output=True, text=True, check=True)
    assert "of 20,000 results" in done.stdout
    from datakit.run.store import Store

    new = Store(tmp_path / "new")
    assert len(new.known(keys(20_000))) == 20_000
    assert len(new.questions_of(keys(20_000))) == 20_000
    new.close()
    store.close()


def test_results_that_others_may_use_are_not_collected_by_use(
    both: Path, server: Loopback, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(both, "one", range(3))
    assert end(start(both, "one"))[0] == 0
    assert datakit(["cache", "gc", "--project", str(both)]) == 2
    assert "other projects share it" in capsys.readouterr().err
    assert datakit(["cache", "gc", "--project", str(both), "--max-mb", "0", "--paid", "--yes"]) == 0
    assert "Removed 3 results" in capsys.readouterr().out
    assert datakit(["cache", "forget", "--project", str(both), "--step", "annotate.ask"]) == 2
    assert "holds nothing of a step" in capsys.readouterr().err
