"""Fixtures of the end-to-end tests. A failed test shows the log of every process that it started; none is skipped."""
from contextlib import ExitStack

import pytest

from harness.database import MariaDB
from harness.gateway import Demo, Gateway
from harness.ports import free_port
from harness.site import Site
from harness.upstream import ScriptedUpstream

LOG_LIMIT = 20_000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"{item.nodeid} was skipped: what cannot be tested here fails"
    if report.failed:
        for path in sorted({*getattr(item, "process_logs", []), *getattr(item.module, "process_logs", [])}):
            report.sections.append((f"log: {path.parent.name}", path.read_text(errors="replace")[-LOG_LIMIT:]))
    return report


# The files that take longest, minutes the first: where files run side by side, a run is shorter when no long one begins when
# the others end. A file that is missing here costs time, nothing else.
LONG_FILES = (
    "test_api_fuzzing_sessions", "test_api_fuzzing", "test_api_fuzzing_changes", "test_capture", "test_retention",
    "test_history_properties", "test_write_deadlines", "test_tokens", "test_outages", "test_session_resource", "test_spool",
    "test_history_budget", "test_crash", "test_memory",
)


def pytest_collection_modifyitems(items):
    """The long files first; the order is otherwise as it was."""
    places = {name: place for place, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


BOTH_DATABASES = ("sqlite", "mariadb")


def pytest_generate_tests(metafunc):
    """The tests of a module that says DATABASES = "both" run on each of them."""
    if "database" in metafunc.fixturenames and getattr(metafunc.module, "DATABASES", None) == "both":
        metafunc.parametrize("database", BOTH_DATABASES, scope="module", indirect=True)


@pytest.fixture(scope="session")
def mariadb():
    """The MariaDB server of the test run. Where there is none, the test fails."""
    with MariaDB() as server:
        yield server


@pytest.fixture(scope="module")
def database(request):
    """Makes an empty database and returns its address; None stands for SQLite in the site's own directory."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return lambda: None
    return request.getfixturevalue("mariadb").create_database


@pytest.fixture(scope="module")
def open_site(request, tmp_path_factory, database):
    """Opens a site that the tests of a module share; keyword arguments are those of `Site`."""
    with ExitStack() as stack:

        def open_site(**settings):
            if address := database():
                settings.setdefault("database", address)
            site = Site(tmp_path_factory.mktemp("site"), **settings)
            logs = request.module.__dict__.setdefault("process_logs", [])
            logs.append(site.directory / "process.log")
            return stack.enter_context(site)

        yield open_site


@pytest.fixture
def upstream():
    """A scripted upstream that listens."""
    with ScriptedUpstream(free_port()) as server:
        yield server


@pytest.fixture
def start_process(request, tmp_path_factory):
    """Starts a server process, given its class and arguments, in a directory of its own; ends it after the test."""
    started, request.node.process_logs = [], []

    def start(kind, *arguments, **settings):
        directory = tmp_path_factory.mktemp(kind.__name__.lower())
        request.node.process_logs.append(directory / "process.log")
        started.append(kind(*arguments, directory=directory, **settings))
        return started[-1]

    yield start
    for process in reversed(started):
        process.stop()


@pytest.fixture
def start_gateway(start_process, upstream, database):
    """Starts `turnpike serve` before the scripted upstream; keyword arguments are settings of its configuration."""

    def start(**settings):
        if address := database():
            settings.setdefault("database", address)
        settings.setdefault("providers", {"scripted": {"base_url": upstream.url, "api_key": "sk-upstream"}})
        return start_process(Gateway, **settings)

    return start


@pytest.fixture
def gateway(start_gateway):
    """`turnpike serve` with the default configuration of the tests."""
    return start_gateway()


@pytest.fixture
def demo(start_process):
    """`turnpike demo` with its echo provider."""
    return start_process(Demo)
