"""What the next page says once after an act, by the name that the act gives."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.words import msgid

TEXTS: Mapping[str, str] = {
    "notice.assigned": msgid("The role is assigned."),
    "notice.user_added": msgid("The user is added. Set a password next, then give a role."),
    "notice.session_ended": msgid("Signed out."),
    "notice.sessions_ended": msgid("All other browsers and programs are signed out."),
    "notice.password_changed": msgid(
        "Your password is changed; everything else that was signed in is signed out."
    ),
    "notice.totp_enrolled": msgid("The app is set up; its code is required from now on."),
    "notice.passkey_enrolled": msgid("The passkey is added."),
    "notice.factor_shown": msgid("Your second factor was shown again."),
    "notice.reviewed": msgid("You have reviewed this emergency access."),
    "notice.mail_code_asked": msgid(
        "Saved. A code is sent to the address; it gets mail once you have entered the code here."
    ),
    "notice.mail_confirmed": msgid("The address is confirmed."),
    "notice.mail_off": msgid("You get no mail any more."),
    "notice.saved": msgid("Saved."),
    "notice.removed": msgid("Removed."),
    "notice.jit_page_saved": msgid(
        "Saved. The ports are closed as soon as the agents have applied it."
    ),
    "notice.jit_page_changed": msgid(
        "Saved. No port is closed or opened; the change applies to new requests."
    ),
    "notice.jit_page_removed": msgid("Removed from just-in-time access."),
    "notice.port_taken": msgid("Kept closed from now on."),
    "notice.point_believed": msgid("The agent’s reports are trusted again."),
    "notice.jit_enabled": msgid("Just-in-time access is enabled; the port is being closed."),
    "notice.port_released": msgid("Released."),
    "notice.access_requested": msgid("Access is requested; the port is opening."),
    "notice.machine_added": msgid("The machine is added."),
    "notice.machine_deleted": msgid("The machine is deleted."),
    "notice.open_closed": msgid(
        "Closing. An entry disappears from this list when its machine has confirmed that the port"
        " is closed."
    ),
    "notice.gateway_bound": msgid(
        "The machine is behind the gateway. Open access to it has ended."
    ),
    "notice.machines_bound": msgid(
        "The machines are behind the gateway. Open access to them has ended."
    ),
    "notice.gateway_changed": msgid(
        "Saved. If the address or the order changed, open access ended."
    ),
    "notice.gateway_unbound": msgid(
        "The gateway guards the machine no longer. Ports that it kept closed stay closed there."
    ),
    "notice.address_released": msgid("Released. The gateway lets everybody through there."),
    "notice.point_managed": msgid("What manages this gateway has been saved."),
    "notice.point_removed": msgid("The agent is removed. Ports that it kept closed stay closed."),
    "notice.approved": msgid("Your approval is recorded."),
    "notice.denied": msgid("Denied. The requestor is told your reason."),
    "notice.withdrawn": msgid("Withdrawn. Nothing was opened."),
    "notice.extended": msgid("Extended."),
    "notice.closed": msgid("Closing. It counts as closed when the machine has confirmed it."),
    "notice.closed_with_sessions": msgid("Closing, and its sessions are being cut."),
}
