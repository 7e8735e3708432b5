"""Kinds of facts: each is declared once, and what is told of it follows from that."""

from __future__ import annotations

import dataclasses
import pkgutil
from types import ModuleType

import pytest

from bascule.domain import facts
from bascule.domain.event import SYSTEM, Event
from bascule.domain.facts.calls import CallerDenied
from bascule.domain.facts.fact import Fact, Unknown, fact, fact_name
from bascule.domain.facts.fields import Flag, Holds, Text, held_by
from bascule.domain.facts.grants import AccessDenied, GrantEnded, GrantFailed, GrantOpened
from bascule.domain.facts.kind import (
    Activity,
    Category,
    Level,
    Outcome,
    Severity,
    Variant,
    unknown_kind,
)
from bascule.domain.facts.kinds import (
    FACTS,
    SORTS,
    collect,
    fields_of,
    kind_named,
    kind_of,
    places_of,
    sort_of,
    values_of,
)
from bascule.domain.facts.sessions import TokenFamilyRevoked
from bascule.domain.facts.sign_in import SignInSucceeded
from tests.samples import NOW

ACTION = "Bascule.Test/things/write"
MACHINERY = {"fact", "fields", "kind", "kinds"}


def a_module(**names: object) -> ModuleType:
    made = ModuleType("made")
    vars(made).update(names)
    return made


class TestDeclaration:
    @pytest.mark.parametrize("kind", FACTS.values(), ids=lambda each: each.__name__)
    def test_facts_are_frozen_and_hold_nothing_secret(self, kind: type[Fact]) -> None:
        """A fact that could be changed after it was recorded is not one."""
        parameters = getattr(kind, "__dataclass_params__", None)  # set by dataclass
        assert getattr(parameters, "frozen", False)
        names = {each.name for each in dataclasses.fields(kind)}
        assert names == kind.described.holds.keys()
        assert not {"secret", "token", "password"} & names

    def test_every_subject_is_collected(self) -> None:
        """A module that is forgotten would leave its kinds out of every list."""
        there = {each.name for each in pkgutil.iter_modules(facts.__path__)} - MACHINERY
        assert {each.__module__.rpartition(".")[2] for each in FACTS.values()} == there

    def test_a_missing_declaration_fails(self) -> None:
        class ThingForgotten(Fact):
            thing: str

        with pytest.raises(TypeError, match="ThingForgotten is not declared"):
            collect([a_module(ThingForgotten=ThingForgotten)])

    def test_a_declaration_is_not_inherited(self) -> None:
        class GrantReopened(GrantOpened):
            pass

        with pytest.raises(TypeError, match="GrantReopened is not declared"):
            collect([a_module(GrantReopened=GrantReopened)])

    def test_a_doubled_declaration_fails(self) -> None:
        with pytest.raises(TypeError, match="declared twice"):
            fact(ACTION, "Write thing")(GrantOpened)

    def test_a_doubled_name_fails(self) -> None:
        @fact(ACTION, "Write thing")
        class GrantOpened(Fact):
            thing: Text

        with pytest.raises(TypeError, match="GrantOpened is declared in two modules"):
            collect([a_module(GrantOpened=FACTS["GrantOpened"]), a_module(GrantOpened=GrantOpened)])

    def test_the_same_class_in_two_modules_is_one(self) -> None:
        module = a_module(GrantOpened=GrantOpened)
        assert collect([module, module]) == {"GrantOpened": GrantOpened}

    def test_a_field_that_is_not_classified_fails(self) -> None:
        """Whatever nobody called readable may be a secret."""

        class ThingWritten(Fact):
            thing: Text
            secret: str

        with pytest.raises(TypeError, match=r"ThingWritten\.secret is not classified"):
            fact(ACTION, "Write thing")(ThingWritten)

    @pytest.mark.parametrize("annotation", ["str", "Holds", "held_by", "nothing", str, None])
    def test_only_types_of_fields_classify(self, annotation: object) -> None:
        assert held_by(annotation) is None
        assert held_by("Text") is held_by(Text) is Holds.VALUE

    @pytest.mark.parametrize(
        ("action", "display"), [("", "Write thing"), (ACTION, ""), ("write", "Write thing")]
    )
    def test_a_kind_without_an_operation_fails(self, action: str, display: str) -> None:
        class ThingWritten(Fact):
            thing: Text

        with pytest.raises(TypeError, match="has no operation"):
            fact(action, display)(ThingWritten)

    def test_fields_that_are_named_are_there(self) -> None:
        class ThingWritten(Fact):
            thing: Text

        with pytest.raises(TypeError, match="a field that it does not have"):
            fact(ACTION, "Write thing", critical_if="is_theft")(ThingWritten)

        class ThingRead(Fact):
            thing: Text

        with pytest.raises(TypeError, match="a field that it does not have"):
            fact(ACTION, "Read thing", meaning=lambda method, path: method + path)(ThingRead)

        class ThingMoved(Fact):
            thing: Text

        with pytest.raises(TypeError, match="a field that it does not have"):
            fact(varies_by="", variants={"a": Variant(ACTION, "Move thing")})(ThingMoved)

    @pytest.mark.parametrize(
        ("activity", "category"),
        [(Activity.ASSIGN, Category.ENTITY), (Activity.CREATE, Category.ACCESS)],
    )
    def test_an_activity_belongs_to_its_category(
        self, activity: Activity, category: Category
    ) -> None:
        class ThingWritten(Fact):
            thing: Text

        with pytest.raises(TypeError, match="does not belong to"):
            fact(ACTION, "Write thing", activity, category=category)(ThingWritten)

    def test_a_failure_is_an_error_unless_it_is_said_otherwise(self) -> None:
        @fact(ACTION, "Write thing", outcome=Outcome.FORBIDDEN)
        class ThingRefused(Fact):
            is_theft: Flag

        @fact(ACTION, "Write thing", outcome=Outcome.FORBIDDEN, level=Level.WARNING)
        class ThingDoubted(Fact):
            is_theft: Flag

        assert ThingRefused.described.level is Level.ERROR
        assert ThingDoubted.described.level is Level.WARNING
        assert GrantOpened.described.level is Level.INFORMATIONAL
        assert GrantOpened.described.outcome.sub_status == "OK"


class TestTold:
    def test_ends_are_told_apart_by_their_reason(self) -> None:
        """Activity is counted by sort: a revocation and an expiry are not one thing."""
        ended = GrantEnded("g", "r", "m", "UserRequested", "revocation by anna")
        assert sort_of(ended) == "GrantEnded.UserRequested"
        assert sort_of(GrantFailed("g", "r", "m", "not reported")) == "GrantFailed"
        assert kind_of(ended) == SORTS[sort_of(ended)]
        assert kind_of(ended).display == "Revoke access"
        assert "GrantEnded" not in SORTS

    def test_a_reason_of_a_newer_program_is_severe(self) -> None:
        """EDGES F2."""
        told_kind = kind_of(GrantEnded("g", "r", "m", "Moved", "a newer server"))
        assert (told_kind.severity, told_kind.is_unknown) == (Severity.HIGH, True)
        assert told_kind.display == "Unknown event GrantEnded.Moved"
        assert told_kind.action == "Bascule.Audit/grantEnded/action"
        assert told_kind.category is Category.ACCESS

    def test_a_theft_is_graver_than_what_else_revokes_tokens(self) -> None:
        def severity(*, is_theft: bool) -> Severity:
            return kind_of(TokenFamilyRevoked("u", "anna", "c", "why", is_theft)).severity

        assert severity(is_theft=True) is Severity.CRITICAL
        assert severity(is_theft=False) is Severity.LOW

    def test_a_denied_call_is_told_by_what_it_meant(self) -> None:
        path = "/subscriptions/s/providers/Bascule.Audit/events"
        meant = kind_of(CallerDenied("GET", path, "no right"))
        assert (meant.action, meant.is_denied_call) == ("Bascule.Audit/events/read", True)
        bare = kind_of(CallerDenied("GET", "/nowhere", "no right"))
        assert (bare.display, bare.is_denied_call) == ("Deny call", False)

    @pytest.mark.parametrize(
        ("method", "path", "action"),
        [
            ("POST", "/providers/X/things/a/start", "X/things/start/action"),
            ("PUT", "/s/1/Providers/X/things/a", "X/things/write"),
            ("BREW", "/providers/X", "X/action"),
            ("GET", "/s/providers", "Bascule.Audit/calls/deny/action"),
        ],
    )
    def test_what_a_call_meant(self, method: str, path: str, action: str) -> None:
        assert kind_of(CallerDenied(method, path, "no")).action == action

    @pytest.mark.parametrize("name", ["GrantOpened", "TokenFamilyRevoked", "CallerDenied"])
    def test_a_record_is_told_as_its_event(self, name: str) -> None:
        """Its data may be damaged: what is missing there is no reason to fail."""
        assert kind_named(name, {}).name == name

    def test_a_kind_of_a_newer_program_is_severe_and_keeps_its_code(self) -> None:
        """EDGES F2: no sink with a level misses it, and it is recorded as it was."""
        probe = Unknown("ProbeMoved", {"probe": "p", "machines": ["a"]})
        kind = kind_of(probe)
        assert kind == kind_named("ProbeMoved", probe.data) == unknown_kind("ProbeMoved")
        assert (kind.severity, kind.level, kind.is_unknown) == (Severity.HIGH, Level.ERROR, True)
        assert kind.display == "Unknown event ProbeMoved"
        assert (fact_name(probe), sort_of(probe), places_of(probe)) == (
            "ProbeMoved",
            "ProbeMoved",
            ((), 0),
        )
        assert Event("e", NOW, SYSTEM, "", probe).record()["data"] == probe.data

    @pytest.mark.parametrize(
        ("name", "is_failure"), [("ProbeRefused", True), ("ProbeMoved", False)]
    )
    def test_an_unknown_kind_failed_if_its_name_says_so(
        self, name: str, is_failure: bool
    ) -> None:  # reason: pytest passes it
        assert unknown_kind(name).outcome.is_failure is is_failure

    def test_every_sort_is_a_kind_or_one_of_its_variants(self) -> None:
        plain = {name for name, each in FACTS.items() if not each.described.varies_by}
        assert plain <= SORTS.keys()
        assert len(SORTS) == len(plain) + 3
        assert not any(each.is_unknown for each in SORTS.values())


class TestFields:
    def test_places_of_a_refusal(self) -> None:
        """EDGES E10: beside its own resource; of any other fact there are none."""
        assert places_of(AccessDenied("p", (), ("a", "b"), 3)) == (("a", "b"), 5)
        assert places_of(CallerDenied("GET", "/", "no", ("a",))) == (("a",), 1)
        assert places_of(SignInSucceeded("id", "anna", ())) == ((), 0)

    def test_fields_are_found_by_what_they_hold(self) -> None:
        denied = AccessDenied("p", ("why",), ("a", "b"), 3, ("22",), ("192.0.2.7",), "disk")
        assert values_of(denied, Holds.POLICY, Holds.PORT) == ["p", "22"]
        assert values_of(denied, Holds.GRANT) == []
        assert fields_of("AccessDenied", Holds.PLACES) == ["machines"]
        assert fields_of("ProbeMoved", Holds.PLACES) == [], "a newer program's kind"
