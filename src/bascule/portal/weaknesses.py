"""What agents say of their weaknesses, in the reader's language.

An agent tells sentences, of whatever version it is: those that are known by how they begin
are said in the portal's words, others as they came. What is not here: the sentences, which
are the agent's (``drivers``, ``agent``) and the server's (``services.fleet``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bascule.words import Words, msgid

# By how a sentence begins: the word that says the same.
BEGINNINGS: Mapping[str, str] = {
    "the firewall cannot be seen to": msgid(
        "The agent cannot see to the firewall: nothing is known to be shut or open there. On that"
        " machine, bascule agent status says why."
    ),
    "the guard file of this host cannot be used": msgid(
        "The guard file of this host cannot be used: nothing is opened here. On that machine, "
        "bascule agent status says why; root mends the file and restarts the agent."
    ),
    "the guard file of this host refuses": msgid(
        "The guard file of this host refuses something that was to be opened. What it admits is "
        "shown on the machine’s page."
    ),
    "its agent knew more than this server": msgid(
        "The agent knew more than this server twice within an hour, or told of thousands of "
        "changes in one, as a thief of its key could: nothing that it reports is believed until "
        "an owner has looked. If its key may be stolen, enrol it anew."
    ),
    "root has uninstalled the agent": msgid(
        "Root has uninstalled the agent there: nothing keeps the machine’s ports shut. Enrol it "
        "anew, or delete the machine."
    ),
    "The firewall table cannot be owned here": msgid(
        "The firewall table cannot be owned here (kernel below 6.9 or nftables below 1.1): "
        "another tool’s nft flush ruleset would open every port until it is healed."
    ),
    "This kernel cannot destroy sockets": msgid(
        "This kernel cannot destroy sockets: a connection that was cut lingers on the host until "
        "its own timeout."
    ),
    "Tracked connections cannot be listed": msgid(
        "Tracked connections cannot be listed (module nf_conntrack_netlink): connections through "
        "published container ports are cut when their port is first closed."
    ),
    "Where published container ports lead cannot be told": msgid(
        "Where published container ports lead cannot be read in full: a neighbour who routes to a"
        " container past the machine’s ports may reach it although the port is closed. On that "
        "machine, bascule agent status says what cannot be read."
    ),
    "the socket that owns the firewall table": msgid(
        "No service manager keeps the socket that owns the firewall table: while no agent runs, "
        "another tool’s nft flush ruleset would open the ports. Run it as a service: bascule "
        "agent install."
    ),
    "the server's record was changed": msgid(
        "The server’s record is no longer the one that this agent has seen. The evidence is in "
        "its state directory (witness.json); check it with bascule audit verify --witness."
    ),
    "the port that the server listens on": msgid(
        "The port that this server itself listens on is shut on its own host: nobody reaches it "
        "from elsewhere. Take the port out of the policies, or have the server listen elsewhere."
    ),
}
_OWN_RANGE = re.compile(r"port (\d+)/(?:tcp|udp) is shut and lies in this host's range")


def weakness_words(words: Words, sentence: str) -> str:
    """The same in the portal's words; empty for a sentence that is not known."""
    own_range = _OWN_RANGE.match(sentence)
    if own_range is not None:
        return words(
            "Port {port} is shut and lies in this host’s range for its own connections: some of "
            "them will fail. Change net.ipv4.ip_local_port_range or release the port.",
            port=own_range[1],
        )
    known = (text for begin, text in BEGINNINGS.items() if sentence.startswith(begin))
    return next(map(words, known), "")
