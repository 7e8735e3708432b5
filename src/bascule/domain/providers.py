"""External identity providers: how one is set up, and for whom its word is taken.

Sources: OpenID Connect Core 1.0 sections 2 and 5.1 (claims), 5.6.2 (distributed claims, as
Entra ID sends them when somebody is in too many groups). EDGES B6: a person is (issuer,
subject), never a name or an e-mail; an e-mail's domain counts only with ``email_verified``
true, or with the claim by which the provider names its tenant.

What is not here: whether a token is genuine (``identity.id_token``); ``judge`` takes the
claims of one that is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bascule.errors import Problem
from bascule.sentences import sentence

LONGEST_MEMBERSHIP = timedelta(hours=1)  # EDGES B3
MOST_GROUP_VALUES = 1000  # of one token that are looked at
LONGEST_SUBJECT = 255  # characters, all ASCII: Core 2
LONGEST_CLAIM = 256  # characters of a name, an e-mail or a group's value
ANY_DOMAIN = "*"  # whoever the provider knows; said on purpose
MOST_SCOPES = 20
MOST_DOMAINS = 100  # and tenants
MOST_MAPPED = 200  # group values

_SCOPE = re.compile(r"[!#-\[\]-~]{1,200}")  # RFC 6749 section 3.3
_CLAIM = re.compile(r"[!-~]{1,200}")
_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+")


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    id: str  # GUID, lower case
    name: str  # of the resource, unique without regard to case
    display_name: str  # on the sign-in page
    issuer: str  # an https URL, compared letter by letter (Discovery 4.3)
    client_id: str
    created_at: datetime
    sealed_secret: str = field(default="", repr=False)  # empty: a public client, PKCE alone
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    domains: tuple[str, ...] = ()  # lower case, or ANY_DOMAIN; empty: only whom somebody linked
    tenant_claim: str = ""  # tid at Entra ID, hd at Google; empty: it has no tenants
    tenants: tuple[str, ...] = ()  # values of that claim that are ours
    groups_claim: str = ""  # empty: its groups are not asked for
    groups: tuple[tuple[str, str], ...] = ()  # a value of that claim, a group's id
    creates_users: bool = False  # does an unknown person of our domains become a user?
    ca: str = ""  # PEM of the CA that signed its certificate; empty: the system's
    is_enabled: bool = True


@dataclass(frozen=True, slots=True)
class ExternalIdentity:
    """One person at one issuer, and the user that this is here."""

    issuer: str
    subject: str
    provider_id: str
    user_id: str
    linked_at: datetime
    email: str = ""  # as it was last said; for people to read, it decides nothing
    vouched_at: datetime | None = None  # when the provider last spoke for the person
    sealed_refresh: str = field(default="", repr=False)  # a refresh token; empty: none
    # Ids of the groups that it named then, or may have meant; memberships of those that it named end within
    # the hour (EDGES B3).
    named_groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Invitation:
    """Whoever first proves this address at the provider is that user, once."""

    provider_id: str
    email: str  # folded
    user_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Vouched:
    """What a provider says of a person, as far as its word is taken."""

    subject: str
    email: str = ""  # proved, of a domain of ours, folded; empty otherwise
    said_email: str = ""  # whatever it said, for people to read
    name: str = ""  # to be shown; decides nothing
    groups: frozenset[str] = frozenset()  # ids of groups here
    warnings: tuple[str, ...] = ()
    unsure_groups: frozenset[str] = frozenset()  # of others: it may have meant them, or not


@dataclass(frozen=True, slots=True)
class SaidGroups:
    """What the claims say of groups."""

    given: frozenset[str] = frozenset()  # ids of groups here
    unsure: frozenset[str] = (
        frozenset()
    )  # of others, of which they leave open whether they are meant
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotVouched:
    """Why somebody is not let in, every reason."""

    reasons: tuple[str, ...]


def judge(provider: IdentityProvider, claims: Mapping[str, object]) -> Vouched | NotVouched:
    """For whom do these claims speak? They are of a token that was checked wholly."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not is_subject(subject):
        return NotVouched(("The provider did not identify the person (sub).",))
    said = _text(claims.get("email"))
    email = "" if said is None else _domain_and_address(said)[1]
    reasons = [*_tenant_reasons(provider, claims), *_domain_reasons(provider, claims, said)]
    if reasons:
        return NotVouched(tuple(reasons))
    groups = groups_of(provider, claims)
    return Vouched(
        subject,
        email if _is_proved(provider, claims) and is_our_domain(provider, email) else "",
        said or "",
        _text(claims.get("name")) or "",
        groups.given,
        groups.warnings,
        groups.unsure,
    )


def problems_of(provider: IdentityProvider) -> tuple[Problem, ...]:
    """What is wrong with these settings; every problem at once."""
    return tuple(
        Problem("InvalidProvider", message, f"properties.{field_name}")
        for field_name, is_wrong, message in _rules(provider)
        if is_wrong
    )


def _rules(provider: IdentityProvider) -> tuple[tuple[str, bool, str], ...]:
    """The field, is it wrong, and what would be right."""
    domains, tenants = provider.domains, provider.tenants
    return (
        (
            "clientId",
            not _CLAIM.fullmatch(provider.client_id),
            sentence("The client id is missing or not printable ASCII. The provider assigns it."),
        ),
        (
            "scopes",
            "openid" not in provider.scopes
            or len(provider.scopes) > MOST_SCOPES
            or not all(map(_SCOPE.fullmatch, provider.scopes)),
            sentence("Give up to {most} scopes, including openid.", most=MOST_SCOPES),
        ),
        (
            "domains",
            len(domains) > MOST_DOMAINS
            or not (domains == (ANY_DOMAIN,) or all(map(is_domain, domains))),
            sentence(
                "Give up to {most} domains such as corp.example, or only * for everybody "
                "whom the provider knows.",
                most=MOST_DOMAINS,
            ),
        ),
        (
            "tenants",
            bool(tenants) != bool(provider.tenant_claim)
            or len(tenants) > MOST_DOMAINS
            or not all(map(_CLAIM.fullmatch, (*tenants, provider.tenant_claim or "-"))),
            sentence(
                "Give both the tenant claim (tid at Entra ID, hd at Google) and its allowed "
                "tenants, at most {most}, or neither.",
                most=MOST_DOMAINS,
            ),
        ),
        (
            "groupsClaim",
            bool(provider.groups_claim) and not _CLAIM.fullmatch(provider.groups_claim),
            sentence("The groups claim must be the name of a claim, such as groups."),
        ),
        (
            "groups",
            (bool(provider.groups) and not provider.groups_claim)
            or len(provider.groups) > MOST_MAPPED
            or not all(_text(value) for value, _ in provider.groups),
            sentence(
                "Give up to {most} group mappings: a value of the groups claim, which "
                "must be set, and a group here.",
                most=MOST_MAPPED,
            ),
        ),
        (
            "createsUsers",
            provider.creates_users and not domains and not tenants,
            sentence(
                "Users can be created only for people of allowed domains or tenants: set domains "
                "(* for everybody whom the provider knows) or tenants."
            ),
        ),
    )


def is_subject(text: str) -> bool:
    return 0 < len(text) <= LONGEST_SUBJECT and text.isascii() and text.isprintable()


def is_domain(text: str) -> bool:
    """Is this a domain as settings hold it: lower case, of at least two labels?"""
    return _DOMAIN.fullmatch(text) is not None


def is_our_domain(provider: IdentityProvider, email: str) -> bool:
    """Does this address end in a domain of the provider's settings? Never below one."""
    domain = _domain_and_address(email)[0]
    return bool(domain) and (domain in provider.domains or ANY_DOMAIN in provider.domains)


def fold_email(text: str) -> str:
    """The one form in which addresses are compared; empty when it is none."""
    return _domain_and_address(text)[1]


def groups_of(provider: IdentityProvider, claims: Mapping[str, object]) -> SaidGroups:
    """The groups here that the claims give, and what must be told about them."""
    name = provider.groups_claim
    if not name:
        return SaidGroups()
    mapped = frozenset(group for _, group in provider.groups)
    if _is_elsewhere(claims, name):
        warning = (
            f"{provider.display_name} sent a link instead of the claim {name!r} (_claim_names), "
            f"because there are too many groups. No group was given, and rules that deny or ask for "
            f"approval by a group of this provider apply. Configure the provider to send only the "
            f"groups assigned to this application."
        )
        return SaidGroups(unsure=mapped, warnings=(warning,))
    said = claims.get(name)
    values = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    texts = {each for each in values[:MOST_GROUP_VALUES] if isinstance(each, str)}
    given = frozenset(group for value, group in provider.groups if value in texts)
    if len(values) <= MOST_GROUP_VALUES:
        return SaidGroups(given)
    warning = (
        f"{provider.display_name} sent {len(values)} values in the claim {name!r}, of which the first "
        f"{MOST_GROUP_VALUES} were read. Rules that deny or ask for approval by a group of this provider "
        f"apply. Configure the provider to send only the groups assigned to this application."
    )
    return SaidGroups(given, mapped - given, (warning,))


def _is_elsewhere(claims: Mapping[str, object], name: str) -> bool:
    named = claims.get("_claim_names")
    return claims.get("hasgroups") is True or (isinstance(named, Mapping) and name in named)


def _tenant_reasons(provider: IdentityProvider, claims: Mapping[str, object]) -> list[str]:
    if not provider.tenant_claim or _is_our_tenant(provider, claims):
        return []
    name, claim = provider.display_name, provider.tenant_claim
    return [f"According to {name} this account belongs to another tenant ({claim})."]


def _is_our_tenant(provider: IdentityProvider, claims: Mapping[str, object]) -> bool:
    said = claims.get(provider.tenant_claim) if provider.tenant_claim else None
    return isinstance(said, str) and said in provider.tenants


def _domain_reasons(
    provider: IdentityProvider, claims: Mapping[str, object], said: str | None
) -> list[str]:
    if not provider.domains or ANY_DOMAIN in provider.domains:
        return []
    if said is None or not is_our_domain(provider, said):
        return ["The account has no e-mail address in an allowed domain."]
    if not _is_proved(provider, claims):
        name = provider.display_name
        return [f"{name} does not confirm that the e-mail address is verified (email_verified)."]
    return []


def _is_proved(provider: IdentityProvider, claims: Mapping[str, object]) -> bool:
    """Is the address more than a field that its holder may fill in freely?"""
    return claims.get("email_verified") is True or _is_our_tenant(provider, claims)


def _domain_and_address(text: str) -> tuple[str, str]:
    """The domain and the whole address, folded; ("", "") when it is no plain address."""
    local, at, domain = text.casefold().rpartition("@")
    is_plain = at and local and "@" not in local and text.isascii() and text.isprintable()
    if not is_plain or " " in text or len(text) > LONGEST_CLAIM or not is_domain(domain):
        return "", ""
    return domain, f"{local}@{domain}"


def _text(value: object) -> str | None:
    """A claim that is meant to be read by people; None when it is not fit for it."""
    if isinstance(value, str) and 0 < len(value) <= LONGEST_CLAIM and value.isprintable():
        return value
    return None
