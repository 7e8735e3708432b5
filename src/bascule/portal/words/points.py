"""Words of the enforcement points."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.words import Pair

WORDS: Mapping[str, Pair] = {
    "points.title": ("Enforcement points", "Points d’application"),
    "points.lead": (
        "Agents that keep ports shut on their machines",
        "Agents qui gardent les ports fermés sur leurs machines",
    ),
    "points.enrol": ("Enrol an agent", "Inscrire un agent"),
    "points.machine": ("Machine", "Machine"),
    "points.health": ("Health", "Intégrité"),
    "points.kind": ("Kind", "Type"),
    "points.host_filter": ("Host filter", "Filtre de l’hôte"),
    "points.version": ("Agent version", "Version de l’agent"),
    "points.contact": ("Last contact", "Dernier contact"),
    "points.generation": ("Generation", "Génération"),
    "points.generation.help": (
        "last applied / to be applied",
        "dernière appliquée / à appliquer",
    ),
    "points.blocked": ("Blocked attempts", "Tentatives bloquées"),
    "points.details": ("Details", "Détails"),
    "points.filter.name": ("Name contains", "Le nom contient"),
    "points.only.silent": ("Away, or enforcing nothing", "Injoignables, ou n’appliquant rien"),
    "points.only.behind": ("Not up to date", "Pas à jour"),
    "points.only.well": ("Connected and up to date", "Connectés et à jour"),
    "points.behind": ("Not up to date", "Pas à jour"),
    "points.current": ("Up to date", "À jour"),
    "points.well": ("Healthy", "En bon état"),
    "points.weak.one": ("{n} weakness", "{n} faiblesse"),
    "points.weak.other": ("{n} weaknesses", "{n} faiblesses"),
    "points.none": ("Nothing matches", "Aucun résultat"),
    "points.none_lead": (
        "Change the filters, or clear them.",
        "Modifiez les filtres ou effacez-les.",
    ),
    "points.unseen": ("You may not see this", "Vous ne pouvez pas voir ceci"),
    "points.empty": ("No agent yet", "Pas encore d’agent"),
    "points.empty_lead": (
        "An agent keeps a machine’s management ports shut and opens them on request.",
        "Un agent garde fermés les ports de gestion d’une machine et les ouvre à la demande.",
    ),
    "point.title": ("Agent of {name}", "Agent de {name}"),
    "point.weaknesses": ("Weaknesses", "Faiblesses"),
    "point.facts": ("What it reports", "Ce qu’il signale"),
    "point.enrolled": ("Enrolled", "Inscrit"),
    "point.fact.kernel": ("Kernel", "Noyau"),
    "point.fact.nftables": ("nftables", "nftables"),
    "point.fact.record seen": ("Record seen", "Journal vu"),
    "point.fact.flushed by": ("Firewall emptied by", "Pare-feu vidé par"),
    "point.fact.not enforced since": ("Enforces nothing since", "N’applique rien depuis"),
    "point.local_ports": ("Its own ports", "Ses propres ports"),
    "point.enrol_anew": ("Enrol anew", "Inscrire de nouveau"),
    "point.remove": ("Remove the agent of {name}", "Supprimer l’agent de {name}"),
    "point.remove.do": ("Remove the agent", "Supprimer l’agent"),
    "point.remove.refused": (
        "The agent’s key is refused from now on. As soon as it asks again it closes every opening.",
        "La clé de l’agent est refusée dès maintenant. À sa prochaine demande, il ferme toute ouverture.",
    ),
    "point.remove.ends.one": ("{n} live access ends.", "{n} accès en cours prend fin."),
    "point.remove.ends.other": ("{n} live accesses end.", "{n} accès en cours prennent fin."),
    "point.remove.shut": (
        "These ports stay shut on the host:",
        "Ces ports restent fermés sur l’hôte :",
    ),
    "point.remove.stays": (
        "The machine and its policies stay. Requests for it fail until an agent is enrolled.",
        (
            "La machine et ses stratégies restent. Les demandes échouent jusqu’à l’inscription d’un "
            "agent."
        ),
    ),
    "point.remove.uninstall": (
        "To open them, run “bascule agent uninstall” on the host, as root.",
        "Pour les ouvrir, exécutez « bascule agent uninstall » sur l’hôte, en tant que root.",
    ),
    "consequences": ("What will happen:", "Ce qui va se passer :"),
    "notice.point_removed": (
        "The agent is removed. What it kept shut stays shut.",
        "L’agent est supprimé. Ce qu’il gardait fermé le reste.",
    ),
}
