"""What codes of people, groups and programs are called, and of their ways to sign in."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.words import msgid

TEXTS: Mapping[str, str] = {
    "access.user_add": msgid("Add user"),
    "access.group_delete": msgid("Delete group"),
    "access.group_add": msgid("Add group"),
    "access.program_add": msgid("Add service principal"),
    "access.kind.User": msgid("User"),
    "access.kind.Group": msgid("Group"),
    "access.kind.ServicePrincipal": msgid("Service principal"),
    "access.user_disable": msgid("Disable {user}"),
    "access.user_disable_do": msgid("Disable"),
    "access.user_enable": msgid("Enable"),
    "access.user_sign-out": msgid("Sign {user} out everywhere"),
    "access.user_sign-out_do": msgid("Sign out everywhere"),
    "access.user_factors": msgid("Remove all second factors of {user}"),
    "access.user_factors_do": msgid("Remove second factors"),
    "access.user_delete": msgid("Delete {user}"),
    "access.user_delete_do": msgid("Delete user"),
    "access.user_delete_effect": msgid(
        "Roles, memberships and ways to sign in are deleted permanently; the activity log is kept."
    ),
    "access.user_password": msgid("Set a password for {user}"),
    "access.user_password_do": msgid("Set password"),
    "access.credential.secret": msgid("Secret"),
    "access.credential.certificate": msgid("Certificate"),
    "access.program_disable": msgid("Disable {name}"),
    "access.program_disable_do": msgid("Disable"),
    "access.program_disable_effect": msgid(
        "It can no longer sign in, and its tokens are refused immediately."
    ),
    "access.program_delete": msgid("Delete {name}"),
    "access.program_delete_do": msgid("Delete"),
    "access.program_delete_effect": msgid(
        "Credentials, roles and memberships are deleted permanently; the activity log is kept."
    ),
    "access.provider_disable": msgid("Disable {name}"),
    "access.provider_disable_effect": msgid(
        "Its button disappears from the sign-in page, and nobody can sign in with it until it is "
        "enabled again. Users who signed in with it are signed out everywhere, and its group "
        "memberships end: access that rests on them closes."
    ),
    "access.provider_delete": msgid("Delete {name}"),
    "access.provider_delete_effect": msgid(
        "Users who signed in with it are signed out and can no longer use it. Its group "
        "memberships end: access that rests on them closes."
    ),
    "account.method.pwd": msgid("password"),
    "account.method.otp": msgid("code"),
    "account.method.pop": msgid("passkey"),
    "account.method.fed": msgid("identity provider"),
    "account.password.title": msgid("Change password"),
    "account.password.lead": msgid(
        "You are signed out everywhere else: every other browser and program needs the new "
        "password."
    ),
    "account.password.do": msgid("Change password"),
    "account.totp.title": msgid("Set up an authenticator app"),
    "account.totp.lead": msgid(
        "Next, scan a code with the app. Once its first code was accepted, a code is "
        "required at every sign-in with a password. Until then, an app that was set up "
        "before keeps working."
    ),
    "account.totp.do": msgid("Next"),
    "account.totp/remove.title": msgid("Remove the authenticator app"),
    "account.totp/remove.lead": msgid(
        "Its codes are no longer asked for or accepted. Without another factor, your password "
        "alone signs you in."
    ),
    "account.totp/remove.do": msgid("Remove the app"),
    "account.recovery.title": msgid("Make new recovery codes"),
    "account.recovery.lead": msgid(
        "Ten codes, each for one sign-in without your other factors. They are shown once; codes"
        " made before stop working."
    ),
    "account.recovery.do": msgid("Make the codes"),
    "account.passkeys.title": msgid("Add a passkey"),
    "account.passkeys.lead": msgid(
        "A passkey is stored on this device, your phone or a security key. It signs you in "
        "without a password, and it cannot be phished."
    ),
    "account.passkeys.do": msgid("Next"),
    "account.passkeys/remove.title": msgid("Remove a passkey"),
    "account.passkeys/remove.lead": msgid(
        "It no longer signs you in. Your device may still offer it: remove it there too."
    ),
    "account.passkeys/remove.do": msgid("Remove the passkey"),
    "account.proof.password": msgid("Password"),
    "account.proof.totp": msgid("Code of the app"),
    "account.proof.passkey": msgid("Passkey"),
    "account.proof.recoveryCode": msgid("Recovery code"),
}
