"""Settings: one frozen value, read from the environment once.

Every setting is documented in docs/reference/settings.md; a test keeps the two in step.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from xinglin.kernel.errors import Invalid

PREFIX = "XINGLIN_"


@dataclass(frozen=True, slots=True)
class Settings:
    """What an installation may choose.

    database_url: PostgreSQL 15 or newer; empty means the embedded server under `home`.
    home: folder of the embedded database, keys and exports.
    host, port: where pages and API are served.
    base_url: how the outside reaches this node; empty means http://host:port.
    workers: server processes.
    zone: the clinic's time zone (IANA name).
    language: language of pages before a person chooses ("zh-Hans" or "en").
    session_hours: a sign-in ends after this many hours without a request.
    statement_seconds: a query that runs longer is refused as too costly.
    max_body_mb: largest request body accepted, in MiB.
    export_hours: files of a bulk export are removed after this many hours.
    import_hosts: hosts, separated by commas, that $import may fetch files from by https; empty means none.
    proxies: addresses, separated by commas, of proxies whose X-Forwarded-For names the caller; empty means none.
    secure_cookies: "auto" marks cookies Secure unless the node is served on plain http at a loopback address.
    second_factor: "required" of staff or "optional"; "auto" is optional on plain http at a loopback address only.
    secret_key: what secrets in the database are sealed with, or the path of a file that holds it.
    providers: path of a JSON file of outside OpenID providers that people may sign in by.
    app_registration: what an app that registers itself gets: "off" nothing, "approval" a place in the queue, "open".
    fetch_loopback: "yes" lets keys of apps be fetched from this machine, also by http.
    audit_key: path of an Ed25519 private key (PEM) that signs the access log's heads; empty: one kept in the database.
    audit_head_seconds: a head of the access log is signed this often, while there are new lines.
    calls_at_once: requests of one person that a worker has under way at most; 0 bounds nothing.
    calls_per_second: requests of one person, or of an app in their name, that a worker takes lastingly; 0 as before.
    sensitive: folder of ValueSets that say what is sensitive, in place of those shipped or beside them.
    """

    database_url: str = ""
    home: Path = Path.home() / ".local" / "share" / "xinglin"
    host: str = "127.0.0.1"
    port: int = 8080
    base_url: str = ""
    workers: int = 2
    zone: str = "Asia/Shanghai"
    language: str = "zh-Hans"
    session_hours: int = 12
    statement_seconds: int = 10
    max_body_mb: int = 64
    export_hours: int = 24
    import_hosts: str = ""
    proxies: str = ""
    secure_cookies: str = "auto"
    second_factor: str = "auto"
    secret_key: str = ""
    providers: str = ""
    app_registration: str = "approval"
    fetch_loopback: str = "no"
    audit_key: str = ""
    audit_head_seconds: int = 60
    calls_at_once: int = 128
    calls_per_second: int = 100
    sensitive: str = ""

    @property
    def public_base(self) -> str:
        """The base that absolute links are built on, without a trailing slash."""
        return (self.base_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def cookies_secure(self) -> bool:
        if self.secure_cookies != "auto":
            return self.secure_cookies == "yes"
        return not self._on_loopback

    @property
    def second_factor_required(self) -> bool:
        """Whether staff must sign in with two factors."""
        return self.second_factor == "required" or (self.second_factor == "auto" and not self._on_loopback)

    @property
    def _on_loopback(self) -> bool:
        """Whether the node is served to this machine alone."""
        parts = urlsplit(self.public_base)
        return parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from `XINGLIN_*` variables; a wrong one is refused by name."""
    environment = os.environ if environment is None else environment
    chosen: dict[str, object] = {}
    for name, field in Settings.__dataclass_fields__.items():
        text = environment.get(PREFIX + name.upper())
        if text is not None:
            chosen[name] = _read(PREFIX + name.upper(), text, field.default)
    settings = Settings(**chosen)  # type: ignore[arg-type]
    _check(settings)
    return settings


def _read(variable: str, text: str, default: object) -> object:
    if isinstance(default, int):
        if not text.isdigit():
            raise Invalid(f"{variable} is {text!r}, not a whole number.", remedy=f"Example: {variable}={default}")
        return int(text)
    return Path(text).expanduser() if isinstance(default, Path) else text


def _check(settings: Settings) -> None:
    try:
        ZoneInfo(settings.zone)
    except (KeyError, ValueError, OSError) as error:
        raise Invalid(
            f"XINGLIN_ZONE is {settings.zone!r}, not a time zone.", remedy="Example: Asia/Shanghai"
        ) from error
    if not 0 < settings.port < 65536:
        raise Invalid(f"XINGLIN_PORT is {settings.port}.", remedy="Choose a port from 1 to 65535.")
    if settings.language not in ("zh-Hans", "en"):
        raise Invalid(f"XINGLIN_LANGUAGE is {settings.language!r}.", remedy="Choose zh-Hans or en.")
    if settings.app_registration not in ("off", "approval", "open"):
        raise Invalid(
            f"XINGLIN_APP_REGISTRATION is {settings.app_registration!r}.", remedy="Choose off, approval or open."
        )
    if settings.fetch_loopback not in ("yes", "no"):
        raise Invalid("XINGLIN_FETCH_LOOPBACK is not yes or no.", remedy="Leave it unset but for tests.")
    if settings.second_factor not in ("auto", "required", "optional"):
        raise Invalid(f"XINGLIN_SECOND_FACTOR is {settings.second_factor!r}.", remedy="Choose required or optional.")
    if settings.secure_cookies not in ("auto", "yes", "no"):
        raise Invalid(
            "XINGLIN_SECURE_COOKIES is not auto, yes or no.", remedy="Leave it unset unless a proxy needs it."
        )
