"""The pages of one machine: overview, configuration, connect, activity log."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.words import Pair

WORDS: Mapping[str, Pair] = {
    "machine.lead": (
        "Virtual machine · {system} · resource group {group}",
        "Machine virtuelle · {system} · groupe de ressources {group}",
    ),
    "machine.pages": ("Pages of {name}", "Pages de {name}"),
    "machine.tab.overview": ("Overview", "Vue d’ensemble"),
    "machine.tab.configuration": ("Configuration", "Configuration"),
    "machine.tab.connect": ("Connect", "Se connecter"),
    "machine.tab.activity": ("Activity log", "Journal d’activité"),
    "machine.lacks": (
        "You lack the right to do this here: {action}. Ask for a role that has it.",
        "Il vous manque ici le droit de le faire : {action}. Demandez un rôle qui le comporte.",
    ),
    # -- overview: what it is
    "machine.facts": ("Essentials", "Informations de base"),
    "machine.jit": ("Just-in-time access", "Accès juste-à-temps"),
    "machine.state.configured": ("Configured", "Configuré"),
    "machine.state.notConfigured": ("Not configured", "Non configuré"),
    "machine.state.unsupported": ("Unsupported", "Non pris en charge"),
    "machine.addresses": ("Addresses", "Adresses"),
    "machine.no_address": ("none is known", "aucune n’est connue"),
    "machine.system": ("Operating system", "Système d’exploitation"),
    "machine.group": ("Resource group", "Groupe de ressources"),
    "machine.location": ("Location", "Emplacement"),
    "machine.added": ("Added", "Ajoutée"),
    "machine.tags": ("Tags", "Étiquettes"),
    "machine.reason.NotManaged": (
        "This machine is in the inventory alone; Bascule does not manage it.",
        "Cette machine figure seulement à l’inventaire ; Bascule ne la gère pas.",
    ),
    "machine.reason.NoEnforcementPoint": (
        "No enforcement point protects this machine: no agent has been enrolled.",
        "Aucun point d’application ne protège cette machine : aucun agent n’a été inscrit.",
    ),
    "machine.reason.FirewallFlushed": (
        "Another service on this machine empties the firewall’s rules, which cannot be owned there.",
        (
            "Un autre service de cette machine vide les règles du pare-feu, qui ne peuvent pas y avoir de "
            "propriétaire."
        ),
    ),
    "machine.reason.JitSwitchedOff": (
        "Just-in-time access is switched off for the resource group or the whole.",
        "L’accès juste-à-temps est désactivé pour le groupe de ressources ou pour l’ensemble.",
    ),
    "machine.todo.NotManaged": (
        "Have it managed: bascule machine add {name} --managed",
        "Faites-la gérer : bascule machine add {name} --managed",
    ),
    "machine.todo.NoEnforcementPoint": (
        "Enrol its agent: bascule machine enrol {name}",
        "Inscrivez son agent : bascule machine enrol {name}",
    ),
    "machine.todo.FirewallFlushed": (
        "Bring the host to Linux 6.9 and nftables 1.1, or disable that service on it.",
        "Passez l’hôte à Linux 6.9 et nftables 1.1, ou désactivez-y ce service.",
    ),
    "machine.todo.JitSwitchedOff": (
        "Have it switched on: bascule plan show says where it is off, bascule plan on switches it on.",
        "Faites-le activer : bascule plan show dit où il est désactivé, bascule plan on l’active.",
    ),
    # -- overview: what guards it
    "machine.point": ("Enforcement point", "Point d’application"),
    "machine.host_filter": ("Host filter", "Filtre de l’hôte"),
    "machine.agent.none_lead": (
        "Nothing keeps ports shut here until an agent is enrolled: Enforcement points, Enrol.",
        (
            "Rien n’y garde les ports fermés tant qu’aucun agent n’est inscrit : Points d’application, "
            "Inscrire."
        ),
    ),
    "machine.heard": ("Last contact", "Dernier contact"),
    "machine.applied": ("State applied", "État appliqué"),
    "machine.applied_all": ("up to date (generation {n})", "à jour (génération {n})"),
    "machine.applied_some": ("generation {n} of {of}", "génération {n} sur {of}"),
    "machine.version": ("Version", "Version"),
    "machine.guard": ("The host itself admits", "L’hôte lui-même admet"),
    "machine.guard.none": ("what policies allow", "ce que les stratégies autorisent"),
    "machine.guard.unusable": (
        "nothing: its guard file cannot be used",
        "rien : son fichier de garde est inutilisable",
    ),
    "machine.guard.ports": ("ports: {ports}", "ports : {ports}"),
    "machine.guard.no_ports": ("no port", "aucun port"),
    "machine.guard.sources": ("sources: {sources}", "sources : {sources}"),
    "machine.guard.no_sources": ("no source", "aucune source"),
    "machine.guard.longest": ("at most {span} at a time", "au plus {span} à la fois"),
    "machine.guard.no_release": ("no release of a port", "aucune libération de port"),
    "machine.not_enforced": ("nothing is enforced since", "rien n’est appliqué depuis"),
    "machine.shut": ("Kept shut", "Gardés fermés"),
    "machine.shut.wanted": ("To be shut", "À fermer"),
    "machine.shut.not_enforced": ("not enforced", "non appliqué"),
    "machine.shut.not_applied": ("not applied yet", "pas encore appliqué"),
    "machine.shut.still": (
        "released; shut until the agent hears of it",
        "libéré ; fermé tant que l’agent ne l’a pas appris",
    ),
    "machine.shut.last_known": ("last known", "dernier état connu"),
    "machine.nothing_shut": ("nothing", "rien"),
    "machine.in_no_policy": ("in no policy", "dans aucune stratégie"),
    "machine.weakness": ("Weakness:", "Faiblesse :"),
    "machine.no_weakness": ("No weakness is known.", "Aucune faiblesse connue."),
    # -- overview: what is open
    "machine.open_now": ("Open now", "Accès ouverts"),
    "machine.nothing_open": ("Nothing is open for anybody.", "Rien n’est ouvert pour personne."),
    "machine.nothing_open_of_yours": (
        "No request of yours is open. What others have open is not shown to you.",
        "Aucune demande de votre part n’est ouverte. Ce que d’autres ont ouvert ne vous est pas montré.",
    ),
    "machine.no_request_open": ("No request is open.", "Aucune demande n’est ouverte."),
    "machine.not_known_shut": (
        "Whether anything is open here is not known: see the enforcement point.",
        "On ne sait pas si quelque chose est ouvert ici : voyez le point d’application.",
    ),
    "machine.nothing_shut_at_all": (
        "Nothing is kept shut here: whoever reaches the machine reaches its ports without asking.",
        "Rien n’est gardé fermé ici : quiconque atteint la machine atteint ses ports sans demander.",
    ),
    "machine.by_root": (
        "Opened on the host itself, by root:",
        "Ouvert sur l’hôte même, par root :",
    ),
    "machine.until": ("until", "jusqu’au"),
    "machine.who": ("Who", "Qui"),
    "machine.port": ("Port", "Port"),
    "machine.sources": ("Source", "Source"),
    "machine.anywhere": ("any source", "toute source"),
    "machine.grant": ("State", "État"),
    "machine.left": ("Time left", "Temps restant"),
    # -- overview: the last grants
    "machine.timeline": ("Last accesses", "Derniers accès"),
    "machine.timeline.label.one": (
        "One access in the course of time; the figures are in the table below",
        "Un accès au fil du temps ; les chiffres sont dans le tableau ci-dessous",
    ),
    "machine.timeline.label.other": (
        "{n} accesses in the course of time; the figures are in the table below",
        "{n} accès au fil du temps ; les chiffres sont dans le tableau ci-dessous",
    ),
    "machine.began": ("Began", "Début"),
    "machine.ended": ("End", "Fin"),
    "machine.legend.open": ("open", "ouvert"),
    "machine.legend.over": ("over", "terminé"),
    "machine.legend.now": ("now", "maintenant"),
    "machine.no_grants": (
        "Nobody has had access through Bascule yet.",
        "Personne n’a encore eu accès par Bascule.",
    ),
    "machine.no_grants_of_yours": (
        "You have not had access yet. What others had is not shown to you.",
        "Vous n’avez pas encore eu accès. Les accès des autres ne vous sont pas montrés.",
    ),
    # -- overview: blocked attempts
    "machine.knocks": ("Blocked attempts", "Tentatives bloquées"),
    "machine.knocks.span": ("Time span", "Période"),
    "machine.knocks.day": ("24 hours", "24 heures"),
    "machine.knocks.week": ("7 days", "7 jours"),
    "machine.knocks.no_point": (
        "Without an agent nobody counts them.",
        "Sans agent, personne ne les compte.",
    ),
    "machine.knocks.nobody": (
        "No attempt at a closed port in this time.",
        "Aucune tentative sur un port fermé pendant cette période.",
    ),
    "machine.knocks.total.one": ("{n} blocked attempt", "{n} tentative bloquée"),
    "machine.knocks.total.other": ("{n} blocked attempts", "{n} tentatives bloquées"),
    "machine.knocks.what": (
        "Each packet that a closed port dropped; a client that gets no answer sends several.",
        "Chaque paquet abandonné à un port fermé ; un client sans réponse en envoie plusieurs.",
    ),
    "machine.knocks.hour": ("Hour beginning", "Heure commençant à"),
    "machine.knocks.attempts": ("Attempts", "Tentatives"),
    "machine.knocks.sources": ("Top sources", "Principales sources"),
    "machine.knocks.source": ("Source", "Source"),
    "machine.knocks.ports": ("Ports tried", "Ports visés"),
    "machine.knocks.last": ("Last seen", "Dernière tentative"),
    "machine.knocks.others.one": ("and {n} of other sources", "et {n} d’autres sources"),
    "machine.knocks.others.other": ("and {n} of other sources", "et {n} d’autres sources"),
    # -- configuration
    "machine.jit_off": ("Just-in-time access is off.", "L’accès juste-à-temps est désactivé."),
    "machine.jit_off_lead": (
        (
            "Nobody has to ask to reach this machine’s ports. Enabling it shuts the port below as "
            "soon as its agent hears of it; who connects then asks first."
        ),
        (
            "Nul n’a besoin de demander pour atteindre les ports de cette machine. L’activation ferme "
            "le port ci-dessous dès que son agent l’apprend ; pour se connecter, on demande alors "
            "d’abord."
        ),
    ),
    "machine.jit_off_lead_bare": (
        (
            "Nobody has to ask to reach this machine’s ports. Enabling it names the port below; it is "
            "shut as soon as an agent is enrolled."
        ),
        (
            "Nul n’a besoin de demander pour atteindre les ports de cette machine. L’activation désigne "
            "le port ci-dessous ; il est fermé dès qu’un agent est inscrit."
        ),
    ),
    "machine.enable": ("Enable just-in-time", "Activer l’accès juste-à-temps"),
    "machine.enable_other": (
        "Other ports or bounds: configure them on the page",
        "Autres ports ou limites : configurez-les sur la page",
    ),
    "machine.defaults": ("What is set", "Ce qui est défini"),
    "machine.jit_on": ("Just-in-time access is on.", "L’accès juste-à-temps est activé."),
    "machine.jit_on_lead": (
        "These ports are shut until somebody who may asks for one.",
        "Ces ports sont fermés tant que personne n’en demande l’ouverture.",
    ),
    "machine.rules_hidden": (
        "What policies say of this machine is not shown to you.",
        "Ce que les stratégies disent de cette machine ne vous est pas montré.",
    ),
    "machine.edit": ("Edit the policy", "Modifier la stratégie"),
    "machine.max_time": ("Max request time", "Durée maximale de la demande"),
    "machine.allowed": ("Allowed source IPs", "Adresses IP sources autorisées"),
    "machine.at_end": ("Sessions at the end", "Sessions à l’échéance"),
    "machine.at_end.keep": ("go on", "continuent"),
    "machine.at_end.kill": ("are cut", "sont coupées"),
    "machine.justification": ("Justification", "Justification"),
    "machine.justification.yes": ("required", "obligatoire"),
    "machine.justification.no": ("not required", "facultative"),
    "machine.policy": ("Policy", "Stratégie"),
    "machine.unnamed": ("Closed, in no policy", "Fermés, dans aucune stratégie"),
    "machine.unnamed_lead": (
        (
            "No policy names these ports any more, so nobody can ask for them; they stay shut until "
            "they are released. To release one is to open it: Bascule then lets everybody through."
        ),
        (
            "Plus aucune stratégie ne nomme ces ports : personne ne peut les demander, et ils restent "
            "fermés tant qu’ils ne sont pas libérés. Libérer un port, c’est l’ouvrir : Bascule laisse "
            "alors passer tout le monde."
        ),
    ),
    "machine.claimed": ("Closed by the agent’s word alone", "Fermés au seul dire de l’agent"),
    "machine.claimed_lead": (
        (
            "The agent says that it keeps these ports closed, and nobody closed them here: they may be "
            "of an earlier time, or whoever has stolen its key says so. The host keeps them as they "
            "are. Keep one closed here too, or release it, which opens it."
        ),
        (
            "L’agent dit garder ces ports fermés, et personne ne les a fermés ici : ils peuvent dater "
            "d’avant, ou venir d’un voleur de sa clé. L’hôte les laisse tels quels. Gardez-en un fermé "
            "ici aussi, ou libérez-le, ce qui l’ouvre."
        ),
    ),
    "machine.claimed_chip": ("by its agent’s word", "au dire de son agent"),
    "machine.claimed_more": ("and {n} more", "et {n} de plus"),
    "machine.take": ("Keep closed", "Garder fermé"),
    "machine.take_port": ("Keep {port} closed", "Garder {port} fermé"),
    "notice.port_taken": ("Kept closed from now on.", "Gardé fermé désormais."),
    "machine.not_believed": ("not believed since", "pas cru depuis"),
    "machine.believe": ("Believe it again", "Le croire de nouveau"),
    "notice.point_believed": (
        "What the agent reports is believed again.",
        "Ce que l’agent annonce est de nouveau cru.",
    ),
    "machine.release": ("Release", "Libérer"),
    "machine.release_port": ("Release {port}", "Libérer {port}"),
    "machine.release_all": ("Release all of them", "Tous les libérer"),
    "machine.off": ("Remove just-in-time access", "Supprimer l’accès juste-à-temps"),
    "notice.jit_enabled": (
        "Just-in-time access is enabled; the port is being shut.",
        "L’accès juste-à-temps est activé ; le port est en cours de fermeture.",
    ),
    "notice.port_released": ("Released.", "Libéré."),
    # -- connect
    "machine.connect.to": ("Connect to {name}", "Se connecter à {name}"),
    "machine.connect.heard": ("The machine is there", "La machine répond"),
    "machine.connect.not_heard": (
        "Its agent is away: a request would wait for it, and fail after a minute.",
        "Son agent est injoignable : une demande l’attendrait, puis échouerait après une minute.",
    ),
    "machine.connect.no_agent": (
        "It has no agent: nothing shuts its ports, and nothing can open them.",
        "Elle n’a pas d’agent : rien ne ferme ses ports, et rien ne peut les ouvrir.",
    ),
    "machine.connect.enabled": (
        "Just-in-time access is enabled",
        "L’accès juste-à-temps est activé",
    ),
    "machine.connect.not_enabled": (
        "Just-in-time access is not enabled",
        "L’accès juste-à-temps n’est pas activé",
    ),
    "machine.connect.open": ("Open for you", "Ouvert pour vous"),
    "machine.connect.opening": ("Opening for you…", "Ouverture en cours…"),
    "machine.connect.not_open": ("Not open for you yet", "Pas encore ouvert pour vous"),
    "machine.connect.failed": (
        "Not open: your request failed",
        "Pas ouvert : votre demande a échoué",
    ),
    "machine.connect.failed_at": (
        "The request for port {port} failed at",
        "La demande pour le port {port} a échoué à",
    ),
    "machine.connect.failed_request": ("The request that failed", "La demande qui a échoué"),
    "machine.connect.from": (
        "You come from {address}, as this server sees you.",
        "Votre adresse, telle que ce serveur la voit : {address}.",
    ),
    "machine.connect.ask": ("Request access", "Demander l’accès"),
    "machine.connect.will": (
        "Opens port {port} for {address} alone, for {span}.",
        "Ouvre le port {port} pour {address} uniquement, pendant {span}.",
    ),
    "machine.connect.otherwise": (
        "Another port, source or time",
        "Un autre port, une autre source ou une autre durée",
    ),
    "machine.connect.proxy": (
        (
            "Behind a proxy or address translation the machine may see another address: then give its "
            "range."
        ),
        (
            "Derrière un proxy ou une traduction d’adresses, la machine peut voir une autre adresse : "
            "indiquez alors sa plage."
        ),
    ),
    "machine.connect.no_source": (
        "Your own address cannot be used here; name the source on the request page.",
        "Votre adresse ne peut pas être utilisée ici ; indiquez la source sur la page de demande.",
    ),
    "machine.connect.how": (
        "How to connect: port {port}",
        "Comment se connecter : port {port}",
    ),
    "machine.connect.request": (
        "The request: extend it or close it now",
        "La demande : la prolonger ou la fermer maintenant",
    ),
    "machine.connect.until": ("Time left", "Temps restant"),
    "notice.access_requested": (
        "Access is requested; the port is opening.",
        "L’accès est demandé ; le port s’ouvre.",
    ),
    # -- activity log
    "machine.activity.lead": (
        "What happened at this machine, newest first.",
        "Ce qui s’est passé sur cette machine, du plus récent au plus ancien.",
    ),
    "machine.activity.all": ("Filter, older events", "Filtrer, événements plus anciens"),
    "machine.activity.csv": ("Download as CSV", "Télécharger au format CSV"),
    "machine.activity.none": ("Nothing is on record", "Rien n’est enregistré"),
    "machine.activity.none_lead": (
        "What is done about this machine will stand here.",
        "Ce qui sera fait à propos de cette machine figurera ici.",
    ),
}
