"""All pages, with whom they show something, for the walk over them and for the pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from bascule.client import access, audit, principals
from bascule.client.versions import BASCULE_VERSION
from bascule.domain.builtin_roles import READER
from tests.e2e.portal.portal_world import World


@dataclass(frozen=True, slots=True)
class Shown:
    """One page in one state."""

    name: str
    where: str | Callable[[World], str]
    person: str = "owner"
    status: int = 200

    def path(self, world: World) -> str:
        return self.where if isinstance(self.where, str) else self.where(world)


def _machines(*names: str) -> Callable[[World], str]:
    def query(world: World) -> str:
        return urlencode([("machine", str(world.machine(name))) for name in names])

    return query


def _to(path: str, *machines: str) -> Callable[[World], str]:
    """An address that names machines."""
    return lambda world: f"{path}?{_machines(*machines)(world)}"


def _request(world: World) -> str:
    """The newest request's own page."""
    return f"/portal/requests/{access.list_requests(world.connection)[0].id}"


def _user(world: World) -> str:
    found = next(iter(principals.list_principals(world.connection, principals.USERS, "reader")))
    return f"/portal/access/users/{found.id}"


def _check(world: World) -> str:
    query = {"kind": "User", "principal": "requestor", "scope": str(world.machine("web-1"))}
    return f"/portal/access/check?{urlencode(query)}"


def _event(world: World) -> str:
    """The newest event's own page."""
    return f"/portal/activity/events/{next(audit.events(world.connection, page=1)).sequence}"


def _waiting(world: World) -> str:
    """The page of the request that waits for the owner."""
    base = f"/subscriptions/{world.connection.subscription_id}/providers/Bascule.Access"
    found = world.connection.get(
        f"{base}/accessRequests", BASCULE_VERSION, **{"$filter": "state eq 'waiting'"}
    )
    return f"/portal/requests/{found['value'][0]['name']}"


def _rules(page: str = "", **named: str) -> Callable[[World], str]:
    """A page about the rules of the policy."""
    return lambda world: (
        f"/portal/jit/rules{page}?{urlencode({'policy': str(world.policy), **named})}"
    )


def _rule_port(world: World) -> str:
    named = {"machine": str(world.machine("db-1")), "port": "5986", "protocol": "TCP"}
    return _rules("/port", **named)(world)


def _rule_try(world: World) -> str:
    named = {"machine": str(world.machine("db-1")), "port": "5986", "source": "10.203.0.11"}
    return _rules("/try", who="owner", kind="User", time="1:00", **named)(world)


BEHIND = "/portal/machines/default/app-1"
WEB, LEGACY = "/portal/machines/default/web-1", "/portal/machines/default/legacy-1"
PAGES = (
    Shown("sign-in", "/signin", person=""),
    Shown("overview", "/portal"),
    Shown("overview-nobody", "/portal", person="nobody"),
    Shown("jit-configured", "/portal/jit"),
    Shown("jit-not-configured", "/portal/jit?tab=notConfigured"),
    Shown("jit-unsupported", "/portal/jit?tab=unsupported"),
    Shown("jit-reader", "/portal/jit", person="reader"),
    Shown("jit-nobody", "/portal/jit", person="nobody"),
    Shown("configure", _to("/portal/jit/configure", "db-1")),
    Shown("remove", _to("/portal/jit/remove", "db-1")),
    Shown("request-access", _to("/portal/jit/request", "web-1", "db-1")),
    Shown("request", _request),
    Shown("open-now", "/portal/open"),
    Shown("approvals", "/portal/approvals"),
    Shown("approvals-mine", "/portal/approvals?tab=mine", person="nobody"),
    Shown("approvals-scheduled", "/portal/approvals?tab=scheduled"),
    Shown("approvals-emergencies", "/portal/approvals?tab=emergencies"),
    Shown("request-waiting", _waiting),
    Shown("rules-list", "/portal/jit/rules"),
    Shown("rules", _rules()),
    Shown("rule-edit", _rules("/edit", rule="windows-needs-three")),
    Shown("rule-new", _rules("/edit")),
    Shown("rule-remove", _rules("/remove", rule="short-ones-free")),
    Shown("rule-port", _rule_port),
    Shown("rule-try", _rule_try),
    Shown("rule-settings", _rules("/settings")),
    Shown("rule-ticket", _rules("/tickets")),
    Shown("machine-overview", WEB),
    Shown("machine-configuration", f"{WEB}/configuration"),
    Shown("machine-connect", f"{WEB}/connect", person="requestor"),
    Shown("machine-activity", f"{WEB}/activity"),
    Shown("machine-gateways", f"{BEHIND}/gateways"),
    Shown("machine-gateways-add", f"{BEHIND}/gateways/add"),
    Shown("machine-unsupported", LEGACY),
    Shown("activity", "/portal/activity"),
    Shown("activity-event", _event),
    Shown("search", "/portal/search?q=web"),
    Shown("exposure", "/portal/exposure"),
    Shown("points", "/portal/points"),
    Shown("point-enrol", "/portal/points/enrol"),
    Shown("machines", "/portal/machines"),
    Shown("machine-add", "/portal/machines/add"),
    Shown("access", "/portal/access"),
    Shown("access-nobody", "/portal/access/users", person="nobody", status=403),
    Shown("access-assign", "/portal/access/assignments/add"),
    Shown("access-check", _check),
    Shown("access-roles", "/portal/access/roles"),
    Shown("access-role", f"/portal/access/roles/{READER.id}"),
    Shown("access-role-new", f"/portal/access/roles/add?copy={READER.id}"),
    Shown("access-users", "/portal/access/users"),
    Shown("access-user", _user),
    Shown("access-groups", "/portal/access/groups"),
    Shown("access-programs", "/portal/access/programs"),
    Shown("access-providers", "/portal/access/providers"),
    Shown("account", "/portal/account"),
    Shown("account-mail", "/portal/account/mail"),
    Shown("account-password", "/portal/account/password"),
    Shown("account-factor", "/portal/account/second-factor"),
    Shown("account-app", "/portal/account/totp"),
    Shown("welcome-ended", "/portal/welcome", person="", status=410),
    Shown("not-there", "/portal/nothing-here", status=404),
)
