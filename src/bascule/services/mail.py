"""Events as mail: to one mailbox, or to the people whom they concern.

A message is text and HTML of the same words, has a link to the request's page with its id, and nothing that
acts (EDGES J11). What people wrote is one line of bounded length, and markup in it is text. Message-ID is made
of the event's id and the recipient, so that a second delivery of the same event is seen to be one.

Who hears: whoever may approve now, of a request that waits; the requestor, of what becomes of theirs; of
emergency access at once, each in a message of its own, owners who gave an address. Each
person says by which address and of what (``domain.mail``); who said nothing gets no mail.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from html import escape
from typing import NamedTuple, Protocol

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.actions import POLICY_READ, REQUEST_APPROVE
from bascule.domain.builtin_roles import OWNER
from bascule.domain.chain import Link
from bascule.domain.delivery import NEVER_MUTED, Target, Transport
from bascule.domain.emergency import TOO_OLD
from bascule.domain.lifecycle import StatusReason
from bascule.domain.mail import MailChoice
from bascule.domain.pending import Pending
from bascule.domain.request import AccessRequest
from bascule.domain.roles import Rights, roles_giving
from bascule.domain.times import parse_instant
from bascule.interfaces.delivery import Parcel
from bascule.interfaces.mail import MailReads
from bascule.services.approvers import ApproverReads, entitled, why_not
from bascule.services.chat import STARTS_SOON, Said, is_over, said_of
from bascule.services.rights import all_roles, rights_of
from bascule.words import Words, msgid

ASKS = frozenset(
    {"AccessWaiting", "AccessApproved", "AccessSelfApproved", "AccessEscalated"}
)  # whoever may approve now
TURNS = frozenset(  # the requestor
    {
        "AccessWaiting",
        "AccessApproved",
        "AccessNotApproved",
        "AccessNotAllowed",
        "AccessLapsed",
        "GrantOpened",
        "GrantFailed",
        "GrantEnded",
    }
)
OWNERS = frozenset({"EmergencyAccess"})  # owners of its machines, whatever mail they chose
ALONE = NEVER_MUTED  # never put together (EDGES J11)
SOON = frozenset({"GrantEndsSoon", STARTS_SOON})  # the requestor, who chose it
MOST_ALONE = 5  # messages of one look for one address
_ASKED = msgid("Your approval is needed")
_LINK = msgid("Open the request in Bascule")
_FOOT = msgid("Answer there or by bascule approve: a reply to this mail does nothing.")


class MailEventReads(ApproverReads, MailReads, Protocol):
    """Whom an event concerns, and where they want mail."""


class _Letter(NamedTuple):
    address: str
    language: str
    is_asked: bool  # the recipient is to act


def mail_parcel(
    reader: MailEventReads,
    target: Target,
    links: Sequence[Link],
    sender: str,
    portal: str,
    now: datetime,
) -> Parcel:
    """A message for each event and recipient; without messages where nobody wants one."""
    said_to: dict[str, list[tuple[Link, Said, _Letter]]] = {}
    for link in links:
        wanted = str(link.record["data"].get("request_id", ""))
        request = reader.request(wanted) if wanted else None
        if is_over(link, request, now):
            continue
        letters = (
            [_Letter(target.path, "en", is_asked=False)]
            if target.transport is Transport.MAILTO
            else _people(reader, link, request, now)
        )
        for letter in letters:
            said_to.setdefault(letter.address, []).append((link, said_of(link, request), letter))
    return Parcel(tuple(_messages(said_to, sender, portal)))


def _messages(
    said_to: Mapping[str, Sequence[tuple[Link, Said, _Letter]]], sender: str, portal: str
) -> Iterable[bytes]:
    """One for each event; of many for one address, those that may be are put into one message."""
    for letters in said_to.values():
        together = [each for each in letters if each[0].record["kind"] not in ALONE]
        is_many = len(together) > MOST_ALONE
        for each in letters:
            if not is_many or each not in together:
                yield _message(*each, sender, portal)
        if is_many:
            yield _digest(together, sender, portal)


def _people(
    reader: MailEventReads, link: Link, request: AccessRequest | None, now: datetime
) -> list[_Letter]:
    if request is None:
        return []
    kind = link.record["kind"]
    letters: dict[str, _Letter] = {}
    if _is_turn(link) or kind in SOON:
        own = reader.mail_choice(request.requestor_id)
        user = reader.user(request.requestor_id)
        if own is not None and user is not None and user.is_enabled:
            is_wanted = _is_ahead(link, now) and own.ending if kind in SOON else own.own
            letters |= _letters(own, now, is_asked=False) if is_wanted else {}
    pending = reader.pendings_of([request.id]).get(request.id) if kind in ASKS else None
    if pending is not None and pending.decided_at is None:
        roles = [each.id for each in roles_giving(REQUEST_APPROVE, all_roles(reader))]
        for choice in reader.mail_choices_asked(request.id, roles, now):
            if _is_told(reader, link, choice, request, pending, now):
                letters |= _letters(choice, now, is_asked=True)
    if link.record["kind"] in OWNERS:
        for choice in reader.mail_choices():
            if _is_owner(reader, choice.user_id, request, now):
                letters |= _letters(choice, now, is_asked=False)
    return list(letters.values())


def _is_owner(reader: MailEventReads, user_id: str, request: AccessRequest, now: datetime) -> bool:
    """Do they hold Owner at each machine of it?"""
    owned = [each for each in rights_of(reader, user_id, now).held if each.role.id == OWNER.id]
    reach = Rights(tuple(owned)).reach(POLICY_READ)
    return all(reach.covers(each.machine_id.key) for each in request.machines)


def _is_ahead(link: Link, now: datetime) -> bool:
    """A relay may have been away until the end. Of a start, see ``is_over``."""
    ends_at = link.record["data"].get("ends_at")
    return ends_at is None or now < parse_instant(ends_at)


def _letters(choice: MailChoice, now: datetime, *, is_asked: bool) -> dict[str, _Letter]:
    return {to: _Letter(to, choice.language, is_asked) for to in choice.addresses(now)}


def _is_turn(link: Link) -> bool:
    """Does the requestor hear of it? Of an end only where it came early: the end itself was known."""
    record = link.record
    is_end = record["kind"] == "GrantEnded"
    return record["kind"] in TURNS and not (
        is_end and record["data"].get("reason") == StatusReason.EXPIRED
    )


def _is_told(
    reader: MailEventReads,
    link: Link,
    choice: MailChoice,
    request: AccessRequest,
    pending: Pending,
    now: datetime,
) -> bool:
    """May they approve it now; of an escalation, those who were not asked before it."""
    subject = Subject(choice.user_id, PrincipalKind.USER, "")
    refusal = why_not(reader, request, pending, subject, now)
    if refusal is not None and refusal.specific_code != TOO_OLD:  # which is shown when they answer
        return False
    if link.record["kind"] != "AccessEscalated":
        return True
    place = link.record["data"]["stage"] - 1
    if not 0 <= place < len(pending.stages):
        return False  # it was judged anew since, and its stages are others
    due = pending.stages[place]
    before = replace(due, stage=replace(due.stage, escalate_after=None))
    since = pending.since(place, now)
    return entitled(reader, choice.user_id, before, since, now) is None


def _message(
    link: Link, said: Said, letter: _Letter, sender: str, portal: str, *, is_digest: bool = False
) -> bytes:
    words = Words(letter.language)
    title = words(_ASKED if letter.is_asked else said.title)
    facts = [(words(label), text) for label, text in said.facts]
    url = portal + said.path if said.path else ""
    about = dict(said.facts)
    subject = ": ".join([title, *filter(None, [about.get("Opens"), about.get("For")])])
    once = f"{link.record['id']} {letter.address} {is_digest}"
    made = envelope(letter.address, sender, subject, parse_instant(link.record["at"]), once)
    made.set_content("\n".join(_text_lines(title, facts, url, words)) + "\n")
    made.add_alternative(
        html_page(words, title, facts, url, words(_LINK), words(_FOOT)), subtype="html"
    )
    return made.as_bytes()


def envelope(to: str, sender: str, subject: str, at: datetime, once: str) -> EmailMessage:
    """A message without a body; of equal ``once`` it is the same message."""
    made = EmailMessage(policy=SMTP)
    made["From"] = Address("Bascule", addr_spec=sender)
    made["To"] = Address(addr_spec=to)
    made["Subject"] = subject[:200]
    made["Date"] = at
    mark = hashlib.sha256(once.encode()).hexdigest()[:32]
    made["Message-ID"] = f"<{mark}@{sender.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answering machine answers
    return made


def _digest(letters: Sequence[tuple[Link, Said, _Letter]], sender: str, portal: str) -> bytes:
    """Several events in one message, a line each."""
    link, _, letter = letters[-1]
    words = Words(letter.language)
    facts = []
    for _, said, each in letters:
        title = words(_ASKED) if each.is_asked else words(said.title)
        what = "; ".join(text for _, text in said.facts[:3])
        facts.append((title, f"{what} {portal + said.path if said.path else ''}".rstrip()))
    many = Said(msgid("Several requests"), tuple(facts), "")
    return _message(link, many, letter._replace(is_asked=False), sender, portal, is_digest=True)


def _text_lines(
    title: str, facts: Iterable[tuple[str, str]], url: str, words: Words
) -> Iterable[str]:
    yield title
    yield ""
    for label, text in facts:
        yield f"{label}: {text}"
    if url:
        yield from ["", f"{words(_LINK)}:", url, "", words(_FOOT)]


def html_page(
    words: Words, title: str, facts: Iterable[tuple[str, str]], url: str, link_text: str, foot: str
) -> str:
    """Facts in a table, then the one link; without ``url`` neither link nor foot."""
    rows = "".join(
        f"<tr><th align=left>{escape(label)}</th><td>{escape(text)}</td></tr>"
        for label, text in facts
    )
    link = ""
    if url:
        link = f'<p><a href="{escape(url)}">{escape(link_text)}</a></p><p>{escape(foot)}</p>'
    return (
        f'<!doctype html><html lang="{escape(words.language)}"><meta charset="utf-8">'
        f"<title>{escape(title)}</title><h1>{escape(title)}</h1><table>{rows}</table>{link}</html>"
    )
