"""Words of the pane "JIT VM access configuration", and of taking a machine out."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.words import Pair

WORDS: Mapping[str, Pair] = {
    "jit.configuration": (
        "JIT VM access configuration",
        "Configuration de l’accès JAT aux machines virtuelles",
    ),
    "jit.kept_shut": (
        "These ports are kept shut. Each is opened for one source, for a limited time, to somebody who may ask.",
        "Ces ports restent fermés. Chacun s’ouvre pour une source, pour un temps limité, à qui a le droit de le demander.",
    ),
    "jit.recommended": (
        "Save takes the recommended settings: at most three hours, any source.",
        "« Enregistrer » retient les réglages recommandés : trois heures au plus, toute source.",
    ),
    "jit.replaces": (
        "Some of these machines are configured already: what the policy {policy} says of them is replaced by these ports.",
        "Certaines de ces machines sont déjà configurées : ce que la stratégie {policy} en dit est remplacé par ces ports.",
    ),
    "jit.elsewhere": (
        "The machine is named too by policies that are not edited here: {policies}. What they close stays closed.",
        "La machine est aussi nommée par des stratégies qui ne se modifient pas ici : {policies}. Ce qu’elles ferment reste fermé.",
    ),
    "jit.policy": ("Policy:", "Stratégie :"),
    "jit.port_row": ("Port", "Port"),
    "jit.new_port": ("New port", "Nouveau port"),
    "jit.port": ("Port", "Port"),
    "jit.protocol": ("Protocol", "Protocole"),
    "jit.any_protocol": ("Any", "Tous"),
    "jit.sources": ("Allowed source IPs", "Adresses IP sources autorisées"),
    "jit.from.any": ("Per request", "Par demande"),
    "jit.from.list": ("IP ranges", "Plages d’adresses IP"),
    "jit.ranges": ("Ranges, when they are limited", "Plages, si elles sont limitées"),
    "jit.longest": ("Max request time", "Durée maximale de la demande"),
    "jit.hours.one": ("{n} hour", "{n} heure"),
    "jit.hours.other": ("{n} hours", "{n} heures"),
    "jit.minutes.one": ("{n} minute", "{n} minute"),
    "jit.minutes.other": ("{n} minutes", "{n} minutes"),
    "jit.at_end": ("Sessions at the end", "Sessions à l’échéance"),
    "jit.end.keep": ("live on", "se poursuivent"),
    "jit.end.kill": ("are cut", "sont coupées"),
    "jit.must_justify": ("Justification required", "Justification obligatoire"),
    "jit.add_port": ("Add port configuration", "Ajouter une configuration de port"),
    "jit.no_rows": (
        "No port is configured. Saved like this, the machine is named with no port.",
        "Aucun port n’est configuré. Enregistrée ainsi, la machine est nommée sans aucun port.",
    ),
    "jit.will_change": ("What will change", "Ce qui va changer"),
    "jit.show_changes": ("Show what will change", "Afficher ce qui va changer"),
    "jit.correct_first": (
        "Correct the form to see what it would change.",
        "Corrigez le formulaire pour voir ce qu’il changerait.",
    ),
    "jit.changes_nothing": (
        "Nothing: no port, no rule and no live access.",
        "Rien : aucun port, aucune règle, aucun accès en cours.",
    ),
    "jit.rules": ("Change for requests from now on", "Changent pour les demandes à venir"),
    "jit.rule_new": ("may be asked for", "pourra être demandé"),
    "jit.rule_justified": ("A justification is required", "Une justification devient obligatoire"),
    "jit.rule_not_justified": (
        "A justification is no longer required",
        "Une justification n’est plus obligatoire",
    ),
    "jit.shuts": ("Begin to be shut", "Seront fermés"),
    "jit.alters": (
        "Stay shut; what becomes of sessions at the end changes",
        "Restent fermés ; le sort des sessions à l’échéance change",
    ),
    "jit.leaves": (
        "Stay shut, in no policy; released on the machine’s page",
        "Restent fermés, sans stratégie ; à libérer sur la page de la machine",
    ),
    "jit.opens": ("Open for everybody", "S’ouvrent à tous"),
    "jit.ends": ("Live access that is revoked", "Accès en cours qui sont révoqués"),
    "jit.shortens": (
        "Live access that ends earlier",
        "Accès en cours qui prennent fin plus tôt",
    ),
    "jit.on": ("on", "sur"),
    "jit.until": ("until", "jusqu’à"),
    "jit.somebody": ("Somebody’s access", "L’accès de quelqu’un"),
    "jit.and_more": ("and {n} more", "et {n} de plus"),
    "jit.confirm": (
        "This touches access that is live now. Look at it below, and save again if that is meant.",
        "Ceci touche des accès en cours. Regardez ci-dessous, et enregistrez de nouveau si c’est voulu.",
    ),
    "jit.remove_title": (
        "Remove {machine} from just-in-time access?",
        "Supprimer {machine} de l’accès juste-à-temps ?",
    ),
    "jit.remove_lead": (
        "Every policy stops naming {machine}, and this happens as soon as its agent hears of it:",
        "Plus aucune stratégie ne nomme {machine}, et voici ce qui se produit dès que son agent l’apprend :",
    ),
    "jit.remove_opens": (
        "Bascule lets everybody through on these ports from then on.",
        "Dès lors, Bascule laisse passer tout le monde sur ces ports.",
    ),
    "jit.remove_do": ("Remove and open", "Supprimer et ouvrir"),
    "notice.jit_page_saved": (
        "Saved. The ports are shut as soon as the agents have applied it.",
        "Enregistré. Les ports seront fermés dès que les agents l’auront appliqué.",
    ),
    "notice.jit_page_changed": (
        "Saved. No port is shut or opened by it: it counts for requests from now on.",
        "Enregistré. Aucun port n’est fermé ni ouvert : cela vaut pour les demandes à venir.",
    ),
    "notice.jit_page_removed": (
        "Removed from just-in-time access.",
        "Supprimé de l’accès juste-à-temps.",
    ),
}
