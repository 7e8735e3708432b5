"""What the activity log calls each operation, in French beside the table's English.

The English stands beside each fact (``domain.facts``), which is what the API says and is the key here;
a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.words import Pair

_FRENCH: Mapping[str, str] = {
    "Add member to group": "Ajouter un membre au groupe",
    "Add service principal credentials": (
        "Ajouter des informations d’identification au principal de service"
    ),
    "Approve device code": "Approuver le code d’appareil",
    "Begin sign-in, second factor owed": "Commencer une connexion, second facteur attendu",
    "Believe an agent again": "Croire de nouveau un agent",
    "Change where record is sent": "Modifier une destination du journal",
    "Close access to port": "Fermer l’accès au port",
    "Close port": "Fermer le port",
    "Confirm the clock": "Confirmer l’horloge",
    "Count denied calls": "Compter les appels refusés",
    "Create enrolment token": "Créer un jeton d’inscription",
    "Create group": "Créer un groupe",
    "Create installation": "Créer l’installation",
    "Create or update custom role definition": (
        "Créer ou mettre à jour une définition de rôle personnalisé"
    ),
    "Create or Update Identity Provider": "Créer ou mettre à jour un fournisseur d’identité",
    "Create or Update JIT Network Access Policy": (
        "Créer ou mettre à jour une stratégie d’accès réseau JAT"
    ),
    "Create or Update Virtual Machine": "Créer ou mettre à jour une machine virtuelle",
    "Create role assignment": "Créer une attribution de rôle",
    "Create service principal": "Créer un principal de service",
    "Create user": "Créer un utilisateur",
    "Cut sessions of ended access": "Couper les sessions d’un accès terminé",
    "Delete custom role definition": "Supprimer une définition de rôle personnalisé",
    "Delete group": "Supprimer un groupe",
    "Delete Identity Provider": "Supprimer un fournisseur d’identité",
    "Delete JIT Network Access Policy": "Supprimer une stratégie d’accès réseau JAT",
    "Delete resource group": "Supprimer un groupe de ressources",
    "Delete role assignment": "Supprimer une attribution de rôle",
    "Delete service principal": "Supprimer un principal de service",
    "Delete user": "Supprimer un utilisateur",
    "Delete Virtual Machine": "Supprimer une machine virtuelle",
    "Deny call": "Refuser un appel",
    "Disable service principal": "Désactiver un principal de service",
    "Disable user": "Désactiver un utilisateur",
    "Enable service principal": "Activer un principal de service",
    "Enable user": "Activer un utilisateur",
    "End membership of group": "Mettre fin à l’appartenance au groupe",
    "End session": "Mettre fin à une session",
    "Enrol agent": "Inscrire un agent",
    "Enrol second factor": "Inscrire un second facteur",
    "Expire access": "Expirer l’accès",
    "Extend access": "Prolonger l’accès",
    "Find that the clock leapt": "Constater un saut de l’horloge",
    "Find the server older than its agent": (
        "Constater que le serveur est plus ancien que son agent"
    ),
    "Grant access to port": "Accorder l’accès au port",
    "Hear from agent again": "Retrouver le contact avec l’agent",
    "Initiate JIT Network Access Policy": "Lancer une stratégie d’accès réseau JAT",
    "Invite External Identity": "Inviter une identité externe",
    "Leave notes of an agent out of the record": "Laisser hors du journal les notes d’un agent",
    "Leave out of the record sent": "Omettre des événements du journal envoyé",
    "Link External Identity": "Lier une identité externe",
    "Lose contact with agent": "Perdre le contact avec l’agent",
    "Make recovery codes": "Créer des codes de récupération",
    "Make set-up link": "Créer un lien d’installation",
    "Open port": "Ouvrir le port",
    "Open port on the host": "Ouvrir un port depuis l’hôte",
    "Prune record": "Purger le journal",
    "Put changed rules back": "Rétablir des règles modifiées",
    "Recover administrator": "Récupérer l’administrateur",
    "Refuse device code": "Refuser le code d’appareil",
    "Release port": "Libérer le port",
    "Remove agent": "Retirer un agent",
    "Remove member from group": "Retirer un membre du groupe",
    "Remove second factor": "Supprimer un second facteur",
    "Remove service principal credentials": (
        "Supprimer des informations d’identification du principal de service"
    ),
    "Revoke access": "Révoquer l’accès",
    "Revoke tokens of program": "Révoquer les jetons d’un programme",
    "Rotate signing key": "Renouveler la clé de signature",
    "Send record": "Envoyer le journal",
    "Send record to a place": "Envoyer le journal vers une destination",
    "Set password": "Définir le mot de passe",
    "Shorten access": "Raccourcir l’accès",
    "Sign in": "Se connecter",
    "Sign in by identity provider": "Se connecter par un fournisseur d’identité",
    "Sign in to program": "Se connecter à un programme",
    "Sign out everywhere": "Se déconnecter partout",
    "Stop sending record to a place": "Cesser d’envoyer le journal vers une destination",
    "Supersede access by a newer request": "Remplacer l’accès par une demande plus récente",
    "Stop believing an agent": "Ne plus croire un agent",
    "Take a note of an agent": "Consigner une note d’un agent",
    "Take groups from identity provider": "Reprendre les groupes du fournisseur d’identité",
    "Take port out of policies": "Retirer le port des stratégies",
    "Unlink External Identity": "Dissocier une identité externe",
    "Update group": "Mettre à jour un groupe",
    "Update pricing settings": "Mettre à jour les paramètres de plan",
    "Update resource group": "Mettre à jour un groupe de ressources",
    "Update service principal": "Mettre à jour un principal de service",
    "Update user": "Mettre à jour un utilisateur",
    "Use recovery code": "Utiliser un code de récupération",
    "Use set-up link": "Utiliser le lien d’installation",
    "Verify record": "Vérifier le journal",
    "Withdraw Invitation of External Identity": "Retirer l’invitation d’une identité externe",
    "Witness record": "Témoigner du journal",
}
WORDS: Mapping[str, Pair] = {
    f"operation.{english}": (english, french) for english, french in _FRENCH.items()
}
