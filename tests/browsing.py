"""What every page must keep to in a real browser."""

import json


def check_calm(browser, name):
    """Nothing failed on the page, and nothing was asked for but the page itself."""
    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert errors == []
    asked = [
        json.loads(entry["message"])["message"]["params"]["request"]["url"]
        for entry in browser.get_log("performance")
        if '"Network.requestWillBeSent"' in entry["message"]
    ]
    assert any(url.endswith(f"/{name}") for url in asked)
    assert [url for url in asked if not url.startswith(("file:", "data:", "chrome"))] == []


def check_at_home(browser, address):
    """Nothing was said on the console, and nothing was asked of anybody but the page's server."""
    said = [entry["message"] for entry in browser.get_log("browser")]
    assert not said, said
    asked = [
        json.loads(entry["message"])["message"]["params"]["request"]["url"]
        for entry in browser.get_log("performance")
        if '"Network.requestWillBeSent"' in entry["message"]
    ]
    assert any(url.startswith(address) for url in asked)
    assert [url for url in asked if not url.startswith((address, "data:", "chrome"))] == []
