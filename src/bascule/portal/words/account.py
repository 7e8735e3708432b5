"""Words of My account: ways to sign in, fresh proof, sessions and programs."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.words import Pair

WORDS: Mapping[str, Pair] = {
    "account.title": ("My account", "Mon compte"),
    "account.who": ("Who you are", "Qui vous êtes"),
    "account.name": ("User name", "Nom d’utilisateur"),
    "account.id": ("Object ID", "ID d’objet"),
    "account.groups": ("Groups", "Groupes"),
    "account.no_groups": ("No groups", "Aucun groupe"),
    "account.roles": ("Roles", "Rôles"),
    "account.no_roles": (
        "None. Ask an administrator for one.",
        "Aucun. Demandez-en un à un administrateur.",
    ),
    "account.by_group": ("by group {group}", "par le groupe {group}"),
    "account.ways": ("How you sign in", "Comment vous vous connectez"),
    "account.ways_lead": (
        "A second factor keeps a guessed or stolen password from being enough. Each change asks you to prove once more that it is you.",
        "Avec un second facteur, un mot de passe deviné ou volé ne suffit plus. Chaque modification vous demande de prouver à nouveau votre identité.",
    ),
    "account.no_proof": (
        "You have no password and no factor here, so nothing can be proved. Ask an administrator to set a password for you first.",
        "Vous n’avez ici ni mot de passe ni facteur : rien ne peut être prouvé. Demandez d’abord à un administrateur de définir un mot de passe.",
    ),
    "account.password": ("Password", "Mot de passe"),
    "account.password_set": ("Set", "Défini le"),
    "account.password_none": ("Not set", "Non défini"),
    "account.password_change": ("Change password", "Changer le mot de passe"),
    "account.totp": ("Authenticator app", "Application d’authentification"),
    "account.totp_set": ("Set up", "Configurée le"),
    "account.totp_none": ("Not set up", "Non configurée"),
    "account.totp_add": ("Set up an app", "Configurer une application"),
    "account.totp_replace": ("Move to another app", "Passer à une autre application"),
    "account.passkeys": ("Passkeys", "Clés d’accès"),
    "account.passkeys_none": ("None yet", "Aucune pour l’instant"),
    "account.passkey_add": ("Add a passkey", "Ajouter une clé d’accès"),
    "account.passkey_added": ("Added", "Ajoutée le"),
    "account.passkey_used": ("last used", "utilisée pour la dernière fois"),
    "account.passkey_unused": ("never used", "jamais utilisée"),
    "account.codes": ("Recovery codes", "Codes de récupération"),
    "account.codes_none": ("None made", "Aucun créé"),
    "account.codes_left.one": ("{n} code left", "{n} code restant"),
    "account.codes_left.other": ("{n} codes left", "{n} codes restants"),
    "account.codes_made": ("made", "créés le"),
    "account.codes_make": ("Make new codes", "Créer de nouveaux codes"),
    "account.codes_few": (
        "Few are left: make new ones before you need them.",
        "Il en reste peu : créez-en de nouveaux avant d’en avoir besoin.",
    ),
    "account.sessions": ("Where you are signed in", "Où vous êtes connecté"),
    "account.sessions_lead": (
        "Browsers and programs. What you do not know, end; then change your password.",
        "Navigateurs et programmes. Mettez fin à ce que vous ne reconnaissez pas, puis changez votre mot de passe.",
    ),
    "account.session": ("Browser or program", "Navigateur ou programme"),
    "account.session_from": ("Last used from", "Dernière utilisation depuis"),
    "account.session_seen": ("Last used", "Dernière utilisation"),
    "account.session_began": ("Signed in", "Connecté depuis"),
    "account.session_ends": ("Ends, unused", "Fin, si inutilisé"),
    "account.session_by": ("By", "Par"),
    "account.session_this": ("This browser", "Ce navigateur"),
    "account.session_end": ("Sign out", "Déconnecter"),
    "account.session_end_of": ("Sign out: {what}", "Déconnecter : {what}"),
    "account.session_unknown": ("Unknown browser", "Navigateur inconnu"),
    "account.sessions_end_others": ("Sign out all others", "Déconnecter tous les autres"),
    "account.sessions_end_others_lead": (
        "Every other browser and program is signed out at once. What you have open stays open.",
        "Tous les autres navigateurs et programmes sont déconnectés immédiatement. Ce que vous avez ouvert reste ouvert.",
    ),
    "account.method.pwd": ("password", "mot de passe"),
    "account.method.otp": ("code", "code"),
    "account.method.pop": ("passkey", "clé d’accès"),
    "account.method.fed": ("identity provider", "fournisseur d’identité"),
    "account.look": ("Language, theme and time", "Langue, thème et heure"),
    "account.zone": (
        "Times are shown in your browser’s zone, with UTC on hover:",
        "Les heures sont affichées dans le fuseau de votre navigateur, avec l’heure UTC au survol :",
    ),
    "account.zone_none": ("UTC, without JavaScript", "UTC, sans JavaScript"),
    # the forms of a change
    "account.password.title": ("Change password", "Changer le mot de passe"),
    "account.password.lead": (
        "You are signed out everywhere else: every other browser and program needs the new password.",
        "Vous êtes déconnecté partout ailleurs : tout autre navigateur ou programme devra utiliser le nouveau mot de passe.",
    ),
    "account.password.do": ("Change password", "Changer le mot de passe"),
    "account.new_password": ("New password", "Nouveau mot de passe"),
    "account.new_password_hint": (
        "At least 12 characters; several words make a good one.",
        "12 caractères au moins ; plusieurs mots en font un bon.",
    ),
    "account.new_password_again": (
        "New password, once more",
        "Nouveau mot de passe, encore une fois",
    ),
    "account.totp.title": (
        "Set up an authenticator app",
        "Configurer une application d’authentification",
    ),
    "account.totp.lead": (
        "Next you scan a code with the app. From its first right code on it is asked for at every sign-in with a password; an app set up before works until then.",
        "À l’étape suivante, vous scannez un code avec l’application. Dès son premier code correct, elle est demandée à chaque connexion par mot de passe ; une application configurée auparavant fonctionne jusque-là.",
    ),
    "account.totp.do": ("Next", "Suivant"),
    "account.totp/remove.title": (
        "Remove the authenticator app",
        "Supprimer l’application d’authentification",
    ),
    "account.totp/remove.lead": (
        "Its codes are no longer asked for, nor taken. With no other factor the password alone signs you in.",
        "Ses codes ne sont plus ni demandés ni acceptés. Sans autre facteur, le mot de passe suffit pour se connecter.",
    ),
    "account.totp/remove.do": ("Remove the app", "Supprimer l’application"),
    "account.recovery.title": (
        "Make new recovery codes",
        "Créer de nouveaux codes de récupération",
    ),
    "account.recovery.lead": (
        "Ten codes, each for one sign-in without your other factors. They are shown once; codes made before stop working.",
        "Dix codes, chacun valable pour une connexion sans vos autres facteurs. Ils ne sont affichés qu’une fois ; les codes précédents cessent de fonctionner.",
    ),
    "account.recovery.do": ("Make the codes", "Créer les codes"),
    "account.passkeys.title": ("Add a passkey", "Ajouter une clé d’accès"),
    "account.passkeys.lead": (
        "A passkey is kept by this device, your phone or a security key. It signs you in without a password, and it cannot be phished.",
        "Une clé d’accès est conservée par cet appareil, votre téléphone ou une clé de sécurité. Elle vous connecte sans mot de passe et résiste à l’hameçonnage.",
    ),
    "account.passkeys.do": ("Next", "Suivant"),
    "account.passkey_name": ("What to call it", "Comment l’appeler"),
    "account.passkey_name_hint": ("Laptop, phone, blue key …", "Portable, téléphone, clé bleue…"),
    "account.passkeys/remove.title": ("Remove a passkey", "Supprimer une clé d’accès"),
    "account.passkeys/remove.lead": (
        "It no longer signs you in. Your device may still offer it: remove it there too.",
        "Elle ne permet plus de se connecter. Votre appareil peut encore la proposer : supprimez-la aussi là-bas.",
    ),
    "account.passkeys/remove.do": ("Remove the passkey", "Supprimer la clé d’accès"),
    "account.passkey_create": ("Create the passkey", "Créer la clé d’accès"),
    "account.passkey_create_lead": (
        "Your browser asks where to keep “{name}”, and for your consent.",
        "Votre navigateur demande où conserver « {name} » et votre accord.",
    ),
    "account.passkey_failed": (
        "The browser gave no passkey: it was cancelled, took too long, or this device has one of you already. Try again.",
        "Le navigateur n’a fourni aucune clé d’accès : opération annulée, trop longue, ou cet appareil en a déjà une. Réessayez.",
    ),
    "account.needs_script": (
        "Passkeys need JavaScript, which is off.",
        "Les clés d’accès nécessitent JavaScript, qui est désactivé.",
    ),
    "account.proof": ("Prove that it is you", "Prouvez votre identité"),
    "account.proof.password": ("Password", "Mot de passe"),
    "account.proof.totp": ("Code of the app", "Code de l’application"),
    "account.proof.passkey": ("Passkey", "Clé d’accès"),
    "account.proof.recoveryCode": ("Recovery code", "Code de récupération"),
    "account.proof_text": ("Present password or code", "Mot de passe actuel ou code"),
    "account.proof_text.password": ("Present password", "Mot de passe actuel"),
    "account.proof_passkey_hint": (
        "With a passkey leave the field empty: your browser asks for it.",
        "Avec une clé d’accès, laissez le champ vide : votre navigateur vous la demande.",
    ),
    "account.scan": ("Scan this code with the app", "Scannez ce code avec l’application"),
    "account.scan_label": (
        "QR code for the authenticator app",
        "Code QR pour l’application d’authentification",
    ),
    "account.or_type": ("Or type this key:", "Ou saisissez cette clé :"),
    "account.first_code": (
        "Code that the app shows now",
        "Code affiché maintenant par l’application",
    ),
    "account.first_code_hint": (
        "6 digits; within ten minutes",
        "6 chiffres ; dans les dix minutes",
    ),
    "account.totp_confirm": ("Confirm", "Confirmer"),
    "account.codes.title": ("Your recovery codes", "Vos codes de récupération"),
    "account.codes.lead": (
        "Keep them where your phone is not: printed, or in a password manager. They are not shown again.",
        "Conservez-les ailleurs que dans votre téléphone : imprimés ou dans un gestionnaire de mots de passe. Ils ne seront plus affichés.",
    ),
    "account.codes.download": ("Download", "Télécharger"),
    "account.codes.done": ("I have kept them", "Je les ai conservés"),
    "account.codes.file": (
        "Recovery codes of {name} at {where}; each works once",
        "Codes de récupération de {name} sur {where} ; chacun fonctionne une fois",
    ),
    "notice.session_ended": ("Signed out.", "Déconnecté."),
    "notice.sessions_ended": (
        "All other browsers and programs are signed out.",
        "Tous les autres navigateurs et programmes sont déconnectés.",
    ),
    "notice.password_changed": (
        "Your password is changed; everything else that was signed in is signed out.",
        "Votre mot de passe est changé ; tout ce qui était connecté ailleurs est déconnecté.",
    ),
    "notice.totp_enrolled": (
        "The app is set up; its code is asked for from now on.",
        "L’application est configurée ; son code est demandé dès maintenant.",
    ),
    "notice.passkey_enrolled": ("The passkey is added.", "La clé d’accès est ajoutée."),
    "reason.PasswordsDiffer": (
        "The two new passwords differ.",
        "Les deux nouveaux mots de passe sont différents.",
    ),
    "reason.ProofRefused": (
        "The proof is not right; nothing was changed.",
        "La preuve est incorrecte ; rien n’a été modifié.",
    ),
    "reason.InvalidProof": (
        "A proof is missing: give your password, a code, or use a passkey.",
        "Il manque une preuve : donnez votre mot de passe, un code, ou utilisez une clé d’accès.",
    ),
    "reason.WrongCode": ("The code is wrong.", "Le code est incorrect."),
    "reason.NoEnrolment": (
        "No app waits for its first code any more; begin anew.",
        "Plus aucune application n’attend son premier code ; recommencez.",
    ),
    "reason.InvalidTicket": (
        "This enrolment was used already, or took too long; begin anew.",
        "Cet enrôlement a déjà servi ou a pris trop de temps ; recommencez.",
    ),
    "reason.PasskeyExists": (
        "This passkey is enrolled already.",
        "Cette clé d’accès est déjà enregistrée.",
    ),
    "reason.TooManyPasskeys": (
        "You have as many passkeys as there may be; remove one that you do not use.",
        "Vous avez le nombre maximal de clés d’accès ; supprimez-en une que vous n’utilisez pas.",
    ),
    "reason.PasskeyNotFound": ("You have no such passkey.", "Vous n’avez pas cette clé d’accès."),
    "reason.SignInNotFound": (
        "This sign-in has ended already.",
        "Cette connexion a déjà pris fin.",
    ),
}
