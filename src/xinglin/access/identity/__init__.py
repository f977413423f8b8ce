"""Who is asking: accounts, sign-in, sessions, tokens. docs/explanation/identity.md tells the reasons.

An application keeps one `Doorkeeper` per worker and asks it at every request:

    caller = await doorkeeper.recognise(request.headers.get("authorization"), request.cookies)
"""

from xinglin.access.identity.entering import sign_in
from xinglin.access.identity.limits import TooManySignIns
from xinglin.access.identity.recognise import Caller, Doorkeeper
from xinglin.access.identity.sessions import Session, cookie_name, cookie_settings, sign_out

__all__ = [
    "Caller",
    "Doorkeeper",
    "Session",
    "TooManySignIns",
    "cookie_name",
    "cookie_settings",
    "sign_in",
    "sign_out",
]
