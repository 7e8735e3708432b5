"""Rules, stages and approvals of a policy on the wire (docs/approval.md).

A field that is not known here is refused: a misspelt condition would be none, and the rule would
hold of everything. So is an empty list, which somebody may mean as *nobody*.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from bascule.api.wire.fields import (
    Body,
    Count,
    Duration,
    Guid,
    LongText,
    PortNumber,
    Prefix,
    StrictBody,
    Text,
    Truth,
    field_of,
    shown,
)
from bascule.domain.policy import Policy
from bascule.domain.rules import WHOLE_DAY, Conditions, Effect, Rule, Window
from bascule.domain.stages import Approvers, Stage
from bascule.domain.tickets import Answered, TicketCheck
from bascule.errors import InvalidInput
from bascule.protocol.rules import (
    APPROVE,
    DAYS,
    DENY,
    rule_properties_json,
    tickets_json,
)
from bascule.services.cloudevents import is_secret
from bascule.services.ticket_checks import TicketDraft

RULE_TYPE = "Bascule.Access/accessRules"
TICKET_CHECK_TYPE = "Bascule.Access/ticketChecks"
MOST = 1000  # values of any list, read before they are judged
LONGEST_ESCALATION = 525_600  # minutes; what is allowed is judged later
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")


def _clock(value: object) -> int:
    if not (isinstance(value, str) and _CLOCK.fullmatch(value)):
        raise InvalidInput(
            f"must be a time from 00:00 to 24:00, such as 08:30, not {shown(value)}.",
            code="InvalidTime",
        )
    hours, minutes = value.split(":")
    return 60 * int(hours) + int(minutes)


def _day(value: object) -> int:
    found = value.casefold() if isinstance(value, str) else ""
    if found not in DAYS:
        raise InvalidInput(
            f"must be one of {', '.join(DAYS)}, not {shown(value)}.", code="InvalidDay"
        )
    return DAYS.index(found)


def _effect(value: object) -> Effect:
    found = value.casefold() if isinstance(value, str) else ""
    if found not in tuple(Effect):
        raise InvalidInput(
            f"must be one of {', '.join(Effect)}, not {shown(value)}.", code="InvalidEffect"
        )
    return Effect(found)


def _when_unavailable(value: object) -> str:
    if value not in (DENY, APPROVE):
        raise InvalidInput(
            f"must be {DENY} or {APPROVE}, not {shown(value)}.", code="InvalidUnavailable"
        )
    return str(value)


def _secret(value: object) -> str:
    """As Standard Webhooks has them; it is never shown, not in an error either."""
    if not (isinstance(value, str) and is_secret(value)):
        raise InvalidInput(
            "must be whsec_ and 24 to 64 bytes in base64. Leave it out: the server makes one.",
            code="InvalidSecret",
        )
    return value


WhenUnavailable = Annotated[str, *field_of(_when_unavailable, "string", enum=[DENY, APPROVE])]
Secret = Annotated[str, *field_of(_secret, "string")]
Clock = Annotated[int, *field_of(_clock, "string", examples=["08:30"])]
Day = Annotated[int, *field_of(_day, "string", enum=list(DAYS))]
RuleEffect = Annotated[Effect, *field_of(_effect, "string", enum=list(Effect))]


class ApproversBody(StrictBody):
    users: list[Guid] = Field(default_factory=list, max_length=MOST)
    groups: list[Guid] = Field(default_factory=list, max_length=MOST)
    role: Truth = False

    def approvers(self) -> Approvers:
        return Approvers(
            tuple(dict.fromkeys(self.users)), tuple(dict.fromkeys(self.groups)), self.role
        )


class StageBody(StrictBody):
    approvers: ApproversBody
    needed: Count = 1
    escalate_after_minutes: Count | None = None
    escalate_to: ApproversBody | None = None
    second_factor_within: Duration | None = None

    def stage(self) -> Stage:
        minutes = self.escalate_after_minutes
        return Stage(
            self.approvers.approvers(),
            self.needed,
            None if minutes is None else timedelta(minutes=min(minutes, LONGEST_ESCALATION)),
            Approvers() if self.escalate_to is None else self.escalate_to.approvers(),
            self.second_factor_within,
        )


class WindowBody(StrictBody):
    time_zone: Text
    days: list[Day] | None = Field(default=None, min_length=1, max_length=7)
    begins: Clock = Field(default=0, alias="from")
    ends: Clock = Field(default=WHOLE_DAY, alias="to")

    def window(self) -> Window:
        days = range(7) if self.days is None else sorted(set(self.days))
        return Window(self.time_zone, tuple(days), self.begins, self.ends)


class ConditionsBody(StrictBody):
    users: list[Guid] | None = Field(default=None, min_length=1, max_length=MOST)
    groups: list[Guid] | None = Field(default=None, min_length=1, max_length=MOST)
    tags: dict[Text, Text] | None = Field(default=None, min_length=1, max_length=MOST)
    resource_groups: list[Text] | None = Field(default=None, min_length=1, max_length=MOST)
    ports: list[PortNumber] | None = Field(default=None, min_length=1, max_length=MOST)
    sources_within: list[Prefix] | None = Field(default=None, min_length=1, max_length=MOST)
    times: WindowBody | None = None
    at_most: Duration | None = None
    longer_than: Duration | None = None
    ticket_confirmed: Truth | None = None
    second_factor_older_than: Duration | None = None
    second_factor_within: Duration | None = None

    def conditions(self) -> Conditions:
        return Conditions(
            users=tuple(dict.fromkeys(self.users or ())),
            groups=tuple(dict.fromkeys(self.groups or ())),
            tags=tuple((self.tags or {}).items()),
            resource_groups=tuple(dict.fromkeys(self.resource_groups or ())),
            ports=tuple(dict.fromkeys(self.ports or ())),
            sources_within=tuple(dict.fromkeys(self.sources_within or ())),
            times=None if self.times is None else self.times.window(),
            at_most=self.at_most,
            longer_than=self.longer_than,
            ticket_confirmed=self.ticket_confirmed,
            factor_older_than=self.second_factor_older_than,
            factor_within=self.second_factor_within,
        )


class RulePropertiesBody(StrictBody):
    effect: RuleEffect
    conditions: ConditionsBody | None = None
    stages: list[StageBody] | None = Field(default=None, max_length=MOST)

    def rule(self, name: str) -> Rule:
        conditions = Conditions() if self.conditions is None else self.conditions.conditions()
        return Rule(name, self.effect, conditions, read_stages(self.stages))


class RuleBody(RulePropertiesBody):
    name: Text


class AccessRuleBody(Body):
    properties: RulePropertiesBody


class ApprovalBody(StrictBody):
    """Of a port rule."""

    stages: list[StageBody] = Field(min_length=1, max_length=MOST)


class TicketCheckBody(StrictBody):
    """Without its secret, which a call of its own sets."""

    pattern: Text
    url: LongText
    ca_certificates: LongText | None = None
    unavailable: WhenUnavailable = DENY
    stages: list[StageBody] | None = Field(default=None, max_length=MOST)
    secret_id: Text | None = None  # answered, and ignored

    def check(self) -> TicketCheck:
        stages = read_stages(self.stages)
        if bool(stages) is not (self.unavailable == APPROVE):
            raise InvalidInput(
                "Give stages with unavailable approve, and not with unavailable deny.",
                code="StagesRequired" if not stages else "StagesNotAsked",
                target="stages",
            )
        return TicketCheck(self.pattern, self.url, stages, self.ca_certificates or "")


class TicketCheckPropertiesBody(TicketCheckBody):
    secret: Secret | None = None  # write-only; left out: it stays, or the server makes one
    new_secret: Truth = False

    def draft(self) -> TicketDraft:
        return TicketDraft(self.check(), self.secret or "", self.new_secret)


class TicketCheckResourceBody(Body):
    properties: TicketCheckPropertiesBody


class TicketTestBody(Body):
    ticket: Text


class PolicyExtras(Body):
    """A policy's ``bascule`` object; what it is answered with besides is ignored."""

    rules: list[RuleBody] | None = Field(default=None, max_length=MOST)
    self_approval: Truth | None = None
    pending_for: Duration | None = None
    tickets: TicketCheckBody | None = None

    def read_rules(self) -> tuple[Rule, ...]:
        return tuple(each.rule(each.name) for each in self.rules or ())


def read_stages(stages: Sequence[StageBody] | None) -> tuple[Stage, ...]:
    return tuple(each.stage() for each in stages or ())


def access_rule_json(policy: Policy, rule: Rule, etag: str) -> dict[str, Any]:
    return {
        "id": f"{policy.id}/providers/{RULE_TYPE}/{rule.name}",
        "name": rule.name,
        "type": RULE_TYPE,
        "etag": etag,
        "properties": rule_properties_json(rule),
    }


def ticket_check_json(policy: Policy, etag: str, secret: str = "") -> dict[str, Any]:
    """``secret``: that the call made, which no other answer shows."""
    told = {} if policy.tickets is None else tickets_json(policy.tickets)
    return {
        "id": f"{policy.id}/providers/{TICKET_CHECK_TYPE}/default",
        "name": "default",
        "type": TICKET_CHECK_TYPE,
        "etag": etag,
        "properties": {**told, "secret": secret} if secret else told,
    }


def tested_json(answered: Answered) -> dict[str, Any]:
    return {"ticket": answered.ticket, "answer": str(answered.answer), "text": answered.text}
