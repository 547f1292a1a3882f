"""`/docs` in a browser: swagger-ui reads our description, and nothing leaves the machine."""

from __future__ import annotations

import gzip

from api.assets import asset_url


def test_swagger_ui_is_served_compressed_from_here(client):
    page = client.get("/docs").text
    for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
        assert asset_url(name) in page
        packed, plain = (client.get(asset_url(name), headers={"accept-encoding": kind}) for kind in ("gzip", "identity"))
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.content == plain.content
        assert len(gzip.compress(plain.content)) < 500_000
        assert "immutable" in plain.headers["cache-control"]


def test_the_routes_are_shown_and_no_other_host_is_asked(site, browser):
    page = browser.new_context().new_page()
    hosts, faults = set(), []
    page.on("request", lambda request: hosts.add(request.url.split("/")[2] if "//" in request.url[:9] else "data"))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{site}/docs", timeout=90_000)
    page.locator("#swagger-ui .opblock").first.wait_for(timeout=90_000)
    assert page.locator("#swagger-ui .opblock-summary-path", has_text="/api/v1/steer/pause").count() == 1
    assert hosts - {"data"} == {site.removeprefix("http://")}
    assert faults == []
    page.context.close()
