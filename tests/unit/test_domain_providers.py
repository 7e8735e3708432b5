"""For whom a provider's word is taken: allow, and the neighbouring deny (EDGES B6)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bascule.domain.providers import (
    MOST_GROUP_VALUES,
    IdentityProvider,
    NotVouched,
    SaidGroups,
    Vouched,
    fold_email,
    groups_of,
    is_domain,
    is_our_domain,
    judge,
    problems_of,
)
from tests.samples import NOW

CORP = IdentityProvider(
    "id",
    "corp",
    "Corp",
    "https://login.corp.example",
    "bascule",
    NOW,
    domains=("corp.example", "corp.test"),
)
ENTRA = replace(CORP, tenant_claim="tid", tenants=("t-1",))
OPEN = replace(CORP, domains=("*",))
LINKED = replace(CORP, domains=())
ANNA = {"sub": "anna", "email": "Anna@Corp.example", "email_verified": True, "name": "Anna"}


def vouched(provider: IdentityProvider, **claims: object) -> Vouched:
    said = judge(provider, {**ANNA, **claims})
    assert isinstance(said, Vouched), said
    return said


def reasons(provider: IdentityProvider, **claims: object) -> str:
    said = judge(provider, {**ANNA, **claims})
    assert isinstance(said, NotVouched), said
    return " ".join(said.reasons)


def test_a_verified_address_of_a_domain_of_ours() -> None:
    assert vouched(CORP) == Vouched("anna", "anna@corp.example", "Anna@Corp.example", "Anna")
    assert vouched(CORP, email="a@corp.test").email == "a@corp.test"


@pytest.mark.parametrize(
    "email",
    [
        None,
        7,
        "",
        "anna",
        "@corp.example",
        "anna@evil.example",
        "anna@sub.corp.example",
        "anna@corp.example.evil",
        "anna@evilcorp.example",
        "anna@evil.example@corp.example",
        "an na@corp.example",
        "anna@corp\u2024example",
        "änna@corp.example",
        "anna\n@corp.example",
        "a" * 300 + "@corp.example",
    ],
)
def test_what_is_no_address_of_a_domain_of_ours(email: object) -> None:
    assert "no e-mail address in an allowed domain" in reasons(CORP, email=email)


@pytest.mark.parametrize("verified", [False, None, "true", 1, []])
def test_a_domain_counts_with_true_alone(verified: object) -> None:
    assert "email_verified" in reasons(CORP, email_verified=verified)
    assert vouched(LINKED, email_verified=verified).email == ""
    assert vouched(OPEN, email_verified=verified).email == ""


def test_or_with_the_claim_of_our_tenant() -> None:
    assert vouched(ENTRA, email_verified=False, tid="t-1").email == "anna@corp.example"
    for tenant in ("t-2", None, ["t-1"], ""):
        assert "another tenant" in reasons(ENTRA, tid=tenant)
        assert "another tenant" in reasons(ENTRA, email_verified=False, tid=tenant)
    assert reasons(ENTRA, email="x@evil.example", tid="t-2").count(".") >= 2, "every reason"


def test_without_domains_nobody_is_kept_out_and_no_address_is_proved() -> None:
    assert vouched(LINKED).email == ""
    assert vouched(LINKED, email=None) == Vouched("anna", "", "", "Anna")
    assert vouched(OPEN).email == "anna@corp.example"
    assert vouched(OPEN, email="x@evil.example").email == "x@evil.example"


@pytest.mark.parametrize("subject", [None, "", 7, "a" * 256, "ä", "a\n", ["anna"]])
def test_without_a_subject_it_is_nobody(subject: object) -> None:
    assert "(sub)" in reasons(OPEN, sub=subject)


def test_a_name_is_for_people_and_bounded() -> None:
    for name in (None, 7, "", "x" * 300, "a\x1b[31m"):
        assert vouched(OPEN, name=name).name == ""


GROUPED = replace(CORP, groups_claim="groups", groups=(("ops", "g-1"), ("db", "g-2")))


@pytest.mark.parametrize(
    ("said", "given"),
    [
        (["ops", "other"], {"g-1"}),
        (["ops", "db"], {"g-1", "g-2"}),
        ("ops", {"g-1"}),
        (["OPS"], set()),
        (["ops "], set()),
        ([["ops"], 1, None], set()),
        ({"ops": True}, set()),
        (None, set()),
        (["x"] * MOST_GROUP_VALUES + ["ops"], set()),
    ],
)
def test_groups_are_those_that_are_mapped(said: object, given: set[str]) -> None:
    assert vouched(GROUPED, groups=said).groups == given


def test_groups_that_are_elsewhere_are_said_and_none() -> None:
    """Entra ID's overage, in both of its forms; what stands beside the link counts not either."""
    overage: list[dict[str, object]] = [{"_claim_names": {"groups": "src1"}}, {"hasgroups": True}]
    for more in overage:
        said = groups_of(GROUPED, {**ANNA, "groups": ["ops"], **more})
        assert said.given == frozenset()
        assert said.unsure == frozenset(group for _, group in GROUPED.groups)
        assert "too many groups" in said.warnings[0]
    others: list[dict[str, object]] = [
        {"_claim_names": {"other": "src1"}},
        {"_claim_names": "groups"},
    ]
    for more in (*others, {}):
        assert groups_of(GROUPED, {"groups": ["ops"], **more}) == SaidGroups(frozenset({"g-1"}))
    assert groups_of(CORP, {"groups": ["ops"]}) == SaidGroups()


def test_of_more_values_than_are_read_the_rest_may_mean_any_group() -> None:
    mapped = frozenset(group for _, group in GROUPED.groups)
    at_most = groups_of(GROUPED, {"groups": ["x"] * MOST_GROUP_VALUES})
    assert at_most == SaidGroups()
    more = groups_of(GROUPED, {"groups": ["ops"] + ["x"] * MOST_GROUP_VALUES})
    assert more.given == frozenset({"g-1"})
    assert more.unsure == mapped - {"g-1"}
    assert f"sent {MOST_GROUP_VALUES + 1} values" in more.warnings[0]


def test_addresses_are_compared_in_one_form() -> None:
    assert fold_email("Anna@CORP.example") == "anna@corp.example"
    assert fold_email("anna") == ""
    assert is_our_domain(CORP, "anna@CORP.example")
    assert not is_our_domain(CORP, "anna@evil.example")
    assert not is_our_domain(OPEN, "anna")
    assert is_domain("corp.example")
    assert not is_domain("corp")
    assert not is_domain("Corp.example")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"client_id": ""}, "clientId"),
        ({"client_id": "a b"}, "clientId"),
        ({"scopes": ("email",)}, "scopes"),
        ({"scopes": ("openid", 'a"b')}, "scopes"),
        ({"scopes": ("openid", *map(str, range(20)))}, "scopes"),
        ({"domains": ("corp",)}, "domains"),
        ({"domains": ("*", "corp.example")}, "domains"),
        ({"domains": tuple(f"d{n}.example" for n in range(101))}, "domains"),
        ({"tenants": ("t",)}, "tenants"),
        ({"tenant_claim": "tid"}, "tenants"),
        ({"tenant_claim": "tid", "tenants": ("a b",)}, "tenants"),
        ({"tenant_claim": "tid", "tenants": tuple(map(str, range(101)))}, "tenants"),
        ({"groups_claim": "a b"}, "groupsClaim"),
        ({"groups": (("ops", "g"),)}, "groups"),
        ({"groups_claim": "groups", "groups": (("", "g"),)}, "groups"),
        ({"groups_claim": "g", "groups": tuple((str(n), "g") for n in range(201))}, "groups"),
        ({"domains": (), "creates_users": True}, "createsUsers"),
    ],
)
def test_settings_that_cannot_be(change: dict[str, object], field: str) -> None:
    (problem,) = problems_of(replace(CORP, **change))  # type: ignore[arg-type]  # reason: fields by name
    assert problem.target == f"properties.{field}"


@pytest.mark.parametrize(
    "provider",
    [
        CORP,
        OPEN,
        LINKED,
        ENTRA,
        GROUPED,
        replace(CORP, creates_users=True),
        replace(ENTRA, domains=(), creates_users=True),
    ],
)
def test_settings_that_can(provider: IdentityProvider) -> None:
    assert problems_of(provider) == ()


def test_no_secret_is_in_what_is_printed() -> None:
    assert "sealed" not in repr(replace(CORP, sealed_secret="sealed text"))
