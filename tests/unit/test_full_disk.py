"""A full disk has a sentence of its own: nobody should look for a database that is there."""

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from adapters.database.errors import translate
from domain.errors import Unavailable


def test_a_full_disk_of_sqlite_is_named() -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE t (x BLOB)"))
        connection.execute(text("PRAGMA max_page_count = 3"))
        with pytest.raises(OperationalError) as full:
            connection.execute(text("INSERT INTO t VALUES (zeroblob(100000))"))
    said = translate(full.value)
    assert isinstance(said, Unavailable)
    assert (said.code, "disk is full" in said.message) == ("database_unavailable", True)
