"""What a page calls what the program knows by a code: a state, a kind, a reason, a notice.

A key is ``family.code``. The texts are English, as everywhere in the source; catalogues hold
them in other languages (``words``).
"""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.codes import machines, notices, people, reasons, states, ways
from bascule.words import Words

TEXTS: Mapping[str, str] = {
    **machines.TEXTS,
    **notices.TEXTS,
    **people.TEXTS,
    **reasons.TEXTS,
    **states.TEXTS,
    **ways.TEXTS,
}


def text_of(words: Words, key: str, otherwise: str | None = None, /, **values: object) -> str:
    """What a code is called; ``otherwise`` for a code of others, without which it must be ours."""
    if otherwise is not None and key not in TEXTS:
        return otherwise
    return words(TEXTS[key], **values)
