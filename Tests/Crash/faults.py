"""What is done to Turnpike and its database while clients talk. Each fault is a function of a campaign and its chance."""
import contextlib
import signal
import subprocess
import threading
import time

# The named points of the commit path, as Sources/Persistence/Faults/CrashPoint.swift lists them.
COMMIT_POINTS = [
    "before-reserve", "after-reserve", "before-lane", "after-begin", "before-commit", "after-commit", "before-release",
]
SPOOL_POINTS = ["before-spool-write", "before-spool-sync", "after-spool-sync"]
REPLAY_POINTS = ["before-replay", "after-replay", "after-acknowledge"]

# Seconds after which Turnpike gives up a connection that says nothing: with a statement_timeout of 1 s (stores.py) its
# own second, the server's, and one more.
READ_TIMEOUT = 3

# Seconds that a process may take to believe that it is alone: its name in the database has to stand for five of them, it
# looks each second, and before that it may wait for the end of what a killed one has left.
BELIEF_TIMEOUT = 10


def nothing(campaign, chance):
    """An orderly end under load."""
    time.sleep(chance.uniform(0.2, 0.5))
    campaign.found += campaign.site.stop()


def kill_turnpike(campaign, chance):
    """SIGKILL at a random moment."""
    time.sleep(chance.uniform(0.05, 0.6))
    campaign.site.kill()


def kill_turnpike_again_and_again(campaign, chance):
    """Killed while it starts, replays and serves again."""
    for _ in range(3):
        time.sleep(chance.uniform(0.02, 0.3))
        campaign.site.kill()
        campaign.site.start()
    time.sleep(chance.uniform(0.1, 0.3))


def pause_turnpike(campaign, chance):
    """SIGSTOP, and on."""
    time.sleep(chance.uniform(0.05, 0.3))
    campaign.site.signal(signal.SIGSTOP)
    time.sleep(chance.uniform(0.1, 1))
    campaign.site.signal(signal.SIGCONT)
    time.sleep(chance.uniform(0.1, 0.3))


def stall_commits(campaign, chance):
    """No COMMIT is answered for longer than the deadline."""
    time.sleep(chance.uniform(0.05, 0.3))
    campaign.store.stall(chance.uniform(0.7, 2))
    time.sleep(0.1)


def stall_commits_beyond_the_read_timeout(campaign, chance):
    """The connection is given up while its COMMIT waits in the server, which commits later."""
    time.sleep(chance.uniform(0.05, 0.3))
    campaign.store.stall(READ_TIMEOUT + chance.uniform(0.3, 1.5))
    time.sleep(0.1)


def kill_turnpike_while_commits_stall(campaign, chance):
    """Turns lie in the spool when it dies."""
    with in_background(campaign.store.stall, 1.5):
        time.sleep(chance.uniform(0.6, 1.4))
        campaign.site.kill()


def fill_the_disk(campaign, chance):
    """The spool's disk is full while no COMMIT is answered."""
    with campaign.full_disk():
        campaign.store.stall(chance.uniform(1, 2))
    time.sleep(0.1)


def fill_the_disk_for_the_replay(campaign, chance):
    """Turns wait in the spool; when they can be stored its disk is full, and what is done cannot be noted there."""
    with in_background(campaign.store.stall, 1.2):
        time.sleep(1)
        with campaign.full_disk():
            time.sleep(chance.uniform(0.3, 1))
            if chance.random() < 0.5:
                campaign.site.kill()
    time.sleep(0.1)


def kill_database(campaign, chance):
    """SIGKILL of the database; it is away for a while."""
    time.sleep(chance.uniform(0.05, 0.5))
    campaign.store.command("kill", "killed")
    time.sleep(chance.choice([0, 0.3, 2]))
    campaign.store.command("start", "ready")
    time.sleep(chance.uniform(0.1, 0.5))


def kill_both(campaign, chance):
    """Both at once, in either order."""
    time.sleep(chance.uniform(0.05, 0.5))
    harms = [campaign.site.kill, lambda: campaign.store.command("kill", "killed")]
    chance.shuffle(harms)
    for harm in harms:
        harm()
        time.sleep(chance.choice([0, 0, 0.7]))
    campaign.store.command("start", "ready")


def kill_turnpike_while_the_database_is_away(campaign, chance):
    """What was spooled by the dead process is replayed by the next."""
    time.sleep(chance.uniform(0.05, 0.3))
    campaign.store.command("kill", "killed")
    time.sleep(chance.uniform(0.3, 1.5))
    campaign.site.kill()
    campaign.site.start()
    time.sleep(chance.uniform(0, 0.5))
    campaign.store.command("start", "ready")


def pause_database(campaign, chance):
    """The database hangs, and goes on."""
    time.sleep(chance.uniform(0.05, 0.3))
    campaign.store.command("pause", "paused")
    time.sleep(chance.uniform(0.2, 2.5))
    campaign.store.command("resume", "resumed")
    time.sleep(chance.uniform(0.1, 0.5))


def cut_connections(campaign, chance):
    """Connections to the database break, again and again."""
    for _ in range(chance.randrange(1, 6)):
        time.sleep(chance.uniform(0.02, 0.2))
        campaign.store.proxy.cut()
    time.sleep(0.2)


def kill_statements(campaign, chance):
    """An operator's KILL, of statements and of connections."""
    for _ in range(25):
        ids = campaign.store.query("SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND db = 'turnpike'")
        for (number,) in chance.sample(ids, min(2, len(ids))):
            with contextlib.suppress(AssertionError):
                campaign.store.query(f"KILL {chance.choice(['QUERY', 'QUERY', 'CONNECTION'])} {number}")


def lock_a_table(campaign, chance):
    """An operator locks a table, past the deadline and past the limit of a statement's time."""
    time.sleep(chance.uniform(0.05, 0.3))
    lock = f"{chance.choice(['messages', 'sessions', 'turns'])} {chance.choice(['READ', 'WRITE'])}"
    campaign.store.query(f"LOCK TABLES {lock}; SELECT SLEEP({chance.uniform(0.3, 4)}); UNLOCK TABLES", "turnpike")
    time.sleep(0.1)


def lose_answers(campaign, chance):
    """Commits happen, and nobody is told."""
    for _ in range(2):
        time.sleep(chance.uniform(0.05, 0.3))
        campaign.store.proxy.cut_answers(chance.uniform(0.02, 0.8))
    time.sleep(0.2)


def at_point(point):
    """Turnpike kills itself where the point is passed for the n-th time, in half of the rounds only when it believes that
    it is alone: nobody says anything until then. More passes there, as memory has a session only behind its first turn."""

    def crash(campaign, chance):
        is_late = campaign.takes_the_late_half()
        times = chance.randrange(1, 30 if point in COMMIT_POINTS else 6) + (20 if is_late and point in COMMIT_POINTS else 0)
        campaign.site.stop()
        if is_late:
            with campaign.silence():
                campaign.site.start(crash_at=f"{point}:{times}")
                campaign.site.await_belief(BELIEF_TIMEOUT)
            time.sleep(0 if point in COMMIT_POINTS else 0.2)
        else:
            campaign.site.start(crash_at=f"{point}:{times}")
        if point in COMMIT_POINTS:
            campaign.await_crash(3)
        else:
            with in_background(campaign.store.stall, 1.5):
                campaign.await_crash(1.5)
            campaign.await_crash(2)
        campaign.note_point(point, is_reached=not campaign.site.runs)

    crash.__name__ = f"crash at {point}"
    crash.__doc__ = f"SIGKILL from within, {point}."
    return crash


@contextlib.contextmanager
def in_background(action, *arguments):
    """Runs an action beside the body, and waits for its end."""
    thread = threading.Thread(target=action, args=arguments, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@contextlib.contextmanager
def small_disk(directory):
    """A file system of 24 MB in `directory`; yields whether there is one (it takes the right to mount)."""
    directory.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", directory], capture_output=True)
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "-l", directory], check=False)


def faults_for(store, has_small_disk):
    """What can be done to this back end, in an order that a short campaign takes its first ones from."""
    faults = [kill_turnpike, stall_commits, kill_turnpike_while_commits_stall]
    if store.name == "mariadb":
        faults += [kill_database, lose_answers, kill_both, kill_turnpike_while_the_database_is_away]
    faults += [at_point(point) for point in ("after-commit", "before-release", "after-spool-sync", "after-replay")]
    if has_small_disk:
        faults.append(fill_the_disk)
    if store.name == "mariadb":
        faults += [
            stall_commits_beyond_the_read_timeout, pause_database, cut_connections, kill_statements, lock_a_table]
    if has_small_disk:
        faults.append(fill_the_disk_for_the_replay)
    faults += [kill_turnpike_again_and_again, pause_turnpike, nothing]
    taken = {fault.__name__ for fault in faults}
    points = [at_point(point) for point in COMMIT_POINTS + SPOOL_POINTS + REPLAY_POINTS]
    return faults + [point for point in points if point.__name__ not in taken]
