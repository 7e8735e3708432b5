"""Words about machines that are added and agents that are enrolled, of several pages."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.words import Pair

WORDS: Mapping[str, Pair] = {
    "enrol.lead": (
        "One command on the machine, with a token that works once",
        "Une commande sur la machine, avec un jeton à usage unique",
    ),
    "enrol.known": ("A machine that is known", "Une machine connue"),
    "enrol.new": ("A new machine", "Une nouvelle machine"),
    "enrol.more": (
        "There are more; search by name.",
        "Il y en a d’autres ; cherchez par nom.",
    ),
    "enrol.all_have_one": (
        "Every machine has an agent.",
        "Toutes les machines ont un agent.",
    ),
    "enrol.add_and_make": (
        "Add, and make the command",
        "Ajouter et créer la commande",
    ),
    "enrol.has_one": (
        "This machine has an agent. A command for another one takes the place of its key.",
        "Cette machine a un agent. Une commande pour un autre prend la place de sa clé.",
    ),
    "enrol.replace": (
        "The new agent takes the place of the present one",
        "Le nouvel agent prend la place de l’actuel",
    ),
    "enrol.to_machine": ("To the machine", "Vers la machine"),
    "enrol.name": ("Machine name", "Nom de la machine"),
    "enrol.name.help": (
        "Letters, digits, dot, underscore and hyphen; at most 64.",
        "Lettres, chiffres, point, tiret bas et trait d’union ; 64 au plus.",
    ),
    "enrol.group": ("Resource group", "Groupe de ressources"),
    "enrol.no_group": (
        "You may not add machines in any resource group.",
        "Vous ne pouvez ajouter de machine dans aucun groupe de ressources.",
    ),
    "enrol.os": ("Operating system", "Système d’exploitation"),
    "enrol.os.help": (
        "It chooses the port that is recommended: 22 for Linux, 3389 for Windows.",
        "Il détermine le port recommandé : 22 pour Linux, 3389 pour Windows.",
    ),
    "enrol.windows": (
        (
            "The agent runs on Linux. A Windows machine is in the inventory, and nothing shuts its "
            "ports yet."
        ),
        (
            "L’agent fonctionne sous Linux. Une machine Windows figure dans l’inventaire, mais rien ne "
            "ferme encore ses ports."
        ),
    ),
    "enrol.addresses": ("Addresses (optional)", "Adresses (facultatif)"),
    "enrol.addresses.help": (
        "Where it is reached, IPv4 or IPv6, with blanks between: for the commands to connect.",
        (
            "Où elle est jointe, en IPv4 ou IPv6, séparées par des espaces : pour les commandes de "
            "connexion."
        ),
    ),
    "enrol.run": (
        "Run this on the machine, as root. It installs the agent’s service:",
        "Exécutez ceci sur la machine, en tant que root. Le service de l’agent est installé :",
    ),
    "enrol.command": ("the agent’s command", "la commande de l’agent"),
    "enrol.token_asked": (
        "It asks for this token. Paste it there, not on the command line:",
        "Elle demande ce jeton. Collez-le à l’invite, pas sur la ligne de commande :",
    ),
    "enrol.token": ("the token", "le jeton"),
    "enrol.once": (
        "The token works once, and is shown here alone. Time left:",
        "Le jeton ne sert qu’une fois et n’est affiché qu’ici. Temps restant :",
    ),
    "enrol.shown_once": (
        "The token is shown once, when it is made. Make a new one if it is gone or too old.",
        (
            "Le jeton n’est affiché qu’une fois, à sa création. Créez-en un nouveau s’il est perdu ou "
            "trop ancien."
        ),
    ),
    "enrol.make": ("Make a command", "Créer une commande"),
    "enrol.check": ("Look again", "Vérifier de nouveau"),
    "enrol.waiting": ("Waiting for the agent…", "En attente de l’agent…"),
    "enrol.since": ("enrolled", "inscrit"),
    "enrol.version": ("version", "version"),
    "enrol.last": ("last heard", "dernier contact"),
}
