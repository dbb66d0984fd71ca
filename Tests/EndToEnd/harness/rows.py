"""Rows of a site's database, read and changed behind its back, whichever database it is."""
import subprocess
from urllib.parse import parse_qs, urlsplit

from harness import sqlite_file


def execute(site, statement):
    """Runs a statement; its rows, with whole numbers as such."""
    if site.database is None:
        return sqlite_file.execute(site, statement)
    address = urlsplit(site.database)
    (socket,) = parse_qs(address.query)["socket"]
    command = ["mariadb", "--no-defaults", "-u", address.username, "-S", socket, "-N", "-B", "-e", statement, address.path.strip("/")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [tuple(number(field) for field in line.split("\t")) for line in done.stdout.splitlines()]


def number(field):
    """A whole number, or the text as it is."""
    return int(field) if field.lstrip("-").isdigit() else field
