"""Words of the page "Request access"."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.words import Pair

WORDS: Mapping[str, Pair] = {
    "ask.title": ("Request access", "Demander l’accès"),
    "ask.lead": (
        "Choose the ports to open on each machine. They shut by themselves when the time is over.",
        "Choisissez les ports à ouvrir sur chaque machine. Ils se referment d’eux-mêmes à l’échéance.",
    ),
    "ask.machines.one": ("{n} machine", "{n} machine"),
    "ask.machines.other": ("{n} machines", "{n} machines"),
    "ask.policies.one": (
        "These machines are of {n} policy: one request is made.",
        "Ces machines relèvent de {n} stratégie : une seule demande est faite.",
    ),
    "ask.policies.other": (
        "These machines are of {n} policies: one request is made for each of them, all or none.",
        "Ces machines relèvent de {n} stratégies : une demande est faite pour chacune, toutes ou aucune.",
    ),
    "ask.policy": ("Policy {name}", "Stratégie {name}"),
    "ask.ports_of": ("Ports of {machine}", "Ports de {machine}"),
    "ask.port": ("Port", "Port"),
    "ask.on": ("Open", "Ouvrir"),
    "ask.switch": ("Open port {port} of {machine}", "Ouvrir le port {port} de {machine}"),
    "ask.source": ("Allowed source IPs", "Adresses IP sources autorisées"),
    "ask.source_of": (
        "Source of port {port} of {machine}",
        "Source du port {port} de {machine}",
    ),
    "ask.mine": ("My IP", "Mon IP"),
    "ask.range": ("IP range", "Plage d’adresses IP"),
    "ask.range_of": (
        "IP range for port {port} of {machine}",
        "Plage d’adresses IP pour le port {port} de {machine}",
    ),
    "ask.range_hint": (
        "Addresses or ranges, separated by commas.",
        "Adresses ou plages, séparées par des virgules.",
    ),
    "ask.seen": ("{address}, seen just now", "{address}, vue à l’instant"),
    "ask.allowed": ("Allowed: {sources}", "Autorisé : {sources}"),
    "ask.mine_outside": (
        "Your address {address} is not within what the policy allows here.",
        "Votre adresse {address} n’est pas comprise dans ce que la stratégie autorise ici.",
    ),
    "ask.time": ("Time range", "Plage horaire"),
    "ask.time_of": (
        "For how long, port {port} of {machine}: hours and minutes",
        "Pour combien de temps, port {port} de {machine} : heures et minutes",
    ),
    "ask.slider_of": (
        "For how long, port {port} of {machine}",
        "Pour combien de temps, port {port} de {machine}",
    ),
    "ask.longest": ("at most {span}", "au plus {span}"),
    "ask.longest.host": (
        "at most {span}, by the host itself",
        "au plus {span}, selon l’hôte lui-même",
    ),
    "ask.host.port": (
        "The host itself does not admit this port.",
        "L’hôte lui-même n’admet pas ce port.",
    ),
    "ask.host.source": (
        "The host itself admits no source.",
        "L’hôte lui-même n’admet aucune source.",
    ),
    "ask.host.unreadable": (
        "The host opens nothing: its guard file cannot be used.",
        "L’hôte n’ouvre rien : son fichier de garde est inutilisable.",
    ),
    "ask.open_already": ("Open for you:", "Ouvert pour vous :"),
    "ask.justification": ("Justification", "Justification"),
    "ask.justification.placeholder": (
        "Why is this access needed? The text goes on record.",
        "Pourquoi cet accès est-il nécessaire ? Le texte est inscrit au journal.",
    ),
    "ask.justification.some": (
        "Required for: {ports}.",
        "Obligatoire pour : {ports}.",
    ),
    "ask.justified": ("justification required", "justification obligatoire"),
    "ask.submit": ("Open ports", "Ouvrir les ports"),
    "ask.confirm": ("Open all the same", "Ouvrir malgré tout"),
    "ask.mine.note": (
        "Your address, as this server sees it, is {address}. Behind a proxy, a VPN or a gateway the machine may see another one: then enter its range.",
        "Votre adresse, telle que ce serveur la voit, est {address}. Derrière un proxy, un VPN ou une passerelle, la machine peut en voir une autre : saisissez alors sa plage.",
    ),
    "ask.mine.seen": (
        "{machine} has just blocked attempts from {address}, which is your address: it is the one that the machine sees.",
        "{machine} vient de bloquer des tentatives depuis {address}, qui est votre adresse : c’est bien celle que la machine voit.",
    ),
    "ask.seen.note": (
        "{machine} has just blocked attempts from {address}, from where this session has come too. If those were yours, choose that address.",
        "{machine} vient de bloquer des tentatives depuis {address}, d’où cette session est venue elle aussi. Si elles étaient de vous, choisissez cette adresse.",
    ),
    "ask.mine.unknown": (
        "My IP is not offered: the server does not know your address. Enter an IP range.",
        "Mon IP n’est pas proposée : le serveur ne connaît pas votre adresse. Saisissez une plage d’adresses IP.",
    ),
    "ask.mine.proxy": (
        "My IP is not offered: {address}, which the server sees, is the proxy’s. Enter the address that the machine will see.",
        "Mon IP n’est pas proposée : {address}, que le serveur voit, est celle du proxy. Saisissez l’adresse que la machine verra.",
    ),
    "ask.mine.loopback": (
        "My IP is not offered: {address}, which the server sees, is a loopback address, and no machine sees you come from there. Enter an IP range.",
        "Mon IP n’est pas proposée : {address}, que le serveur voit, est une adresse de bouclage, et aucune machine ne vous verra en venir. Saisissez une plage d’adresses IP.",
    ),
    "ask.mine.link_local": (
        "My IP is not offered: {address}, which the server sees, is a link-local address. Enter an IP range.",
        "Mon IP n’est pas proposée : {address}, que le serveur voit, est une adresse de lien local. Saisissez une plage d’adresses IP.",
    ),
    "ask.mine.own": (
        "My IP is not offered: {address}, which the server sees, is the server’s own. Enter an IP range.",
        "Mon IP n’est pas proposée : {address}, que le serveur voit, est celle du serveur lui-même. Saisissez une plage d’adresses IP.",
    ),
    "ask.point.none": (
        "No agent is enrolled here: a request is accepted, and fails after a minute.",
        "Aucun agent n’est inscrit ici : une demande est acceptée, puis échoue au bout d’une minute.",
    ),
    "ask.point.doubted": (
        "What the agent says is not believed: until an owner has looked, a request fails.",
        "Ce que dit l’agent n’est pas cru : tant qu’un propriétaire n’a pas vérifié, une demande échoue.",
    ),
    "ask.point.notEnforced": (
        "The agent is there and enforces nothing: as long as that lasts, a request fails.",
        "L’agent est là mais ne peut rien appliquer : tant que cela dure, une demande échoue.",
    ),
    "ask.point.silent": (
        "The agent is away: if it does not come back within a minute, the request fails.",
        "L’agent est injoignable : s’il ne revient pas dans la minute, la demande échoue.",
    ),
    "ask.without": (
        "No policy names {machines}: nothing can be asked for there.",
        "Aucune stratégie ne mentionne {machines} : rien ne peut y être demandé.",
    ),
    "ask.configure": ("Configure just-in-time access", "Configurer l’accès juste-à-temps"),
    "ask.nothing.title": ("There is nothing to ask for", "Il n’y a rien à demander"),
    "ask.nothing": (
        "Just-in-time access is not configured for what was chosen.",
        "L’accès juste-à-temps n’est pas configuré pour ce qui a été choisi.",
    ),
    "ask.refused": ("The ports were not opened", "Les ports n’ont pas été ouverts"),
    "ask.where": ("{machine}, port {port}:", "{machine}, port {port} :"),
    "ask.wide.title": (
        "Do you mean to let in so many? Nothing is open yet.",
        "Voulez-vous vraiment laisser entrer autant de monde ? Rien n’est encore ouvert.",
    ),
    "ask.wide.everybody": (
        "{sources} is everybody: any address in the world may then try.",
        "{sources}, c’est tout le monde : n’importe quelle adresse pourra alors essayer.",
    ),
    "ask.wide.wide": (
        "{sources} is more than one network: wider than /24 (IPv4) or /48 (IPv6).",
        "{sources}, c’est plus qu’un réseau : plus large que /24 (IPv4) ou /48 (IPv6).",
    ),
    "ask.wide.way": (
        "Take the address that you come from, or the narrowest range that holds it.",
        "Prenez l’adresse d’où vous venez, ou la plage la plus étroite qui la contient.",
    ),
}
