"""scripts/contain: of a command that ends, or is ended, nothing stays, ten seconds later at most on a machine that is free."""
import os
import signal
import subprocess
from pathlib import Path

import pytest

from harness.waiting import eventually

CONTAIN = Path(__file__).resolve().parents[2] / "scripts/contain"

# Writes a file, and starts a process in a session of its own that outlives it; then `$1`.
COMMAND = 'touch "$TMPDIR/file"; setsid sleep 600 & echo "$! $TMPDIR"; eval "$1"'


def contain(last, hang_up=signal.SIG_DFL):
    """Starts the command, and returns its process, that of the session, and its TMPDIR."""
    process = subprocess.Popen(
        [CONTAIN, "bash", "-c", COMMAND, "bash", last], stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, hang_up))
    outliving, directory = process.stdout.readline().split()
    process.stdout.close()
    return process, int(outliving), Path(directory)


def is_running(process):
    """Whether there is a process with this id."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("last, status", [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137)])
def test_nothing_stays_of_a_command_that_ends(last, status):
    process, outliving, directory = contain(last)
    assert process.wait(45) == status
    assert not is_running(outliving) and not directory.exists()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda ending: ending.name)
def test_nothing_stays_of_a_command_that_is_ended(ending):
    process, outliving, directory = contain("sleep 600")
    assert is_running(outliving) and (directory / "file").exists()
    process.send_signal(ending)
    assert process.wait(45) == 128 + ending
    assert not is_running(outliving) and not directory.exists()


def test_under_nohup_it_goes_on_when_its_terminal_closes():
    process, *_ = contain("sleep 600", hang_up=signal.SIG_IGN)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.terminate()
    assert process.wait(45) == 128 + signal.SIGTERM


def test_nothing_stays_when_it_is_killed_itself():
    process, outliving, directory = contain("sleep 600")
    process.kill()
    process.wait()
    eventually(lambda: not is_running(outliving) and not directory.exists(), timeout=45)


def test_whoever_reads_what_it_writes_waits_for_nothing_that_outlives_it():
    # A process in a session of its own keeps the pipe open, and does not end when it is asked to.
    stubborn = """trap '' TERM; echo $$ > "$TMPDIR/begun"; while :; do sleep 600; done"""
    command = 'mkfifo "$TMPDIR/begun"; setsid bash -c "$1" & read -r stubborn < "$TMPDIR/begun"; echo "$stubborn"'
    done = subprocess.run([CONTAIN, "bash", "-c", command, "bash", stubborn], stdout=subprocess.PIPE, text=True, timeout=45)
    assert done.returncode == 0 and not is_running(int(done.stdout))


def test_a_command_that_does_not_exist_fails():
    done = subprocess.run([CONTAIN, "/there/is/none"], capture_output=True, text=True)
    assert done.returncode == 127 and "/there/is/none" in done.stderr
