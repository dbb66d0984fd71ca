"""The rules of histories a second time, as literally and as slowly as they can be written: what the upstream must get of a
request, and what its session holds afterwards. Tokens are not in it."""
import copy
import json
from dataclasses import dataclass, field, replace


def same(message):
    """What two messages have in common that say the same."""
    content = message.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    calls = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])) for call in message.get("tool_calls") or []
    ]
    return message["role"], content, calls, message.get("tool_call_id"), message.get("name")


def alike(messages, others):
    """Whether they say the same, one by one."""
    return len(messages) == len(others) and all(same(one) == same(other) for one, other in zip(messages, others))


@dataclass
class Item:
    """A stored message."""

    message: dict
    turn: int
    seq: int


@dataclass
class Plan:
    """What becomes of a request."""

    sent: list  # the messages that the upstream gets, the client's included
    instructions: list  # those in front of them
    injected: list  # the items of the session among what is sent
    new: list
    base: int  # the number of the next message, as far as the request knows
    since: int | None  # active messages from this number on are superseded
    superseded: int = 0
    is_retry: bool = False  # the client says that it sent the request before
    repeats: bool = False  # the newest turn is what came of that
    key: str | None = None  # its idempotency key
    position: int | None = None  # where the history begins from now on; None leaves it
    known: int = 0  # active messages that the request repeats
    out_of: int = 0  # active messages that are injected, repeated, or dropped; 0 where the client's view is taken
    earlier: list = field(default_factory=list)  # active items before the injected ones: the request may answer their calls


@dataclass
class Session:
    """A session as the rules have it."""

    limit: int = 20
    is_stable: bool = False  # cut rarely, and then to the watermark
    active: list = field(default_factory=list)
    next: int = 1
    turns: int = 0
    system: list = field(default_factory=list)
    newest: tuple | None = None  # of the newest turn: what was asked, on which base, where it begins, its key, if a retry
    position: int = 0  # where the last cut left the history
    attempts: list = field(default_factory=list)  # (what was asked, under which key, base), the latest first

    def copy(self):
        return copy.deepcopy(self)

    @property
    def messages(self):
        """The active messages."""
        return [item.message for item in self.active]

    # Planning

    def plan(self, request, mode="auto", is_retry=False, key=None):
        """What becomes of the messages of a request; it is remembered as an attempt."""
        asked = strip(request)
        instructions = request[: len(request) - len(asked)]
        is_it = lambda attempt: attempt[1] == key and alike(attempt[0], asked)
        base = next((attempt[2] for attempt in self.attempts if is_it(attempt)), None) if is_retry else None
        if self.is_under(key, asked):
            base = self.newest[1]
        known = self
        repeats = base is not None and self.newest is not None and alike(self.newest[0], asked) and self.newest[1] == base
        if repeats:
            known = replace(self, active=[item for item in self.active if item.seq < self.newest[2]], next=base)
        plan = known._plan(asked, mode, self.limit)
        plan.is_retry, plan.repeats, plan.key = is_retry, repeats, key
        plan.instructions = instructions or self.system
        plan.sent = plan.instructions + plan.sent
        self.attempts = [(asked, key, plan.base), *(attempt for attempt in self.attempts if not is_it(attempt))]
        return plan

    def is_under(self, key, asked):
        """Whether the newest turn answers the same messages under the same key."""
        return key is not None and self.newest is not None and self.newest[3] == key and alike(self.newest[0], asked)

    def _plan(self, asked, mode, limit):
        answers = [at for at, message in enumerate(asked) if message["role"] == "assistant"]
        stored = self.messages
        if mode == "replace":
            return self._view(asked)
        if mode == "append" or not answers:
            return self._inject(asked, 0, limit)
        for count in range(min(len(asked), len(stored)), answers[-1], -1):
            if alike(asked[:count], stored[-count:]):
                return self._inject(asked, count, limit)
        return self._view(asked)

    def _view(self, asked):
        common = 0
        while common < min(len(asked), len(self.active)) and same(asked[common]) == same(self.active[common].message):
            common += 1
        while 0 < common < len(self.active) and self.active[common - 1].turn == self.active[common].turn:
            common -= 1
        since = self.active[common].seq if common < len(self.active) else None
        return Plan(asked, [], [], asked[common:], self.next, since, len(self.active) - common)

    def beginnings(self):
        """Where a history may begin: at a turn that does not answer an earlier call."""
        return [
            at for at, item in enumerate(self.active)
            if at == 0 or (self.active[at - 1].turn != item.turn and item.message["role"] != "tool")
        ]

    def _inject(self, asked, known, limit):
        end, beginnings = len(self.active) - known, self.beginnings()
        fitting = [at for at in beginnings if len(self.active) - at <= limit]
        start = fitting[0] if fitting else beginnings[-1] if beginnings and limit > 0 else len(self.active)
        goes_on = [at for at in beginnings if at < end][-1:] if asked and asked[0]["role"] == "tool" else []
        start, position = min([start, end, *goes_on]), None
        if self.is_stable and start < end:
            start, position = self._cut(start, end, asked, goes_on)
        items, earlier = self.active[start:end], self.active[:start]
        sent = shown(items, asked, earlier)
        return Plan(
            sent, [], items, asked[known:], self.next, None, earlier=earlier, position=position, known=known, out_of=len(self.active))

    def _cut(self, first, end, asked, goes_on):
        """Where a history begins whose last beginning is kept, and where that leaves the position, if elsewhere."""
        active, low = self.active, int(self.limit * 0.7)
        allowed = [at for at in self.beginnings() if first < at < end]
        start = first
        if (first > 0 or len(active) > low) and self.position > active[first].seq:
            start = next((at for at in allowed if active[at].seq >= self.position), end)
        is_over = len(active) - start > self.limit or (first > 0 and self.position < active[first].seq)
        cut = next((at for at in [first, *allowed] if len(active) - at <= low), ([first, *allowed])[-1])
        if not is_over:  # of so large a context every cut leaves far too little
            cut = start if start == first else min(cut, start)
        borrows = goes_on and shows_again(active[first:end], asked, active[:first])
        sent = min([cut, *([] if borrows else goes_on)])
        return sent, None if cut == start else active[sent].seq if sent < end else self.next

    # Storing

    def store(self, request, plan, answer):
        """Stores the turn: whole, behind everything, and superseding nothing that its request did not know."""
        asked = strip(request)
        if self.is_under(plan.key, asked) and self.newest[4] and not plan.is_retry:
            # The attempt after it is there already.
            self.turns, self.next = self.turns + 1, self.next + len(plan.new) + 1
            return
        self.system = request[: len(request) - len(asked)] or self.system
        repeated = plan.is_retry and self.newest is not None and alike(self.newest[0], asked) and self.newest[1] == plan.base
        repeated = self.is_under(plan.key, asked) if plan.key else repeated
        if plan.position is not None:
            self.position = plan.position if plan.base == self.next else max(self.position, plan.position)
        before = [item.seq for item in self.active]
        if repeated:
            first = self.newest[2]
            since = first if plan.since is None else min(plan.since, first)
            self.active = [item for item in self.active if item.seq < (since if first <= plan.base else first)]
        elif plan.since is not None:
            self.active = [item for item in self.active if item.seq < plan.since or item.seq >= plan.base]
        self.position = min([self.position, *(set(before) - {item.seq for item in self.active})])
        self.turns += 1
        self.newest = (asked, plan.base, self.next, plan.key, plan.is_retry)
        for message in [*plan.new, answer]:
            self.active.append(Item(message, self.turns, self.next))
            self.next += 1


def strip(request):
    """Without the leading instructions."""
    split = next((at for at, message in enumerate(request) if message["role"] not in ("system", "developer")), len(request))
    return request[split:]


def shown(items, asked, earlier=()):
    """The messages that a model is sent, the request's included."""
    return [message for _, message in replayed(items, asked, earlier)]


def replayed(items, asked, earlier=()):
    """The same, with the item of each, None for the request's own. Each call stands in front of those of its results that
    follow each other: where it was made, or again where they are; what was said beside it only where it was made."""
    places = [(item, item.message) for item in items] + [(None, message) for message in asked]
    callers = []  # [item, message, ids that were answered]
    found = []  # [item, message, answered ids, whether it was made here]
    front = None  # the caller of the results that come next, and its entry
    for at, (item, message) in enumerate(places):
        if at == len(items):
            callers[:0] = [[old, old.message, set()] for old in earlier if old.message.get("tool_calls")]
        if message["role"] != "tool":
            entry, front = [item, message, set(), True], None
            found.append(entry)
            if message.get("tool_calls"):
                callers.append([item, message, set()])
                front = callers[-1], entry
            continue
        name = message.get("tool_call_id")
        calling = [caller for caller in callers if name in [call["id"] for call in caller[1]["tool_calls"]]]
        if not calling:
            if item is None:
                found.append([item, message, set(), True])
            continue
        if front is None or not any(caller is front[0] for caller in calling):
            caller = next((caller for caller in reversed(calling) if name not in caller[2]), calling[-1])
            front = caller, [caller[0], caller[1], set(), False]
            if caller[0] is not None:
                found.append(front[1])
        front[0][2].add(name)
        front[1][2].add(name)
        found.append([item, message, set(), True])
    return [(item, message) for item, message in ((entry[0], as_shown(*entry)) for entry in found) if message]


def shows_again(items, asked, earlier):
    """Whether the call that the request's first message answers is shown again in front of it."""
    pairs = replayed(items, asked, earlier)
    at = next(at for at, (item, _) in enumerate(pairs) if item is None)
    item, call = pairs[at - 1] if at else (None, {})
    return bool(items) and item is not items[-1] and asked[0].get("tool_call_id") in [one["id"] for one in call.get("tool_calls") or []]


def as_shown(item, message, answered, is_home):
    """The message with the calls that are answered here; None where nothing is left of it."""
    calls = message.get("tool_calls")
    if item is None or not calls:
        return message
    kept, says = [call for call in calls if call["id"] in answered], message.get("content") or message.get("refusal")
    if not is_home and says:
        message = {**{name: value for name, value in message.items() if name not in ("refusal", "audio")}, "content": None}
    if len(kept) == len(calls):
        return message
    if kept:
        return {**message, "tool_calls": kept}
    return {name: value for name, value in message.items() if name != "tool_calls"} if says else None
