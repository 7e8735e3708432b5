"""The activity log: filters, columns, an event's own pane, the chain that proves it."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.words import Pair

WORDS: Mapping[str, Pair] = {
    "activity.title": ("Activity log", "Journal d’activité"),
    "activity.lead": ("Who did what, from where, and when", "Qui a fait quoi, d’où et quand"),
    "activity.download": ("Download as CSV", "Télécharger au format CSV"),
    # columns
    "activity.operation": ("Operation", "Opération"),
    "activity.status": ("Status", "État"),
    "activity.when": ("Time", "Heure"),
    "activity.resource": ("Resource", "Ressource"),
    "activity.who": ("Event initiated by", "Événement lancé par"),
    "activity.from": ("From", "Depuis"),
    "activity.chain": ("Chain", "Chaîne"),
    "activity.sealed": ("Sealed in the chain", "Scellé dans la chaîne"),
    "activity.unsealed": (
        "Not sealed yet: it will be in a second",
        "Pas encore scellé : il le sera dans une seconde",
    ),
    "activity.status.Succeeded": ("Succeeded", "Réussi"),
    "activity.status.Accepted": ("Accepted", "Accepté"),
    "activity.status.Failed": ("Failed", "Échec"),
    "activity.system": ("Bascule", "Bascule"),
    "activity.stranger": ("Somebody not signed in", "Utilisateur non connecté"),
    "activity.installation": ("The installation", "L’installation"),
    "activity.denied": ("Denied: {action}", "Refusé : {action}"),
    "activity.unknown": ("Unknown event {kind}", "Événement inconnu {kind}"),
    "activity.access": ("{ports} from {sources}", "{ports} depuis {sources}"),
    "activity.to": ("until", "jusqu’au"),
    "activity.about": ("Access", "Accès"),
    "activity.request": ("Request", "Demande"),
    "activity.by_request": ("Group by request", "Grouper par demande"),
    "activity.by_time": ("Order by time", "Trier par heure"),
    # kinds of resources, by the last word of their type
    "activity.kind.subscriptions": ("Subscription", "Abonnement"),
    "activity.kind.resourcegroups": ("Resource group", "Groupe de ressources"),
    "activity.kind.virtualmachines": ("Virtual machine", "Machine virtuelle"),
    "activity.kind.jitnetworkaccesspolicies": ("JIT policy", "Stratégie d’accès JAT"),
    "activity.kind.roleassignments": ("Role assignment", "Attribution de rôle"),
    "activity.kind.roledefinitions": ("Role definition", "Définition de rôle"),
    "activity.kind.users": ("User", "Utilisateur"),
    "activity.kind.groups": ("Group", "Groupe"),
    "activity.kind.serviceprincipals": ("Service principal", "Principal de service"),
    "activity.kind.identityproviders": ("Identity provider", "Fournisseur d’identité"),
    "activity.kind.recordsinks": ("Record sink", "Destination du journal"),
    "activity.kind.pricings": ("Plan", "Plan"),
    # filters
    "activity.filters": ("Filters", "Filtres"),
    "activity.machine": ("Machine", "Machine"),
    "activity.machine.hint": ("whole name, or ID", "nom complet, ou ID"),
    "activity.person": ("Person or service", "Personne ou service"),
    "activity.person.hint": ("whole name, or ID", "nom complet, ou ID"),
    "activity.any_operation": ("All operations", "Toutes les opérations"),
    "activity.any_status": ("All statuses", "Tous les états"),
    "activity.span": ("Time span", "Intervalle de temps"),
    "activity.span.24h": ("Last 24 hours", "Dernières 24 heures"),
    "activity.span.2d": ("Last 2 days", "2 derniers jours"),
    "activity.span.7d": ("Last 7 days", "7 derniers jours"),
    "activity.span.30d": ("Last 30 days", "30 derniers jours"),
    "activity.span.90d": ("Last 90 days", "90 derniers jours"),
    "activity.span.all": ("Everything", "Tout"),
    "activity.span.custom": ("Custom", "Personnalisé"),
    "activity.since": ("From (UTC)", "Du (UTC)"),
    "activity.until": ("To (UTC)", "Au (UTC)"),
    # the chart
    "activity.total.one": ("{n} event", "{n} événement"),
    "activity.total.other": ("{n} events", "{n} événements"),
    "activity.failed.one": ("{n} failed", "{n} en échec"),
    "activity.failed.other": ("{n} failed", "{n} en échec"),
    "activity.by_hour": ("Events by hour (UTC)", "Événements par heure (UTC)"),
    "activity.by_day": ("Events by day (UTC)", "Événements par jour (UTC)"),
    "activity.by_days": ("Events by {days} days (UTC)", "Événements par {days} jours (UTC)"),
    "activity.hour": ("Hour (UTC)", "Heure (UTC)"),
    "activity.day": ("Day (UTC)", "Jour (UTC)"),
    "activity.first_day": ("From (UTC)", "À partir du (UTC)"),
    "activity.events": ("Events", "Événements"),
    "activity.of_them_failed": ("Of them failed", "Dont en échec"),
    "activity.others": ("Succeeded or accepted", "Réussis ou acceptés"),
    # new rows
    "activity.news.one": ("{n} new event, show", "{n} nouvel événement, afficher"),
    "activity.news.other": ("{n} new events, show", "{n} nouveaux événements, afficher"),
    "activity.news.many": (
        "More than {n} new events, show",
        "Plus de {n} nouveaux événements, afficher",
    ),
    # empty
    "activity.none": ("Nothing fits these filters", "Aucun événement ne correspond à ces filtres"),
    "activity.none_lead": (
        "Widen the time span or leave a filter out. A machine and a person are found by their whole names, those that are gone too.",
        "Élargissez l’intervalle de temps ou retirez un filtre. Une machine et une personne se trouvent par leur nom complet, même si elles n’existent plus.",
    ),
    "activity.nothing": ("Nothing you may see yet", "Rien que vous puissiez voir pour l’instant"),
    "activity.nothing_lead": (
        "You see the events of what you may read the activity log of. A role such as Reader on a machine, a group or the subscription gives that.",
        "Vous voyez les événements des ressources dont vous pouvez lire le journal d’activité. Un rôle tel que Lecteur sur une machine, un groupe ou l’abonnement le permet.",
    ),
    # the chain
    "activity.verified": (
        "Verified: no event up to number {n} was changed, taken out or moved. Read back at",
        "Vérifié : aucun événement jusqu’au numéro {n} n’a été modifié, retiré ni déplacé. Relu le",
    ),
    "activity.broken": (
        "The record does not hold from number {n} on: somebody changed it. Found at",
        "Le journal n’est plus fiable à partir du numéro {n} : quelqu’un l’a modifié. Constaté le",
    ),
    "activity.unread": (
        "The chain has not been read back since the server started; it is read a minute after a start and once a day.",
        "La chaîne n’a pas été relue depuis le démarrage du serveur ; elle l’est une minute après un démarrage, puis une fois par jour.",
    ),
    "activity.verify": ("Prove it yourself:", "Prouvez-le vous-même :"),
    "activity.signed": (
        "Sealed up to number {head}, signed up to number {signed}.",
        "Scellé jusqu’au numéro {head}, signé jusqu’au numéro {signed}.",
    ),
    # an event
    "activity.event": ("Event", "Événement"),
    "activity.at": ("Time", "Heure"),
    "activity.resource_id": ("Resource ID", "ID de ressource"),
    "activity.principal_id": ("Principal ID", "ID du principal"),
    "activity.client": ("Program", "Programme"),
    "activity.justification": ("Justification", "Justification"),
    "activity.details": ("Details", "Détails"),
    "activity.record_kind": ("Kind on record", "Type dans le journal"),
    "activity.correlation": ("Correlation ID", "ID de corrélation"),
    "activity.place": ("Place in the chain", "Place dans la chaîne"),
    "activity.place.number": ("Number {n}", "Numéro {n}"),
    "activity.hash": ("Hash", "Empreinte"),
    "activity.is_verified": (
        "Verified when the record was last read back,",
        "Vérifié lors de la dernière relecture du journal,",
    ),
    "activity.is_later": (
        "Sealed after the record was last read back",
        "Scellé après la dernière relecture du journal",
    ),
    "activity.is_broken": (
        "The record does not hold here: see the activity log",
        "Le journal n’est pas fiable ici : voir le journal d’activité",
    ),
    "activity.json": ("JSON", "JSON"),
    "activity.json_lead": (
        "As Azure’s activity log writes it; the end first, then the beginning of the call",
        "Tel que l’écrit le journal d’activité d’Azure ; d’abord la fin, puis le début de l’appel",
    ),
    "activity.same_machine": ("Everything about {name}", "Tout ce qui concerne {name}"),
    "activity.same_person": ("Everything by {name}", "Tout ce qu’a fait {name}"),
}
