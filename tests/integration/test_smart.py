"""Apps over HTTP: what they are told about us, whom they learn to know, what limited scopes let them write."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from attacked import concept, observation
from smart import BACK, BASE, FHIR, SCOPES, TOKEN
from xinglin.access import scopes
from xinglin.access.identity import tokens
from xinglin.access.principal import Principal, Purpose, Role
from xinglin.access.scopes import openings
from xinglin.core.store.keys import key_of
from xinglin.kernel import clock
from xinglin.kernel.errors import Unprocessable

if TYPE_CHECKING:
    from smart import Clinic

pytest_plugins = ("smart",)
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
LABORATORY = f"?category={CATEGORY}|laboratory"
KEY = ECKey.generate_key("P-384", {"kid": "e1", "use": "sig"}, private=True)


# what we say about ourselves ------------------------------------------------------------------------------------------


async def test_everything_that_is_promised_is_there(clinic: Clinic) -> None:
    told = {}
    for path in (
        "fhir/.well-known/smart-configuration", ".well-known/smart-configuration", ".well-known/openid-configuration",
        ".well-known/oauth-authorization-server",
    ):  # fmt: skip
        answer = await clinic.http.get(f"{BASE}/{path}")
        assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
        told[path] = answer.json()
    assert len({json.dumps(one) for one in told.values()}) == 1
    said = told["fhir/.well-known/smart-configuration"]
    assert said["issuer"] == BASE and said["code_challenge_methods_supported"] == ["S256"]
    for name in (n for n in said if n.endswith("_endpoint") or n == "jwks_uri"):
        answer = await clinic.http.get(said[name])
        assert answer.status_code in (200, 303, 400, 401, 405), (name, answer.status_code)
    statement = (await clinic.http.get(f"{FHIR}/metadata")).json()["rest"][0]["security"]
    uris = {one["url"]: one["valueUri"] for one in statement["extension"][0]["extension"]}
    assert uris["token"] == said["token_endpoint"] and uris["authorize"] == said["authorization_endpoint"]
    assert statement["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"


async def test_only_sites_of_registered_apps_may_call(clinic: Clinic) -> None:
    await clinic.app()
    await asyncio.sleep(2.1)  # the list of origins is kept for two seconds
    for path in ("fhir/metadata", "oauth/token", ".well-known/smart-configuration"):
        asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
        allowed = await clinic.http.options(f"{BASE}/{path}", headers=asked)
        assert allowed.status_code == 204 and allowed.headers["access-control-allow-origin"] == "https://app.example"
        assert "access-control-allow-credentials" not in allowed.headers
        for origin in ("https://evil.example", "null", "https://app.example.evil.example", "http://app.example"):
            refused = await clinic.http.options(f"{BASE}/{path}", headers=asked | {"origin": origin})
            assert refused.status_code == 403 and "access-control-allow-origin" not in refused.headers
    for path in ("sign-in", "oauth/authorize", "me/apps"):
        answer = await clinic.http.get(f"{BASE}/{path}", headers={"origin": "https://app.example"})
        assert "access-control-allow-origin" not in answer.headers


# who it is ------------------------------------------------------------------------------------------------------------


async def test_an_id_token_says_who_signed_in(clinic: Clinic) -> None:
    app = await clinic.app()
    told = await app.enter("dr-anne", "openid fhirUser user/Observation.rs")
    keys = KeySet.import_key_set((await clinic.http.get(f"{BASE}/oauth/jwks")).json())
    assert not any(key.is_private for key in keys.keys)
    claims = jwt.decode(told["id_token"], keys, algorithms=["RS256"]).claims
    assert claims["iss"] == BASE and claims["aud"] == app.client.id and claims["nonce"] == "n-1"
    assert claims["fhirUser"] == f"{FHIR}/Practitioner/pa" and claims["sub"] != "dr-anne"
    assert claims["exp"] - claims["iat"] == 3600 and claims["auth_time"] <= claims["iat"]
    headers = {"authorization": f"Bearer {told['access_token']}"}
    known = (await clinic.http.get(f"{BASE}/oauth/userinfo", headers=headers)).json()
    assert known["sub"] == claims["sub"] and known["fhirUser"] == claims["fhirUser"]
    again = await app.enter("dr-anne", "openid user/Observation.rs")
    assert jwt.decode(again["id_token"], keys, algorithms=["RS256"]).claims["sub"] == claims["sub"]
    plain = await app.enter("anna", "launch/patient patient/Observation.rs")
    headers = {"authorization": f"Bearer {plain['access_token']}"}
    assert (await clinic.http.get(f"{BASE}/oauth/userinfo", headers=headers)).status_code == 401
    assert "id_token" not in plain and "refresh_token" not in plain


async def test_the_log_names_person_and_app(clinic: Clinic) -> None:
    app = await clinic.app()
    told = await app.enter("dr-anne", "launch/patient patient/Observation.rs", patient="a1")
    await clinic.fhir(told["access_token"], "GET", "Observation/oa1")
    row = (await clinic.county.fetch("SELECT login, name FROM audit ORDER BY seq DESC LIMIT 1"))[0]
    assert row["login"].startswith("dr-anne~") and row["name"].endswith("· Growth chart")
    rows = await clinic.county.fetch(
        "SELECT why FROM audit WHERE interaction = 'app-allowed' ORDER BY seq DESC LIMIT 1"
    )
    assert "patient/Observation.rs" in rows[0]["why"]


# what a limited scope lets one see and write --------------------------------------------------------------------------


async def test_a_limited_scope_is_kept_at_every_door(clinic: Clinic) -> None:
    """Read, search, count, chain, `_has`, include, history, export of a compartment."""
    county = clinic.county
    vital = observation("vital", "a1", code="pulse")
    vital["category"] = [concept("vital-signs", CATEGORY)]
    await county.put("A", vital, {**vital, "id": "was"})
    await county.put("A", {**observation("was", "a1"), "note": [{"text": "x"}]})
    app = await clinic.app()
    told = await app.enter(
        "dr-anne", f"launch/patient patient/Patient.rs patient/Observation.rs{LABORATORY}", patient="a1"
    )
    token = told["access_token"]
    assert (await clinic.fhir(token, "GET", "Observation/oa1")).status_code == 200
    for path in ("Observation/vital", "Observation/was/_history/1", "Observation/vital/_history", "Encounter/ea"):
        assert (await clinic.fhir(token, "GET", path)).status_code == 404, path
    seen = {"oa1", "oa3", "oa4", "was"}
    assert await clinic.ids(token, "Observation") == seen
    assert (await clinic.fhir(token, "GET", "Observation?_summary=count")).json()["total"] == len(seen)
    assert await clinic.ids(token, "Patient?_has:Observation:patient:code=pulse") == set()
    assert await clinic.ids(token, "Patient?_has:Observation:patient:code=known") == {"a1"}
    assert "vital" not in await clinic.ids(token, "Patient?_revinclude=Observation:patient")
    assert "vital" not in await clinic.ids(token, "Patient/a1/$everything?_count=100")
    versions = (await clinic.fhir(token, "GET", "Observation/was/_history")).json()["entry"]
    assert [row["resource"]["meta"]["versionId"] for row in versions] == ["2"]


async def test_a_write_is_within_its_scope_before_and_after(clinic: Clinic) -> None:
    app = await clinic.app()
    scope = f"launch/patient patient/Patient.rs patient/Observation.rs patient/Observation.cud{LABORATORY}"
    token = (await app.enter("dr-anne", scope, patient="a1"))["access_token"]
    body = {name: value for name, value in observation("x", "a1").items() if name != "id"}
    outside = {**body, "category": [concept("vital-signs", CATEGORY)]}
    made = await clinic.fhir(token, "POST", "Observation", body)
    assert made.status_code == 201, made.text
    own = {**body, "id": made.json()["id"]}
    assert (await clinic.fhir(token, "POST", "Observation", outside)).status_code == 403
    place = f"Observation/{own['id']}"
    assert (await clinic.fhir(token, "PUT", place, {**own, "category": outside["category"]})).status_code == 403
    assert (await clinic.fhir(token, "PUT", place, {**own, "status": "amended"})).status_code == 200
    moved = {**own, "subject": {"reference": "Patient/a2"}}
    assert (await clinic.fhir(token, "PUT", place, moved)).status_code in (403, 422)
    await clinic.county.put("A", {**outside, "id": "pulse"})
    assert (await clinic.fhir(token, "PUT", "Observation/pulse", {**own, "id": "pulse"})).status_code == 403
    assert (await clinic.fhir(token, "DELETE", "Observation/pulse")).status_code == 403
    assert (await clinic.fhir(token, "DELETE", place)).status_code == 204
    other = {**body, "subject": {"reference": "Patient/a2"}}
    assert (await clinic.fhir(token, "POST", "Observation", other)).status_code in (403, 422)
    assert (await clinic.fhir(token, "POST", "Patient", {"resourceType": "Patient"})).status_code == 403
    narrow = (await app.enter("dr-anne", "launch/patient patient/Observation.c", patient="a1"))["access_token"]
    assert (await clinic.fhir(narrow, "POST", "Observation", body)).status_code == 201  # without reading anything


NOTHING = [
    "Observation.rs?patient.family=Wang", "Observation.rs?_has:Provenance:target:agent=pb", "Observation.rs?_list=1",
    "Observation.rs?code:in=http://vs", "Observation.rs?category=", "Observation.rs?nothing=x", "*.rs?_id=oa1",
    "Observation.rs?category=laboratory&nothing=x", "Observation.rs?_sort=date", "Observation.rs?_include=*",
    "Observation.rs?code:missing=false", "Observation.rs?value-quantity=gtx",
    "Observation.rs?category=laboratory&status=",
]  # fmt: skip


@pytest.mark.parametrize("text", NOTHING)
def test_a_search_that_cannot_be_kept_grants_nothing(text: str) -> None:
    for context, role in (("user", Role.CLINICIAN), ("patient", Role.PATIENT), ("system", Role.SYSTEM)):
        who = Principal("x", "x", role, Purpose.TREATMENT, "A", patients=("a1",), scopes=(f"{context}/{text}",))
        assert openings(who, "r") == () and not scopes.may(who, "Observation", "r")


# for somebody else ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["child", "adult"])
async def test_a_guardian_lets_an_app_see_the_wards_record_as_long_as_they_may(clinic: Clinic, kind: str) -> None:
    county, ward = clinic.county, f"ward-{kind}"
    born = "2020-01-01" if kind == "child" else "1950-01-01"
    await county.put(
        "A",
        {"resourceType": "Patient", "id": ward, "birthDate": born, "name": [{"family": "Ward"}]},
        observation(f"o-{kind}", ward),
    )
    await county.fetch(
        "INSERT INTO guardianship (login, ward, ward_key, kind, related, categories, starts, by, at)"
        " VALUES ('anna', $1, $2, $3, 0, $4, now() - interval '1 day', 'anna', now())",
        *(ward, key_of("Patient", ward), kind, 0x7FFFFFFF),
    )
    app = await clinic.app()
    scope = "launch/patient offline_access patient/Observation.cruds openid fhirUser"
    asked = (await app.authorize(app.asks(scope))).headers["location"]
    shown = await app.page("anna", asked)
    token = shown.text.split('name="_csrf" value="')[1].split('"')[0]
    number = shown.text.split('name="ward" value="')[1].split('"')[0]
    cookie = {"cookie": clinic.cookies["anna"]}
    chosen = await clinic.http.post(f"{BASE}{asked}/for", data={"_csrf": token, "ward": number}, headers=cookie)
    assert chosen.status_code == 303, chosen.text[-300:]
    verifier = app.verifier
    told = (await app.exchange((await app.answer("anna", asked))["code"], code_verifier=verifier)).json()
    access = told["access_token"]
    assert told["patient"] == ward
    assert await clinic.ids(access, "Observation") == {f"o-{kind}"}
    assert (await clinic.fhir(access, "GET", "Observation/oa1")).status_code == 404  # not their own instead
    body = {**observation("x", ward), "performer": [{"reference": f"Patient/{ward}"}]}
    del body["id"]
    written = await clinic.fhir(access, "POST", "Observation", body)
    assert (written.status_code == 201) is (kind == "child"), written.text
    await county.fetch("UPDATE guardianship SET ended = now()")
    await county.fetch("SELECT pg_notify('xinglin_identity', '')")
    await asyncio.sleep(0.1)
    assert (await clinic.fhir(access, "GET", f"Observation/o-{kind}")).status_code == 401
    answer = await app.token(grant_type="refresh_token", refresh_token=told["refresh_token"])
    assert answer.json()["error"] == "invalid_grant"
    await clinic.sign_in("anna")


# programs, and their managers -----------------------------------------------------------------------------------------


async def test_a_programs_export_outlives_its_token_and_not_its_client(clinic: Clinic) -> None:
    from xinglin.access.identity.recognise import standing

    program = await clinic.program("system/Observation.rs", "system/Patient.rs", keys=[KEY])
    told = (await program.by_assertion(program.assertion(KEY, "ES384"))).json()
    rows = await clinic.county.fetch("SELECT login FROM audit WHERE interaction = 'token' ORDER BY seq DESC LIMIT 1")
    login = rows[0]["login"]
    await clinic.county.fetch("UPDATE oauth_token SET expires = now() - interval '1 minute'")
    async with clinic.county.house.database.connection() as connection:
        who = await standing(connection, login)
        assert who is not None and who.scopes == ("system/Observation.rs",) and who.institution == "A"
        await connection.execute("UPDATE oauth_client SET state = 'disabled' WHERE id = $1", program.client.id)
        assert await standing(connection, login) is None
    assert told["scope"] == "system/Observation.rs"


async def test_a_person_ends_what_they_allowed(clinic: Clinic) -> None:
    app = await clinic.app()
    told = await app.enter("ben", "launch/patient offline_access patient/Observation.rs")
    page = await app.page("ben", "/me/apps")
    assert "Growth chart" in page.text and "test results" in page.text
    grant = page.text.split('name="grant" value="')[1].split('"')[0]
    token = page.text.split('name="_csrf" value="')[1].split('"')[0]

    async def end(login: str) -> int:
        shown = await app.page(login, "/me/settings")
        own = shown.text.split('name="_csrf" value="')[1].split('"')[0]
        done = await clinic.http.post(
            f"{BASE}/me/apps/end", data={"_csrf": own, "grant": grant}, headers={"cookie": clinic.cookies[login]}
        )
        return done.status_code

    assert await end("anna") == 404  # another's
    assert (await clinic.fhir(told["access_token"], "GET", "Observation/oa2")).status_code == 200
    assert token and await end("ben") == 303
    await asyncio.sleep(0.1)
    assert (await clinic.fhir(told["access_token"], "GET", "Observation/oa2")).status_code == 401


async def test_a_manager_approves_limits_and_disables(clinic: Clinic) -> None:
    body = {
        "client_name": "Diary", "redirect_uris": [BACK], "scope": " ".join(SCOPES),
        "token_endpoint_auth_method": "none",
    }  # fmt: skip
    made = (await clinic.http.post(f"{BASE}/oauth/register", json=body)).json()
    app = await clinic.app()
    diary = type(app)(clinic, app.client, None)
    cookie = {"cookie": clinic.cookies["boss"]}
    place = f"/desk/institution/apps/{made['client_id']}"

    async def act(verb: str, **more: str) -> Any:
        page = await app.page("boss", place)
        csrf = page.text.split('name="_csrf" value="')[1].split('"')[0]
        return await clinic.http.post(f"{BASE}{place}/{verb}", data={"_csrf": csrf, **more}, headers=cookie)

    assert "Diary" in (await app.page("boss", "/desk/institution/apps")).text
    assert (await act("disable")).status_code == 404  # nobody's yet
    assert (await act("approve")).status_code == 303
    async with clinic.county.house.database.connection() as connection:
        from xinglin.access.oauth import clients

        diary.client = await clients.get(connection, made["client_id"])
    told = await diary.enter("anna", "launch/patient offline_access patient/*.rs")
    assert (await clinic.fhir(told["access_token"], "GET", "Observation/oa1")).status_code == 200
    assert (await act("limit", scopes="patient/Nothing.rs")).status_code == 422
    assert (await act("limit", scopes="launch/patient offline_access patient/Patient.rs")).status_code == 303
    await asyncio.sleep(0.1)
    assert (await clinic.fhir(told["access_token"], "GET", "Observation/oa1")).status_code == 401
    assert (await act("disable")).status_code == 303
    assert (await app.page("dr-anne", place)).status_code == 404
    other = await app.page("boss", f"/desk/institution/apps/{app.client.id}")
    assert other.status_code == 404  # an app for everybody is the operator's


async def test_keys_of_id_tokens_change_and_old_ones_stay_known(clinic: Clinic) -> None:
    app = await clinic.app()
    first = (await app.enter("ben", "openid patient/Observation.rs"))["id_token"]
    await clinic.county.fetch("UPDATE oauth_key SET created = created - interval '91 days'")
    second = (await app.enter("ben", "openid patient/Observation.rs"))["id_token"]
    keys = KeySet.import_key_set((await clinic.http.get(f"{BASE}/oauth/jwks")).json())
    assert len(keys.keys) == 2
    for token in (first, second):
        assert jwt.decode(token, keys, algorithms=["RS256"]).claims["exp"] > clock.now().timestamp()


async def test_a_request_that_is_no_form_is_answered_in_oauths_words(clinic: Clinic) -> None:
    for content, kind in ((b"{}", "application/json"), (b"", ""), (b"a=1&a=2", "application/x-www-form-urlencoded")):
        answer = await clinic.http.post(TOKEN, content=content, headers={"content-type": kind})
        assert answer.status_code == 400 and answer.json()["error"] == "invalid_request"
    client = (await clinic.app()).client.id
    form = {"grant_type": "password", "client_id": client}
    assert (await clinic.http.post(TOKEN, data=form)).json()["error"] == "unsupported_grant_type"
    for path, given in (
        ("token", {}), ("token", {"grant_type": ""}), ("token", {"grant_type": "refresh_token"}),
        ("token", {"grant_type": "authorization_code", "redirect_uri": BACK, "code_verifier": "v"}),
        ("token", {"grant_type": "authorization_code", "code": "c", "code_verifier": "v"}), ("revoke", {}),
    ):  # fmt: skip
        answer = await clinic.http.post(f"{TOKEN[:-5]}{path}", data={"client_id": client, **given})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), given


async def test_another_resource_server_asks_what_a_token_stands_for(clinic: Clinic) -> None:
    """With a token of the operator's that opens nothing else; nobody else is told of tokens that are not theirs."""
    app, database = await clinic.app("secret"), clinic.county.house.database
    told = await app.enter("anna", "launch/patient offline_access openid fhirUser patient/Observation.rs")
    key, entry = await tokens.issue(database, Role.SYSTEM, 1, scopes=["introspect"])
    plain, _ = await tokens.issue(database, Role.SYSTEM, 1, scopes=["system/*.rs"])

    async def asked(bearer: str, **form: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {bearer}"}
        return await clinic.http.post(f"{TOKEN[:-5]}introspect", data=form, headers=headers)

    seen = (await asked(key, token=told["access_token"])).json()
    assert seen["active"] and seen["client_id"] == app.client.id and seen["patient"] == "a1" and seen["exp"]
    assert seen["fhirUser"].endswith("/Patient/a1") and "patient/Observation.rs" in seen["scope"]
    refresh = (await asked(key, token=told["refresh_token"], token_type_hint="access_token")).json()
    assert refresh["active"] and refresh["exp"] > seen["exp"] and "token_type" not in refresh
    for other in ("junk", told["id_token"], plain, key):
        assert (await asked(key, token=other)).json() == {"active": False}
    assert (await asked(key, other="x")).json()["error"] == "invalid_request"
    for bearer in (plain, "junk", told["access_token"], ""):
        assert (await asked(bearer, token=told["access_token"])).status_code == 401
    assert (await clinic.fhir(key, "GET", "Observation/oa1")).status_code in (403, 404)
    assert not await clinic.ids(key, "Observation")
    await tokens.revoke(database, entry.id)
    assert (await asked(key, token=told["access_token"])).status_code == 401
    for wrong in ({"role": Role.CLINICIAN, "institution": "A"}, {"role": Role.SYSTEM, "institution": "A"}):
        with pytest.raises(Unprocessable):
            await tokens.issue(database, hours=1, scopes=["introspect"], **wrong)
