"""Every table. After a release a change here needs a revision in
``migrations`` (a test compares them).

Only what SQLite and PostgreSQL both have. Resource ids stand twice: as they were written,
and folded (``*_key``), which is what is compared. Grants, requests and events carry no
foreign key to a machine or a policy, because they outlive both.

The life of a grant, and of a request in the same way, is a foreign key: ``(previous_state, state)`` must be a row of
``grant_transitions``, which holds the moves of ``domain.lifecycle``; a grant without a
previous state can only be in one that begins.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    literal_column,
)

from bascule.domain.lifecycle import (
    GRANT_BEGINNINGS,
    LIVE,
    REQUEST_BEGINNINGS,
    REQUEST_UNSETTLED,
    UNSETTLED,
    GrantState,
    RequestState,
)
from bascule.store.columns import Instant, Json, Key, Sequence, Span

# The other parts are registered with the same metadata, and used by their own names.
from bascule.store.tables import access as access
from bascule.store.tables import activity as activity
from bascule.store.tables import approvals as approvals
from bascule.store.tables import delivery as delivery
from bascule.store.tables import duties as duties
from bascule.store.tables import endings as endings
from bascule.store.tables import exposure as exposure
from bascule.store.tables import invites as invites
from bascule.store.tables import kept_forms as kept_forms
from bascule.store.tables import keys as keys
from bascule.store.tables import knocks as knocks
from bascule.store.tables import lines as lines
from bascule.store.tables import listing as listing
from bascule.store.tables import mail as mail
from bascule.store.tables import plans as plans
from bascule.store.tables import providers as providers
from bascule.store.tables import public_ports as public_ports
from bascule.store.tables import replicas as replicas
from bascule.store.tables import retention as retention
from bascule.store.tables import reviews as reviews
from bascule.store.tables import runs as runs
from bascule.store.tables import set_up as set_up
from bascule.store.tables import sign_in as sign_in
from bascule.store.tables import tokens as tokens
from bascule.store.tables import trusting as trusting
from bascule.store.tables.metadata import metadata as metadata
from bascule.store.tables.policies import policies as policies
from bascule.store.tables.policies import policy_generations as policy_generations
from bascule.store.tables.policies import policy_machines as policy_machines
from bascule.store.tables.policies import policy_ports as policy_ports

# -- the installation and its inventory --------------------------------------------------

installation = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("tenant_id", String, nullable=False),
    Column("subscription_id", String, nullable=False),
    Column("location", String, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("number", BigInteger, nullable=False),  # raised by each move to another database
    Column("moved_to", String),  # null: this is the record; else it is retired, and that is
    Column("is_arriving", Boolean, nullable=False),  # copied, and not the record yet
    Column("recovery_key", String, nullable=False),  # its public half; empty: none
    # The last restores from a backup that the recovery key signed, last first.
    Column("restored", Json, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

resource_groups = Table(
    "resource_groups",
    metadata,
    Column("key", Key, primary_key=True),
    Column("name", String, nullable=False),
)

machines = Table(
    "machines",
    metadata,
    Column("uid", Key, primary_key=True),
    Column("id_key", Key, nullable=False, unique=True),
    Column("id", String, nullable=False),
    Column("group_key", Key, nullable=False),
    Column("location", String, nullable=False),
    Column("location_key", Key, nullable=False),
    Column("os_type", String, nullable=False),
    Column("addresses", Json, nullable=False),
    Column("tags", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index(None, "group_key", "id_key"),
    Index(None, "location_key", "location"),
)

# Kept when the machine goes: uids are never used again, and its last leases still end.
machine_generations = Table(
    "machine_generations",
    metadata,
    Column("machine_uid", Key, primary_key=True),
    Column("generation", BigInteger, nullable=False),
    # Counts the moves of all machines, so that one indexed read finds what moved since another.
    Column("move", BigInteger, nullable=False),
    Index(None, "move"),
)

closed_ports = Table(
    "closed_ports",
    metadata,
    Column("machine_uid", Key, ForeignKey(machines.c.uid, ondelete="CASCADE"), primary_key=True),
    Column("protocol", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("on_expiry", String, nullable=False),
    Column("is_released", Boolean, nullable=False),  # let go by name; until it is closed again
    Column("released_in", BigInteger),  # the machine's generation that says so
    CheckConstraint("number BETWEEN 1 AND 65535", name="port_number"),
)

# -- requests and grants -----------------------------------------------------------------


def _said(states: Iterable[str]) -> str:
    return ", ".join(f"'{state}'" for state in states)


request_transitions = Table(
    "request_transitions",
    metadata,
    Column("from_state", String, primary_key=True),
    Column("to_state", String, primary_key=True),
)

requests = Table(
    "requests",
    metadata,
    Column("id", Key, primary_key=True),
    Column("policy_key", Key, nullable=False),
    Column("policy_id", String, nullable=False),
    Column("requestor_id", Key, nullable=False),
    Column("requestor", String, nullable=False),
    Column("justification", String),
    Column("started_at", Instant, nullable=False),
    Column("machines", Json, nullable=False),
    Column("previous_state", String),  # null: it has not moved yet
    Column("state", String, nullable=False),  # the sum over its grants; a refused one has none
    Column("reasons", Json, nullable=False),  # why it was refused
    Column("left_out", Integer, nullable=False),  # machines asked for and not kept
    Column("is_emergency", Boolean, nullable=False),
    Column("factor_age", Span),  # of the second factor, when it was asked for; null: not known
    Column("has_waited", Boolean, nullable=False),  # for approval, or for its start
    Column("starts_at", Instant),  # when it is to open; null: as soon as it may
    Column(
        "credential_id", String, nullable=False
    ),  # by which a program asked; empty: a person did
    ForeignKeyConstraint(
        ["previous_state", "state"],
        [request_transitions.c.from_state, request_transitions.c.to_state],
    ),
    CheckConstraint(
        f"previous_state IS NOT NULL OR state IN ({_said(REQUEST_BEGINNINGS)})",
        name="begins",
    ),
    Index(None, "started_at", "id"),
    Index(None, "policy_key", "started_at", "id"),
    Index(None, "requestor_id", "started_at", "id"),
)

# At which machines a request without grants is found; of the others their grants say it.
refused_at = Table(
    "refused_at",
    metadata,
    Column("request_id", Key, ForeignKey(requests.c.id, ondelete="CASCADE"), primary_key=True),
    Column("machine_uid", Key, primary_key=True),
    Index(None, "machine_uid"),
)

grant_transitions = Table(
    "grant_transitions",
    metadata,
    Column("from_state", String, primary_key=True),
    Column("to_state", String, primary_key=True),
)

grants = Table(
    "grants",
    metadata,
    Column("sequence", Sequence, primary_key=True, autoincrement=True),  # the order of adding
    Column("id", Key, nullable=False, unique=True),
    Column("request_id", Key, ForeignKey(requests.c.id), nullable=False),
    Column("policy_id", String, nullable=False),
    Column("machine_uid", Key, nullable=False),
    Column("machine_id", String, nullable=False),
    Column("requestor_id", String, nullable=False),
    Column("requestor", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("protocol", String, nullable=False),
    Column("sources", Json, nullable=False),
    Column("on_expiry", String, nullable=False),
    Column("max_duration", Span, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("ends_at_text", String, nullable=False),
    Column("previous_state", String),  # null: it has not moved yet
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("extension", BigInteger, nullable=False),
    Column("is_source_list", Boolean, nullable=False),
    Column("ended_at", Instant),
    Column("failure", String, nullable=False),
    Column("cut_at", Instant),  # when somebody last had cut what it admitted
    Column("answer_by", Instant),  # when a point is given up next; null: none is waited for
    Column("drain_for", Span),  # null: connections do not stay for a time
    Column("drained_at", Instant),  # when those end that may stay; null: none may
    Column("ends_with_group", String, nullable=False),  # empty: no membership's end is its own
    Column("ends_with_credential", String, nullable=False),  # empty: no credential's end is its own
    Column("is_emergency", Boolean, nullable=False),
    Column("approved_until", Instant),  # with its extensions; null: none is approved
    Column("withdrawn", Json, nullable=False),  # why points in parallel hold it no longer, by uid
    ForeignKeyConstraint(
        ["previous_state", "state"],
        [grant_transitions.c.from_state, grant_transitions.c.to_state],
    ),
    CheckConstraint(
        f"previous_state IS NOT NULL OR state IN ({_said(GRANT_BEGINNINGS)})",
        name="begins_opening",
    ),
    CheckConstraint("number BETWEEN 1 AND 65535", name="port_number"),
    Index(None, "request_id"),
    Index(None, "machine_uid", "state"),
    Index("ix_grants_held", "machine_uid", "requestor_id", "ended_at"),
)


# Written out, not bound: an index over a part is used only where its own words are met.
def is_in_state(states: Collection[GrantState]) -> ColumnElement[bool]:
    """Of a grant. Its words stand in the statement, in one order."""
    words = [state for state in GrantState if state in states]
    return grants.c.state.in_([literal_column(f"'{state}'") for state in words])


def is_request_in_state(states: Collection[RequestState]) -> ColumnElement[bool]:
    words = [state for state in RequestState if state in states]
    return requests.c.state.in_([literal_column(f"'{state}'") for state in words])


REQUEST_IS_UNSETTLED = is_request_in_state(REQUEST_UNSETTLED)
REQUEST_IS_REFUSED = is_request_in_state([RequestState.REFUSED])
NEEDS_REVIEW = requests.c.is_emergency.is_(True) & (
    requests.c.state != literal_column(f"'{RequestState.REFUSED}'")
)
Index(
    "ix_requests_emergency",
    requests.c.started_at,
    requests.c.id,
    sqlite_where=NEEDS_REVIEW,
    postgresql_where=NEEDS_REVIEW,
)

Index(
    "ix_requests_unsettled",
    requests.c.started_at,
    requests.c.id,
    sqlite_where=REQUEST_IS_UNSETTLED,
    postgresql_where=REQUEST_IS_UNSETTLED,
)
Index(
    "ix_requests_refused",
    requests.c.started_at,
    requests.c.id,
    sqlite_where=REQUEST_IS_REFUSED,
    postgresql_where=REQUEST_IS_REFUSED,
)
Index(
    "ix_requests_refused_of",
    requests.c.requestor_id,
    requests.c.started_at,
    requests.c.id,
    sqlite_where=REQUEST_IS_REFUSED,
    postgresql_where=REQUEST_IS_REFUSED,
)

IS_LIVE = is_in_state(LIVE)
IS_CUT = grants.c.cut_at.is_not(None)

IS_UNSETTLED = is_in_state(UNSETTLED)

Index("ix_grants_live", grants.c.ends_at, sqlite_where=IS_LIVE, postgresql_where=IS_LIVE)

IS_AWAITED = grants.c.answer_by.is_not(None)
Index("ix_grants_awaited", grants.c.answer_by, sqlite_where=IS_AWAITED, postgresql_where=IS_AWAITED)
Index(
    "ix_grants_cut",
    grants.c.machine_uid,
    grants.c.cut_at,
    sqlite_where=IS_CUT,
    postgresql_where=IS_CUT,
)

IS_DRAINING = grants.c.drained_at.is_not(None)
Index(
    "ix_grants_draining",
    grants.c.machine_uid,
    grants.c.drained_at,
    sqlite_where=IS_DRAINING,
    postgresql_where=IS_DRAINING,
)

Index(
    "ix_grants_draining_of",
    grants.c.requestor_id,
    grants.c.drained_at,
    sqlite_where=IS_DRAINING,
    postgresql_where=IS_DRAINING,
)

Index(
    "ix_grants_unsettled",
    grants.c.state,
    grants.c.machine_uid,
    sqlite_where=IS_UNSETTLED,
    postgresql_where=IS_UNSETTLED,
)

# -- the fleet ---------------------------------------------------------------------------

agents = Table(
    "agents",
    metadata,
    Column("machine_uid", Key, ForeignKey(machines.c.uid, ondelete="CASCADE"), primary_key=True),
    Column("public_key", String, nullable=False),
    Column("enrolled_at", Instant, nullable=False),
    Column("observed_generation", BigInteger, nullable=False),
    Column("last_contact_at", Instant),
    Column("agent_version", String, nullable=False),
    Column("local_port_low", Integer),
    Column("local_port_high", Integer),
    Column("weaknesses", Json, nullable=False),
    Column("blocked_attempts", BigInteger, nullable=False),
    Column("counted_at", Instant),  # when that number came
    Column("facts", Json, nullable=False),
    Column("flushed_by", String, nullable=False),
    Column("managed_by", String, nullable=False),  # an owner's word; empty: none
    Column("knows", Json, nullable=False),
    Column("not_enforced_since", Instant),
    Column("doubted_since", Instant),
    Column("believed_since", Instant),
    Column("clock_skew_ms", BigInteger),
    Column("guard", Json),
    Column("driver", String, nullable=False),  # its name in the registry; empty: not told yet
    Column("capabilities", Json),  # null: not told yet
    Column("acknowledged", String, nullable=False),  # digest of its last report; empty: none
    # From which it was last heard on its line; written with contacts alone.
    Column("network", String, nullable=False, default="", server_default=""),
)

Index("ix_agents_last_contact_at", agents.c.last_contact_at)

# Of machines that something beside their own agent guards; no row stands for an agent alone.
bindings = Table(
    "bindings",
    metadata,
    Column("machine_uid", Key, ForeignKey(machines.c.uid, ondelete="CASCADE"), primary_key=True),
    Column(
        "point_uid", Key, ForeignKey(agents.c.machine_uid, ondelete="CASCADE"), primary_key=True
    ),
    Column("bound_at", Instant, nullable=False),
    Column("reported_at", Instant),  # null: it has not reported this machine yet
    Column("generation", BigInteger, nullable=False),  # of its last report of it; -1: none yet
    Column("failed_since", Instant),
    Column("in_force", Json, nullable=False),
    Column("closed", Json, nullable=False),
    Column("addresses", Json, nullable=False),  # to which the point forwards
    Column("former", Json, nullable=False),  # to which it did, and which are not released
    Column("released", Json, nullable=False),  # the generation by which others were, by address
    Column("is_parallel", Boolean, nullable=False),
    Column("answered_by", Json, nullable=False),  # addresses of the gateway
    Column("trusts_route", Boolean, nullable=False),
    Index(None, "point_uid", "machine_uid"),
)

IS_NEVER_HEARD = agents.c.last_contact_at.is_(None)

Index(
    "ix_agents_never_heard",
    agents.c.machine_uid,
    sqlite_where=IS_NEVER_HEARD,
    postgresql_where=IS_NEVER_HEARD,
)

enrolments = Table(
    "enrolments",
    metadata,
    Column("id", Key, primary_key=True),
    Column("machine_uid", Key, ForeignKey(machines.c.uid, ondelete="CASCADE"), nullable=False),
    Column("token_hash", Key, nullable=False, unique=True),
    Column("expires_at", Instant, nullable=False),
    Column("replaces", Boolean, nullable=False),
    Column("used_at", Instant),
    Index(None, "machine_uid"),
)

# -- the record --------------------------------------------------------------------------

events = Table(
    "events",
    metadata,
    Column("sequence", Sequence, primary_key=True, autoincrement=True),
    Column("id", Key, nullable=False),
    Column("at", Instant, nullable=False),
    Column("kind", String, nullable=False),  # an end's with its reason: domain.facts.kinds.sort_of
    Column("principal_id", Key, nullable=False),
    Column("resource_key", Key, nullable=False),
    Column("record", Json, nullable=False),  # Event.record(), whole
    # What the activity log asks is answered by these alone (store.activity names them).
    Index(None, "at", "kind"),
    Index(None, "kind", "at"),
    Index(None, "principal_id", "at", "kind"),
    Index(None, "resource_key", "at", "kind"),
    Index(None, "principal_id", "sequence"),
    sqlite_autoincrement=True,  # a number is never used twice, even after a deletion
)

# At which machines a refusal is found beside its own resource (domain.facts.kinds.places_of).
event_places = Table(
    "event_places",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),  # of the event
    Column("resource_key", Key, primary_key=True),
    Column("among", Integer, nullable=False),  # machines that the event concerns
    Index(None, "resource_key", "sequence"),
)

# The chain over the events. A row beside each event, not columns of it: events are written
# by every replica at once and in whatever order they commit, seals by one writer at a time,
# who gives the next position to what is committed. Only retention deletes from either.
event_seals = Table(
    "event_seals",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),  # from 1, no gap
    Column("sequence", BigInteger, nullable=False, unique=True),  # of the event
    Column("hash", String, nullable=False),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("key_id", String, nullable=False),
    Column("signature", String, nullable=False),
)
