"""The search box in the bar on top, and the page of what it finds."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.words import Pair

WORDS: Mapping[str, Pair] = {
    "finding.title": ("Search", "Recherche"),
    "finding.for": ("Results for “{text}”", "Résultats pour « {text} »"),
    "finding.machines": ("Virtual machines", "Machines virtuelles"),
    "finding.people": ("People", "Personnes"),
    "finding.services": ("Service principals", "Principaux de service"),
    "finding.requests": ("Requests for access", "Demandes d’accès"),
    "finding.name": ("Name", "Nom"),
    "finding.group": ("Resource group", "Groupe de ressources"),
    "finding.display_name": ("Display name", "Nom d’affichage"),
    "finding.requestor": ("Asked by", "Demandé par"),
    "finding.machine": ("Machine", "Machine"),
    "finding.asked_at": ("Asked at", "Demandé le"),
    "finding.more": (
        "The first {n} of a kind are shown: type more letters to narrow them.",
        "Les {n} premiers de chaque sorte sont affichés : tapez plus de lettres pour préciser.",
    ),
    "finding.nothing": ("Nothing begins like that", "Rien ne commence ainsi"),
    "finding.nothing_lead": (
        "No name that you may see begins like that, and no request that you may see has that ID.",
        "Aucun nom que vous pouvez voir ne commence ainsi, et aucune demande que vous pouvez voir ne porte cet ID.",
    ),
    "finding.how": (
        "Machines, people and service principals are found by how their names begin, a request by its whole ID; each where you may see it. Their own lists find any part of a name:",
        "Les machines, les personnes et les principaux de service se trouvent par le début de leur nom, une demande par son ID complet, là où vous pouvez les voir. Leurs propres listes trouvent toute partie d’un nom :",
    ),
    "finding.type": ("Type how a name begins", "Tapez le début d’un nom"),
    "finding.begins": ("Name begins with, or ID", "Début du nom, ou ID"),
}
