"""The words of the pages of signing in, by language. Templates hold none of their own.

French is written here with plain spaces before its marks; they are made to stay at their word.
"""

from __future__ import annotations

from collections.abc import Mapping

EN: Mapping[str, str] = {
    "language": "English",
    "product": "Bascule",
    "sign_in": "Sign in",
    "sign_in_title": "Sign in",
    "name": "User name",
    "name_hint": "anna@example.com",
    "password": "Password",
    "or": "or",
    "with_passkey": "Sign in with a passkey",
    "with": "Sign in with",
    "next": "Next",
    "factor_title": "Confirm that it is you",
    "factor_lead": "So far so good. Show your second factor too.",
    "signing_in_as": "Signing in as",
    "totp": "Code from your authenticator app",
    "totp_hint": "6 digits",
    "recovery": "Lost your device? Use a recovery code",
    "recovery_code": "Recovery code",
    "use_passkey": "Use your passkey",
    "use_recovery": "Use the recovery code",
    "verify": "Verify",
    "begin_anew": "Sign in as somebody else",
    "confirm_title": "Give access to this program?",
    "confirm_lead": "asks to act in your name.",
    "confirm_warning": "Go on only if you started this yourself a moment ago. The program then "
    "may do here what you may do.",
    "account": "Your account",
    "program": "Program",
    "sent_to": "Answer goes to",
    "address": "Asked from",
    "your_address": "Your address",
    "time": "Time",
    "continue": "Continue",
    "cancel": "Cancel",
    "other_account": "Use another account",
    "device_title": "Enter the code",
    "device_lead": "Type the code that the program on your device shows.",
    "code": "Code",
    "device_confirm_title": "Sign in to a device?",
    "device_confirm_lead": "waits on another device to act in your name.",
    "device_warning": "Whoever sent you a code could sign in as you with it. Approve it only if "
    "you see this very code on a device in front of you.",
    "elsewhere": "The code was asked for from another address than yours. That is usual for a "
    "server that you are logged in to, and unusual for a device beside you.",
    "approve": "Approve",
    "refuse": "Refuse",
    "device_approved_title": "Signed in",
    "device_approved": "is signed in on your device. You can close this page.",
    "device_refused_title": "Refused",
    "device_refused": "was not signed in. If somebody sent you that code, tell your administrator.",
    "form_post_title": "One moment",
    "form_post_lead": "Your program is told that you have signed in.",
    "external_title": "This sign-in did not succeed",
    "external_back": "Back to the sign-in page",
    "problem_title": "This sign-in cannot go on",
    "problem_advice": "Nothing was sent anywhere. Begin anew in the program that brought you here.",
    "signed_out_title": "You are signed out",
    "signed_out_lead": "No page here knows you any more. Programs stay signed in until you end them.",
    "you_title": "You are signed in",
    "to_portal": "To the portal",
    "look": "Language and theme",
    "theme_system": "As the system",
    "theme_light": "Light",
    "theme_dark": "Dark",
    "sign_out": "Sign out here",
    "sign_out_everywhere": "Sign out everywhere",
    "everywhere_lead": "Everywhere means every browser and every program, on all machines, at once.",
    "problem_wrong": "That is not right. Try again; nobody is told which part was wrong.",
    "problem_wrong_code": "That is not right. Check it and try again.",
    "problem_tooOften": "Too many tries. Wait a few minutes, then try again.",
    "problem_busy": "The server is busy. Try again in a moment.",
    "problem_stale": "This page was open for too long, or cookies are blocked. Try again.",
}

_FR: Mapping[str, str] = {
    "language": "Français",
    "product": "Bascule",
    "sign_in": "Se connecter",
    "sign_in_title": "Connexion",
    "name": "Nom d’utilisateur",
    "name_hint": "anna@exemple.fr",
    "password": "Mot de passe",
    "or": "ou",
    "with_passkey": "Se connecter avec une clé d’accès",
    "with": "Se connecter avec",
    "next": "Suivant",
    "factor_title": "Confirmez votre identité",
    "factor_lead": "Première étape réussie. Présentez maintenant votre second facteur.",
    "signing_in_as": "Connexion en tant que",
    "totp": "Code de votre application d’authentification",
    "totp_hint": "6 chiffres",
    "recovery": "Appareil perdu ? Utilisez un code de récupération",
    "recovery_code": "Code de récupération",
    "use_passkey": "Utiliser votre clé d’accès",
    "use_recovery": "Utiliser le code de récupération",
    "verify": "Vérifier",
    "begin_anew": "Se connecter avec un autre compte",
    "confirm_title": "Donner accès à ce programme ?",
    "confirm_lead": "demande à agir en votre nom.",
    "confirm_warning": "Ne continuez que si vous avez vous-même lancé cette connexion à l’instant. Le "
    "programme pourra alors faire ici tout ce que vous pouvez faire.",
    "account": "Votre compte",
    "program": "Programme",
    "sent_to": "Réponse envoyée à",
    "address": "Demandé depuis",
    "your_address": "Votre adresse",
    "time": "Heure",
    "continue": "Continuer",
    "cancel": "Annuler",
    "other_account": "Utiliser un autre compte",
    "device_title": "Saisissez le code",
    "device_lead": "Saisissez le code qu’affiche le programme sur votre appareil.",
    "code": "Code",
    "device_confirm_title": "Connecter un appareil ?",
    "device_confirm_lead": "attend sur un autre appareil pour agir en votre nom.",
    "device_warning": "Quiconque vous a envoyé un code pourrait s’en servir pour se connecter à votre "
    "place. N’approuvez que si vous voyez ce même code sur un appareil devant vous.",
    "elsewhere": "Le code a été demandé depuis une autre adresse que la vôtre. C’est habituel pour un "
    "serveur auquel vous êtes connecté, et inhabituel pour un appareil à côté de vous.",
    "approve": "Approuver",
    "refuse": "Refuser",
    "device_approved_title": "Connexion établie",
    "device_approved": "est connecté sur votre appareil. Vous pouvez fermer cette page.",
    "device_refused_title": "Refusé",
    "device_refused": "n’a pas été connecté. Si quelqu’un vous a envoyé ce code, prévenez votre "
    "administrateur.",
    "form_post_title": "Un instant",
    "form_post_lead": "Votre programme est informé que vous êtes connecté.",
    "external_title": "Cette connexion n’a pas abouti",
    "external_back": "Retour à la page de connexion",
    "problem_title": "Cette connexion ne peut pas continuer",
    "problem_advice": "Rien n’a été envoyé. Recommencez dans le programme qui vous a conduit ici.",
    "signed_out_title": "Vous êtes déconnecté",
    "signed_out_lead": "Aucune page ne vous reconnaît plus ici. Les programmes restent connectés jusqu’à ce "
    "que vous mettiez fin à leur connexion.",
    "you_title": "Vous êtes connecté",
    "to_portal": "Vers le portail",
    "look": "Langue et thème",
    "theme_system": "Comme le système",
    "theme_light": "Clair",
    "theme_dark": "Sombre",
    "sign_out": "Se déconnecter ici",
    "sign_out_everywhere": "Se déconnecter partout",
    "everywhere_lead": "Partout : tous les navigateurs et tous les programmes, sur toutes les machines, "
    "immédiatement.",
    "problem_wrong": "C’est incorrect. Réessayez ; personne n’apprend quelle partie était fausse.",
    "problem_wrong_code": "C’est incorrect. Vérifiez, puis réessayez.",
    "problem_tooOften": "Trop de tentatives. Patientez quelques minutes, puis réessayez.",
    "problem_busy": "Le serveur est occupé. Réessayez dans un instant.",
    "problem_stale": "Cette page est restée ouverte trop longtemps, ou les cookies sont bloqués. "
    "Réessayez.",
}


def _kept(french: str) -> str:
    for mark in ":;!?":
        french = french.replace(f" {mark}", f"\N{NO-BREAK SPACE}{mark}")
    return french


TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": EN,
    "fr": {name: _kept(text) for name, text in _FR.items()},
}
