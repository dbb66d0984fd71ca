"""Counters beside the rows that they count: what a session says of itself, and what a user's sessions add up to."""

# What is left of sessions that are being purged has this time of deletion, and counts nowhere.
CONDEMNED = 0

SESSION_COUNTERS = ["message_count", "next_seq", "turn_count", "prompt_tokens", "completion_tokens"]
SUMS = ["messages", "turns", "prompt_tokens", "completion_tokens", "stored", "deleted"]


def surplus(names):
    """Columns that say how much more is counted than is there, and the condition that it is not nothing."""
    columns = ", ".join(f"SUM({name}) AS {name}" for name in names)
    return columns, " OR ".join(f"SUM({name}) <> 0" for name in names)


def of_sessions():
    """The sessions of which a counter is not what their rows make; rows without a session are found too.

    Superseded messages have their numbers, and are no part of the conversation; their turns were taken, and count.
    """
    columns, differ = surplus(SESSION_COUNTERS)
    return f"""
        SELECT hex(user_id), hex(session_id), COALESCE(MAX(name), 'that is not there'), {columns} FROM (
            SELECT user_id, session_id, external_id AS name, message_count, next_seq - 1 AS next_seq, turn_count,
                prompt_tokens, completion_tokens FROM sessions
            UNION ALL SELECT user_id, session_id, NULL, -SUM(CASE WHEN superseded_by_seq IS NULL THEN 1 ELSE 0 END), -MAX(seq),
                0, 0, 0 FROM messages GROUP BY user_id, session_id
            UNION ALL SELECT user_id, session_id, NULL, 0, 0, -COUNT(*), -SUM(COALESCE(prompt_tokens, 0)),
                -SUM(COALESCE(completion_tokens, 0)) FROM turns GROUP BY user_id, session_id) AS counted
        GROUP BY user_id, session_id HAVING {differ}"""


def of_users():
    """The users whose sums are not what their sessions make: SessionSums.insertCounted says what counts."""
    columns, differ = surplus(SUMS)
    active = lambda column: f"-CASE WHEN deleted_us IS NULL THEN {column} ELSE 0 END"
    return f"""
        SELECT hex(user_id), {columns} FROM (
            SELECT user_id, {', '.join(SUMS)} FROM session_sums
            UNION ALL SELECT user_id, {active('message_count')}, {active('turn_count')}, {active('prompt_tokens')},
                {active('completion_tokens')}, -CASE WHEN deleted_us = {CONDEMNED} THEN 0 ELSE next_seq - 1 END,
                -CASE WHEN deleted_us > {CONDEMNED} THEN 1 ELSE 0 END FROM sessions) AS counted
        GROUP BY user_id HAVING {differ}"""


def faults(rows_of):
    """A sentence for everything that is counted wrong; `rows_of` runs a query. Nothing may be under way."""
    for user, session, name, *more in rows_of(of_sessions()):
        yield f"the session {name} ({session} of the user {user}) is counted wrong: {described(SESSION_COUNTERS, more)}"
    for user, *more in rows_of(of_users()):
        yield f"session_sums of the user {user} is not what the sessions add up to: {described(SUMS, more)}"


def described(names, more):
    """How much more is counted than is there, where it is not nothing."""
    return ", ".join(f"{name} {int(number):+d}" for name, number in zip(names, more) if int(number))
