"""A SMART app of somebody else's making, on a site of its own: it uses the npm library fhirclient in a real browser.

It launches by itself and from a record, reads what its scopes allow and no more, and loses it when that is ended.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from browsing import Served, flaws, photograph
from xinglin.access.house import House
from xinglin.access.oauth import clients
from xinglin.access.oauth.clients import Registration

pytestmark = pytest.mark.browser
LIBRARY = Path(__file__).parent / "vendor" / "fhir-client.min.js"
LABORATORY = "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
SCOPES = ("openid", "fhirUser", "launch", "launch/patient", "offline_access", "patient/Patient.r", LABORATORY)
LAUNCH = """<!doctype html><script src="fhir-client.js"></script><script>
  const asked = new URLSearchParams(location.search)
  const launch = asked.get("launch") ? "launch" : "launch/patient"
  FHIR.oauth2.authorize({{clientId: "{client}", redirectUri: "index.html", scope: "{scope} " + launch}})
</script>"""
INDEX = """<!doctype html><title>App</title><pre id="told"></pre><script src="fhir-client.js"></script><script>
  const tell = told => { document.getElementById("told").textContent = JSON.stringify(told) }
  const tried = work => work.then(found => found, error => ({refused: error.statusCode || String(error)}))
  FHIR.oauth2.ready().then(async client => {
    window.client = client
    const about = client.patient.id
    window.ask = async path => {
      const found = await tried(client.request(path))
      return found.refused ? found : (found.entry || [found]).map(row => (row.resource || row))
    }
    const results = await ask(`Observation?patient=${about}&_count=200`)
    tell({
      patient: about, user: client.user.fhirUser, scope: client.state.tokenResponse.scope,
      name: await ask(`Patient/${about}`), results,
      wider: await ask(`Condition?patient=${about}`), everybody: await ask("Patient?_count=5"),
    })
  }, error => tell({error: String(error)}))
</script>"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@dataclass(frozen=True)
class Site:
    """The app's own site, and what it is called at the county."""

    base: str
    client: str

    def read(self, page: Any) -> Any:
        """What the app has to say when it has asked."""
        page.wait_for_url(f"{self.base}/index.html*")
        page.wait_for_function("document.getElementById('told').textContent")
        return json.loads(page.locator("#told").inner_text())


@pytest.fixture(scope="module")
def site(county: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("app")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    base = f"http://127.0.0.1:{server.server_port}"

    async def registered(house: House) -> str:
        wanted = Registration("血糖图 Growth chart", "public", SCOPES, (f"{base}/index.html",), f"{base}/launch.html")
        return (await clients.register(house.database, wanted))[0].id

    client = county.behind(registered)
    scope = " ".join(text for text in SCOPES if not text.startswith("launch"))
    (folder / "fhir-client.js").write_bytes(LIBRARY.read_bytes())
    (folder / "launch.html").write_text(LAUNCH.format(client=client, scope=scope), encoding="utf-8")
    (folder / "index.html").write_text(INDEX, encoding="utf-8")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Site(base, client)
    server.shutdown()
    thread.join(5)


def kinds(results: list[Any]) -> set[str]:
    return {coding["code"] for one in results for category in one["category"] for coding in category["coding"]}


def test_a_patient_lets_an_app_in_and_puts_it_out_again(visit: Any, site: Site, county: Served) -> None:
    page = visit("patient", width=390, lang="en")
    page.goto(f"{site.base}/launch.html?iss={county.base}/fhir")
    page.wait_for_url(f"{county.base}/oauth/consent/*")
    assert "Growth chart" in page.locator("h1").inner_text()
    page.get_by_role("button", name="Allow").click()
    told = site.read(page)
    assert told["name"][0]["id"] == told["patient"] and told["user"] == f"Patient/{told['patient']}"
    assert told["results"] and kinds(told["results"]) == {"laboratory"}
    assert told["wider"] == [] or "resourceType" in told["wider"][0]
    assert not [one for one in told["wider"] if one["resourceType"] == "Condition"]
    assert not [one for one in told["everybody"] if one["resourceType"] == "Patient"]  # r is not s
    assert page.evaluate("client.refresh().then(() => ask(`Patient/${client.patient.id}`))")[0]["id"] == told["patient"]
    page.goto(f"{county.base}/me/apps")
    page.get_by_role("button", name="End the access").click()
    page.get_by_text("The app has no access any more.").wait_for()
    page.goto(f"{site.base}/index.html")
    page.wait_for_function("document.getElementById('told').textContent")
    again = json.loads(page.locator("#told").inner_text())
    assert "error" in again or again["name"].get("refused"), again


def test_what_is_not_ticked_is_not_given(visit: Any, site: Site, county: Served) -> None:
    page = visit("patient", lang="en")
    page.goto(f"{site.base}/launch.html?iss={county.base}/fhir")
    page.get_by_label("Read: name, birth date").uncheck()
    page.get_by_role("button", name="Allow").click()
    told = site.read(page)
    assert "patient/Patient.r" not in told["scope"] and told["name"]["refused"] == 404
    assert kinds(told["results"]) == {"laboratory"}


def test_a_clinician_opens_an_app_from_a_record(visit: Any, site: Site, county: Served) -> None:
    page = visit("clinician", lang="en")
    page.goto("/desk?q=李")
    page.locator("#found td a, #found th a").first.click()
    page.get_by_role("link", name="Open in an app").click()
    about = page.url.split("/")[-2]
    page.get_by_role("button", name="Growth chart").click()
    page.wait_for_url(f"{county.base}/oauth/consent/*")
    page.get_by_role("button", name="Allow").click()
    told = site.read(page)
    assert told["patient"] == about and told["user"].startswith("Practitioner/")
    assert told["name"][0]["id"] == about and kinds(told["results"]) <= {"laboratory"}
    other = page.evaluate("ask('Patient/hx-p000002')")
    assert other == {"refused": 404} or about == "hx-p000002"


def test_a_refusal_goes_back_to_the_app(visit: Any, site: Site, county: Served) -> None:
    page = visit("patient", lang="en")
    page.goto(f"{site.base}/launch.html?iss={county.base}/fhir")
    page.get_by_role("button", name="Refuse").click()
    told = site.read(page)
    assert "access_denied" in told["error"] or "denied" in told["error"].lower()


@pytest.mark.parametrize("lang", ["zh-Hans", "en"])
@pytest.mark.parametrize("width", [320, 1280])
def test_the_pages_of_apps_are_sound(visit: Any, site: Site, county: Served, lang: str, width: int) -> None:
    wrong: list[str] = []

    def look(page: Any, name: str) -> None:
        photograph(page, f"apps-{name}-{lang}-{width}")
        wrong.extend(f"{name}: {flaw}" for flaw in flaws(page))

    page = visit("patient", width=width, lang=lang)
    page.goto(f"{site.base}/launch.html?iss={county.base}/fhir")
    page.wait_for_url(f"{county.base}/oauth/consent/*")
    look(page, "consent")
    page.locator("button[value=allow]").click()
    site.read(page)
    for path in ("/me/apps", "/me/apps/open", "/me/settings"):
        page.goto(f"{county.base}{path}")
        look(page, path.strip("/").replace("/", "-"))
    page = visit("clinician", width=width, lang=lang)
    page.goto(f"{site.base}/launch.html?iss={county.base}/fhir")
    page.wait_for_url(f"{county.base}/oauth/consent/*")
    page.fill("[name=q]", "李")
    page.locator("main form button").first.click()
    look(page, "pick")
    page = visit("manager", width=width, lang=lang)
    for path in ("/desk/institution/apps", "/desk/institution/apps/add"):
        page.goto(path)
        look(page, path.strip("/").replace("/", "-"))
    page.fill("[name=name]", "App")
    page.locator("[name=kind][value=secret]").check()
    page.fill("[name=redirect_uri]", "https://app.example/back")
    page.fill("[name=scopes]", "launch/patient patient/Observation.rs")
    page.locator("main form button[type=submit]").click()
    look(page, "secret")
    page.goto("/desk/institution/apps")
    page.get_by_role("link", name="App", exact=True).first.click()
    look(page, "one")
    page.goto("/oauth/authorize?client_id=nobody")
    look(page, "unknown")
    assert not wrong, "\n".join(wrong)
