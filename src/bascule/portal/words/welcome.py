"""Words of the first visit."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.words import Pair

WORDS: Mapping[str, Pair] = {
    "welcome.steps": ("Steps", "Étapes"),
    "welcome.step.you": ("You", "Vous"),
    "welcome.step.machine": ("A machine", "Une machine"),
    "welcome.step.protect": ("Protection", "Protection"),
    "welcome.done": ("done", "fait"),
    "welcome.you": ("Welcome to Bascule", "Bienvenue dans Bascule"),
    "welcome.you.lead": (
        (
            "Nobody owns this installation yet. Create your account: it gets the role Owner, and you "
            "are signed in at once."
        ),
        (
            "Cette installation n’a pas encore de propriétaire. Créez votre compte : il reçoit le rôle "
            "Propriétaire et vous êtes connecté aussitôt."
        ),
    ),
    "welcome.name": ("User name", "Nom d’utilisateur"),
    "welcome.name.help": (
        "What you sign in with; often an e-mail address.",
        "Ce avec quoi vous vous connectez ; souvent une adresse e-mail.",
    ),
    "welcome.display": ("Name shown to others (optional)", "Nom affiché aux autres (facultatif)"),
    "welcome.password": ("Password", "Mot de passe"),
    "welcome.password.help": (
        "At least 12 characters. Four words that have nothing to do with each other will do.",
        "Au moins 12 caractères. Quatre mots sans rapport entre eux suffisent.",
    ),
    "welcome.again": ("Password, once more", "Mot de passe, encore une fois"),
    "welcome.other": (
        "The two passwords are not the same. Type them again.",
        "Les deux mots de passe ne sont pas identiques. Saisissez-les de nouveau.",
    ),
    "welcome.create": ("Create the account", "Créer le compte"),
    "welcome.ended": (
        "This link does not work (any more)",
        "Ce lien n’est pas valable, ou ne l’est plus",
    ),
    "welcome.ended.lead": (
        (
            "A set-up link works once, for 15 minutes, and only while nobody owns the installation. If "
            "somebody has an account already, sign in."
        ),
        (
            "Un lien de configuration fonctionne une seule fois, pendant 15 minutes, et seulement tant "
            "que l’installation n’a pas de propriétaire. Si un compte existe déjà, connectez-vous."
        ),
    ),
    "welcome.ended.new": (
        (
            "Nobody has one yet? On the server’s machine, as the account that the server runs as, this "
            "makes another link (DIR is the data directory):"
        ),
        (
            "Il n’y en a pas encore ? Sur la machine du serveur, avec le compte qui exécute le "
            "serveur, ceci crée un nouveau lien (DIR est le répertoire de données) :"
        ),
    ),
    "welcome.ended.command": ("the command", "la commande"),
    "welcome.wait": ("Too many tries", "Trop de tentatives"),
    "welcome.wait.lead.one": (
        "Wait {n} second, then open the link again.",
        "Patientez {n} seconde, puis ouvrez de nouveau le lien.",
    ),
    "welcome.wait.lead.other": (
        "Wait {n} seconds, then open the link again.",
        "Patientez {n} secondes, puis ouvrez de nouveau le lien.",
    ),
    "welcome.sign_in": ("Sign in", "Se connecter"),
    "welcome.machine": ("Add a first machine", "Ajouter une première machine"),
    "welcome.machine.lead": (
        (
            "An agent on the machine keeps its management ports shut and opens them for whoever may "
            "ask. Nothing is shut by this step."
        ),
        (
            "Un agent sur la machine garde ses ports de gestion fermés et les ouvre pour qui a le "
            "droit de le demander. Cette étape ne ferme rien."
        ),
    ),
    "welcome.machine.add": ("Add and show the command", "Ajouter et afficher la commande"),
    "welcome.later": ("Later", "Plus tard"),
    "welcome.started": ("Begun already", "Déjà commencé"),
    "welcome.agent": ("The agent on {name}", "L’agent sur {name}"),
    "welcome.next": ("Next: protect it", "Suivant : la protéger"),
    "welcome.protect.now": ("Go on without waiting", "Continuer sans attendre"),
    "welcome.leave": (
        "This page notices by itself when the agent connects. You can leave it and come back.",
        (
            "Cette page remarque d’elle-même la connexion de l’agent. Vous pouvez la quitter et y "
            "revenir."
        ),
    ),
    "welcome.protect": ("Protect {name}", "Protéger {name}"),
    "welcome.protect.lead": (
        (
            "Just-in-time access shuts the port that administrators use and opens it on request, for "
            "one address, for a while:"
        ),
        (
            "L’accès juste-à-temps ferme le port qu’utilisent les administrateurs et l’ouvre à la "
            "demande, pour une adresse, pour un temps :"
        ),
    ),
    "welcome.port": ("Port", "Port"),
    "welcome.port.22": ("SSH", "SSH"),
    "welcome.port.3389": ("RDP", "RDP"),
    "welcome.sources": ("Allowed source IPs", "Adresses IP sources autorisées"),
    "welcome.any": ("any, given with each request", "toutes, précisées à chaque demande"),
    "welcome.longest": ("Max request time", "Durée maximale de la demande"),
    "welcome.hours": ("3 hours", "3 heures"),
    "welcome.lives_on": (
        "A session that is open now lives on. The next one needs a request.",
        "Une session déjà ouverte continue. La suivante exigera une demande.",
    ),
    "welcome.before_agent": (
        "The agent is not connected yet: the port is shut as soon as it is.",
        "L’agent n’est pas encore connecté : le port sera fermé dès qu’il le sera.",
    ),
    "welcome.enable": ("Enable just-in-time", "Activer l’accès juste-à-temps"),
    "welcome.other_ports": ("Choose other ports", "Choisir d’autres ports"),
    "welcome.applying": ("The agent is shutting the port…", "L’agent ferme le port…"),
    "welcome.no_agent": ("No agent yet", "Pas encore d’agent"),
    "welcome.named": (
        (
            "Just-in-time access is enabled. The machine is called protected when its agent has read "
            "back that the port is shut."
        ),
        (
            "L’accès juste-à-temps est activé. La machine sera dite protégée quand son agent aura "
            "vérifié que le port est fermé."
        ),
    ),
    "welcome.to_agent": ("To the agent’s command", "Vers la commande de l’agent"),
    "welcome.protected": ("{name} is protected", "{name} est protégée"),
    "welcome.protected.lead": (
        "Its agent has read back that these are shut:",
        "Son agent a vérifié que ces ports sont fermés :",
    ),
    "welcome.request": ("Request access", "Demander l’accès"),
    "welcome.another": ("Add another machine", "Ajouter une autre machine"),
    "welcome.finish": ("To the overview", "Vers la vue d’ensemble"),
    "welcome.factor": (
        "Your password alone opens all of this. Enrol a passkey or an authenticator app:",
        (
            "Votre mot de passe seul ouvre tout ceci. Enregistrez une clé d’accès ou une application "
            "d’authentification :"
        ),
    ),
}
