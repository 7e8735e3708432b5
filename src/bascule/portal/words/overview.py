"""Words of the overview."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.words import Pair

WORDS: Mapping[str, Pair] = {
    "overview.title": ("Overview", "Vue d’ensemble"),
    "overview.lead": (
        "Management ports are shut until somebody asks.",
        "Les ports de gestion sont fermés tant que personne n’en demande l’ouverture.",
    ),
    "overview.figures": ("At a glance", "En un coup d’œil"),
    "overview.open": ("Open now", "Accès ouverts"),
    "overview.on_machines.one": ("on {n} machine", "sur {n} machine"),
    "overview.on_machines.other": ("on {n} machines", "sur {n} machines"),
    "overview.nobody_in": ("nobody is let in", "personne n’est admis"),
    "overview.knocks": ("Blocked attempts, 24 hours", "Tentatives bloquées, 24 heures"),
    "overview.knocks_chart": (
        "Blocked attempts by hour of the last 24 hours",
        "Tentatives bloquées par heure des dernières 24 heures",
    ),
    "overview.bare": ("Unprotected machines", "Machines sans protection"),
    "overview.of_machines.one": ("of {n} machine", "sur {n} machine"),
    "overview.of_machines.other": ("of {n} machines", "sur {n} machines"),
    "overview.all_protected": ("all keep ports shut", "toutes maintiennent des ports fermés"),
    "overview.agents": ("Agents connected", "Agents connectés"),
    "overview.offline.one": (
        "{n} away or enforcing nothing",
        "{n} injoignable ou n’appliquant rien",
    ),
    "overview.offline.other": (
        "{n} away or enforcing nothing",
        "{n} injoignables ou n’appliquant rien",
    ),
    "overview.all_online": ("all are connected", "tous sont connectés"),
    "overview.no_agents": ("none enrolled yet", "aucun inscrit pour l’instant"),
    "overview.requests": ("Requests, last 7 days", "Demandes, 7 derniers jours"),
    "overview.own_requests": ("Your requests, last 7 days", "Vos demandes, 7 derniers jours"),
    "overview.requests_chart": (
        "Requests by day of the last seven days",
        "Demandes par jour des sept derniers jours",
    ),
    "overview.hour": ("Hour (UTC)", "Heure (UTC)"),
    "overview.left": ("Left", "Reste"),
    "overview.see_all": ("See all", "Tout voir"),
    "overview.request": ("Request access", "Demander l’accès"),
    "overview.not_shut": (
        "Nothing of these machines is kept shut.",
        "Sur ces machines, rien n’est maintenu fermé.",
    ),
    "overview.first": ("Protect your first machine", "Protéger votre première machine"),
    "overview.first_lead": (
        "There is no machine yet. Add one, start its agent with one command, and its management ports are shut until somebody asks.",
        "Il n’y a pas encore de machine. Ajoutez-en une, démarrez son agent avec une seule commande, et ses ports de gestion sont fermés tant que personne n’en demande l’ouverture.",
    ),
    "overview.first_steps": ("First steps", "Premiers pas"),
    "overview.add_machine": ("Add a machine", "Ajouter une machine"),
    "overview.first_ask": (
        "There is no machine yet. Somebody who may add machines begins here.",
        "Il n’y a pas encore de machine. Une personne autorisée à en ajouter commence ici.",
    ),
    "overview.nothing": ("No machine is shown to you", "Aucune machine ne vous est montrée"),
    "overview.nothing_lead": (
        "No role lets you read machines. An owner or a user access administrator can assign you one, for example Reader.",
        "Aucun rôle ne vous permet de lire des machines. Un propriétaire ou un administrateur de l’accès utilisateur peut vous en attribuer un, par exemple Lecteur.",
    ),
    "overview.no_agent": ("no agent", "sans agent"),
    "overview.account": ("To my account", "Vers mon compte"),
}
