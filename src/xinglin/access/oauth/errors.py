"""What an app did wrong, in OAuth's words (RFC 6749 sections 4.1.2.1 and 5.2, RFC 7591 section 3.2.2)."""

from __future__ import annotations

from xinglin.kernel.errors import Problem


class OAuthError(Problem):
    """`error` is the code that the app reads, `text` the description that its developer reads."""

    def __init__(self, error: str, text: str, *, status: int = 400) -> None:
        super().__init__(text)
        self.error = error
        self.text = text
        self.http_status = status


def invalid_request(text: str) -> OAuthError:
    return OAuthError("invalid_request", text)


def invalid_grant(text: str) -> OAuthError:
    return OAuthError("invalid_grant", text)


def invalid_scope(text: str) -> OAuthError:
    return OAuthError("invalid_scope", text)


def invalid_client(text: str) -> OAuthError:
    return OAuthError("invalid_client", text, status=401)
