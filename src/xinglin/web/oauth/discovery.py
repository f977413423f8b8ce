"""Where everything is: the documents by which apps find our endpoints, keys and abilities.

SMART App Launch 2.2, "Conformance"; OpenID Connect Discovery 1.0; RFC 8414.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from xinglin.access.oauth import keys
from xinglin.access.oauth.asking import PROMPTS
from xinglin.access.oauth.assertions import KEY_TYPES
from xinglin.access.oauth.clients import PLAIN_SCOPES
from xinglin.kernel.config import Settings
from xinglin.web.guards import house

CAPABILITIES: Final = (
    "launch-ehr",
    "launch-standalone",
    "authorize-post",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-banner",
    "context-style",
    "context-ehr-patient",
    "context-ehr-encounter",
    "context-standalone-patient",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
)
SERVICE: Final = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR"}]
}
OAUTH_URIS: Final = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
STYLE: Final = {
    "color_background": "#fbfaf6",
    "color_error": "#a3261d",
    "color_highlight": "#1d5b4a",
    "color_modal_backdrop": "",
    "color_success": "#1d5b4a",
    "color_text": "#1f2a26",
    "dim_border_radius": "6px",
    "dim_font_size": "16px",
    "dim_spacing_size": "16px",
    "font_family_body": "system-ui, 'PingFang SC', 'Microsoft YaHei', 'Noto Sans SC', sans-serif",
    "font_family_heading": "system-ui, 'PingFang SC', 'Microsoft YaHei', 'Noto Sans SC', sans-serif",
}
"""What an app may look like beside our pages: smart_style_url."""


def routes() -> list[BaseRoute]:
    known = "/.well-known"
    return [
        Route(f"{known}/smart-configuration", configuration),
        Route(f"/fhir{known}/smart-configuration", configuration),
        Route(f"{known}/openid-configuration", configuration),
        Route(f"/fhir{known}/openid-configuration", configuration),
        Route(f"{known}/oauth-authorization-server", configuration),
        Route("/oauth/jwks", jwks),
        Route("/oauth/style.json", style),
    ]


def addresses(settings: Settings) -> dict[str, str]:
    """Our endpoints, by the names that RFC 8414 gives them."""
    base = settings.public_base
    found = {
        "authorization_endpoint": f"{base}/oauth/authorize",
        "token_endpoint": f"{base}/oauth/token",
        "introspection_endpoint": f"{base}/oauth/introspect",
        "revocation_endpoint": f"{base}/oauth/revoke",
        "userinfo_endpoint": f"{base}/oauth/userinfo",
        "jwks_uri": f"{base}/oauth/jwks",
        "management_endpoint": f"{base}/me/apps",
    }
    return found if settings.app_registration == "off" else {**found, "registration_endpoint": f"{base}/oauth/register"}


def described(settings: Settings) -> dict[str, Any]:
    """All of it in one document: each standard reads its own part."""
    methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
    return {
        "issuer": settings.public_base,
        **addresses(settings),
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "scopes_supported": [*sorted(PLAIN_SCOPES), "patient/*.cruds", "user/*.cruds", "system/*.cruds"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", *methods],
        "token_endpoint_auth_signing_alg_values_supported": list(KEY_TYPES),
        "introspection_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_signing_alg_values_supported": list(KEY_TYPES),
        "revocation_endpoint_auth_methods_supported": ["none", *methods],
        "revocation_endpoint_auth_signing_alg_values_supported": list(KEY_TYPES),
        "authorization_response_iss_parameter_supported": True,
        "prompt_values_supported": sorted(PROMPTS),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [keys.ALGORITHM],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "fhirUser", "name"],
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "capabilities": list(CAPABILITIES),
    }


def security(settings: Settings) -> dict[str, Any]:
    """CapabilityStatement.rest.security, for clients that look there."""
    given = addresses(settings)
    named = {
        "token": "token_endpoint",
        "authorize": "authorization_endpoint",
        "introspect": "introspection_endpoint",
        "revoke": "revocation_endpoint",
        "manage": "management_endpoint",
        "register": "registration_endpoint",
    }
    uris = [{"url": name, "valueUri": given[key]} for name, key in named.items() if key in given]
    return {
        "extension": [{"url": OAUTH_URIS, "extension": uris}],
        "cors": True,
        "service": [SERVICE],
        "description": "A bearer token on every request: SMART App Launch 2.2, or one that the operator issued.",
    }


async def configuration(request: Request) -> Response:
    return JSONResponse(described(request.app.state.settings))


async def jwks(request: Request) -> Response:
    return JSONResponse(await keys.published(house(request)), headers={"cache-control": "public, max-age=300"})


async def style(request: Request) -> Response:
    return JSONResponse(STYLE, headers={"cache-control": "public, max-age=3600"})
