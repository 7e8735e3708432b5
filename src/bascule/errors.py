"""Every exception of Bascule: a stable code, an HTTP status, an exit code, what to do next.

    BasculeError
      InvalidInput               400  the call itself is wrong: every problem at once
      RequestDenied              400  well formed, but the policy does not allow it
      AuthenticationFailed       401  no token, a bad one, or wrong credentials
      Forbidden                  403  known caller, no right to this
      NotFound                   404
      Conflict                   409  the state of things does not permit it
      PreconditionFailed         412  If-Match names a version that is gone
      MisdirectedRequest         421  a Host that this server is not
      UpgradeRequired            426  another protocol is spoken here, or a newer version of it
      TooManyRequests            429
      Unavailable                503  a dependency is away; try again
      EnforcementFailed          500  the kernel or firewall refused, or answered otherwise
      ApprovalDenied             ---  a client waited for approval, and the answer was no
      ApprovalLapsed             ---  a client waited for approval, and it will not come any more
      ConfigurationError         ---  the operator's settings cannot be used
      ServerUnreachable          ---  a client could not talk to its server

No foreign exception crosses an interface: adapters translate into these.
What is not here: HTTP envelopes (``api``) and how errors are printed (``cli``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar


class Part(Enum):
    """What of a request or a policy is meant; each face has its own name for it."""

    MACHINES = auto()
    MACHINE = auto()  # which one it is
    PORTS = auto()
    NUMBER = auto()
    SOURCES = auto()
    END = auto()
    LONGEST = auto()  # how long at most, in a policy
    JUSTIFICATION = auto()


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a request or a policy something is wrong."""

    part: Part
    machine: int | None = None  # index among its machines; None: of the whole
    port: int | None = None  # index among that machine's ports
    is_in_policy: bool = False


Target = str | Place  # a str is the JSON path of a field, empty when it is the whole


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, in a form that a program and a person can use."""

    code: str  # stable, PascalCase as ARM writes its codes
    message: str  # a sentence: what is wrong and what would be right
    target: Target = ""


class BasculeError(Exception):
    """The root: whatever Bascule raises on purpose is one of these."""

    code: ClassVar[str] = "InternalError"
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        advice: str = "",
        code: str = "",
        target: Target = "",
        problems: Sequence[Problem] = (),
        retry_after: int = 0,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice  # what to do next; empty when the message says it
        self.specific_code = code or self.code
        self.target = target
        self.problems = tuple(problems)
        self.retry_after = retry_after  # seconds after which it may work; 0: nothing is known


class InvalidInput(BasculeError):
    code = "InvalidRequestContent"
    http_status = 400
    exit_code = 2

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> InvalidInput:
        """Wrap one or more problems; the first speaks for all in the message."""
        first = problems[0]
        more = f" (and {len(problems) - 1} more, see details)" if len(problems) > 1 else ""
        return cls(first.message + more, code=first.code, target=first.target, problems=problems)


class RequestDenied(BasculeError):
    code = "AccessRequestDenied"
    http_status = 400
    exit_code = 4


class AuthenticationFailed(BasculeError):
    code = "AuthenticationFailed"
    http_status = 401
    exit_code = 5


class Forbidden(BasculeError):
    code = "AuthorizationFailed"
    http_status = 403
    exit_code = 4
    at: tuple[str, ...] = ()  # ids of the scopes at which a right is missing, for the record


class NotFound(BasculeError):
    code = "ResourceNotFound"
    http_status = 404
    exit_code = 3


class Conflict(BasculeError):
    code = "Conflict"
    http_status = 409
    exit_code = 1


class PreconditionFailed(BasculeError):
    code = "PreconditionFailed"
    http_status = 412
    exit_code = 1


class MisdirectedRequest(BasculeError):
    code = "MisdirectedRequest"
    http_status = 421
    exit_code = 1


class UpgradeRequired(BasculeError):
    code = "UpgradeRequired"
    http_status = 426
    exit_code = 1


class TooManyRequests(BasculeError):
    code = "TooManyRequests"
    http_status = 429
    exit_code = 1


class Unavailable(BasculeError):
    code = "ServiceUnavailable"
    http_status = 503
    exit_code = 6


class EnforcementFailed(BasculeError):
    code = "EnforcementFailed"
    http_status = 500
    exit_code = 7


class ApprovalDenied(BasculeError):
    code = "ApprovalDenied"
    exit_code = 8


class ApprovalLapsed(BasculeError):
    code = "ApprovalLapsed"
    exit_code = 9


class ConfigurationError(BasculeError):
    code = "ConfigurationError"
    exit_code = 2


class ServerUnreachable(BasculeError):
    code = "ServerUnreachable"
    exit_code = 6
