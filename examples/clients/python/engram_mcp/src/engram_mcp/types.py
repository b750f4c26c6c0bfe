"""What goes to a memory and what comes back.

A test compares these with a running server, so that they say what it says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal, TypeAlias, TypedDict, overload

from pydantic import BaseModel, ConfigDict, Field

Json: TypeAlias = Any
"""Whatever JSON can say."""

Time: TypeAlias = datetime | date | str
"""A moment: a datetime, a day, or either as RFC 3339 or YYYY-MM-DD."""

Trust: TypeAlias = Literal["user", "agent", "import"]
"""Who wrote an engram: a person's own client, a program, or an import."""


class _Answer(BaseModel):
    """Part of an answer. It does not change, and keys that a newer server adds are dropped."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Link(_Answer):
    """A typed, weighted edge from one engram to another."""

    from_id: str = Field(alias="from")
    to_id: str = Field(alias="to")
    relation: str
    weight: float
    """0 to 1."""
    metadata: dict[str, Json] = {}
    valid_from: datetime | None = None
    valid_to: datetime | None = None


class Created(_Answer):
    """That something has been remembered."""

    id: str
    created_at: datetime
    version: int
    duplicate: bool = False
    """It was remembered before; this is the one that was there."""


class Hit(_Answer):
    """An engram that was found, with what a search shows of it."""

    id: str
    score: float
    content: str
    kind: str
    source: str | None = None
    """Who or what says so, as claimed by its author."""
    author: str | None = None
    """The principal that wrote it."""
    trust: Trust | None = None
    confidence: float
    """How sure its author was, 0 to 1."""
    tags: list[str] = []
    metadata: dict[str, Json] = {}
    context: str | None = None
    collections: list[str] = []
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    expires_at: datetime | None = None
    created_at: datetime
    parts: dict[str, float] = {}
    """With `explain`: what the score is made of."""
    truncated: bool = False
    """The content has been cut; `get` has all of it."""


class Engram(_Answer):
    """One atomic unit of knowledge, in full."""

    id: str
    content: str
    kind: str
    source: str | None = None
    """Who or what says so, as claimed by its author."""
    author: str | None = None
    """The principal that wrote it."""
    trust: Trust | None = None
    confidence: float
    """How sure its author was, 0 to 1."""
    importance: float
    """How much it matters, 0 to 1."""
    tags: list[str] = []
    metadata: dict[str, Json] = {}
    context: str | None = None
    """The conversation or project that it belongs to, in order."""
    collections: list[str] = []
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    expires_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    version: int
    """The number of changes that it has had, 1 when new."""
    access_count: int = 0
    """This and what follows are known of engrams that `get` has read."""
    last_accessed: datetime | None = None
    previous: str | None = None
    """Id of the engram before it in its context."""
    next: str | None = None
    links: list[Link] = []
    """With `links`."""
    truncated: bool = False
    """In a graph: the content has been cut; `get` has all of it."""


class Found(_Answer):
    """The engrams that were asked for by their ids, and the ids that lead to none."""

    engrams: list[Engram]
    missing: list[str]


class Recalled(_Answer, Sequence[Hit]):
    """A page of hits, best first. It is a sequence of them."""

    hits: list[Hit]
    cursor: str | None = None
    """Give it to `recall` for the next page."""
    notes: list[str] = []
    """What the server did otherwise than asked, such as searching by words alone."""

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:  # type: ignore[override]  # pydantic's is over the fields
        return iter(self.hits)

    @overload
    def __getitem__(self, at: int) -> Hit: ...
    @overload
    def __getitem__(self, at: slice) -> list[Hit]: ...
    def __getitem__(self, at: int | slice) -> Hit | list[Hit]:
        return self.hits[at]


class Forgotten(_Answer):
    """The ids of what was forgotten or, in a dry run, would be."""

    forgotten: list[str]
    confirm: str | None = None
    """After a dry run of a purge by filter: what the purge wants to be given."""
    more: bool = False
    """The filter may select more than one call forgets."""


class Graph(_Answer):
    """A part of the web of engrams and links."""

    engrams: list[Engram]
    links: list[Link]
    truncated: bool = False
    """There was more than the limit."""


class Version(_Answer):
    """A change that an engram has had."""

    version: int
    at: datetime
    principal: str | None = None
    change: str
    """create, update, forget or restore."""
    fields: dict[str, Json] = {}
    """What it set."""
    compacted: bool = False
    """Old values were dropped to save room."""


class History(_Answer):
    """A page of the versions of an engram, newest first."""

    versions: list[Version]
    cursor: str | None = None


class Log(_Answer):
    """A line that an agent wrote to its log."""

    level: str
    text: str


class Usage(_Answer):
    """What a run of an agent has used."""

    fuel: int
    """Units of work."""
    host_calls: int
    peak_memory: int
    """Bytes."""
    time_ms: float
    reused: bool
    """An instance that was there was used again."""


class Run(_Answer):
    """What a run of an agent gave."""

    output: Json
    logs: list[Log]
    stats: Usage


class Action(_Answer):
    """Something that an agent can do."""

    name: str
    description: str | None = None
    input_schema: dict[str, Json] | None = None


class Hook(_Answer):
    """That an agent runs before or after a tool."""

    on: str
    """Such as before:engram_create."""
    action: str
    order: int
    time_ms: int
    on_failure: str


class Scheduled(_Answer):
    """That an agent runs at certain times."""

    every: str | None = None
    daily_at: str | None = None
    """In UTC."""
    action: str
    due: datetime | None = None
    """When it runs next; never, while it waits for approval."""
    last: datetime | None = None
    failures: int = 0
    """In a row."""


class Agent(_Answer):
    """An installed agent."""

    name: str
    version: str | None = None
    description: str | None = None
    runtime: str
    actions: list[Action]
    grants: list[str]
    """The tools that it may call."""
    sha256: str
    installer: str
    created_at: datetime
    problem: str | None = None
    """Why it cannot be run, if so."""
    wired: Literal["approved", "waiting"] | None = None
    """Whether its hooks and schedules run, if it has any."""
    hooks: list[Hook] = []
    schedule: list[Scheduled] = []


class SinceStart(_Answer):
    """What the server knows of an agent since it started."""

    calls: int
    errors: int
    restarts: int = 0
    retries: int = 0


class AgentStats(_Answer):
    """What an agent has used since it was installed."""

    agent: str
    calls: int
    errors: int
    crashes: int
    fuel: int
    """Units of work."""
    host_calls: int
    host_bytes: int
    peak_memory: int
    """Bytes."""
    time_ms: float
    last_run: datetime | None = None
    last_error: str | None = None
    since_start: SinceStart


class Stats(_Answer):
    """Counts of what one can read of a space."""

    space: str
    engrams: int
    forgotten: int
    links: int
    contexts: int
    collections: int
    ops: int
    file_bytes: int
    model: str | None = None
    """The one that vectors are of; none, if meaning is not searched."""
    embedded: int
    pending: int
    """Engrams that still wait for their vector."""


class Tool(_Answer):
    """A tool as the server offers it to models."""

    name: str
    description: str
    input_schema: dict[str, Json] = Field(alias="inputSchema")
    output_schema: dict[str, Json] | None = Field(None, alias="outputSchema")
    annotations: dict[str, Json] = {}
    """Hints such as readOnlyHint."""


class NewLink(TypedDict, total=False):
    """A link of a new engram. `to` and `relation` are needed."""

    to: str
    relation: str
    weight: float


class NewEngram(TypedDict, total=False):
    """What `remember_many` takes. `content` is needed."""

    content: str
    source: str
    confidence: float
    importance: float
    kind: str
    tags: Sequence[str]
    metadata: Mapping[str, Json]
    context: str
    collections: Sequence[str]
    valid_from: Time
    valid_to: Time
    ttl_seconds: float
    allow_duplicate: bool
    links: Sequence[NewLink]


class Filter(TypedDict, total=False):
    """Which engrams `forget` selects; each key narrows it down."""

    context: str
    collections: Sequence[str]
    tags: Sequence[str]
    kind: str
    source: str
    after: Time
    before: Time
    valid_at: Time
    min_confidence: float


Ref: TypeAlias = str | Created | Engram | Hit
"""An engram, or its id."""


def id_of(ref: Ref) -> str:
    """The id of an engram."""
    return ref if isinstance(ref, str) else ref.id
