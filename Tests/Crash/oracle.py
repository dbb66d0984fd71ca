"""What clients and the upstream saw, and what must therefore be stored.

Nothing here comes from Turnpike: a turn is one question that a client sent, and its state is what that client saw.
"""
import enum
import threading
from dataclasses import dataclass, field


class Seen(enum.Enum):
    """How much of its turn's answer a client saw."""

    NOTHING = "its end was not seen"
    END = "its end was seen"


@dataclass
class Turn:
    """A question, unique in the whole campaign, and what became of it."""

    text: str
    seen: Seen = Seen.NOTHING
    answer: str = ""
    # The turns of the session whose end was seen before this one was sent: the model must have been told of them.
    before: tuple = ()


@dataclass
class Session:
    """A conversation of one user, by one client or by several that share it."""

    user: str
    name: str
    turns: list = field(default_factory=list)
    shared: bool = False
    # Its client sends everything that it has seen each time, so it decides what the conversation is: where it has not
    # seen the end of a turn that is stored, its next request takes the place of what differs (the copy is one turn).
    whole: bool = False


@dataclass(frozen=True)
class Message:
    """A row of the table of messages."""

    user: str
    session: str
    seq: int
    turn: str
    role: str
    content: str
    superseded: bool
    status: str


class Oracle:
    """Keeps what was seen, and compares it with what is stored. Safe for several threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self.forget()

    def forget(self):
        """Begins anew, for the next round."""
        with self._lock:
            self.sessions, self.answers, self.asked = {}, {}, {}

    def open(self, user, name, shared=False, whole=False):
        """A session that a client will talk in."""
        with self._lock:
            return self.sessions.setdefault((user, name), Session(user, name, shared=shared, whole=whole))

    def send(self, session, text):
        """A client is about to send `text`."""
        with self._lock:
            before = tuple(turn.text for turn in session.turns if turn.seen is Seen.END)
            session.turns.append(turn := Turn(text, before=before))
            return turn

    def end(self, turn, answer):
        """A client has seen the end of a turn's answer."""
        with self._lock:
            turn.answer, turn.seen = answer, Seen.END

    def upstream_was_asked(self, text, history, answer):
        """The upstream got a request whose newest message is `text`, and will answer with `answer`."""
        with self._lock:
            self.asked.setdefault(text, []).append(history)
            self.answers.setdefault(text, []).append(answer)

    # What must be true

    def acknowledged(self):
        """How many turns had their end seen."""
        return sum(turn.seen is Seen.END for session in self.sessions.values() for turn in session.turns)

    def sent(self):
        """How many turns were sent."""
        return sum(len(session.turns) for session in self.sessions.values())

    def faults(self, messages):
        """A sentence for everything that is wrong with the stored messages."""
        found, stored = [], {}
        for message in messages:
            stored.setdefault((message.user, message.session), []).append(message)
        for key in stored.keys() - self.sessions.keys():
            found.append(f"a session {key} is stored that nobody of that user opened")
        for key, session in self.sessions.items():
            rows = sorted(stored.get(key, []), key=lambda message: message.seq)
            found += self._session_faults(session, rows)
        return found + list(self._history_faults())

    def _session_faults(self, session, rows):
        where = f"{session.user}/{session.name}"
        sequence = [row.seq for row in rows]
        if sequence != list(range(sequence[0], sequence[0] + len(rows))) if rows else False:
            yield f"{where}: the sequence numbers have gaps or repeat: {sequence}"
        known = {turn.text: turn for turn in session.turns}
        placed = {}
        for place, pair in enumerate(pairs_of(rows)):
            question = pair[0].content
            if pair[0].role != "user" or question not in known:
                yield f"{where}: a stored turn begins with {pair[0].role} {question!r}, which nobody sent here"
                continue
            yield from self._pair_faults(where, session, known[question], pair)
            if pair[0].superseded:
                if not session.whole:
                    yield f"{where}: another turn took the place of {question!r}, and nobody asked for that"
                continue
            if question in placed:
                yield f"{where}: {question!r} is stored twice"
            placed[question] = place
        seen = [turn.text for turn in session.turns if turn.seen is Seen.END]
        for text in seen:
            if text not in placed:
                yield f"{where}: LOST {text!r}: its end was seen, and it is not stored"
        order = [placed[text] for text in seen if text in placed]
        if order != sorted(order) and not session.shared:
            yield f"{where}: turns are stored in another order than they ended: {order}"

    def _pair_faults(self, where, session, turn, pair):
        answers = [row.content for row in pair[1:]]
        if len({row.turn for row in pair}) != 1 or len({row.superseded for row in pair}) != 1:
            yield f"{where}: the messages of {turn.text!r} belong to several turns"
        produced = self.answers.get(turn.text, [])
        if turn.seen is Seen.END:
            if answers != [turn.answer]:
                yield f"{where}: {turn.text!r} was answered {turn.answer!r} and is stored as {answers!r}"
            if pair[0].status != "complete" and not session.whole:
                yield f"{where}: {turn.text!r} is complete and is stored as {pair[0].status}"
        elif len(pair) > 2 or not all(any(answer.startswith(text) for answer in produced) for text in answers):
            yield f"{where}: {turn.text!r} is stored with {answers!r}, which the upstream never said"
        elif pair[0].status == "complete" and answers and answers[0] not in produced:
            yield f"{where}: {turn.text!r} is stored as complete, and half of its answer is missing"

    def _history_faults(self):
        """Every turn whose end was seen was told to the model in each later request of its session, once."""
        for session in self.sessions.values():
            for turn in session.turns:
                for history in self.asked.get(turn.text, []):
                    told = [text for text in history if text in turn.before]
                    if told == list(turn.before) or (session.shared and sorted(told) == sorted(turn.before)):
                        continue
                    missing = [text for text in turn.before if text not in told]
                    doubled = sorted({text for text in told if told.count(text) > 1})
                    yield (f"{session.user}/{session.name}: the request with {turn.text!r} told the model of "
                           f"{len(told)} of the {len(turn.before)} turns that had been seen"
                           + (f", without {missing}" if missing else "") + (f", doubled {doubled}" if doubled else "")
                           + ("" if missing or doubled else f", in another order: {told}"))


def pairs_of(rows):
    """The rows of one session, each question with what follows it until the next."""
    pair = []
    for row in rows:
        if pair and row.role == "user":
            yield pair
            pair = []
        pair.append(row)
    if pair:
        yield pair
