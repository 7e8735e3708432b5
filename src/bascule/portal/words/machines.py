"""Words of the inventory of machines."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.words import Pair

WORDS: Mapping[str, Pair] = {
    "machines.title": ("Virtual machines", "Machines virtuelles"),
    "machines.lead": ("All machines that are known here", "Toutes les machines connues ici"),
    "machines.add": ("Add a machine", "Ajouter une machine"),
    "machines.edit": ("Edit {name}", "Modifier {name}"),
    "machines.edit_lead": (
        "The name of a machine never changes. Addresses are for the commands to connect.",
        "Le nom d’une machine ne change jamais. Les adresses servent aux commandes de connexion.",
    ),
    "machines.addresses": ("Addresses", "Adresses"),
    "machines.agent": ("Agent", "Agent"),
    "machines.none": ("No machine matches", "Aucune machine ne correspond"),
    "machines.empty": ("No machine yet", "Pas encore de machine"),
    "machines.empty_lead": (
        "Add the first one; its agent then keeps its ports shut.",
        "Ajoutez la première ; son agent gardera ensuite ses ports fermés.",
    ),
    "machines.nothing_shut": (
        "Nothing is shut by this: that begins with the machine’s agent and a policy.",
        "Ceci ne ferme rien : cela commence avec l’agent de la machine et une stratégie.",
    ),
    "machines.add_and_enrol": ("Add, then enrol its agent", "Ajouter, puis inscrire son agent"),
    "machines.delete": ("Delete {name}", "Supprimer {name}"),
    "machines.delete.policies": (
        "It is taken out of these policies:",
        "Elle est retirée de ces stratégies :",
    ),
    "machines.delete.roles": (
        "Roles that are assigned at it are forgotten. A new machine of the name inherits nothing.",
        "Les rôles attribués sur elle sont oubliés. Une nouvelle machine de ce nom n’hérite de rien.",
    ),
    "machines.delete.record": (
        "What happened stays on record.",
        "Ce qui s’est passé reste consigné.",
    ),
    "notice.machine_added": ("The machine is added.", "La machine est ajoutée."),
    "notice.machine_deleted": ("The machine is deleted.", "La machine est supprimée."),
}
