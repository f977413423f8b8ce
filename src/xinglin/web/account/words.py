"""What happens to an account, in words: for its owner, and for who reads the log."""

from __future__ import annotations

from typing import Final

from xinglin.ui.i18n import N_

KINDS: Final = {
    "signed-in": N_("A sign-in"),
    "new-device": N_("A sign-in on a new device"),
    "code-refused": N_("The password was right, but a wrong code was entered"),
    "password-changed": N_("The password was changed"),
    "password-given": N_("A new password was given by staff"),
    "passkey-added": N_("A passkey was added"),
    "passkey-removed": N_("A passkey was removed"),
    "passkey-suspended": N_("A passkey was suspended: it may have been copied"),
    "codes-added": N_("An authenticator app was set up"),
    "codes-removed": N_("The authenticator app was removed"),
    "recovery-codes-made": N_("New recovery codes were made"),
    "recovery-code-used": N_("A recovery code was used"),
    "recovery-given": N_("Staff handed over a code that opens this account"),
    "recovery-refused": N_("You refused the code that staff had handed over"),
    "recovered": N_("The account was opened with a code from staff, and a new password was chosen"),
    "provider-linked": N_("Another sign-in was connected"),
    "provider-unlinked": N_("A connected sign-in was removed"),
    "sessions-ended": N_("All other devices were signed out"),
}
LOGGED: Final = {
    **KINDS,
    "login": N_("A sign-in"),
    "logout": N_("A sign-out"),
    "confirmed": N_("Proof of who they are, once more"),
}
"""The same by the name that the audit gives each."""
