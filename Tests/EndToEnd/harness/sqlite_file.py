"""The SQLite file of a gateway, used behind its back."""
import contextlib
import sqlite3


@contextlib.contextmanager
def opened(site):
    """A connection of its own, without transactions that nobody asked for."""
    connection = sqlite3.connect(site.directory / "turnpike.db", isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def locked(site):
    """Nobody else can write to the database."""
    with opened(site) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


def execute(site, statement):
    """Runs a statement; its rows."""
    with opened(site) as connection:
        return connection.execute(statement).fetchall()
