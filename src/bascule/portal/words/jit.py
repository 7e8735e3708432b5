"""Words of the page "Just-in-time VM access"."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.words import Pair

WORDS: Mapping[str, Pair] = {
    "jit.title": (
        "Just-in-time VM access",
        "Accès juste-à-temps aux machines virtuelles",
    ),
    "jit.subscription": ("Subscription:", "Abonnement :"),
    "jit.machines": ("Virtual machines", "Machines virtuelles"),
    "jit.tab.configured": ("Configured", "Configuré"),
    "jit.tab.notConfigured": ("Not configured", "Non configuré"),
    "jit.tab.unsupported": ("Unsupported", "Non pris en charge"),
    "jit.about.configured": (
        "Machines whose ports are kept shut until somebody asks. Requests are those of the last week.",
        "Machines dont les ports restent fermés jusqu’à ce que quelqu’un demande l’accès. Les demandes sont celles de la dernière semaine.",
    ),
    "jit.about.notConfigured": (
        "Machines with an enforcement point that no policy names yet. Select some and enable just-in-time access.",
        "Machines dotées d’un point d’application, qu’aucune stratégie ne nomme encore. Sélectionnez-en et activez l’accès juste-à-temps.",
    ),
    "jit.about.unsupported": (
        "Machines that cannot be protected as they are, why, and what to do about it.",
        "Machines qui ne peuvent pas être protégées en l’état, pourquoi, et comment y remédier.",
    ),
    "jit.machine": ("Virtual machine", "Machine virtuelle"),
    "jit.requests": ("Approved requests (7 days)", "Demandes approuvées (7 jours)"),
    "jit.last_access": ("Last access", "Dernier accès"),
    "jit.connections": ("Connection details", "Détails de la connexion"),
    "jit.last_user": ("Last user", "Dernier utilisateur"),
    "jit.state": ("State", "État"),
    "jit.point": ("Enforcement point", "Point d’application"),
    "jit.now": ("At this moment", "En ce moment"),
    "jit.reason": ("Reason, and what to do", "Raison et marche à suivre"),
    "jit.group": ("Resource group", "Groupe de ressources"),
    "jit.os": ("Operating system", "Système d’exploitation"),
    "jit.any_state": ("All states", "Tous les états"),
    "jit.any_group": ("All resource groups", "Tous les groupes de ressources"),
    "jit.any_os": ("All systems", "Tous les systèmes"),
    "jit.filter.name": ("Filter by name", "Filtrer par nom"),
    "jit.state.open": ("Open", "Ouvert"),
    "jit.state.opening": ("Opening", "Ouverture en cours"),
    "jit.state.closing": ("Closing", "Fermeture en cours"),
    "jit.state.notConfirmed": ("Not confirmed", "Non confirmé"),
    "jit.state.offline": ("Agent away", "Agent injoignable"),
    "jit.state.notEnforced": ("Agent enforces nothing", "L’agent n’applique rien"),
    "jit.state.applying": ("Applying", "Application en cours"),
    "jit.state.closed": ("Closed", "Fermé"),
    "jit.state.nothingShut": ("Nothing shut", "Rien de fermé"),
    "jit.host_filter": ("Host filter", "Filtre de l’hôte"),
    "jit.no_port": ("No open port", "Aucun port ouvert"),
    "jit.grant_closing": ("closing", "fermeture"),
    "jit.request": ("Request access", "Demander l’accès"),
    "jit.enable_one": ("Enable just-in-time", "Activer l’accès juste-à-temps"),
    "jit.enable_before": ("Enable JIT on", "Activer l’accès JAT sur"),
    "jit.enable_after": ("VMs", "machines virtuelles"),
    "jit.enable_after_one": ("VM", "machine virtuelle"),
    "jit.enable_selected": (
        "Enable JIT on the selected VMs",
        "Activer l’accès JAT sur les machines sélectionnées",
    ),
    "jit.selected": ("selected", "sélectionnée(s)"),
    "jit.properties": ("Properties", "Propriétés"),
    "jit.lacks": ("You lack here: {action}", "Il vous manque ici : {action}"),
    "jit.tick": ("Select {machine}", "Sélectionner {machine}"),
    "jit.tick_all": ("Select all on this page", "Tout sélectionner sur cette page"),
    "jit.pages": ("Pages", "Pages"),
    "jit.empty": ("There are no machines yet", "Il n’y a pas encore de machine"),
    "jit.empty_lead": (
        "Add a machine and enrol its agent; then its ports can be kept shut. If machines exist, you have no role that shows them.",
        "Ajoutez une machine et inscrivez son agent ; ses ports pourront alors rester fermés. S’il existe des machines, aucun de vos rôles ne les montre.",
    ),
    "jit.add_machine": ("Machines", "Machines"),
    "jit.no_match": ("No machine fits the filter", "Aucune machine ne correspond au filtre"),
    "jit.no_match_lead": (
        "Change the filter, or clear it to see all machines of this tab.",
        "Modifiez le filtre, ou effacez-le pour voir toutes les machines de cet onglet.",
    ),
    "jit.none.configured": (
        "No machine is protected yet",
        "Aucune machine n’est encore protégée",
    ),
    "jit.none_lead.configured": (
        "Choose machines under Not configured and enable just-in-time access there.",
        "Choisissez des machines sous « Non configuré » et activez-y l’accès juste-à-temps.",
    ),
    "jit.none.notConfigured": (
        "Every supported machine is configured",
        "Toutes les machines prises en charge sont configurées",
    ),
    "jit.none_lead.notConfigured": (
        "A machine shows here once its agent is enrolled and no policy names it.",
        "Une machine apparaît ici dès que son agent est inscrit et qu’aucune stratégie ne la nomme.",
    ),
    "jit.none.unsupported": (
        "Every machine can be protected",
        "Toutes les machines peuvent être protégées",
    ),
    "jit.none_lead.unsupported": (
        "Machines without an agent, or whose firewall is emptied by something else, would show here.",
        "Les machines sans agent, ou dont un autre programme vide le pare-feu, apparaîtraient ici.",
    ),
    "jit.to_not_configured": ("To the machines", "Vers les machines"),
    "jit.why.NotManaged": (
        "{machine} is in the inventory alone: its tag bascule-managed is false.",
        "{machine} figure seulement à l’inventaire : son étiquette bascule-managed vaut false.",
    ),
    "jit.todo.NotManaged": ("Put it under management:", "Placez-la sous gestion :"),
    "jit.why.NoEnforcementPoint": (
        "No agent is enrolled on {machine}, so nothing is shut there.",
        "Aucun agent n’est inscrit sur {machine} : rien n’y est fermé.",
    ),
    "jit.todo.NoEnforcementPoint": ("Enrol its agent:", "Inscrivez son agent :"),
    "jit.why.FirewallFlushed": (
        "{service} on {machine} empties the firewall, our rules too: each time, every port is open until the agent has healed it.",
        "{service} sur {machine} vide le pare-feu, nos règles comprises : chaque fois, tous les ports sont ouverts jusqu’à ce que l’agent ait réparé.",
    ),
    "jit.todo.FirewallFlushed": (
        "Bring the host to Linux 6.9 and nftables 1.1, or disable that service on it.",
        "Passez l’hôte à Linux 6.9 et nftables 1.1, ou désactivez-y ce service.",
    ),
    "jit.why.JitSwitchedOff": (
        "The plan of the subscription switches just-in-time access off; what is shut stays shut.",
        "Le plan de l’abonnement désactive l’accès juste-à-temps ; ce qui est fermé reste fermé.",
    ),
    "jit.todo.JitSwitchedOff": ("Switch it on:", "Activez-le :"),
    "jit.why.JitSwitchedOff.group": (
        "The plan of resource group {group} switches just-in-time access off; what is shut stays shut.",
        "Le plan du groupe de ressources {group} désactive l’accès juste-à-temps ; ce qui est fermé reste fermé.",
    ),
    "jit.todo.JitSwitchedOff.group": ("Switch it on:", "Activez-le :"),
}
