"""Attack cases 46 and 61-66: what an import must not overwrite, and where it must not fetch from."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bulk import client, county, imported, ndjson, observation, refusals
from xinglin.access.house import House
from xinglin.access.principal import Role
from xinglin.exchange.bulk.fetching import Fetcher, checked, listed
from xinglin.exchange.bulk.importing import KIND, import_files
from xinglin.kernel import jobs
from xinglin.kernel.errors import Invalid, Problem
from xinglin.kernel.outward import is_public

__all__ = ["county"]

HOST = "files.example.org"
HOSTS = listed(f"{HOST}, Other.Example.org")
LINE = b'{"resourceType":"Patient","id":"fetched"}\n'


# 46 ------------------------------------------------------------------------------------------------------------------


async def test_46_another_institutions_resource_is_not_overwritten(county: House) -> None:
    async with client(county) as everything, client(county, institution="A") as fhir:
        before = (await everything("GET", "Observation/p3-0")).json()
        mine = observation("p1-0", "p1", 1, note=[{"text": "mine"}])
        manifest = await imported(county, fhir, ndjson(observation("p3-0", "p1", 9), mine))
        assert manifest["output"] == [{"type": "Observation", "updated": 1}]
        assert len(await refusals(fhir, manifest)) == 1
        assert (await everything("GET", "Observation/p3-0")).json() == before


async def test_46_a_limited_token_cannot_say_for_whom_it_writes(county: House) -> None:
    async with client(county, institution="A") as fhir:
        answer = await fhir("POST", "$import?custodian=B", "{}", content_type="application/fhir+ndjson")
        assert answer.status_code == 403


@pytest.mark.parametrize("role", [Role.CLINICIAN, Role.CLERK, Role.MANAGER, Role.PHARMACIST, Role.PATIENT])
async def test_46_only_programs_import(county: House, role: Role) -> None:
    more: dict[str, Any] = {"patient": "p1"} if role is Role.PATIENT else {"institution": "A"}
    async with client(county, role, **more) as fhir:
        answer = await fhir("POST", "$import", "{}", content_type="application/fhir+ndjson")
        assert answer.status_code == 403


async def test_46_scopes_hold_in_an_import(county: House) -> None:
    async with client(county, scopes=["system/Patient.cruds"]) as fhir:
        manifest = await imported(county, fhir, ndjson(observation("i", "p1")))
        assert manifest["output"] == [] and len(await refusals(fhir, manifest)) == 1


# 61-66 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        f"http://{HOST}/x",
        "ftp://files.example.org/x",
        "file:///etc/passwd",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/x",
        f"https://{HOST}.evil.example/x",
        f"https://evil.example/{HOST}",
        f"https://evil{HOST}/x",
        f"https://{HOST}@evil.example/x",
        f"https://user:secret@{HOST}/x",
        f"https://evil.example#{HOST}",
        f"https://evil.example\\@{HOST}/x",
        f"https://{HOST}:8443/x",
        f"https://{HOST}:port/x",
        f"https://{HOST}./x",
        f"https://sub.{HOST}/x",
        f"https://{HOST}/x\r\nHost: evil",
        "https://[::1]/x",
        "https://",
        "//files.example.org/x",
        f"https://{HOST}/" + "x" * 5000,
        "https://files．example.org/x",
    ],
)
async def test_61_65_66_only_listed_hosts_in_full(url: str) -> None:
    with pytest.raises(Invalid):
        checked(url, HOSTS)


@pytest.mark.parametrize(
    "url", [f"https://{HOST}/a/b?c=d", f"https://{HOST.upper()}/x", "https://other.example.org:443/"]
)
async def test_listed_hosts_are_taken(url: str) -> None:
    assert checked(url, HOSTS).hostname in HOSTS


V4 = "127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1 198.18.0.1"
V6 = "::1 :: fe80::1%eth0 fc00::1 ::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1:: ff02::1"


@pytest.mark.parametrize("address", f"{V4} {V6}".split())
async def test_61_private_addresses_are_known(address: str) -> None:
    assert not is_public(address)


async def test_public_addresses_are_known() -> None:
    assert is_public("93.184.216.34") and is_public("2606:2800:220:1::1")


@pytest.mark.parametrize("found", [["10.0.0.1"], ["93.184.216.34", "127.0.0.1"], []])
async def test_61_63_a_name_that_leads_inside_is_not_followed(tmp_path: Path, found: list[str]) -> None:
    fetcher = Fetcher(HOSTS, resolve=lambda host, port: found)
    with pytest.raises(Invalid, match=r"open internet|resolved"):
        fetcher.fetch(f"https://{HOST}/x", tmp_path / "x", threading.Event())


async def test_an_import_of_what_is_not_listed_is_refused_at_once(county: House) -> None:
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": "input", "part": [{"name": "url", "valueUrl": f"https://{HOST}/x"}]}],
    }
    async with client(county) as fhir:
        answer = await fhir("POST", "$import", body)
        assert answer.status_code == 400 and "XINGLIN_IMPORT_HOSTS" in answer.text


class Site(BaseHTTPRequestHandler):
    asked: list[tuple[str, dict[str, str]]] = []

    def do_GET(self) -> None:
        Site.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "https://169.254.169.254/latest")
            self.end_headers()
            return
        body = LINE * (1000 if self.path == "/long" else 1)
        self.send_response(404 if self.path == "/gone" else 200)
        self.send_header("Content-Length", str(len(body) + (5 if self.path == "/cut" else 0)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fetcher]:
    """A host of the internet, and a fetcher to which it seems to be one."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed: no certificate can be made for the test's host")
    folder = tmp_path_factory.mktemp("site")
    words = f"req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN={HOST}".split()
    subprocess.run(
        [openssl, *words, "-addext", f"subjectAltName=DNS:{HOST}"], cwd=folder, check=True, capture_output=True
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    trusting = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    yield Fetcher(HOSTS, lambda host, port: ["127.0.0.1"], lambda address: True, trusting, server.server_port, 10_000)
    server.shutdown()
    server.server_close()


async def get(site: Fetcher, address: str, path: Path) -> None:
    await asyncio.to_thread(site.fetch, f"https://{HOST}{address}", path, threading.Event())


async def test_62_a_redirect_is_not_followed(site: Fetcher, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="redirects"):
        await get(site, "/elsewhere", tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("address", ["/gone", "/long", "/cut"])
async def test_what_is_not_whole_or_too_large_is_not_taken(site: Fetcher, tmp_path: Path, address: str) -> None:
    with pytest.raises(Problem):
        await get(site, address, tmp_path / "x")
    assert not (tmp_path / "x").exists()


async def test_64_65_nothing_of_ours_is_sent(site: Fetcher, tmp_path: Path) -> None:
    Site.asked.clear()
    await get(site, "/x?y=1", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == LINE
    path, headers = Site.asked[0]
    assert path == "/x?y=1"
    assert {"authorization", "cookie", "referer"} & set(headers) == set()


async def test_a_certificate_of_another_name_is_refused(site: Fetcher, tmp_path: Path) -> None:
    with pytest.raises(Problem, match="SSL"):
        await asyncio.to_thread(site.fetch, "https://other.example.org/x", tmp_path / "x", threading.Event())


async def test_a_listed_file_is_imported(county: House, site: Fetcher) -> None:
    async with client(county) as fhir:
        login = f"token:{fhir.token_id}"  # type: ignore[attr-defined]
        arguments = {"inputs": [f"https://{HOST}/x"], "custodian": "A"}
        async with county.database.connection() as connection:
            await jobs.submit(connection, KIND, login, arguments)
        running = await jobs.claim(county.database, [KIND])
        assert running is not None
        await import_files(county, running, site)
        assert (await fhir("GET", "Patient/fetched")).status_code == 200
