"""How apps ask: OpenID Connect's prompt and max_age, a launch's visit, the post, how long it lasts."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from attacked import encounter, post
from smart import BASE, App, told_in
from xinglin.access.oauth.lifetimes import lasts
from xinglin.kernel import clock

if TYPE_CHECKING:
    from smart import Clinic

pytest_plugins = ("smart",)
SCOPE = "openid patient/Observation.rs offline_access"


async def asked(app: App, login: str, **changed: str) -> Any:
    """Where the browser of whoever is signed in is sent."""
    headers = {"cookie": app.clinic.cookies[login]} if login else {}
    given = app.asks(SCOPE, **changed)
    return await app.clinic.http.get(f"{BASE}/oauth/authorize", params=given, headers=headers)


async def test_an_app_that_asks_quietly_is_told_what_is_missing(clinic: Clinic) -> None:
    app = await clinic.app()
    for login, more, error in (
        ("", {}, "login_required"),
        ("anna", {}, "consent_required"),
        ("anna", {"max_age": "0"}, "login_required"),
        ("anna", {"max_age": "3600"}, "consent_required"),
        ("anna", {"prompt": "none login"}, "invalid_request"),
        ("anna", {"prompt": "quietly"}, "invalid_request"),
        ("anna", {"max_age": "-1"}, "invalid_request"),
        ("anna", {"max_age": "९"}, "invalid_request"),
    ):
        told = told_in(await asked(app, login, **({"prompt": "none"} | more)))
        assert told["error"] == error and told["iss"] == BASE, (login, more)


@pytest.mark.parametrize("wish", [{"prompt": "login"}, {"prompt": "login consent"}, {"max_age": "0"}])
async def test_who_is_asked_to_sign_in_again_does_so_before_they_answer(clinic: Clinic, wish: dict[str, str]) -> None:
    app = await clinic.app()
    page = (await asked(app, "anna", **wish)).headers["location"]
    shown = await app.page("anna", page)
    assert shown.headers["location"].startswith("/me/security/confirm?next=%2Foauth%2Fconsent%2F")
    refused = await clinic.http.post(
        f"{BASE}{page}", data={"answer": "allow", "scope": SCOPE.split()}, headers={"cookie": clinic.cookies["anna"]}
    )
    assert refused.headers["location"].startswith("/me/security/confirm"), "the answer is no way round it"
    before = clock.now()
    await clinic.sign_in("anna")
    told = await app.answer("anna", page)
    token = (await app.exchange(told["code"])).json()["id_token"]
    keys = KeySet.import_key_set((await clinic.http.get(f"{BASE}/oauth/jwks")).json())
    assert jwt.decode(token, keys, algorithms=["RS256"]).claims["auth_time"] >= int(before.timestamp())


async def test_a_sign_in_young_enough_is_enough(clinic: Clinic) -> None:
    app = await clinic.app()
    page = (await asked(app, "anna", max_age="600", prompt="consent")).headers["location"]
    assert (await app.page("anna", page)).status_code == 200


async def test_a_launch_from_a_visit_brings_the_visit(clinic: Clinic) -> None:
    """Of this person only: another's visit, or one that may not be seen, is not found."""
    await clinic.county.put("A", encounter("here", "a1", "AMB"), encounter("bens", "a2", "AMB"))
    await clinic.county.put("B", encounter("elsewhere", "b1", "AMB"))
    app, headers = await clinic.app(), {"cookie": clinic.cookies["dr-anne"]}
    visit = await app.page("dr-anne", "/desk/people/a1/visits/here")
    assert 'href="/desk/people/a1/apps?encounter=here"' in visit.text
    for wrong in ("bens", "elsewhere", "none", "%00", "x" * 65, "../here"):
        assert (await app.page("dr-anne", f"/desk/people/a1/apps?encounter={wrong}")).status_code == 404, wrong
    shown = await app.page("dr-anne", "/desk/people/a1/apps?encounter=here")
    assert 'name="encounter" value="here"' in shown.text
    token = shown.text.partition('name="_csrf" value="')[2].partition('"')[0]
    for wrong in ("bens", "elsewhere"):
        form = {"_csrf": token, "client": app.client.id, "encounter": wrong}
        sent = await clinic.http.post(f"{BASE}/desk/people/a1/apps", data=form, headers=headers)
        assert sent.status_code == 404
    form = {"_csrf": token, "client": app.client.id, "encounter": "here"}
    sent = await clinic.http.post(f"{BASE}/desk/people/a1/apps", data=form, headers=headers)
    launch = told_in(sent)["launch"]
    wanted = "launch launch/encounter openid patient/Encounter.rs"
    code = await app.code("dr-anne", wanted, launch=launch)
    told = (await app.exchange(code)).json()
    assert (told["patient"], told["encounter"], told["scope"]) == ("a1", "here", wanted)
    alone = await app.enter("anna", "launch/patient launch/encounter patient/Encounter.rs")
    assert "encounter" not in alone and alone["scope"] == "launch/patient patient/Encounter.rs"


async def test_what_is_allowed_says_how_long_and_ends_within_a_year(clinic: Clinic) -> None:
    app = await clinic.app()
    for scope, said in (
        (SCOPE, "365 days at most"),
        ("patient/Observation.rs online_access", "when you sign out."),
        ("patient/Observation.rs", "after an hour"),
    ):
        place = (await app.authorize(app.asks(scope))).headers["location"]
        assert said in (await app.page("anna", place)).text
    token = (await app.enter("anna", SCOPE))["refresh_token"]
    pool = clinic.county.house.database.pool
    grant = await pool.fetchval("SELECT id FROM oauth_grant ORDER BY created DESC LIMIT 1")
    age = "UPDATE oauth_grant SET created = now() - $2::interval WHERE id = $1"
    await pool.execute(age, grant, lasts("refresh_at_most") - timedelta(days=1))
    told = (await app.token(grant_type="refresh_token", refresh_token=token)).json()
    left = await pool.fetchval(
        "SELECT expires - now() FROM oauth_token WHERE kind = 'refresh' AND grant_id = $1 AND ended IS NULL", grant
    )
    assert timedelta(hours=23) < left < timedelta(days=1), "the last one is shorter than those before"
    await pool.execute(age, grant, lasts("refresh_at_most"))
    over = await app.token(grant_type="refresh_token", refresh_token=told["refresh_token"])
    assert over.status_code == 400 and over.json()["error"] == "invalid_grant"


async def test_an_app_acts_in_the_post_that_was_shown(clinic: Clinic) -> None:
    """With two posts the page says in which; changed in another window meanwhile, it asks anew."""
    app, pool = await clinic.app(), clinic.county.house.database.pool
    await clinic.county.put("A", post("second", "pa", "A"))
    posts = [row["id"] for row in await pool.fetch("SELECT id FROM staff_role WHERE practitioner = 'pa' ORDER BY id")]
    assert len(posts) == 2
    session = await pool.fetchval("SELECT id FROM session WHERE login = 'dr-anne'")
    choose = (
        "INSERT INTO session_acting (session, practitioner_role) VALUES ($1, $2)"
        " ON CONFLICT (session) DO UPDATE SET practitioner_role = $2"
    )
    await pool.execute(choose, session, posts[0])
    place = (await app.authorize(app.asks("user/Observation.rs"))).headers["location"]
    shown = (await app.page("dr-anne", place)).text
    assert f'name="post" value="{posts[0]}"' in shown and "/desk/acting?next=%2Foauth%2Fconsent%2F" in shown
    token = shown.partition('name="_csrf" value="')[2].partition('"')[0]
    await pool.execute(choose, session, posts[1])
    form = {"_csrf": token, "answer": "allow", "scope": "user/Observation.rs", "post": posts[0]}
    sent = await clinic.http.post(f"{BASE}{place}", data=form, headers={"cookie": clinic.cookies["dr-anne"]})
    assert sent.headers["location"] == place
    told = await app.answer("dr-anne", place)
    assert (await app.exchange(told["code"])).status_code == 200
    kept = await pool.fetchval("SELECT post FROM oauth_grant ORDER BY created DESC LIMIT 1")
    assert kept == posts[1]
