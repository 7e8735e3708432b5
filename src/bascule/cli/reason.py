"""The reason of a request: said, in the environment, or asked for where a policy requires one.

ssh runs ``ssh-prepare`` with /dev/null in the place of stdin (readconf.c, Match exec), and so
do scp, rsync and git through it. So the question goes to the controlling terminal.
"""

from __future__ import annotations

import contextlib
import os
from datetime import timedelta

from bascule.cli.choose import Choice
from bascule.cli.clean import clean
from bascule.cli.complaint import SAY_WHY
from bascule.cli.printing import note
from bascule.errors import InvalidInput

VARIABLE = "BASCULE_WHY"
TERMINAL = "/dev/tty"  # tty(4): the controlling terminal, whatever stdin is
LONGEST_EMERGENCY = timedelta(hours=1)  # longer is refused
EMERGENCY_TOLD = (
    "This is emergency access: it is on record as such, owners are told at once, and somebody else "
    "reviews it."
)
LONGEST = 4096  # bytes of a line in canonical mode (termios(3))


def reason_for(choice: Choice, machine: str, given: str, *, must: bool = False) -> str:
    """What was given, else ``BASCULE_WHY``, else the answer of whoever sits at the terminal.

    Asked for only where the policy requires a reason, or with ``must``. Empty where nobody can be asked: the
    server refuses the request then, and says why.
    """
    known = given or os.environ.get(VARIABLE, "")
    if known or not (must or choice.needs_reason):
        return known
    ports = ", ".join(map(str, choice.ports))
    question = f"{machine} port {ports} needs a reason; it is recorded. Reason: "
    answer = ask_on_terminal(question)
    if answer is not None and not answer.strip():
        raise InvalidInput(
            "No reason was given, so nothing was requested.",
            code="JustificationRequired",
            advice=SAY_WHY,
        )
    return (answer or "").strip()


def span_for(choice: Choice, *, is_emergency: bool) -> timedelta:
    """How long, where nobody said it."""
    usual = choice.default_span
    return min(usual, LONGEST_EMERGENCY) if is_emergency else usual


def tell_emergency(*, is_emergency: bool) -> None:
    """What follows from it, said once it is given."""
    if is_emergency:
        note(EMERGENCY_TOLD)


def ask_on_terminal(question: str) -> str | None:
    """One line from the controlling terminal; None where there is none to ask on.

    A job in the background is not asked: reading would stop it (SIGTTIN).
    """
    try:
        terminal = os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        with contextlib.suppress(OSError):
            if os.tcgetpgrp(terminal) == os.getpgrp():
                os.write(terminal, clean(question).encode())
                return os.read(terminal, LONGEST).decode(errors="replace")
        return None
    finally:
        os.close(terminal)
