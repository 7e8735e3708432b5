"""Words of the page "Open now"."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.words import Pair

WORDS: Mapping[str, Pair] = {
    "open.title": ("Open now", "Accès ouverts"),
    "open.lead.one": (
        "{n} opening. It shuts by itself when its time is over.",
        "{n} ouverture. Elle se referme d’elle-même à l’échéance.",
    ),
    "open.lead.other": (
        "{n} openings. They shut by themselves when their time is over.",
        "{n} ouvertures. Elles se referment d’elles-mêmes à l’échéance.",
    ),
    "open.views": ("Grouped", "Regroupement"),
    "open.by.person": ("By person", "Par personne"),
    "open.by.machine": ("By machine", "Par machine"),
    "open.filter": ("Filter by person or machine", "Filtrer par personne ou machine"),
    "open.who": ("Requestor", "Demandeur"),
    "open.machine": ("Virtual machine", "Machine virtuelle"),
    "open.port": ("Port", "Port"),
    "open.source": ("Source", "Source"),
    "open.left": ("Time left", "Reste"),
    "open.ended": ("Ended, not confirmed", "Terminés, non confirmés"),
    "open.ended.lead": (
        (
            "Their time was over more than a minute ago, and their agent has not said since that the "
            "port is closed. They do not count as open; on a suspended host the time may stand still."
        ),
        (
            "Leur durée est écoulée depuis plus d’une minute, et leur agent n’a pas confirmé depuis la "
            "fermeture du port. Ils ne comptent pas comme ouverts ; sur un hôte en veille, le temps peut "
            "être suspendu."
        ),
    ),
    "open.ended_at": ("Ended", "Terminé"),
    "open.state": ("State", "État"),
    "open.why": ("Justification", "Justification"),
    "open.details": ("Details", "Détails"),
    "open.details_of": (
        "Details of the request of {who} for {machine}",
        "Détails de la demande de {who} pour {machine}",
    ),
    "open.count.one": ("{n} opening", "{n} ouverture"),
    "open.count.other": ("{n} openings", "{n} ouvertures"),
    "open.group": ("What is open: {name}", "Ouvertures : {name}"),
    "open.close": ("Close", "Fermer"),
    "open.you": ("(you)", "(vous)"),
    "open.extend_of": (
        "Extend port {port} of {machine}",
        "Prolonger le port {port} de {machine}",
    ),
    "open.close_of": (
        "Close port {port} of {machine}, open for {who}",
        "Fermer le port {port} de {machine}, ouvert pour {who}",
    ),
    "open.close_person": ("Close all of {name}", "Tout fermer pour {name}"),
    "open.close_machine": ("Close all at {name}", "Tout fermer sur {name}"),
    "open.close_all": ("Close all", "Tout fermer"),
    "open.empty.title": ("Nothing is open", "Rien n’est ouvert"),
    "open.empty": (
        "No port that you may see is open for anybody at this moment.",
        "Aucun port que vous pouvez voir n’est ouvert pour qui que ce soit en ce moment.",
    ),
    "open.empty.filtered": (
        "Nothing that is open fits the filter.",
        "Rien de ce qui est ouvert ne correspond au filtre.",
    ),
    "open.request": ("Request access", "Demander l’accès"),
    "open.closing.title": ("Close what is open", "Fermer ce qui est ouvert"),
    "open.closing.lead.one": (
        "This {n} opening is closed at once: nobody gets in by it any more. It cannot be taken back; who still needs access asks anew.",
        "L’ouverture est fermée immédiatement : plus personne n’entre par elle. C’est irréversible ; qui a encore besoin d’accès le redemande.",
    ),
    "open.closing.lead.other": (
        "These {n} openings are closed at once: nobody gets in by them any more. It cannot be taken back; who still needs access asks anew.",
        "Les {n} ouvertures sont fermées immédiatement : plus personne n’entre par elles. C’est irréversible ; qui a encore besoin d’accès le redemande.",
    ),
    "open.closing.sessions": (
        "Sessions that are connected live on, unless the port’s policy cuts them at the end. A machine whose agent is away hears of it when the agent is back; until then its firewall ends them on time.",
        "Les sessions connectées se poursuivent, sauf si la stratégie du port les coupe à l’échéance. Une machine dont l’agent est injoignable l’apprend à son retour ; d’ici là, son pare-feu les ferme à l’heure prévue.",
    ),
    "open.closing.kill": (
        "Cut the sessions too: whoever is connected by them loses the connection",
        "Couper aussi les sessions : quiconque est connecté par elles perd la connexion",
    ),
    "open.closing.more": (
        "More is open: it is closed by doing this once more, so many at a time.",
        "Il y en a davantage : répétez l’opération, le nombre fermé à la fois est limité.",
    ),
    "open.closing.kept.one": (
        "{n} opening stays: you may not close it.",
        "{n} ouverture reste : vous n’avez pas le droit de la fermer.",
    ),
    "open.closing.kept.other": (
        "{n} openings stay: you may not close them.",
        "{n} ouvertures restent : vous n’avez pas le droit de les fermer.",
    ),
    "open.closing.list": ("What is closed", "Ce qui est fermé"),
    "open.closing.submit.one": ("Close {n} opening", "Fermer {n} ouverture"),
    "open.closing.submit.other": ("Close {n} openings", "Fermer {n} ouvertures"),
    "open.closing.nothing.title": ("There is nothing to close", "Il n’y a rien à fermer"),
    "open.closing.nothing": (
        "It is over already, or you may not close it.",
        "C’est déjà terminé, ou vous n’avez pas le droit de le fermer.",
    ),
    "notice.open_closed": (
        "Closing. What was closed disappears from this list when its machine has read it back shut.",
        "Fermeture en cours. Ce qui est fermé disparaît de cette liste quand sa machine l’a confirmé.",
    ),
}
