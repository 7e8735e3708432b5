"""What agents say of their weaknesses, in the reader's language.

An agent tells sentences, of whatever version it is: those that are known by how they begin
are said in the portal's words, others as they came. What is not here: the sentences, which
are the agent's (``drivers``, ``agent``) and the server's (``services.fleet``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bascule.portal.words import Words

# By how a sentence begins: the word that says the same.
BEGINNINGS: Mapping[str, str] = {
    "the firewall cannot be seen to": "weakness.not_enforced",
    "the guard file of this host cannot be used": "weakness.guard_unusable",
    "the guard file of this host refuses": "weakness.guard_refuses",
    "its agent knew more than this server": "weakness.doubted",
    "root has uninstalled the agent": "weakness.uninstalled",
    "The firewall table cannot be owned here": "weakness.unowned",
    "This kernel cannot destroy sockets": "weakness.no_destroy",
    "Tracked connections cannot be listed": "weakness.no_conntrack",
    "Where published container ports lead cannot be told": "weakness.published",
    "the socket that owns the firewall table": "weakness.not_held",
    "the server's record was changed": "weakness.record",
    "the port that the server listens on": "weakness.shuts_server_off",
}
_OWN_RANGE = re.compile(r"port (\d+)/(?:tcp|udp) is shut and lies in this host's range")


def weakness_words(words: Words, sentence: str) -> str:
    """The same in the portal's words; empty for a sentence that is not known."""
    own_range = _OWN_RANGE.match(sentence)
    if own_range is not None:
        return words("weakness.own_range", port=own_range[1])
    known = (key for begin, key in BEGINNINGS.items() if sentence.startswith(begin))
    key = next(known, "")
    return words(key) if key else ""
