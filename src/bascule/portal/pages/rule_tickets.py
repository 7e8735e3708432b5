"""The ticket system that a policy's rules ask: set, tried out and removed.

A secret is on the one page that made it, and on no other.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import decides
from bascule.domain.actions import POLICY_READ, RULES_WRITE
from bascule.domain.ids import ResourceId
from bascule.domain.stages import Approvers, Stage
from bascule.domain.tickets import Answered, TicketCheck
from bascule.errors import BasculeError, Forbidden, InvalidInput, NotFound
from bascule.interfaces.store import Reader, Transaction
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.pages.rule_edit import trail_of, wanted_policy
from bascule.portal.pages.rules import PATH, Found, find_policy
from bascule.portal.plain_forms import Field, Form, show_form
from bascule.portal.problems import reasons_of
from bascule.portal.rule_words import names_in, stage_words
from bascule.services.act import Act
from bascule.services.ticket_checks import (
    TicketDraft,
    put_ticket_check,
    remove_ticket_check,
    try_ticket,
)

router = APIRouter(route_class=PortalRoute)

TICKETS = f"{PATH}/tickets"
DENY, ROLE, KEEP = "deny", "role", "keep"
BY_ROLE = (Stage(Approvers(by_role=True)),)


@router.get(TICKETS)
@decides(POLICY_READ, RULES_WRITE)
async def show_tickets(visit: CurrentVisit) -> Response:
    return await _show(visit, visit.request.query_params.get("policy", ""))


@router.post(TICKETS)
@decides(POLICY_READ, RULES_WRITE)
async def save_tickets(visit: CurrentVisit) -> Response:
    form = visit.form
    policy = form.text("policy")
    try:
        found = await visit.read(lambda reader: find_policy(reader, visit, policy))
        draft = TicketDraft(_check(visit, found), is_new_secret=form.has("new_secret"))

        def work(tx: Transaction, act: Act) -> str:
            wanted, precondition = wanted_policy(visit)
            _, secret = put_ticket_check(
                tx, act, visit.subject, wanted, draft, visit.state.services.desk, precondition
            )
            return secret

        secret = await visit.perform(work)
    except (Forbidden, NotFound):
        raise
    except BasculeError as error:
        return await _show(visit, policy, error)
    if not secret:
        return visit.go(found.path, "saved")
    t = visit.words
    return visit.show(
        "access_secret.html",
        title=t("Secret of the ticket system"),
        label=t("Secret"),
        secret=secret,
        lead=t(
            "It is shown this once. Put it into the ticket system now: it proves that calls are ours."
        ),
        back=found.path,
        trail=trail_of(visit, found),
    )


def _check(visit: Visit, found: Found) -> TicketCheck:
    form, before = visit.form, found.policy.tickets
    unavailable = form.text("unavailable", DENY)
    known: dict[str, tuple[Stage, ...]] = {DENY: (), ROLE: BY_ROLE}
    if before is not None:
        known[KEEP] = before.stages
    if unavailable not in known:
        raise InvalidInput("Choose one of the offered values.", target="unavailable")
    return TicketCheck(
        form.text("pattern"), form.text("url"), known[unavailable], form.raw("ca").strip()
    )


async def _show(visit: Visit, policy: str, error: BasculeError | None = None) -> Response:
    t = visit.words

    def read(reader: Reader) -> tuple[Found, str]:
        found = find_policy(reader, visit, policy)
        held = found.policy.tickets.stages if found.policy.tickets else ()
        names = names_in(reader, (), held)
        return found, " ".join(stage_words(t, each, names) for each in held)

    found, kept = await visit.read(read)
    before = found.policy.tickets
    options = [
        (DENY, t("Deny the request")),
        (ROLE, t("Ask whoever holds the role Bascule Access Approver there")),
    ]
    now_so = DENY if before is None or not before.stages else ROLE
    if before is not None and before.stages and before.stages != BY_ROLE:
        options.append((KEEP, t("As it is now: {stages}", stages=kept)))
        now_so = KEEP
    form = Form(
        t("Tickets of policy {policy}", policy=found.policy.id.name),
        t("Save"),
        found.path,
        (
            Field("policy", value=policy, kind="hidden"),
            Field("etag", value=found.whole.etag, kind="hidden"),
            Field(
                "url",
                t("URL of the ticket system"),
                before.url if before else "",
                hint=t(
                    "As in https://tickets.example/bascule. It is called by the server, and each call is signed."
                ),
                is_required=True,
            ),
            Field(
                "pattern",
                t("What a ticket looks like"),
                before.pattern if before else "",
                hint=t(
                    "As in CHG[0-9]{7}|INC[0-9]{7}. The first word of a justification is the ticket."
                ),
                is_required=True,
                longest=200,
            ),
            Field(
                "unavailable",
                t("If the ticket system cannot be asked"),
                now_so,
                "select",
                hint=t("This is what a rule does that denies unless a ticket is confirmed."),
                options=options,
            ),
            Field(
                "ca",
                t("Certificate of its CA (PEM)"),
                before.ca_certificates if before else "",
                "textarea",
                hint=t("Leave it empty if a public CA signed its certificate."),
                longest=65_536,
            ),
            *(
                [
                    Field(
                        "new_secret",
                        t("Secret"),
                        "",
                        "select",
                        options=(
                            ("", t("Keep it")),
                            ("1", t("Make another one; the old one ends")),
                        ),
                    )
                ]
                if before
                else []
            ),
        ),
        lead=t("Rules of this policy can then ask whether a ticket was confirmed."),
        why_not=found.why_not,
        trail=trail_of(visit, found),
    )
    return show_form(visit, form, error)


# -- trying it out ---------------------------------------------------------------------------------


@router.post(f"{TICKETS}/test")
@decides(POLICY_READ, RULES_WRITE)
async def test_tickets(visit: CurrentVisit) -> Response:
    """Asks about one ticket; nothing opens by it."""
    form = visit.form
    policy, ticket = ResourceId.parse(form.text("policy"), "policy"), form.text("ticket")

    def work(tx: Transaction, act: Act) -> Answered:
        return try_ticket(tx, act, visit.subject, policy, ticket)

    answered: Answered | None = None
    reasons: Sequence[object] = ()
    status = 200
    try:
        answered = await visit.perform(work)
    except (Forbidden, NotFound):
        raise
    except BasculeError as error:
        reasons, status = reasons_of(error), error.http_status
    found = await visit.read(lambda reader: find_policy(reader, visit, str(policy)))
    return visit.show(
        "rule_ticket_test.html",
        status,
        found=found,
        ticket=ticket,
        answered=answered,
        reasons=reasons,
        action=f"{TICKETS}/test",
    )


@router.get(f"{TICKETS}/test")
@decides(POLICY_READ, RULES_WRITE)
async def show_test(visit: CurrentVisit) -> Response:
    named = visit.request.query_params.get("policy", "")
    found = await visit.read(lambda reader: find_policy(reader, visit, named))
    return visit.show(
        "rule_ticket_test.html",
        found=found,
        ticket="",
        answered=None,
        reasons=(),
        action=f"{TICKETS}/test",
    )


# -- removing it -----------------------------------------------------------------------------------


@router.get(f"{TICKETS}/remove")
@decides(POLICY_READ, RULES_WRITE)
async def ask_to_remove(visit: CurrentVisit) -> Response:
    return await _show_removal(visit, visit.request.query_params.get("policy", ""))


@router.post(f"{TICKETS}/remove")
@decides(POLICY_READ, RULES_WRITE)
async def remove(visit: CurrentVisit) -> Response:
    policy = visit.form.text("policy")

    def work(tx: Transaction, act: Act) -> bool:
        wanted, precondition = wanted_policy(visit)
        return remove_ticket_check(tx, act, visit.subject, wanted, precondition)

    try:
        await visit.perform(work)
    except (Forbidden, NotFound):
        raise
    except BasculeError as error:
        return await _show_removal(visit, policy, error)
    return visit.go(Found.path_of(ResourceId.parse(policy, "policy")), "removed")


async def _show_removal(visit: Visit, policy: str, error: BasculeError | None = None) -> Response:
    found = await visit.read(lambda reader: find_policy(reader, visit, policy))
    t = visit.words
    form = Form(
        t("Remove the ticket check of policy {policy}", policy=found.policy.id.name),
        t("Remove"),
        found.path,
        (
            Field("policy", value=policy, kind="hidden"),
            Field("etag", value=found.whole.etag, kind="hidden"),
        ),
        effects=(
            t("The policy asks for no tickets any more, and the secret is forgotten."),
            t("Rules that read whether a ticket was confirmed are to be removed first."),
        ),
        is_destructive=True,
        is_of_now=True,
        why_not=found.why_not,
        trail=trail_of(visit, found),
    )
    return show_form(visit, form, error)
