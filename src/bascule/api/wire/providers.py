"""Bascule.Identity/identityProviders on the wire. The client secret goes in and never out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import Field

from bascule.api.wire.fields import Body, LongText, Text, Truth
from bascule.domain.providers import (
    MOST_DOMAINS,
    MOST_MAPPED,
    MOST_SCOPES,
    IdentityProvider,
)
from bascule.domain.times import format_utc
from bascule.errors import InvalidInput
from bascule.identity.provider_http import check_ca, check_url
from bascule.identity.provider_test import Examination
from bascule.services.identities import Known
from bascule.services.providers import ProviderDraft

PROVIDER_TYPE = "Bascule.Identity/identityProviders"
LONGEST_SECRET = 4096
LONGEST_CA = 65_536
# Entra ID's names for all tenants at once, at the hosts of its clouds. Their tokens are of each
# tenant's own issuer, so that no sign-in could succeed; and whose tenants are meant, nobody says.
_MANY_TENANTS = frozenset(("common", "organizations", "consumers"))
_ENTRA_HOSTS = frozenset(
    (
        "login.microsoftonline.com",
        "login.microsoftonline.us",
        "login.partner.microsoftonline.cn",
        "login.chinacloudapi.cn",
        "login.windows.net",
        "login.microsoft.com",
        "sts.windows.net",
    )
)


class GroupMappingBody(Body):
    value: Text
    group: Text  # its id or its name


class ProviderProperties(Body):
    display_name: Text | None = None
    issuer: Text | None = None
    client_id: Text | None = None
    client_secret: Text | None = None  # empty: it has none any more
    scopes: list[Text] | None = Field(default=None, max_length=MOST_SCOPES)
    domains: list[Text] | None = Field(default=None, max_length=MOST_DOMAINS)
    tenant_claim: Text | None = None
    tenants: list[Text] | None = Field(default=None, max_length=MOST_DOMAINS)
    groups_claim: Text | None = None
    groups: list[GroupMappingBody] | None = Field(default=None, max_length=MOST_MAPPED)
    creates_users: Truth | None = None
    ca_certificates: LongText | None = None
    is_enabled: Truth | None = None

    def draft(self) -> ProviderDraft:
        """Raises InvalidInput for a URL, a certificate or a secret that cannot be used."""
        if self.issuer is not None:
            check_issuer(self.issuer)
        if self.client_secret is not None and len(self.client_secret) > LONGEST_SECRET:
            raise InvalidInput("The client secret is too long.", target="properties.clientSecret")
        return ProviderDraft(
            self.display_name,
            self.issuer,
            self.client_id,
            self.client_secret,
            _texts(self.scopes),
            None if self.domains is None else tuple(each.casefold() for each in self.domains),
            self.tenant_claim,
            _texts(self.tenants),
            self.groups_claim,
            None
            if self.groups is None
            else tuple((each.value, each.group) for each in self.groups),
            self.creates_users,
            None if self.ca_certificates is None else _ca(self.ca_certificates),
            self.is_enabled,
        )


class ProviderBody(Body):
    properties: ProviderProperties


class LinkBody(Body):
    user: Text  # its id or its name
    subject: Text | None = None
    email: Text | None = None

    def is_by_subject(self) -> bool:
        """Raises InvalidInput unless one of the two is given."""
        return _is_by_subject(self.subject, self.email)


class UnlinkBody(Body):
    subject: Text | None = None
    email: Text | None = None

    def is_by_subject(self) -> bool:
        return _is_by_subject(self.subject, self.email)


def check_issuer(issuer: str) -> str:
    """Discovery 1.0 section 4.1: neither query nor fragment."""
    check_url(issuer, "properties.issuer")
    if "?" in issuer:
        raise InvalidInput(
            "An issuer has no query. Give it exactly as the provider writes it.",
            code="InvalidUrl",
            target="properties.issuer",
        )
    if _is_of_many_tenants(issuer):
        raise InvalidInput(
            f"{issuer[:200]} stands for every tenant of Entra ID, not only for yours.",
            code="IssuerOfManyTenants",
            target="properties.issuer",
            advice="Give your tenant's own: https://login.microsoftonline.com/TENANT-ID/v2.0, with "
            "the directory (tenant) id of Entra's overview page.",
        )
    return issuer


def _is_of_many_tenants(issuer: str) -> bool:
    """Is it an issuer of Entra ID's that stands for any tenant, or for a placeholder of one?"""
    parts = urlsplit(issuer)
    tenant = parts.path.strip("/").partition("/")[0]
    is_entra = (parts.hostname or "").removesuffix(".") in _ENTRA_HOSTS
    return is_entra and (tenant.casefold() in _MANY_TENANTS or not tenant or "{" in unquote(tenant))


def provider_json(
    subscription: str, provider: IdentityProvider, group_names: dict[str, str], redirect_uri: str
) -> dict[str, Any]:
    return {
        "id": f"{subscription}/providers/{PROVIDER_TYPE}/{provider.name}",
        "name": provider.name,
        "type": PROVIDER_TYPE,
        "properties": {
            "displayName": provider.display_name,
            "issuer": provider.issuer,
            "clientId": provider.client_id,
            "hasClientSecret": bool(provider.sealed_secret),
            "redirectUri": redirect_uri,
            "scopes": list(provider.scopes),
            "domains": list(provider.domains),
            "tenantClaim": provider.tenant_claim or None,
            "tenants": list(provider.tenants),
            "groupsClaim": provider.groups_claim or None,
            "groups": [
                {"value": value, "groupId": group, "group": group_names.get(group)}
                for value, group in provider.groups
            ],
            "createsUsers": provider.creates_users,
            "hasCaCertificates": bool(provider.ca),
            "isEnabled": provider.is_enabled,
            "createdAt": format_utc(provider.created_at),
        },
    }


def known_json(known: Sequence[Known]) -> dict[str, Any]:
    """Who at a provider is which user, and who is invited."""
    return {
        "value": [
            {
                "userId": each.user_id,
                "user": each.user,
                "subject": each.subject or None,
                "email": each.email or None,
                "linkedAt": None if each.linked_at is None else format_utc(each.linked_at),
                "vouchedAt": None if each.vouched_at is None else format_utc(each.vouched_at),
                "invitedUntil": None
                if each.invited_until is None
                else format_utc(each.invited_until),
            }
            for each in known
        ]
    }


def examination_json(examined: Examination) -> dict[str, Any]:
    return {
        "properties": {
            "isUsable": not examined.problems,
            "problems": list(examined.problems),
            "warnings": list(examined.warnings),
            "authorizationEndpoint": examined.authorization_endpoint or None,
            "tokenEndpoint": examined.token_endpoint or None,
            "keys": examined.keys,
        }
    }


def _texts(given: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(dict.fromkeys(given))


def _ca(pem: str) -> str:
    if len(pem) > LONGEST_CA:
        raise InvalidInput(
            f"caCertificates: at most {LONGEST_CA} characters.", target="properties.caCertificates"
        )
    return check_ca(pem, "properties.caCertificates")


def _is_by_subject(subject: str | None, email: str | None) -> bool:
    if (subject is None) == (email is None):
        raise InvalidInput(
            "Give either the subject (the person's id at the provider) or the email to invite.",
            code="InvalidIdentity",
            target="subject",
        )
    return subject is not None
