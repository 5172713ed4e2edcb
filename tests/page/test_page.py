"""The page in a real Chromium on a real sidecar: what it shows, that it is live, and that it is harmless."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser
from prometheus_client import CollectorRegistry

from contract.mapping import Direction, Mapping
from contract.storage import Storage
from runtime.endpoints import Check, Endpoints
from sidecar.errors import AccessDenied, LocalFault, NoRoom, Quarantined
from sidecar.page import document
from sidecar.reporting.advice import ADVICE
from sidecar.reporting.history import History
from sidecar.reporting.progress import Progress
from sidecar.reporting.report import about_this, report
from sidecar.settings import Settings
from tests.page.browser import Visit
from tests.page.conftest import storage_files
from tests.walks.sidecar_process import SidecarProcess

EVIL = "<script>document.title='owned'</script><img src=x onerror=alert(1)>\"'&amp;\u202e"
OUT = Mapping(Direction.EGRESS, "stats", "statistics")
IN = Mapping(Direction.INGRESS, "remote", "in")


class Stage:
    """A listener whose /status is whatever a test made of it."""

    def __init__(self) -> None:
        self.progress = Progress()
        self.progress.set_mappings((OUT, IN))
        self.history = History()
        self.change: dict[str, Any] = {}
        self.about = about_this(Settings.from_env({"POD_NAME": "p"}), 0.0)

    def status(self, with_names: bool) -> dict[str, Any]:
        whole = report(self.progress, self.history, self.about, with_names=with_names)
        whole.update(json.loads(json.dumps(self.change)))
        return whole


@contextmanager
def listening(stage: Stage) -> Iterator[str]:
    def well() -> Check:
        return Check(True, "ok")

    registry = CollectorRegistry()
    server = Endpoints("127.0.0.1:0", livez=well, readyz=well, registry=registry, status=stage.status, page=document())
    port = server.start()
    try:
        yield f"http://localhost:{port}/"
    finally:
        server.stop()


@contextmanager
def visiting(browser: Browser, url: str, **how: Any) -> Iterator[Visit]:
    visit = Visit(browser, url, **how)
    try:
        yield visit
    finally:
        visit.close()


def home(sidecar: SidecarProcess) -> str:
    return f"http://localhost:{sidecar._port}/"


def test_in_sync_is_one_look_away_and_nothing_comes_from_outside(browser: Browser, sidecar: SidecarProcess) -> None:
    url = home(sidecar)
    with visiting(browser, url) as visit:
        visit.wait_for("#headline", "Everything is in sync")
        assert visit.text("#title") == "os-stats-1"
        assert visit.page.title() == "os-stats-1 · Data Sync"
        assert visit.text("#egress-files") == "0 files"
        assert "/export/stats" in visit.text("#mappings li:nth-child(1)")
        assert "statistics" in visit.text("#mappings li:nth-child(1)")
        assert "in sync" in visit.text("#mappings li:nth-child(1) .chip")
        assert "/export/in" in visit.text("#mappings li:nth-child(2)")
        assert visit.text("#free") != "–"
        assert visit.page.locator("#plot rect.egress").count() == 1
        assert visit.asked == {url, url + "status"}
        assert visit.faults == []


def test_it_is_live_without_a_reload(browser: Browser, sidecar: SidecarProcess, storage: Storage) -> None:
    keys = storage_files(storage)
    with visiting(browser, home(sidecar)) as visit:
        visit.wait_for("#headline", "Everything is in sync")
        visit.page.evaluate("window.same = true")
        sidecar.set_storage({**keys, "AWS_SECRET_ACCESS_KEY": "not-the-secret"})
        visit.wait_for("#notices", ADVICE["access_denied"].words)
        visit.wait_for("#mappings", ADVICE["access_denied"].action)
        assert visit.page.locator("#banner").get_attribute("data-tone") == "bad"
        sidecar.set_storage(keys)
        visit.wait_for("#headline", "Everything is in sync")
        assert visit.page.locator("#notices li").count() == 0
        assert visit.page.evaluate("window.same") is True
        assert visit.faults == []


def test_a_sidecar_that_is_gone_is_said_and_found_again(browser: Browser) -> None:
    stage = Stage()
    with listening(stage) as url, visiting(browser, url) as visit:
        visit.wait_for("#headline", "Starting")
        visit.page.route("**/status", lambda route: route.abort())
        visit.wait_for("#headline", "No answer from the sidecar")
        assert "old" in visit.text("#sentence")
        visit.page.unroute("**/status")
        visit.wait_for("#headline", "Starting")


def broken(stage: Stage) -> None:
    """Everything that can be wrong, at once, with names of an enemy."""
    stage.progress.waiting_for = None
    stage.progress.free_bytes, stage.progress.total_bytes, stage.progress.floor_bytes = 2 << 30, 8 << 30, 1 << 30
    stage.progress.notices = {"mappings": f"annotation: {EVIL}"}
    stage.progress.storage = {"endpoint": f"http://{EVIL}", "bucket": EVIL}
    stage.progress.clock_skew = 1200.0
    out = stage.progress.begin(OUT)
    out.fail(EVIL, LocalFault("open", EVIL, EVIL))
    out.pending_files, out.pending_bytes, out.oldest_left = 3, 5000, 1_000_000_000.0
    stage.progress.end(OUT)
    into = stage.progress.begin(IN)
    into.fail(EVIL, NoRoom("download", EVIL))
    for number in range(150):
        into.fail(f"{EVIL}{number}", Quarantined("list", EVIL))
    into.end_early(AccessDenied("list", "bucket/remote", EVIL))
    stage.progress.end(IN)
    for minutes in range(200):
        stage.history._slot -= 1
        stage.history.moved(OUT.direction if minutes % 3 else IN.direction, 1000 * (minutes + 1))


def test_names_full_of_script_tags_stay_text(browser: Browser) -> None:
    stage = Stage()
    broken(stage)
    stage.change = {"identity": {"pod": EVIL, "node": EVIL}, "version": EVIL, "role": EVIL}
    stage.change["mappings"] = stage.status(True)["mappings"]
    stage.change["mappings"][0] |= {"source": EVIL, "target": EVIL, "state": EVIL}
    with listening(stage) as url, visiting(browser, url) as visit:
        visit.wait_for("#title", "<script>")
        visit.page.locator("details.failing summary").first.click()
        visit.wait_for("details.failing li", "<img src=x onerror=alert(1)>")
        assert visit.page.locator("script").count() == 1, "our own"
        assert visit.page.locator("img").count() == 0
        assert visit.page.title().startswith("<script>")
        assert visit.asked == {url, url + "status"}
        assert visit.faults == []


def test_a_script_from_elsewhere_would_not_run(browser: Browser) -> None:
    with listening(Stage()) as url, visiting(browser, url) as visit:
        visit.wait_for("#headline", "Starting")
        visit.page.evaluate(
            """() => { const made = document.createElement('script');
            try { made.textContent = 'window.ran = 1'; } catch (error) { window.refused = 1; }
            document.body.append(made);
            try { document.body.innerHTML = '<b>'; } catch (error) { window.typed = 1; } }"""
        )
        assert visit.page.evaluate("[window.ran, window.typed]") == [None, 1]
        assert visit.page.locator("h1").count() == 1


def test_it_cannot_be_framed(browser: Browser) -> None:
    with listening(Stage()) as url:

        class Outer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = f"<iframe src='{url}'></iframe>".encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Outer) as outer:
            thread = threading.Thread(target=outer.serve_forever)
            thread.start()
            try:
                with visiting(browser, f"http://127.0.0.1:{outer.server_address[1]}/") as visit:
                    visit.page.wait_for_function("window.length === 1")
                    visit.page.wait_for_load_state("networkidle")
                    assert any("frame" in fault for fault in visit.faults)
                    assert visit.page.frames[-1].locator("#headline").count() == 0
            finally:
                outer.shutdown()
                thread.join()


@pytest.mark.parametrize(("state", "dark"), [("fresh", False), ("broken", False), ("broken", True)])
def test_nothing_keeps_anybody_out(browser: Browser, state: str, dark: bool) -> None:
    stage = Stage()
    if state == "broken":
        broken(stage)
    with listening(stage) as url, visiting(browser, url, dark=dark) as visit:
        visit.wait_for("#headline", "Starting" if state == "fresh" else "not synced")
        # Scripts of the test run in the page all the same: playwright's evaluate is not bound by its policy.
        found = Axe().run(visit.page, options={"resultTypes": ["violations"]})
        said = [
            f"{fault['id']}: {[node['html'][:120] for node in fault['nodes']]}"
            for fault in found.response["violations"]
        ]
        assert said == []


def test_it_fits_on_every_screen(browser: Browser) -> None:
    stage = Stage()
    broken(stage)
    with listening(stage) as url, visiting(browser, url) as visit:
        visit.wait_for("#headline", "not synced")
        for width in (320, 390, 768, 1400):
            visit.page.set_viewport_size({"width": width, "height": 700})
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("minutes", "title"), [(5, "last hour"), (100, "last 3 hours"), (350, "last 6 hours")])
def test_the_plot_is_as_long_as_there_is_something_to_show(browser: Browser, minutes: int, title: str) -> None:
    stage = Stage()
    for _ in range(minutes):
        stage.history._slot -= 1
        stage.history.moved(Direction.EGRESS, 1000)
    with listening(stage) as url, visiting(browser, url) as visit:
        visit.wait_for("#plot-title", title)
        visit.wait_for("#plot-words", "KiB sent")
        assert visit.page.locator("#plot rect.egress").count() == {5: 5, 100: 34, 350: 59}[minutes]


def test_it_is_read_by_keyboard(browser: Browser) -> None:
    stage = Stage()
    broken(stage)
    with listening(stage) as url, visiting(browser, url) as visit:
        visit.wait_for("#plot-words", "sent")
        visit.page.keyboard.press("Tab")
        assert visit.page.evaluate("document.activeElement.id") == "plot"
        visit.page.keyboard.press("ArrowLeft")
        visit.wait_for("#plot-words", "ago")
        visit.page.keyboard.press("ArrowLeft")
        visit.wait_for("#plot-words", "6 min to 12 min ago")
        visit.page.keyboard.press("Escape")
        visit.wait_for("#plot-words", "arrow keys")
        visit.page.keyboard.press("Tab")
        assert visit.page.evaluate("document.activeElement.tagName") == "SUMMARY"
        visit.page.keyboard.press("Enter")
        visit.wait_for("details[open]", "img")
        opened = visit.page.locator("details[open]").element_handle()
        cycle = stage.progress.cycle
        stage.progress.cycle += 1
        visit.wait_for("#version", f"cycle {cycle + 1}")
        assert opened is not None
        assert opened.evaluate("element => element.isConnected && element.open"), "an update closes nothing"
        assert visit.page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_long_lists_say_that_they_are_cut(browser: Browser) -> None:
    stage = Stage()
    broken(stage)
    with listening(stage) as url, visiting(browser, url) as visit:
        visit.wait_for("details.quarantined summary", "150 (the first 100)")


def test_names_that_are_kept_are_not_asked_for(browser: Browser) -> None:
    stage = Stage()
    broken(stage)
    whole = stage.status(False)
    stage.change = {"names_shown": False, "mappings": whole["mappings"]}
    with listening(stage) as url, visiting(browser, url) as visit:
        visit.wait_for("details.quarantined:not([hidden]) summary", "names are not shown")
        assert visit.page.locator("details li").count() == 0


def test_the_page_is_small_and_whole() -> None:
    page = document()
    text = page.body.decode()
    assert len(page.body) < 32 * 1024
    assert "/*style*/" not in text
    assert "/*script*/" not in text
    assert re.findall(r"(?:src|href)=\"(?!data:|status|metrics)[^\"]*\"", text) == []
    assert not re.search(r"innerHTML|insertAdjacent|document\.write|\beval\b|style=|onclick", text)
