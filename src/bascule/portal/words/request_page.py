"""Words of a request's page, of how to get in, and of the states of grants."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.words import Pair

WORDS: Mapping[str, Pair] = {
    "request.title": ("Access request", "Demande d’accès"),
    "request.state": ("State", "État"),
    "request.who": ("Requestor", "Demandeur"),
    "request.why": ("Justification", "Justification"),
    "request.policy": ("Policy", "Stratégie"),
    "request.accepted": ("Accepted", "Acceptée"),
    "request.opened": ("Opened", "Ouverte"),
    "request.ends": ("Ends", "Fin"),
    "request.ended": ("Ended", "Terminée"),
    "request.id": ("Request id", "Identifiant"),
    "request.ports": ("Ports", "Ports"),
    "request.machine": ("Virtual machine", "Machine virtuelle"),
    "request.port": ("Port", "Port"),
    "request.source": ("Source", "Source"),
    "request.left": ("Time left", "Temps restant"),
    "request.connect": ("Connect", "Se connecter"),
    "request.no_why": ("none given", "aucune"),
    "request.close_one": ("Close now", "Fermer maintenant"),
    "request.close_port": (
        "Close port {port} of {machine} now",
        "Fermer maintenant le port {port} de {machine}",
    ),
    "request.close_all": ("Close all of it now", "Tout fermer maintenant"),
    "request.cut": ("Cut sessions", "Couper les sessions"),
    "request.kill": ("Cut sessions too", "Couper aussi les sessions"),
    "request.close_note": (
        "As soon as the machine’s agent hears of it, nobody gets in by it any more; while the agent is away, it ends on time. Sessions that are connected live on, unless the port’s policy cuts them at the end or they are cut too.",
        "Plus personne n’entre par là dès que l’agent de la machine l’apprend ; tant qu’il est injoignable, cela prend fin à l’échéance. Les sessions connectées se poursuivent, sauf si la stratégie du port les coupe à la fin ou si elles sont coupées aussi.",
    ),
    "request.extend": ("Extend", "Prolonger"),
    "request.extend.lead": (
        "Let it stay open for so long from now, at most {span}.",
        "Laisser ouvert pendant cette durée à partir de maintenant, au plus {span}.",
    ),
    "request.extend.time": (
        "Extend for how long from now: hours and minutes",
        "Prolonger pour combien de temps à partir de maintenant : heures et minutes",
    ),
    "request.extend.slider": (
        "Extend for how long from now",
        "Prolonger pour combien de temps à partir de maintenant",
    ),
    "request.extend.not.ended": (
        "It has ended: make a new request.",
        "L’accès est terminé : faites une nouvelle demande.",
    ),
    "request.extend.not.others": (
        "A request is extended by who made it, and by nobody else.",
        "Une demande est prolongée par son auteur, et par personne d’autre.",
    ),
    "request.extend.not.rights": (
        "You may not request access to these machines any more.",
        "Vous n’avez plus le droit de demander l’accès à ces machines.",
    ),
    "request.extend.not.policy": (
        "The policy does not offer these ports any more.",
        "La stratégie ne propose plus ces ports.",
    ),
    "request.extend.not.longest": (
        "It is already open for as long as the policy and the host allow ({span} from now); it can be extended a little later.",
        "L’accès est déjà ouvert aussi longtemps que la stratégie et l’hôte l’autorisent ({span} à partir de maintenant) ; il pourra être prolongé un peu plus tard.",
    ),
    "request.user": ("User name on the machine", "Nom d’utilisateur sur la machine"),
    "request.user.show": ("Put into the commands", "Mettre dans les commandes"),
    "request.user.wrong": (
        "This cannot stand in a command: letters, digits, . _ - and one @ alone.",
        "Cela ne peut pas figurer dans une commande : uniquement lettres, chiffres, . _ - et un seul @.",
    ),
    "request.again": ("Request again", "Demander à nouveau"),
    "request.all_open": ("All that is open now", "Tout ce qui est ouvert maintenant"),
    "request.sessions.one": (
        "{n} session lives on",
        "{n} session se poursuit",
    ),
    "request.sessions.other": (
        "{n} sessions live on",
        "{n} sessions se poursuivent",
    ),
    "request.silent_since": ("agent away since", "agent injoignable depuis"),
    "request.not_enforced_since": (
        "agent enforces nothing since",
        "l’agent n’applique rien depuis",
    ),
    "request.extended.one": ("extended once", "prolongée une fois"),
    "request.extended.other": ("extended {n} times", "prolongée {n} fois"),
    "request.progress": ("Progress", "Déroulement"),
    "grant.opening": ("Opening", "Ouverture en cours"),
    "grant.open": ("Open", "Ouvert"),
    "grant.notConfirmed": ("Not confirmed", "Non confirmé"),
    "grant.closing": ("Closing", "Fermeture en cours"),
    "grant.endedNotConfirmed": ("Ended, not confirmed", "Terminé, non confirmé"),
    "grant.closed": ("Closed", "Fermé"),
    "grant.failed": ("Failed", "Échec"),
    "grant.why.UserRequested": ("closed early", "fermé avant l’échéance"),
    "grant.why.Expired": ("its time was over", "durée écoulée"),
    "grant.why.NewerRequestInitiated": (
        "a newer request took its place",
        "remplacé par une demande plus récente",
    ),
    "grant.failed.why": (
        "The enforcement point did not report it open within a minute. It was withdrawn and will not open later.",
        "Le point d’application ne l’a pas signalé ouvert dans la minute. L’accès a été retiré et ne s’ouvrira pas plus tard.",
    ),
    "grant.opening.why": (
        "Waiting until the machine has read it back open.",
        "En attente de la confirmation d’ouverture par la machine.",
    ),
    "grant.closing.why": (
        "Ended; the machine has not read it back shut yet.",
        "Terminé ; la machine n’a pas encore confirmé la fermeture.",
    ),
    "way_in.ssh": ("SSH", "SSH"),
    "way_in.rdp": ("Remote Desktop", "Bureau à distance"),
    "way_in.winrm": ("PowerShell (WinRM)", "PowerShell (WinRM)"),
    "way_in.plain": ("Address and port", "Adresse et port"),
    "way_in.file": ("RDP file", "Fichier RDP"),
    "way_in.file_of": (
        "Download the RDP file of {machine}",
        "Télécharger le fichier RDP de {machine}",
    ),
    "way_in.when_open": ("as soon as it is open", "dès que c’est ouvert"),
    "way_in.not.machine": (
        "The machine is not in the inventory any more.",
        "La machine n’est plus dans l’inventaire.",
    ),
    "way_in.not.address": (
        "The machine has no address on record: add one to see how to connect.",
        "Aucune adresse n’est enregistrée pour la machine : ajoutez-en une pour voir comment se connecter.",
    ),
    "way_in.not.family": (
        "None of the machine’s addresses is of the kind that the access is from (IPv4 or IPv6).",
        "Aucune adresse de la machine n’est du type depuis lequel l’accès est accordé (IPv4 ou IPv6).",
    ),
    "notice.extended": ("Extended.", "Prolongé."),
    "notice.closed": (
        "Closing. It counts as closed when the machine has read it back shut.",
        "Fermeture en cours. L’accès est considéré fermé quand la machine l’a confirmé.",
    ),
    "notice.closed_with_sessions": (
        "Closing, and its sessions are being cut.",
        "Fermeture en cours, et coupure de ses sessions.",
    ),
}
