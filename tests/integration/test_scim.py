"""SCIM 2.0: a hospital's directory keeps its staff accounts here, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacked import post, practitioner
from xinglin.access.identity import accounts, tokens
from xinglin.access.principal import Role
from xinglin.access.scim import filters
from xinglin.access.scim.shape import PATCH, STAFF, USER, Wanted, patched
from xinglin.kernel.errors import Invalid, Problem

if TYPE_CHECKING:
    from attacked import County

pytest_plugins = ("attacked",)
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
PASSWORD = "four words of ours"


class Program:
    """A provisioning program with its token."""

    def __init__(self, http: httpx.AsyncClient, token: str) -> None:
        self.http, self.token = http, token

    async def __call__(self, method: str, path: str, status: int, body: Any = None, **headers: str) -> Any:
        sent = {"authorization": f"Bearer {self.token}", "content-type": "application/scim+json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://127.0.0.1:8080/scim/v2/{path}"
        answer = await self.http.request(method, url, json=body, headers=sent)
        assert answer.status_code == status, (method, path, answer.status_code, answer.text[:500])
        if status >= 400:
            told = answer.json()
            assert answer.headers["content-type"] == "application/scim+json"
            assert told["schemas"] == [ERROR] and told["status"] == str(status) and told["detail"]
        return answer.json() if answer.content and status != 304 else None


def user(login: str, role: str = "clerk", **more: Any) -> dict[str, Any]:
    return {"schemas": [USER], "userName": login, "roles": [{"value": role}], "displayName": "李明", **more}


def operations(*each: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH], "Operations": list(each)}


@pytest.fixture
async def scim(own_county: County) -> AsyncIterator[tuple[County, Program]]:
    token, _ = await tokens.issue(own_county.house.database, Role.SYSTEM, 1, institution="A", scopes=["scim"])
    yield own_county, Program(own_county.http, token)


async def test_accounts_come_change_and_go(scim: tuple[County, Program]) -> None:
    county, ask = scim
    body = user("Li.Ming", "clinician", externalId="e-17", **{STAFF: {"practitioner": "pa"}})
    made = await ask("POST", "Users", 201, body)
    assert (made["userName"], made["active"], made["externalId"]) == ("li.ming", True, "e-17")
    assert made["meta"]["location"].endswith(f"/scim/v2/Users/{made['id']}") and "password" not in made
    where = f"Users/{made['id']}"
    assert await ask("GET", where, 200) == made
    assert (await ask("POST", "Users", 409, user("li.ming")))["scimType"] == "uniqueness"
    found = await ask("GET", 'Users?filter=userName eq "LI.MING" and active eq true', 200)
    assert (found["totalResults"], [one["id"] for one in found["Resources"]]) == (1, [made["id"]])
    await ask("PATCH", where, 412, operations({"op": "replace", "value": {"active": False}}), if_match='W/"old"')
    off = operations({"op": "Replace", "path": "active", "value": "False"})
    disabled = await ask("PATCH", where, 200, off, if_match=made["meta"]["version"])
    assert disabled["active"] is False and disabled["meta"]["version"] != made["meta"]["version"]
    assert not (await accounts.get(county.house.database, "li.ming")).active
    assert (await ask("GET", "Users?filter=active eq false", 200))["totalResults"] == 1
    back = await ask("PUT", where, 200, {**body, "userName": "li.ming", "name": {"formatted": "Li Ming"}})
    assert back["active"] and back["name"] == {"formatted": "Li Ming"}
    await ask("DELETE", where, 204)
    await ask("GET", where, 404)
    assert await county.fetch("SELECT 1 FROM staff_role WHERE id = 'ra' AND active") == [], "the post has ended, too"
    again = await ask("POST", "Users", 201, {**body, **{STAFF: {"practitioner": "pa"}}})
    assert again["active"] and again["id"] != made["id"]


async def test_pages_are_whole_and_in_order(scim: tuple[County, Program]) -> None:
    _, ask = scim
    for n in range(5):
        await ask("POST", "Users", 201, user(f"user{n}"))
    first = await ask("GET", "Users?startIndex=1&count=3", 200)
    second = await ask("GET", "Users?startIndex=4&count=3", 200)
    names = [one["userName"] for page in (first, second) for one in page["Resources"]]
    assert names == sorted(names) and len(names) == 5 == first["totalResults"]
    assert (await ask("GET", "Users?count=0", 200))["Resources"] == []
    assert (await ask("GET", "Users?startIndex=-9", 200))["startIndex"] == 1


async def test_filters_have_the_whole_grammar(scim: tuple[County, Program]) -> None:
    _, ask = scim
    before = (await ask("GET", "Users?count=0", 200))["totalResults"]
    for login, role, more in (
        ("abel", "clerk", {"externalId": "E1", "name": {"givenName": "Abel", "familyName": "Ma"}}),
        ("bea", "pharmacist", {"externalId": "e1", "displayName": "白"}),
        ("cai", "clinician", {"active": False, STAFF: {"practitioner": "pa"}}),
    ):
        await ask("POST", "Users", 201, user(login, role, **more))
    assert before == 0, "what follows is about these three"
    for text, found in {
        'userName eq "ABEL"': "abel", 'userName ne "abel"': "bea cai", 'userName ew "a"': "bea",
        'userName sw "c"': "cai",
        'userName co "e"': "abel bea", 'userName gt "abel"': "bea cai", 'userName le "bea"': "abel bea",
        'externalId eq "E1"': "abel", 'externalId ne "E1"': "bea cai", "externalId pr": "abel bea",
        "not (externalId pr)": "cai", "externalId eq null": "cai", "active ne true": "cai", "active eq false": "cai",
        'userName eq "abel" or userName eq "cai" and active eq true': "abel",
        '(userName eq "abel" or userName eq "cai") and active eq false': "cai",
        'not (userName eq "abel") and not (active eq false)': "bea", 'roles eq "clerk"': "abel",
        'roles[value eq "clerk" or value eq "pharmacist"]': "abel bea", 'roles.value ne "clerk"': "bea cai",
        'displayName eq "白"': "bea", 'name.formatted eq "Abel Ma"': "abel", f'{STAFF}:practitioner eq "pa"': "cai",
        f'{USER}:userName eq "bea"': "bea", 'meta.created gt "2020-01-01T00:00:00Z"': "abel bea cai",
        'meta.lastModified lt "2020-01-01T00:00:00+08:00"': "", "NOT(userName EQ \"bea\")": "abel cai",
    }.items():  # fmt: skip
        asked = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": text}
        told = await ask("POST", "Users/.search", 200, asked)
        assert " ".join(one["userName"] for one in told["Resources"]) == found, text
        assert told["totalResults"] == len(found.split())
    page = await ask(
        "POST", ".search", 200, {"startIndex": 2, "count": 1, "attributes": ["userName", "name.formatted"]}
    )
    assert [sorted(one) for one in page["Resources"]] == [["id", "name", "schemas", "userName"]]
    one = page["Resources"][0]
    part = operations({"op": "replace", "path": "name.familyName", "value": "Qian"})
    assert (await ask("PATCH", f"Users/{one['id']}", 200, part))["name"] == one["name"], "a part takes nothing away"
    less = await ask("GET", f"Users/{one['id']}?excludedAttributes=id,roles,meta", 200)
    assert less["id"] == one["id"] and not {"roles", "meta"} & set(less) and "displayName" in less
    for method, path in (("DELETE", "Users"), ("POST", f"Users/{one['id']}"), ("GET", ".search")):
        await ask(method, path, 405)


async def test_what_is_served_is_described(scim: tuple[County, Program]) -> None:
    _, ask = scim
    assert (await ask("GET", "ServiceProviderConfig", 200))["patch"]["supported"]
    types = (await ask("GET", "ResourceTypes", 200))["Resources"]
    schemas = {one["id"] for one in (await ask("GET", "Schemas", 200))["Resources"]}
    assert types[0]["meta"]["location"].endswith("/scim/v2/ResourceTypes/User")
    assert {types[0]["schema"], types[0]["schemaExtensions"][0]["schema"]} == schemas
    assert (await ask("GET", f"Schemas/{USER}", 200))["id"] == USER
    await ask("GET", "Schemas/urn:none", 404)


async def test_a_program_grows_no_rights(scim: tuple[County, Program]) -> None:
    """Roles that oversee, other institutions, patients, programs and borrowed practitioners: none of them."""
    county, ask = scim
    database = county.house.database
    await accounts.create(database, "boss", PASSWORD, Role.MANAGER, institution="A")
    await accounts.create(database, "elsewhere", PASSWORD, Role.CLERK, institution="B")
    await accounts.create(database, "anna", PASSWORD, Role.PATIENT, patient="a1")
    listed = {one["userName"]: one for one in (await ask("GET", "Users", 200))["Resources"]}
    assert set(listed) == {"boss"}
    for role in ("manager", "privacy"):
        await ask("POST", "Users", 403, user("new", role))
    for role in ("system", "patient"):
        await ask("POST", "Users", 403, user("new", role))
    for role in ("root", ["clerk"], None, {}, ""):
        await ask("POST", "Users", 400, user("new", role))  # type: ignore[arg-type]
    for taken in ("elsewhere", "anna", "boss"):
        await ask("POST", "Users", 409, user(taken))
    made = await ask("POST", "Users", 201, user("new"))
    where = f"Users/{made['id']}"
    raise_ = {"op": "replace", "path": "roles", "value": [{"value": "manager"}]}
    for change in (raise_, {"op": "replace", "value": {"roles": [{"value": "privacy"}]}}):
        await ask("PATCH", where, 403, operations(change))
    assert (await ask("PATCH", where, 400, operations({"op": "replace", "path": "userName", "value": "boss"})))[
        "scimType"
    ] == "mutability"
    await ask("PATCH", where, 400, operations({"op": "replace", "path": f"{STAFF}:practitioner", "value": "pb"}))
    chief = f"Users/{listed['boss']['id']}"
    for change in (
        {"op": "replace", "path": "password", "value": "a way into the manager's account"},
        {"op": "replace", "path": "displayName", "value": "me"},
        {"op": "replace", "path": "roles", "value": [{"value": "clerk"}]},
    ):
        await ask("PATCH", chief, 403, operations(change))
    await ask("PATCH", chief, 200, operations({"op": "replace", "path": "active", "value": False}))
    await ask("PATCH", chief, 403, operations({"op": "replace", "path": "active", "value": True}))
    assert (await accounts.get(database, "new")).role is Role.CLERK
    other = await county.fetch(
        "INSERT INTO scim_user (id, login, changed) VALUES (gen_random_uuid(), 'elsewhere', now()) RETURNING id::text"
    )
    for method, body in (("GET", None), ("PUT", user("elsewhere")), ("DELETE", None)):
        await ask(method, f"Users/{other[0]['id']}", 404, body)
    assert (await accounts.get(database, "elsewhere")).active


async def test_only_the_scope_opens_it_and_it_opens_nothing_else(scim: tuple[County, Program]) -> None:
    county, ask = scim
    assert (await county.http.get("http://127.0.0.1:8080/scim/v2/Users")).status_code == 401
    for login in ("root", "backend-a", "dr-a", "manager", "app"):
        await Program(county.http, county.secrets[login])("GET", "Users", 403)
    wrong = Program(county.http, "xl_wrong")
    assert (await wrong("GET", "Users", 401))["status"] == "401"
    county.secrets["scim"] = ask.token
    for path in ("Patient", "Practitioner", "Observation?_summary=count"):
        answer = await county.ask("scim", "GET", path)
        assert answer.status_code == 403 or (answer.json().get("total", 0) == 0 and not answer.json().get("entry"))
    for bad in ({"scopes": ["scim"]}, {"institution": "A", "scopes": ["scim", "system/*.rs"]}):
        with pytest.raises(Problem):
            await tokens.issue(county.house.database, Role.SYSTEM, 1, **bad)  # type: ignore[arg-type]


async def test_what_cannot_be_understood_is_said_in_scims_words(scim: tuple[County, Program]) -> None:
    county, ask = scim
    for wrong in (
        "userName",
        'userName eq "a" or',
        '(userName eq "a"',
        'password eq "x"',
        'meta.created eq "yesterday"',
        "active co true",
        "userName eq 7",
        'roles[value eq "clerk"',
        "(" * 11 + "active eq true" + ")" * 11,
    ):
        assert (await ask("GET", f"Users?filter={wrong}", 400))["scimType"] == "invalidFilter"
    for wrong in ([], "text", {"Operations": []}, operations({"op": "move"}), operations({"op": "remove"})):
        made = await ask("GET", "Users?count=1", 200)
        if not made["Resources"]:
            await ask("POST", "Users", 201, user("one"))
            made = await ask("GET", "Users?count=1", 200)
        await ask("PATCH", f"Users/{made['Resources'][0]['id']}", 400, wrong)
    headers = {"authorization": f"Bearer {ask.token}"}
    for body in (b"", b"{", b"\xff", b"[" * 5000, b'{"userName": "a\\u0000b", "roles": [{"value": "clerk"}]}'):
        answer = await county.http.post("http://127.0.0.1:8080/scim/v2/Users", content=body, headers=headers)
        assert answer.status_code == 400 and answer.json()["schemas"] == [ERROR], body[:20]
    await ask("GET", "Users/not-a-uuid", 404)


async def test_a_practitioner_of_the_house_may_be_named(scim: tuple[County, Program]) -> None:
    county, ask = scim
    await county.put("A", practitioner("px"), post("rx", "px", "A"))
    made = await ask("POST", "Users", 201, user("doc", "clinician", **{STAFF: {"practitioner": "px"}}))
    assert made[STAFF] == {"practitioner": "px"}


@given(st.text(max_size=60))
def test_a_filter_is_read_or_refused(text: str) -> None:
    try:
        found = filters.parse(text)
    except Invalid as problem:
        assert problem.issues[0].code == "invalidFilter"
    else:
        assert filters.compiled(found, lambda value: "$1")


values = st.none() | st.booleans() | st.text(max_size=8) | st.integers()
bodies = st.recursive(values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner))
paths = st.sampled_from(
    ["active", "roles", 'roles[primary eq "True"].value', "name.formatted", STAFF, f"{STAFF}:x", "x"]
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"op": st.sampled_from(["add", "replace", "remove"])},
            optional={"path": paths | st.text(max_size=9), "value": bodies},
        ),
        max_size=4,
    )
)
def test_a_patch_is_understood_or_refused(each: list[dict[str, Any]]) -> None:
    """Whatever is sent: a whole account, or a refusal in words."""
    current = Wanted("li", "clerk", "李", "Li", None, None, True)
    try:
        after = patched(current, {"Operations": each})
    except Invalid as problem:
        assert problem.issues[0].text
    else:
        assert isinstance(after.active, bool) and after.role in set(Role)
