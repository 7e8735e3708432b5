"""Words of the page Exposure, and of the chart of port-hours."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.words import Pair

WORDS: Mapping[str, Pair] = {
    "exposure.title": ("Exposure", "Exposition"),
    "exposure.lead_now": (
        "What can be reached by whom at this moment, as the hosts’ firewalls were read back.",
        "Ce qui est joignable et par qui en ce moment, d’après les règles relues sur les pare-feu des hôtes.",
    ),
    "exposure.lead_then": (
        "What could be reached by whom at",
        "Ce qui était joignable et par qui le",
    ),
    "exposure.moment": ("Moment", "Moment"),
    "exposure.moment_utc": ("Moment (UTC)", "Moment (UTC)"),
    "exposure.show": ("Show", "Afficher"),
    "exposure.now": ("Now", "Maintenant"),
    "exposure.hour_ago": ("An hour ago", "Il y a une heure"),
    "exposure.day_ago": ("A day ago", "Il y a un jour"),
    "exposure.week_ago": ("A week ago", "Il y a une semaine"),
    "exposure.too_old": (
        "Nothing is known of that moment. The history begins at",
        "On ne sait rien de ce moment. L’historique commence le",
    ),
    "exposure.views": ("What is shown", "Ce qui est affiché"),
    "exposure.tab.open": ("Open to somebody", "Ouverts à quelqu’un"),
    "exposure.tab.bare": ("Nothing kept shut", "Rien n’est maintenu fermé"),
    "exposure.tab.all": ("All machines", "Toutes les machines"),
    "exposure.about.open": (
        "Ports that let somebody in. To everybody else they are shut.",
        "Les ports qui laissent entrer quelqu’un. Pour tous les autres, ils sont fermés.",
    ),
    "exposure.about.bare": (
        "Of these machines nothing is kept shut: everything that the host itself lets in can be reached. More is not known here.",
        "Sur ces machines, rien n’est maintenu fermé : tout ce que l’hôte laisse entrer est joignable. On n’en sait pas plus ici.",
    ),
    "exposure.about.all": (
        "Every machine with its ports as they were read back, and its port-hours of the days below.",
        "Chaque machine avec ses ports tels qu’ils ont été relus, et ses heures-port des jours ci-dessous.",
    ),
    "exposure.machine": ("Virtual machine", "Machine virtuelle"),
    "exposure.port": ("Port", "Port"),
    "exposure.from": ("From", "Origine"),
    "exposure.who": ("Who", "Qui"),
    "exposure.since": ("Since", "Depuis"),
    "exposure.until": ("Until", "Jusqu’à"),
    "exposure.why": ("Why", "Pourquoi"),
    "exposure.ports": ("Ports", "Ports"),
    "exposure.hours_shut": ("Port-hours shut", "Heures-port fermées"),
    "exposure.hours_open": ("Port-hours open", "Heures-port ouvertes"),
    "exposure.reached": ("Can be reached", "Joignable"),
    "exposure.whatever": ("whatever the host lets in", "tout ce que l’hôte laisse entrer"),
    "exposure.agent": ("Enforcement point", "Point d’application"),
    "exposure.not_enforced": ("Enforces nothing since", "N’applique rien depuis"),
    "exposure.agent_silent": ("Away since", "Injoignable depuis"),
    "exposure.enrol": ("Enrol its agent", "Inscrire son agent"),
    "exposure.look_at_agent": (
        "The machine has a policy, but its agent does not enforce it: see the machine’s page.",
        "Une stratégie existe ; son agent ne l’applique pas : consultez la page de la machine.",
    ),
    "exposure.enable": ("Enable just-in-time", "Activer l’accès juste-à-temps"),
    "exposure.lacks": ("You lack here: {action}", "Il vous manque ici : {action}"),
    "exposure.what_to_do": ("What to do", "Que faire"),
    "exposure.somebody": ("somebody", "quelqu’un"),
    "exposure.somebody_why": (
        "You may not read requests of this machine.",
        "Vous ne pouvez pas lire les demandes de cette machine.",
    ),
    "exposure.root": ("root on the host", "root sur l’hôte"),
    "exposure.anywhere": ("anywhere", "n’importe où"),
    "exposure.not_confirmed": ("not confirmed", "non confirmé"),
    "exposure.not_confirmed_why": (
        "The agent is away or enforces nothing, or the lease is over and the port was not read back shut yet.",
        "L’agent ne donne plus de nouvelles ou ne peut rien appliquer, ou le délai est écoulé et la fermeture n’a pas encore été relue.",
    ),
    "exposure.unknown_end": ("not known", "inconnu"),
    "exposure.port_shut": ("shut", "fermé"),
    "exposure.port_open": ("open to somebody", "ouvert à quelqu’un"),
    "exposure.port_loose": ("not kept shut", "non maintenu fermé"),
    "exposure.port_wanted": ("should be shut, is not", "devrait être fermé, ne l’est pas"),
    "exposure.nothing": ("nothing is kept shut", "rien n’est maintenu fermé"),
    "exposure.none_open": ("Nobody is let in", "Personne n’est admis"),
    "exposure.none_open_lead": (
        "No port that is kept shut lets anybody in.",
        "Aucun port maintenu fermé ne laisse entrer qui que ce soit.",
    ),
    "exposure.none_open_then": ("Nobody was let in", "Personne n’était admis"),
    "exposure.none_bare": (
        "Every machine keeps ports shut",
        "Chaque machine maintient des ports fermés",
    ),
    "exposure.none_bare_lead": (
        "No machine that you may see lies open.",
        "Aucune machine que vous pouvez voir n’est sans protection.",
    ),
    "exposure.none_all": ("No machine", "Aucune machine"),
    "exposure.none_all_lead": (
        "At this moment there was no machine that you may see.",
        "À ce moment, il n’y avait aucune machine que vous puissiez voir.",
    ),
    "exposure.knocking": ("Blocked attempts by source", "Tentatives bloquées par origine"),
    "exposure.knocking_lead": (
        "Blocked attempts of the last 24 hours, by where they came from.",
        "Tentatives bloquées des dernières 24 heures, par origine.",
    ),
    "exposure.no_knocks": (
        "No attempt was blocked in the last 24 hours.",
        "Aucune tentative n’a été bloquée ces dernières 24 heures.",
    ),
    "exposure.attempts": ("Attempts", "Tentatives"),
    "exposure.tried": ("Ports tried", "Ports essayés"),
    "exposure.knocks.one": ("{n} blocked attempt", "{n} tentative bloquée"),
    "exposure.knocks.other": ("{n} blocked attempts", "{n} tentatives bloquées"),
    "exposure.port_hours": ("Port-hours", "Heures-port"),
    "exposure.port_hours_lead": (
        "One port for one hour is one port-hour. A port counts as open once, however many are let in.",
        "Un port pendant une heure fait une heure-port. Un port ouvert compte une fois, quel que soit le nombre d’admis.",
    ),
    "exposure.shut": ("Kept shut", "Maintenus fermés"),
    "exposure.opened": ("Open to somebody", "Ouverts à quelqu’un"),
    "exposure.share": ("{share} % of the time open", "{share} % du temps ouverts"),
    "exposure.chart": (
        "Port-hours by day: {shut} kept shut, {opened} open to somebody",
        "Heures-port par jour : {shut} maintenues fermées, {opened} ouvertes à quelqu’un",
    ),
    "exposure.day": ("Day (UTC)", "Jour (UTC)"),
    "reason.MomentToCome": (
        "This moment is still to come.",
        "Ce moment n’est pas encore arrivé.",
    ),
    "way.MomentToCome": (
        "Exposure is told of now and of the past.",
        "L’exposition se consulte pour maintenant et pour le passé.",
    ),
    "reason.InvalidTimeSpan": (
        "This span of time cannot be added up.",
        "Cette période ne peut pas être additionnée.",
    ),
    "way.InvalidDateTime": (
        "Choose a day and a time in the field.",
        "Choisissez un jour et une heure dans le champ.",
    ),
    "exposure.no_hours": (
        "Nothing was kept shut in these days.",
        "Rien n’a été maintenu fermé ces jours-là.",
    ),
}
