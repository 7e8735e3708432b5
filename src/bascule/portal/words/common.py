"""Words that every page has: the frame, the navigation, what buttons say, what went wrong."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.words import Pair

WORDS: Mapping[str, Pair] = {
    "product": ("Bascule", "Bascule"),
    "skip": ("Skip to the content", "Aller au contenu"),
    "menu": ("Menu", "Menu"),
    "nav": ("Main", "Principal"),
    "nav.overview": ("Overview", "Vue d’ensemble"),
    "nav.jit": ("Just-in-time access", "Accès juste-à-temps"),
    "nav.open": ("Open now", "Accès ouverts"),
    "nav.machines": ("Virtual machines", "Machines virtuelles"),
    "nav.activity": ("Activity log", "Journal d’activité"),
    "nav.exposure": ("Exposure", "Exposition"),
    "nav.points": ("Enforcement points", "Points d’application"),
    "nav.access": ("Access control (IAM)", "Contrôle d’accès (IAM)"),
    "search": (
        "Search machines, people and requests",
        "Rechercher machines, personnes et demandes",
    ),
    "account": ("My account", "Mon compte"),
    "sign_out": ("Sign out", "Se déconnecter"),
    "theme": ("Theme", "Thème"),
    "theme.system": ("As the system", "Comme le système"),
    "theme.light": ("Light", "Clair"),
    "theme.dark": ("Dark", "Sombre"),
    "language": ("Language", "Langue"),
    "language.en": ("English", "English"),
    "language.fr": ("Français", "Français"),
    "breadcrumb": ("Where you are", "Fil d’Ariane"),
    "offline": (
        "No connection to the server. What is shown may be old; it is asked again by itself.",
        "Pas de connexion au serveur. Ce qui est affiché peut être ancien ; nouvel essai automatique.",
    ),
    "ended": (
        (
            "Your session has ended. Send the form to sign in again: it comes back as you filled it "
            "in, without passwords, and nothing is done before you send it once more."
        ),
        (
            "Votre session est terminée. Envoyez le formulaire pour vous reconnecter : il revient tel "
            "que vous l’avez rempli, sans les mots de passe, et rien n’est fait avant un nouvel envoi."
        ),
    ),
    "unsent": (
        (
            "Your session had ended, so nothing was done. The form is as you filled it in, without "
            "passwords: check it and send it again."
        ),
        (
            "Votre session était terminée : rien n’a été fait. Le formulaire est tel que vous l’avez "
            "rempli, sans les mots de passe : vérifiez-le et envoyez-le de nouveau."
        ),
    ),
    # The state of an agent: these words alone, on every page.
    "agent.online": ("Connected", "Connecté"),
    "agent.offline": ("Away", "Injoignable"),
    "agent.doubted": ("Not believed", "Pas cru"),
    "agent.notEnforced": ("Enforces nothing", "N’applique rien"),
    "agent.neverSeen": ("Never contacted", "Jamais contacté"),
    "agent.missing": ("No agent", "Aucun agent"),
    "agent.notEnforced.why": (
        "On the machine, bascule agent status says why.",
        "Sur la machine, bascule agent status dit pourquoi.",
    ),
    "save": ("Save", "Enregistrer"),
    "cancel": ("Cancel", "Annuler"),
    "close": ("Close", "Fermer"),
    "edit": ("Edit", "Modifier"),
    "add": ("Add", "Ajouter"),
    "remove": ("Remove", "Supprimer"),
    "delete": ("Delete", "Supprimer"),
    "back": ("Back", "Retour"),
    "refresh": ("Refresh", "Actualiser"),
    "filter": ("Filter", "Filtrer"),
    "filter.apply": ("Apply", "Appliquer"),
    "filter.clear": ("Clear filters", "Effacer les filtres"),
    "all": ("All", "Tous"),
    "none": ("None", "Aucun"),
    "yes": ("Yes", "Oui"),
    "no": ("No", "Non"),
    "more": ("More actions", "Autres actions"),
    "copy": ("Copy", "Copier"),
    "copied": ("Copied", "Copié"),
    "next_page": ("Next page", "Page suivante"),
    "previous_page": ("Previous page", "Page précédente"),
    "list.total.one": ("{n} entry", "{n} élément"),
    "list.total.other": ("{n} entries", "{n} éléments"),
    "list.size": ("Rows a page:", "Lignes par page :"),
    "filter.unpick": ("Clear the selection", "Effacer la sélection"),
    "first_page": ("First page", "Première page"),
    "sort_by": ("Sort by {column}", "Trier par {column}"),
    "data_table": ("Figures of the chart", "Chiffres du graphique"),
    "required": ("required", "obligatoire"),
    "unknown": ("unknown", "inconnu"),
    "denied_title": ("You may not do this", "Vous n’y êtes pas autorisé"),
    "problem.particulars": ("Details", "Détails (en anglais)"),
    "problem.title": ("This did not succeed", "L’opération n’a pas abouti"),
    "problem.denied": (
        "You are not allowed to do this",
        "Vous n’avez pas l’autorisation de le faire",
    ),
    "problem.missing": ("There is nothing here", "Il n’y a rien ici"),
    "problem.missing_lead": (
        "It was removed, or the address is wrong.",
        "L’élément a été supprimé, ou l’adresse est fausse.",
    ),
    "problem.failure": (
        "Something went wrong in the server",
        "Une erreur s’est produite sur le serveur",
    ),
    "problem.failure_lead": (
        "Nothing was changed by halves. The server’s log says what happened, under this id:",
        "Rien n’a été fait à moitié. Le journal du serveur dit ce qui s’est passé, sous cet identifiant :",
    ),
    "problem.reasons": ("Reasons", "Raisons"),
    "problem.next": ("What to do", "Que faire"),
    "problem.home": ("To the overview", "Vers la vue d’ensemble"),
    "notice.saved": ("Saved.", "Enregistré."),
    "notice.removed": ("Removed.", "Supprimé."),
}
