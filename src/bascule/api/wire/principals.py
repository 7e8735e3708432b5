"""Bascule.Identity: users, groups and service principals. A secret is in one answer alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bascule.api.wire.fields import (
    Body,
    EndTime,
    LongText,
    Text,
    Truth,
)
from bascule.domain.principals import (
    Credential,
    CredentialKind,
    Group,
    ServicePrincipal,
    User,
)
from bascule.domain.times import format_utc
from bascule.errors import InvalidInput
from bascule.identity.client_certificates import fingerprint_of, read_client_certificate
from bascule.identity.secrets import new_secret, sha256_hex
from bascule.services.memberships import Member, Until
from bascule.services.service_principals import NewCredential
from bascule.services.users import UserDraft
from bascule.services.whoami import Whoami

PROVIDER = "Bascule.Identity"
_KINDS = ("secret", "certificate")


class UserProperties(Body):
    user_principal_name: Text | None = None
    display_name: Text | None = None
    account_enabled: Truth | None = None


class UserBody(Body):
    properties: UserProperties

    def draft(self) -> UserDraft:
        given = self.properties
        return UserDraft(given.user_principal_name, given.display_name, given.account_enabled)


class PasswordBody(Body):
    password: LongText


class GroupProperties(Body):
    display_name: Text | None = None
    description: Text | None = None


class GroupBody(Body):
    properties: GroupProperties


class MemberProperties(Body):
    expires_at: EndTime | None = None  # null: no end


class MemberBody(Body):
    properties: MemberProperties | None = None

    def until(self) -> Until | None:
        """The end that was said; None: nothing was said of it."""
        given = self.properties
        if given is None or not given.has("expires_at"):
            return None
        return Until(given.expires_at.at if given.expires_at else None)


class CredentialProperties(Body):
    kind: Text | None = None  # absent: certificate when there is one, else secret
    display_name: Text | None = None
    expires_at: EndTime | None = None
    certificate: LongText | None = None


class CredentialBody(Body):
    properties: CredentialProperties | None = None


class ServicePrincipalProperties(Body):
    display_name: Text | None = None
    account_enabled: Truth | None = None
    credential: CredentialProperties | None = None


class ServicePrincipalBody(Body):
    properties: ServicePrincipalProperties


@dataclass(frozen=True, slots=True)
class Made:
    """A credential to be kept, and the secret to be shown once; none of a certificate."""

    new: NewCredential
    secret: str = ""

    def __repr__(self) -> str:
        return f"Made({self.new.kind!r})"


def make_credential(given: CredentialProperties | None, now: datetime) -> Made:
    """Make a secret, or read the certificate that was sent."""
    given = given or CredentialProperties()
    kind = (given.kind or ("certificate" if given.certificate else "secret")).casefold()
    name = given.display_name or ""
    ends_at = given.expires_at.at if given.expires_at else None
    if kind not in _KINDS or (kind == "certificate") != bool(given.certificate):
        raise InvalidInput(
            "A credential has the kind secret, which is generated here, or certificate, which is "
            "sent in 'certificate' as PEM.",
            code="InvalidCredential",
            target="kind",
        )
    if given.certificate:
        read = read_client_certificate(given.certificate, now)
        return Made(
            NewCredential(CredentialKind.CERTIFICATE, read.pem, name, ends_at, read.ends_at)
        )
    secret = new_secret()
    return Made(NewCredential(CredentialKind.SECRET, sha256_hex(secret), name, ends_at), secret)


def user_json(subscription: str, user: User, live_grants: int | None = None) -> dict[str, Any]:
    properties = {
        "userPrincipalName": user.name,
        "displayName": user.display_name,
        "accountEnabled": user.is_enabled,
        "createdAt": format_utc(user.created_at),
    }
    return _resource(subscription, "users", user.id, properties, live_grants)


def group_json(subscription: str, group: Group, live_grants: int | None = None) -> dict[str, Any]:
    properties = {
        "displayName": group.name,
        "description": group.description,
        "createdAt": format_utc(group.created_at),
    }
    return _resource(subscription, "groups", group.id, properties, live_grants)


def member_json(subscription: str, member: Member) -> dict[str, Any]:
    held = member.membership
    return {
        "id": f"{_id(subscription, 'groups', held.group_id)}/members/{held.member_id}",
        "name": held.member_id,
        "type": f"{PROVIDER}/groups/members",
        "properties": {
            "principalId": held.member_id,
            "principalType": str(held.member_kind),
            "displayName": member.name,
            "providerId": held.provider_id or None,
            "providerName": member.provider_name or None,
            "expiresAt": None if held.expires_at is None else format_utc(held.expires_at),
        },
    }


def service_principal_json(
    subscription: str,
    principal: ServicePrincipal,
    credentials: Sequence[Credential],
    live_grants: int | None = None,
) -> dict[str, Any]:
    properties = {
        "appId": principal.id,
        "displayName": principal.display_name,
        "accountEnabled": principal.is_enabled,
        "createdAt": format_utc(principal.created_at),
        "credentials": [credential_properties(each) for each in credentials],
    }
    return _resource(subscription, "servicePrincipals", principal.id, properties, live_grants)


def credential_properties(credential: Credential) -> dict[str, Any]:
    is_certificate = credential.kind is CredentialKind.CERTIFICATE
    ends_at = credential.expires_at
    return {
        "keyId": credential.key_id,
        "kind": str(credential.kind),
        "displayName": credential.display_name,
        "createdAt": format_utc(credential.created_at),
        "expiresAt": None if ends_at is None else format_utc(ends_at),
        "fingerprint": fingerprint_of(credential.proof) if is_certificate else None,
    }


def credential_json(subscription: str, credential: Credential, secret: str = "") -> dict[str, Any]:
    """``secret`` is given in the answer of the call that made it, and never again."""
    properties = credential_properties(credential)
    if secret:
        properties["secret"] = secret
    owner = _id(subscription, "servicePrincipals", credential.principal_id)
    return {
        "id": f"{owner}/credentials/{credential.key_id}",
        "name": credential.key_id,
        "type": f"{PROVIDER}/servicePrincipals/credentials",
        "properties": properties,
    }


def whoami_json(subscription: str, tenant_id: str, who: Whoami) -> dict[str, Any]:
    return {
        "id": f"{subscription}/providers/{PROVIDER}/me",
        "name": who.subject.principal_id,
        "type": f"{PROVIDER}/me",
        "properties": {
            "principalId": who.subject.principal_id,
            "principalType": str(who.subject.kind),
            "principalName": who.subject.name,
            "displayName": who.display_name,
            "tenantId": tenant_id,
            "address": who.subject.address,
            "groups": [
                {
                    "id": each.group.id,
                    "displayName": each.group.name,
                    "expiresAt": None if each.ends_at is None else format_utc(each.ends_at),
                    "byProvider": each.is_vouched,
                }
                for each in who.groups
            ],
            "roleAssignments": [
                {
                    "roleAssignmentId": held.assignment.id,
                    "roleDefinitionId": held.assignment.role_id,
                    "roleName": held.role_name,
                    "scope": str(held.assignment.scope),
                    "byGroup": held.group_name or None,
                }
                for held in who.roles
            ],
        },
    }


def _resource(
    subscription: str,
    kind: str,
    principal_id: str,
    properties: dict[str, Any],
    live_grants: int | None,
) -> dict[str, Any]:
    if live_grants is not None:
        properties["liveGrants"] = live_grants
    return {
        "id": _id(subscription, kind, principal_id),
        "name": principal_id,
        "type": f"{PROVIDER}/{kind}",
        "properties": properties,
    }


def _id(subscription: str, kind: str, principal_id: str) -> str:
    return f"{subscription}/providers/{PROVIDER}/{kind}/{principal_id}"
