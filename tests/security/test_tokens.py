"""Attack cases 52-60 and 67: tokens that grow, that are meant for another, that are forged, replayed or stolen."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from joserfc.jwk import ECKey, RSAKey

from smart import ASSERTION, BACK, FHIR, TOKEN, pkce, told_in
from xinglin.access import scopes
from xinglin.access.oauth.fetching import Fetcher, Unfetchable
from xinglin.kernel.outward import is_public

if TYPE_CHECKING:
    from smart import App, Clinic

pytest_plugins = ("smart",)
RSA = RSAKey.generate_key(2048, {"kid": "r1", "use": "sig"}, private=True)
EC = ECKey.generate_key("P-384", {"kid": "e1", "use": "sig"}, private=True)


def error(answer: Any, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.json()["error"])


# 52, 53: contexts and growth ------------------------------------------------------------------------------------------


async def test_case_52_contexts_do_not_mix(clinic: Clinic) -> None:
    """A person's token has no system scope, a program's no patient or user one; patient/ stays with the patient."""
    app = await clinic.app()
    told = await app.enter(
        "dr-anne", "launch/patient patient/Observation.rs user/Encounter.rs system/*.cruds", patient="a1"
    )
    assert "system/" not in told["scope"] and told["patient"] == "a1"
    token = told["access_token"]
    assert await clinic.ids(token, "Observation") == {"oa1", "oa3", "oa4"}  # a2's are not of this patient
    assert (await clinic.fhir(token, "GET", "Observation/oa2")).status_code == 404
    assert (await clinic.fhir(token, "GET", "Observation/hid")).status_code == 404  # nor what the doctor may not see
    assert await clinic.ids(token, "Encounter") == {"ea"}
    assert await clinic.ids(token, "Patient") == set()
    program = await clinic.program("system/Observation.rs", keys=[EC])
    answer = await program.by_assertion(program.assertion(EC, "ES384"), "patient/*.cruds user/*.cruds system/*.cruds")
    assert answer.json()["scope"] == "system/Observation.rs"


async def test_case_53_a_wildcard_is_no_more_than_the_client_and_the_role(clinic: Clinic) -> None:
    app = await clinic.app(scopes=("launch/patient", "patient/Observation.rs", "patient/Patient.r"))
    told = await app.enter("anna", "launch/patient patient/*.cruds")
    assert set(told["scope"].split()) == {"launch/patient", "patient/Observation.rs", "patient/Patient.r"}
    answer = await clinic.fhir(told["access_token"], "GET", "Patient/b1")
    assert answer.status_code == 404
    wide = await clinic.app()
    everything = await wide.enter("ben", "user/*.cruds")
    assert await clinic.ids(everything["access_token"], "Observation") == {"oa2", "oa5"}


@pytest.mark.parametrize(
    ("asked", "most", "granted"),
    [
        ("patient/Observation.rs", "patient/*.cruds", ["patient/Observation.rs"]),
        ("patient/Observation.cruds", "patient/Observation.rs", ["patient/Observation.rs"]),
        ("patient/*.read", "patient/Observation.r", ["patient/Observation.r"]),
        ("patient/*.read", "patient/*.rs", ["patient/*.read"]),
        ("user/Observation.rs", "patient/Observation.rs", []),
        ("patient/Observation.rs?category=a", "patient/Observation.rs", ["patient/Observation.rs?category=a"]),
        ("patient/Observation.rs", "patient/Observation.rs?category=a", ["patient/Observation.rs?category=a"]),
        ("patient/Observation.rs?code=b", "patient/*.rs?category=a", ["patient/Observation.rs?code=b&category=a"]),
        ("patient/Observation.rsx", "patient/*.cruds", []),
        ("openid launch", "openid", ["openid"]),
    ],
)
def test_case_53_narrowing_never_widens(asked: str, most: str, granted: list[str]) -> None:
    assert scopes.within(asked.split(), most.split()) == granted


# 54: refreshing -------------------------------------------------------------------------------------------------------


async def test_case_54_a_refresh_asks_for_no_more(clinic: Clinic) -> None:
    app = await clinic.app()
    told = await app.enter("anna", "launch/patient offline_access patient/Observation.rs patient/Condition.rs")
    for wider in ("patient/Observation.cruds", "patient/*.rs", "user/Observation.rs", "openid", "patient/Patient.r"):
        answer = await app.token(grant_type="refresh_token", refresh_token=told["refresh_token"], scope=wider)
        assert error(answer) == "invalid_scope", wider
    narrow = await app.token(
        grant_type="refresh_token", refresh_token=told["refresh_token"], scope="patient/Observation.r"
    )
    assert narrow.json()["scope"] == "patient/Observation.r" and narrow.json()["patient"] == "a1"
    assert (await clinic.fhir(narrow.json()["access_token"], "GET", "Observation/oa1")).status_code == 200
    assert await clinic.ids(narrow.json()["access_token"], "Observation") == set()  # r is not s
    again = await app.token(grant_type="refresh_token", refresh_token=narrow.json()["refresh_token"])
    assert "patient/Condition.rs" in again.json()["scope"]  # the grant is what it was


async def test_case_54_a_refresh_token_that_comes_again_ends_the_family(clinic: Clinic) -> None:
    app = await clinic.app("secret")
    first = await app.enter("anna", "launch/patient offline_access patient/Observation.rs")
    second = (await app.token(grant_type="refresh_token", refresh_token=first["refresh_token"])).json()
    assert (await clinic.fhir(second["access_token"], "GET", "Observation/oa1")).status_code == 200
    assert error(await app.token(grant_type="refresh_token", refresh_token=first["refresh_token"])) == "invalid_grant"
    await asyncio.sleep(0.1)
    for token in (first["access_token"], second["access_token"]):
        assert (await clinic.fhir(token, "GET", "Observation/oa1")).status_code == 401
    assert error(await app.token(grant_type="refresh_token", refresh_token=second["refresh_token"])) == "invalid_grant"


async def test_case_54_of_two_refreshes_at_once_at_most_one_counts(clinic: Clinic) -> None:
    app = await clinic.app()
    told = await app.enter("anna", "launch/patient offline_access patient/Observation.rs")
    answers = await asyncio.gather(
        *(app.token(grant_type="refresh_token", refresh_token=told["refresh_token"]) for _ in range(4))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]
    fresh = next(answer.json() for answer in answers if answer.status_code == 200)
    await asyncio.sleep(0.1)
    assert (await clinic.fhir(fresh["access_token"], "GET", "Observation/oa1")).status_code == 401  # the family ended


async def test_case_54_another_client_gains_nothing_by_a_refresh_token(clinic: Clinic) -> None:
    app, thief = await clinic.app(), await clinic.app()
    told = await app.enter("anna", "launch/patient offline_access patient/Observation.rs")
    answer = await thief.token(grant_type="refresh_token", refresh_token=told["refresh_token"])
    assert error(answer) == "invalid_grant"


async def test_case_54_online_access_ends_with_the_session(clinic: Clinic) -> None:
    app = await clinic.app()
    told = await app.enter("anna", "launch/patient online_access patient/Observation.rs")
    assert (await clinic.fhir(told["access_token"], "GET", "Observation/oa1")).status_code == 200
    await clinic.sign_out("anna")
    await asyncio.sleep(0.1)  # the worker is told as the session's end commits
    assert (await clinic.fhir(told["access_token"], "GET", "Observation/oa1")).status_code == 401
    assert error(await app.token(grant_type="refresh_token", refresh_token=told["refresh_token"])) == "invalid_grant"
    await clinic.sign_in("anna")


async def test_case_54_what_a_token_rests_on_ends_it(clinic: Clinic) -> None:
    """A closed account, a disabled app."""
    app = await clinic.app()
    for ending in (
        "UPDATE account SET active = false WHERE login = 'anna'",
        f"UPDATE oauth_client SET state = 'disabled' WHERE id = '{app.client.id}'",
    ):
        login = "anna" if "account" in ending else "ben"
        told = await app.enter(login, "launch/patient offline_access patient/Observation.rs")
        where = "Observation/oa1" if login == "anna" else "Observation/oa2"
        assert (await clinic.fhir(told["access_token"], "GET", where)).status_code == 200
        await clinic.county.fetch(ending)
        await clinic.county.fetch("SELECT pg_notify('xinglin_identity', '')")
        await asyncio.sleep(0.1)
        assert (await clinic.fhir(told["access_token"], "GET", where)).status_code == 401
        await clinic.county.fetch("UPDATE account SET active = true")


# 55: for whom ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "aud", [None, "", "https://other.example/fhir", f"{FHIR}x", "http://127.0.0.1:8080", f"{FHIR}@x"]
)
async def test_case_55_a_token_for_another_server_is_not_asked_of_us(clinic: Clinic, aud: str | None) -> None:
    app = await clinic.app()
    told = told_in(await app.authorize(app.asks("launch/patient patient/*.rs", aud=aud)))
    assert told["error"] == "invalid_request" and told["state"] == "s-1" and told["iss"]


async def test_case_55_an_assertion_for_another_server_proves_nothing(clinic: Clinic) -> None:
    program = await clinic.program("system/Observation.rs", keys=[EC])
    for aud in (FHIR, "https://other.example/oauth/token", [TOKEN, "https://other.example"], TOKEN + "/", None, []):
        answer = await program.by_assertion(program.assertion(EC, "ES384", aud=aud))
        assert error(answer, 401) == "invalid_client", aud


async def test_case_55_tokens_are_bound_to_their_client(clinic: Clinic) -> None:
    app, other = await clinic.app("secret"), await clinic.app("secret")
    told = await app.enter("anna", "launch/patient offline_access openid fhirUser patient/Observation.rs")

    async def introspected(by: App) -> Any:
        form = {"client_id": by.client.id, "client_secret": by.secret, "token": told["access_token"]}
        return (await clinic.http.post(f"{TOKEN[:-5]}introspect", data=form)).json()

    seen = await introspected(app)
    assert seen["active"] and seen["patient"] == "a1" and seen["fhirUser"].endswith("/Patient/a1")
    assert await introspected(other) == {"active": False}
    form = {"client_id": other.client.id, "client_secret": other.secret, "token": told["refresh_token"]}
    assert (await clinic.http.post(f"{TOKEN[:-5]}revoke", data=form)).status_code == 200  # says nothing, ends nothing
    assert (await introspected(app))["active"]
    form = {"client_id": app.client.id, "client_secret": app.secret, "token": told["refresh_token"]}
    assert (await clinic.http.post(f"{TOKEN[:-5]}revoke", data=form)).status_code == 200
    assert await introspected(app) == {"active": False}
    await asyncio.sleep(0.1)
    for token in (told["refresh_token"], told["id_token"]):
        assert (await clinic.fhir(token, "GET", "Observation/oa1")).status_code == 401


# 56-58: forged and replayed assertions --------------------------------------------------------------------------------


def raw(header: dict[str, Any], claims: dict[str, Any], signature: str = "") -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    return ".".join((*parts, signature))


async def test_case_56_alg_none_and_confusion(clinic: Clinic) -> None:
    """No signature; the public key as an HMAC secret; a key of another type or curve; an algorithm not offered."""
    program = await clinic.program("system/Observation.rs", keys=[RSA, EC])
    claims = json.loads(base64.urlsafe_b64decode(program.assertion(EC, "ES384").split(".")[1] + "=="))
    forged = [raw({"alg": alg, "kid": "e1"}, claims) for alg in ("none", "None", "NONE", "", "nOnE")]
    forged.append(raw({"kid": "e1"}, claims))
    for key in (RSA, EC):
        for alg in ("HS256", "HS384", "HS512"):
            signing = raw({"alg": alg, "kid": key.kid}, claims).rsplit(".", 1)[0]
            made = hmac.digest(key.as_pem(private=False), signing.encode(), f"sha{alg[2:]}")
            forged.append(f"{signing}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}")
    forged.append(program.assertion(RSA, "RS256"))
    forged.append(program.assertion(RSA, "RS384", {"kid": "e1"}))
    forged.append(program.assertion(EC, "ES384", {"kid": "r1"}))
    good = program.assertion(EC, "ES384")
    forged += [good[:-4] + "AAAA", good + "A", good.rsplit(".", 1)[0] + ".", good.replace(".", "..", 1)]
    own = ECKey.generate_key("P-384", {"kid": "e1"}, private=True)
    forged.append(program.assertion(own, "ES384"))
    forged.append(program.assertion(own, "ES384", {"jwk": own.as_dict(private=False)}))
    forged.append(program.assertion(own, "ES384", {"jku": "https://evil.example/keys"}))
    for assertion in forged:
        assert error(await program.by_assertion(assertion), 401) == "invalid_client", assertion
    assert (await program.by_assertion(good)).status_code == 200
    assert (await program.by_assertion(program.assertion(RSA, "RS384"))).status_code == 200


async def test_case_57_an_unknown_critical_extension_is_refused(clinic: Clinic) -> None:
    program = await clinic.program("system/Observation.rs", keys=[EC])
    claims = json.loads(base64.urlsafe_b64decode(program.assertion(EC, "ES384").split(".")[1] + "=="))
    for crit in (["exp"], ["b64"], ["unknown"], [], "b64", None):
        head = {"alg": "ES384", "kid": "e1", "crit": crit, "unknown": True, "exp": 1}
        signing = raw(head, claims).rsplit(".", 1)[0].encode()
        signature = base64.urlsafe_b64encode(_signature(signing)).rstrip(b"=").decode()
        assert error(await program.by_assertion(f"{signing.decode()}.{signature}"), 401) == "invalid_client", crit


def _signature(signing: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA384

    private: Any = EC.private_key
    r, s = decode_dss_signature(private.sign(signing, ec.ECDSA(SHA384())))
    return bytes(r.to_bytes(48, "big") + s.to_bytes(48, "big"))


async def test_case_58_an_assertion_counts_once_and_soon(clinic: Clinic) -> None:
    program = await clinic.program("system/Observation.rs", keys=[EC])
    assertion = program.assertion(EC, "ES384", jti="one")
    answers = await asyncio.gather(*(program.by_assertion(assertion) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
    assert error(await program.by_assertion(program.assertion(EC, "ES384", jti="one", aud=TOKEN)), 401)
    now = int(time.time())
    for wrong in (
        {"exp": now - 1}, {"exp": now + 306}, {"exp": now + 200, "iat": now - 101},
        {"exp": now + 400}, {"exp": None}, {"exp": "soon"}, {"exp": True}, {"exp": 1e300},
        {"jti": None}, {"jti": ""}, {"jti": 7}, {"iss": "x"}, {"sub": "x"}, {"nbf": now + 100}, {"iat": now + 100},
    ):  # fmt: skip
        assert error(await program.by_assertion(program.assertion(EC, "ES384", **wrong)), 401) == "invalid_client", (
            wrong
        )
    told = next(answer.json() for answer in answers if answer.status_code == 200)
    assert told["expires_in"] <= 300 and "refresh_token" not in told
    assert await clinic.ids(told["access_token"], "Observation?_id=oa1,ob1") == {"oa1"}  # of its institution


async def test_case_58_another_programs_assertion_is_not_ones_own(clinic: Clinic) -> None:
    one = await clinic.program("system/Observation.rs", keys=[EC])
    other = await clinic.program("system/*.cruds", keys=[RSA])
    mixed = one.assertion(EC, "ES384", iss=other.client.id, sub=other.client.id)
    assert error(await one.by_assertion(mixed), 401) == "invalid_client"
    answer = await one.by_assertion(one.assertion(EC, "ES384"), client_id=other.client.id)
    assert error(answer, 401) == "invalid_client"


# 59, 60: codes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge_method": "s256"},
        {"code_challenge": "short"},
        {"code_challenge": "x" * 44},
    ],
)
async def test_case_59_pkce_is_s256_and_nothing_else(clinic: Clinic, change: dict[str, str | None]) -> None:
    for kind in ("public", "secret"):
        app = await clinic.app(kind)
        told = told_in(await app.authorize(app.asks("launch/patient patient/*.rs", **change)))
        assert told["error"] == "invalid_request" and "code" not in told


async def test_case_59_a_wrong_verifier_gets_nothing_and_uses_the_code_up(clinic: Clinic) -> None:
    app = await clinic.app()
    code = await app.code("anna", "launch/patient patient/Observation.rs")
    for verifier in ("", "x", pkce()[0]):
        assert error(await app.exchange(code, code_verifier=verifier)) == "invalid_grant"
    assert error(await app.exchange(code)) == "invalid_grant"


@pytest.mark.parametrize(
    "uri",
    [
        None, "", BACK + "/", BACK + "/more", BACK + "?x=1", BACK + "#x", BACK.upper(), BACK + "%2e%2e", "https://app.example",
        "https://app.example/", "https://app.example.evil.example/back", "https://app.example@evil.example/back",
        "http://app.example/back", "https://app.example:443/back", BACK + " ", BACK + "\n",
    ],
)  # fmt: skip
async def test_case_60_a_redirect_address_is_exactly_the_registered_one(clinic: Clinic, uri: str | None) -> None:
    """Nothing is sent to an address that is not registered to the letter; the person is told instead."""
    app = await clinic.app()
    answer = await app.authorize(app.asks("launch/patient patient/*.rs", redirect_uri=uri))
    assert answer.status_code == 400 and "location" not in answer.headers


async def test_case_60_a_parameter_that_stands_twice_is_refused(clinic: Clinic) -> None:
    app = await clinic.app()
    asked = app.asks("launch/patient patient/*.rs")
    for name in ("redirect_uri", "client_id"):
        answer = await app.authorize([*asked.items(), (name, "https://evil.example/back")])
        assert answer.status_code == 400 and "location" not in answer.headers
    for name in ("scope", "state", "aud", "code_challenge"):
        assert told_in(await app.authorize([*asked.items(), (name, asked[name])]))["error"] == "invalid_request"


async def test_case_60_what_may_be_registered(clinic: Clinic) -> None:
    async def registered(**more: Any) -> Any:
        body = {
            "client_name": "X", "redirect_uris": [BACK], "scope": "patient/*.rs launch/patient",
            "token_endpoint_auth_method": "none", **more,
        }  # fmt: skip
        return await clinic.http.post(f"{TOKEN[:-5]}register", json=body)

    for uri in (
        "http://app.example/x", "javascript:alert(1)", "data:text/html,x", "https://u@app.example/",
        "https://app.example/#x", "//app.example", "https://", "https://a b/",
        "file:///etc/passwd", "https://app.example/\\x", "https://a;b/", 7, None,
    ):  # fmt: skip
        answer = await registered(redirect_uris=[uri])
        assert answer.status_code == 400, uri
    for scope in ("system/*.rs", "patient/Nothing.rs", "patient/*.sr", "", "everything"):
        assert (await registered(scope=scope)).status_code == 400, scope
    made = await registered()
    assert made.status_code == 201 and made.json()["xinglin_state"] == "waiting"
    asked = await clinic.app()
    unapproved = await asked.authorize(asked.asks("patient/*.rs", client_id=made.json()["client_id"]))
    assert unapproved.status_code == 400 and "location" not in unapproved.headers


async def test_a_code_counts_once_and_what_was_made_of_it_ends(clinic: Clinic) -> None:
    app = await clinic.app()
    code = await app.code("anna", "launch/patient offline_access patient/Observation.rs")
    told = (await app.exchange(code)).json()
    assert (await clinic.fhir(told["access_token"], "GET", "Observation/oa1")).status_code == 200
    assert error(await app.exchange(code)) == "invalid_grant"
    await asyncio.sleep(0.1)
    assert (await clinic.fhir(told["access_token"], "GET", "Observation/oa1")).status_code == 401
    assert error(await app.token(grant_type="refresh_token", refresh_token=told["refresh_token"])) == "invalid_grant"


async def test_a_code_of_one_client_is_nothing_to_another(clinic: Clinic) -> None:
    app, thief = await clinic.app(), await clinic.app("secret")
    code = await app.code("anna", "launch/patient patient/Observation.rs")
    thief.verifier = app.verifier
    assert error(await thief.exchange(code)) == "invalid_grant"
    assert error(await app.exchange(code)) == "invalid_grant"
    other = await app.code("anna", "launch/patient patient/Observation.rs")
    assert error(await app.exchange(other, redirect_uri="https://app.example/other")) == "invalid_grant"


async def test_mix_up_the_answer_names_its_issuer(clinic: Clinic) -> None:
    """RFC 9207: also a refusal; so an app that talks to several servers sends no code to the wrong one."""
    app = await clinic.app()
    asked = await app.authorize(app.asks("launch/patient patient/*.rs"))
    told = await app.answer("anna", asked.headers["location"], allow=False)
    assert told == {"error": "access_denied", "state": "s-1", "iss": "http://127.0.0.1:8080"}
    again = await app.page("anna", asked.headers["location"])
    assert again.status_code == 400  # answered


async def test_a_launch_is_one_persons_for_one_app_once(clinic: Clinic) -> None:
    app, other = await clinic.app(), await clinic.app()

    async def launched(by: App) -> str:
        page = await by.page("dr-anne", "/desk/people/a1/apps")
        token = page.text.split('name="_csrf" value="')[1].split('"')[0]
        done = await clinic.http.post(
            f"{FHIR[:-5]}/desk/people/a1/apps",
            data={"_csrf": token, "client": by.client.id},
            headers={"cookie": clinic.cookies["dr-anne"]},
        )
        assert done.status_code == 303, done.text[-400:]
        return dict(parse_qsl(urlsplit(done.headers["location"]).query))["launch"]

    scope = "launch patient/Observation.rs"
    handle = await launched(app)
    assert told_in(await other.authorize(other.asks(scope, launch=handle)))["error"] == "invalid_request"
    asked = await app.authorize(app.asks(scope, launch=handle))
    assert told_in(await app.authorize(app.asks(scope, launch=handle)))["error"] == "invalid_request"  # used up
    assert (await app.page("anna", asked.headers["location"])).status_code == 403
    answer = await app.answer("dr-anne", asked.headers["location"])
    app_told = await app.exchange(answer["code"], code_verifier=app.verifier)
    assert app_told.status_code == 400  # the verifier of the last question, not of this one
    handle = await launched(app)
    told = (await app.exchange(await app.code("dr-anne", scope, launch=handle))).json()
    assert told["patient"] == "a1" and told["need_patient_banner"] is True


async def test_an_app_of_another_institution_is_not_for_its_staff(clinic: Clinic) -> None:
    app = await clinic.app(institution="B")
    asked = await app.authorize(app.asks("launch/patient patient/Observation.rs"))
    assert (await app.page("dr-anne", asked.headers["location"])).status_code == 403
    assert (await app.page("anna", asked.headers["location"])).status_code == 200
    assert app.client.id not in (await app.page("boss", "/desk/institution/apps")).text


async def test_a_stranger_cannot_choose_a_patient_for_the_doctor(clinic: Clinic) -> None:
    app = await clinic.app()
    asked = await app.authorize(app.asks("launch/patient patient/*.rs"))
    for patient in ("b2", "nix"):  # held by another institution, and missing
        assert (await app.page("dr-anne", f"{asked.headers['location']}?patient={patient}")).status_code == 404
    token = await app.page("anna", f"{asked.headers['location']}?patient=a2")
    assert 'value="a1"' in token.text and 'value="a2"' not in token.text  # a patient's app is about the patient


BODIES = [
    b"[]", b"7", b"null", b"{", b"[" * 5000, b'{"redirect_uris": 7}', b'{"redirect_uris": {"a": 1}}',
    b'{"client_name": "x", "scope": 7}', b'{"jwks": "x", "token_endpoint_auth_method": "private_key_jwt"}',
    b'{"grant_types": 7}', b'{"client_name": "\\u0000", "redirect_uris": ["https://a.example/"]}',
]  # fmt: skip
HOSTILE = ("\0", "%00", "\ud800".encode("utf-8", "surrogatepass"), "A" * 5000, "'; DROP TABLE x", "../..", "é", "%", "")


async def test_whatever_is_sent_is_answered(clinic: Clinic) -> None:
    """No 500, whatever stands where a value belongs."""
    app = await clinic.app()
    asked = app.asks("launch/patient patient/Observation.rs")
    page = (await app.authorize(asked)).headers["location"]
    answers = []
    for value in HOSTILE:
        for name in asked:
            answers.append(await clinic.http.get(f"{FHIR[:-5]}/oauth/authorize", params={**asked, name: value}))
            answers.append(await clinic.http.post(f"{FHIR[:-5]}/oauth/authorize", data={**asked, name: value}))
        form = {
            "grant_type": "authorization_code", "client_id": app.client.id, "code": "x", "code_verifier": "x",
            "redirect_uri": BACK, "refresh_token": "x", "scope": "x", "client_secret": "x", "client_assertion": "x.y.z",
        }  # fmt: skip
        for name in form:
            for path in ("token", "revoke", "introspect"):
                answers.append(await clinic.http.post(f"{TOKEN[:-5]}{path}", data={name: value}))
                answers.append(await clinic.http.post(f"{TOKEN[:-5]}{path}", data={**form, name: value}))
        text = value if isinstance(value, str) else "x"
        basic = base64.b64encode(f"{text}:{text}".encode()).decode()
        answers.append(await clinic.http.post(TOKEN, data=form, headers={"authorization": f"Basic {basic}"}))
        cookie = {"cookie": clinic.cookies["dr-anne"]}
        answers.append(await clinic.http.get(f"{FHIR[:-5]}{page}", params={"patient": value}, headers=cookie))
    for body in BODIES:
        answers.append(await clinic.http.post(f"{TOKEN[:-5]}register", content=body))
    assert [(one.status_code, str(one.request.url)) for one in answers if one.status_code >= 500] == []


async def test_wrong_secrets_are_slowed(clinic: Clinic) -> None:
    app = await clinic.app("secret")
    answers = [
        await clinic.http.post(
            TOKEN,
            data={
                "grant_type": "refresh_token",
                "refresh_token": "x",
                "client_id": app.client.id,
                "client_secret": str(n),
            },
        )
        for n in range(9)
    ]
    assert {answer.status_code for answer in answers} == {401, 429}
    other = await clinic.app("secret")
    basic = {"authorization": f"Basic {base64.b64encode(f'{other.client.id}:{other.secret}'.encode()).decode()}"}
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    assert error(await clinic.http.post(TOKEN, data=form, headers=basic)) == "invalid_grant"  # it is who it says
    wrong = {"authorization": f"Basic {base64.b64encode(f'{other.client.id}:x'.encode()).decode()}"}
    answer = await clinic.http.post(TOKEN, data=form, headers=wrong)
    assert error(answer, 401) == "invalid_client" and answer.headers["www-authenticate"].startswith("Basic")
    both = {**form, "client_id": other.client.id, "client_secret": other.secret}
    assert error(await clinic.http.post(TOKEN, data=both, headers=basic)) == "invalid_request"
    for form in (
        {"client_id": app.client.id},
        {"client_id": app.client.id, "client_assertion": "x.y.z", "client_assertion_type": ASSERTION},
        {"client_id": "nobody"},
    ):
        assert error(await clinic.http.post(TOKEN, data={"grant_type": "refresh_token", **form}), 401)


# 67: keys by address --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://keys.example/jwks", "https://10.0.0.1/jwks", "https://127.0.0.1/", "https://169.254.169.254/latest/meta-data",
        "https://[::1]/", "https://[fd00::1]/", "https://[::ffff:10.0.0.1]/", "https://u:p@keys.example/", "ftp://keys.example/",
        "file:///etc/passwd", "https://", "https://keys.example:99999/", "https://keys.example/\r\nHost: x", "https://0/",
        "https://2130706433/", "https://[64:ff9b::7f00:1]/", "https://100.64.0.1/", "https://224.0.0.1/",
    ],
)  # fmt: skip
def test_case_67_keys_are_fetched_from_the_open_internet_only(url: str) -> None:
    def resolve(host: str, port: int) -> list[str]:
        return {"keys.example": ["10.1.2.3"], "0": ["0.0.0.0"], "2130706433": ["127.0.0.1"]}.get(host, [host])

    with pytest.raises(Unfetchable):
        Fetcher(resolve=resolve).fetch(url, None, {})


def test_case_67_every_address_of_a_name_must_be_public() -> None:
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["93.184.216.34", "127.0.0.1"]

    with pytest.raises(Unfetchable):
        Fetcher(resolve=resolve).fetch("https://keys.example/jwks", None, {})
    assert asked == ["keys.example"]  # looked up once: the connection goes to what was checked
    assert is_public("93.184.216.34") and not is_public("::ffff:127.0.0.1")


async def test_case_67_redirects_and_large_answers_are_refused() -> None:
    """Against a server of this machine, which the setting for tests lets in."""

    async def serve(answer: bytes) -> tuple[Any, str]:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks"

    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    for answer, good in (
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", False),
        (head + b"[" + b"1," * 200_000 + b"1]", False),
        (head + b"<html>", False),
        (head + b"[" * 100_000, False),
        (head + b'{"keys": []}', True),
    ):
        server, url = await serve(answer)
        try:
            if good:
                assert await Fetcher(loopback=True).fetch_json(url) == {"keys": []}
            else:
                with pytest.raises(Unfetchable):
                    await Fetcher(loopback=True).fetch_json(url)
            with pytest.raises(Unfetchable):
                await Fetcher().fetch_json(url)
        finally:
            server.close()
