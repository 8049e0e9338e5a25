"""The address of a shared store: nobody reads a password in it."""

from __future__ import annotations

import pytest

from datakit.core.settings import RunSettings
from datakit.core.store_address import fault_of_url, is_url, shown_url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db/team",
        "postgres://me@db.example:5432/team?sslmode=require",
        "postgresql://me@[::1]:5432,other:5433/team",
        "postgresql://me:${TEAM_PASSWORD}@db/team",
        "postgresql://me@${DB_HOST}/team",
        "postgresql:///team",
    ],
)
def test_addresses_without_a_password_are_taken(url: str) -> None:
    assert is_url(url)
    assert fault_of_url(url) is None
    assert RunSettings(store=url).store_url == url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@db/team",
        "postgresql://me:hunter2@db:5432/team?sslmode=require",
        "POSTGRES://me:hunter2@db",
        "postgresql://me:hun/ter2@db/team",
        "postgresql://me:hun?ter2@db/team",
        "postgresql://me:hun#ter2@db/team",
        "postgresql://me:hun@ter2@db/team",
        "postgresql://me:${A}hunter2@db/team",
        "postgresql://me@db/team?password=hunter2",
        "postgresql://me@db/team?sslmode=require&sslpassword=hunter2",
        "postgresql://me@db/team?%70assword=hunter2",
        "postgresql://me:hunter2",
        "postgresql://me hunter2@db/team",
    ],
)
def test_passwords_are_refused_and_not_shown(url: str) -> None:
    fault = fault_of_url(url)
    assert fault is not None
    with pytest.raises(ValueError, match="PGPASSWORD") as caught:
        RunSettings(store=url)
    assert "PGPASSFILE" in fault
    for text in (fault, shown_url(url), str(caught.value).partition("[type=")[0]):
        assert "hunter2" not in text
        assert "ter2" not in text


@pytest.mark.parametrize("path", ["store", "/a/postgresql", "C:/store", "~/results", "postgresql/x"])
def test_folders_are_no_addresses(path: str) -> None:
    assert not is_url(path)
