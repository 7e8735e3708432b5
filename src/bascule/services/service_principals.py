"""Service principals and their credentials (EDGES B3, B4, B10).

A principal has several credentials at once, so that one is rotated without a gap: add the
new one, give it out, remove the old one. Each ends after two years at most. What is stored
is a hash or a certificate; a secret is known to the caller of the making call alone.
What is not here: making secrets and reading certificates (``identity``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.facts.service_principals import (
    CredentialAdded,
    CredentialRemoved,
    ServicePrincipalChanged,
    ServicePrincipalCreated,
    ServicePrincipalDeleted,
    ServicePrincipalDisabled,
    ServicePrincipalEnabled,
)
from bascule.domain.names import parse_display_name
from bascule.domain.principals import Credential, CredentialKind, ServicePrincipal
from bascule.domain.times import format_utc
from bascule.errors import Conflict, InvalidInput, NotFound
from bascule.interfaces.approvals import MakerWrites
from bascule.interfaces.principals import PrincipalReads, PrincipalWrites
from bascule.interfaces.record import EventWrites
from bascule.sentences import sentence
from bascule.services.act import Act, new_id
from bascule.services.installation import ADMINISTRATOR
from bascule.services.losses import PrincipalLossWrites, end_unheld
from bascule.services.made_once import check_not_made
from bascule.services.makers import Made, note_made
from bascule.services.owners import OwnerReads, check_owner_left
from bascule.services.principal_rights import are_owners, check_may_change, identity_id


class ProgramWrites(OwnerReads, EventWrites, MakerWrites, PrincipalWrites, Protocol):
    """Service principals and their credentials, and the right to change them."""


KIND = "servicePrincipals"
USUAL_LIFE = timedelta(days=365)
LONGEST_LIFE = timedelta(days=2 * 365)
MOST_CREDENTIALS = 20  # of one principal


@dataclass(frozen=True, slots=True)
class NewCredential:
    """A proof to be kept."""

    kind: CredentialKind
    proof: str  # as Credential.proof
    display_name: str = ""
    expires_at: datetime | None = None  # None: in a year, or with the certificate
    ends_with: datetime | None = None  # the certificate's own end
    key_id: str = ""  # of a form that may be sent twice: what it made already is not made again


def find_service_principal(reader: PrincipalReads, principal_id: str) -> ServicePrincipal:
    principal = reader.service_principal(principal_id)
    if principal is None:
        raise NotFound(
            sentence(
                "There is no service principal with the id {principal_id}.",
                principal_id=repr(principal_id[:64]),
            ),
            code="ServicePrincipalNotFound",
            advice="To list them: bascule sp list",
        )
    return principal


def create_service_principal(
    tx: ProgramWrites, act: Act, display_name: str, first: NewCredential
) -> tuple[ServicePrincipal, Credential]:
    """Make one with its first credential; it holds nothing yet."""
    name = _display_name(display_name)
    made = _made_already(tx, act, first)
    if made is not None:
        return find_service_principal(tx, made.principal_id), made
    principal = ServicePrincipal(new_id(), name, True, act.now)
    tx.put_service_principal(principal)
    note_made(tx, act, Made.PRINCIPAL, principal.id, principal.id)
    fact = ServicePrincipalCreated(principal.id, name)
    act.record(tx, fact, identity_id(tx, KIND, principal.id))
    return principal, _add(tx, act, principal, first)


def change_service_principal(
    tx: PrincipalLossWrites,
    act: Act,
    subject: Subject,
    principal_id: str,
    *,
    display_name: str | None = None,
    is_enabled: bool | None = None,
) -> ServicePrincipal:
    """Rename, disable or enable; None keeps what is there."""
    principal = find_service_principal(tx, principal_id)
    check_may_change(tx, act, subject, principal.id)
    if display_name is not None and display_name != principal.display_name:
        principal = _rename(tx, act, principal, _display_name(display_name))
    if is_enabled is None or is_enabled == principal.is_enabled:
        return principal
    is_owner = are_owners(tx, [principal.id])
    changed = replace(principal, is_enabled=is_enabled)
    tx.put_service_principal(changed)
    where = identity_id(tx, KIND, principal.id)
    if is_enabled:
        act.record(tx, ServicePrincipalEnabled(principal.id, principal.display_name), where)
        return changed
    cause = f"disabling of service principal {principal.display_name}"
    ended = end_unheld(tx, act, [principal.id], cause)
    fact = ServicePrincipalDisabled(principal.id, principal.display_name, len(ended))
    act.record(tx, fact, where)
    if is_owner:
        check_owner_left(tx, act)
    return changed


def _rename(
    tx: ProgramWrites, act: Act, principal: ServicePrincipal, display_name: str
) -> ServicePrincipal:
    if principal.display_name == ADMINISTRATOR:
        raise Conflict(
            sentence(
                "The service principal '{administrator}' cannot be renamed, because "
                "bascule admin recover finds it by its name.",
                administrator=ADMINISTRATOR,
            ),
            code="NameReserved",
        )
    renamed = replace(principal, display_name=display_name)
    tx.put_service_principal(renamed)
    fact = ServicePrincipalChanged(principal.id, display_name, principal.display_name)
    act.record(tx, fact, identity_id(tx, KIND, principal.id))
    return renamed


def delete_service_principal(
    tx: PrincipalLossWrites, act: Act, subject: Subject, principal_id: str
) -> bool:
    """Forget it with credentials, memberships and assignments; False when unknown."""
    principal = tx.service_principal(principal_id)
    if principal is None:
        return False
    check_may_change(tx, act, subject, principal.id)
    is_owner = are_owners(tx, [principal.id])
    # Disabled first, so that the grants of this one alone need to be looked at.
    tx.put_service_principal(replace(principal, is_enabled=False))
    cause = f"deletion of service principal {principal.display_name}"
    ended = end_unheld(tx, act, [principal.id], cause)
    tx.delete_principal(principal.id)
    fact = ServicePrincipalDeleted(principal.id, principal.display_name, len(ended))
    act.record(tx, fact, identity_id(tx, KIND, principal.id))
    if is_owner:
        check_owner_left(tx, act)
    return True


def add_credential(
    tx: ProgramWrites, act: Act, subject: Subject, principal_id: str, new: NewCredential
) -> Credential:
    """Keep one more proof; raise Forbidden, NotFound, InvalidInput, Conflict when too many."""
    principal = find_service_principal(tx, principal_id)
    check_may_change(tx, act, subject, principal.id)
    made = _made_already(tx, act, new)
    if made is not None and made.principal_id == principal.id:
        return made
    if len(tx.credentials_of(principal.id)) >= MOST_CREDENTIALS:
        raise Conflict(
            sentence(
                "'{program}' has {most} credentials, which is the maximum.",
                program=principal.display_name,
                most=MOST_CREDENTIALS,
            ),
            code="TooManyCredentials",
            advice="Remove old ones first: bascule sp remove-credential.",
        )
    return _add(tx, act, principal, new)


def _add(
    tx: ProgramWrites, act: Act, principal: ServicePrincipal, new: NewCredential
) -> Credential:
    credential = Credential(
        new.key_id or new_id(),
        principal.id,
        new.kind,
        new.proof,
        parse_display_name(new.display_name, "displayName", is_required=False),
        act.now,
        _end_of(new, act.now),
    )
    tx.put_credential(credential)
    note_made(tx, act, Made.CREDENTIAL, credential.key_id, principal.id)
    fact = CredentialAdded(
        principal.id,
        principal.display_name,
        credential.key_id,
        str(credential.kind),
        credential.display_name,
        format_utc(_end_of(new, act.now)),
    )
    act.record(tx, fact, identity_id(tx, KIND, principal.id))
    return credential


def _made_already(tx: ProgramWrites, act: Act, new: NewCredential) -> Credential | None:
    """The credential of that id; only who knows its proof is given it. Raises Conflict for one
    that was removed since: a secret that is void must not hold again.
    """
    found = tx.credential(new.key_id) if new.key_id else None
    if found is None:
        check_not_made(tx, act, new.key_id)
        return None
    return found if found.proof == new.proof else None


def _end_of(new: NewCredential, now: datetime) -> datetime:
    if new.expires_at is None:
        return min(now + USUAL_LIFE, new.ends_with or now + USUAL_LIFE)
    if not now < new.expires_at <= now + LONGEST_LIFE:
        raise InvalidInput(
            sentence(
                "A credential must expire in the future and within {days} days, not at {asked}.",
                days=LONGEST_LIFE.days,
                asked=format_utc(new.expires_at),
            ),
            code="InvalidExpiry",
            target="expiresAt",
        )
    if new.ends_with is not None and new.expires_at > new.ends_with:
        raise InvalidInput(
            sentence(
                "The certificate itself expires at {end}, before {asked}.",
                end=format_utc(new.ends_with),
                asked=format_utc(new.expires_at),
            ),
            code="InvalidExpiry",
            target="expiresAt",
        )
    return new.expires_at


def remove_credential(
    tx: ProgramWrites, act: Act, subject: Subject, principal_id: str, key_id: str
) -> bool:
    """Forget a proof, and with it every token that came of it; False when unknown."""
    principal = find_service_principal(tx, principal_id)
    credential = tx.credential(key_id)
    if credential is None or credential.principal_id != principal.id:
        return False
    check_may_change(tx, act, subject, principal.id)
    is_owners = credential.holds_at(act.now) and are_owners(tx, [principal.id])
    tx.delete_credential(credential.key_id)
    fact = CredentialRemoved(
        principal.id,
        principal.display_name,
        credential.key_id,
        str(credential.kind),
        credential.display_name,
    )
    act.record(tx, fact, identity_id(tx, KIND, principal.id))
    if is_owners:
        check_owner_left(tx, act)
    return True


def _display_name(text: str) -> str:
    name = parse_display_name(text, "properties.displayName")
    if name.casefold() == ADMINISTRATOR:
        raise InvalidInput(
            sentence(
                "Only the first service principal may be named '{administrator}'.",
                administrator=ADMINISTRATOR,
            ),
            code="NameReserved",
            target="properties.displayName",
        )
    return name
