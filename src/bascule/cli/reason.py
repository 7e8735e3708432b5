"""The reason of a request: said, in the environment, or asked for where a policy requires one.

ssh runs ``ssh-prepare`` with /dev/null in the place of stdin (readconf.c, Match exec), and so
do scp, rsync and git through it. So the question goes to the controlling terminal.
"""

from __future__ import annotations

import contextlib
import os

from bascule.cli.choose import Choice
from bascule.cli.clean import clean
from bascule.cli.complaint import SAY_WHY
from bascule.errors import InvalidInput

VARIABLE = "BASCULE_WHY"
TERMINAL = "/dev/tty"  # tty(4): the controlling terminal, whatever stdin is
LONGEST = 4096  # bytes of a line in canonical mode (termios(3))


def reason_for(choice: Choice, machine: str, given: str) -> str:
    """What was given, else ``BASCULE_WHY``, else the answer of whoever sits at the terminal.

    Asked for only where the policy requires a reason. Empty where nobody can be asked: the
    server refuses the request then, and says why.
    """
    known = given or os.environ.get(VARIABLE, "")
    if known or not choice.needs_reason:
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
