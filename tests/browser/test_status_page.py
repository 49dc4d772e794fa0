"""The restart coordinator's status page in a browser: what it shows, at which width, in which colours."""

import os

import pytest

WIDTHS = (1280, 768, 390, 360)
SCHEMES = ("light", "dark")

# What the banner says and must contain, for each state.
BANNERS = {
    "healthy": ("Healthy", "All pods are ready"),
    "pod_missing": ("Warning", "A db pod is missing: there are 2 of 3."),
    "not_in_sync": ("Warning", "f5-dssm-db-1 is not in sync with the primary, 3.4 MiB behind."),
    "no_primary": ("Critical", "There is no primary: writes fail."),
    "two_primaries": ("Critical", "There are 2 primaries: f5-dssm-db-0, f5-dssm-db-2."),
    "no_quorum": ("Critical", "The sentinels have no quorum"),
    "expiring": ("Warning", "The certificate in the Secret expires in 6 days."),
    "expired": ("Critical", "The certificate that f5-dssm-db-0, f5-dssm-db-1, f5-dssm-db-2 serve expired 46 h ago."),
    "due": ("Healthy", "6 restarts are due. The next window opens 2026-11-24 01:29 UTC (in 22 h 22 min)."),
    "in_progress": ("Restarting", "A restart is in progress: 2 of 6 pods are done."),
    "stuck": ("Critical", "The restart has not moved for 17 min"),
    "suspended": ("Healthy", "A restart is suspended after 3 of 6 pods"),
    "standby": ("Healthy", "This instance stands by; f5-dssm-restart-coordinator-6d5f7c9b8-7bkcw leads"),
    "attention": ("Warning", "f5-dssm-db-1 was started after the Secret changed and serves another certificate."),
    "failing": ("Warning", "What is shown was seen 12 min ago."),
    "nothing_seen": ("Starting", "The cluster has not been seen yet."),
    "never_seen": ("Critical", "pods is forbidden"),
    "hostile": ("Warning", "<script>document.title='broken'</script>"),
}

# Every text with its colour and what lies behind it; the ratio is WCAG's.
CONTRASTS = """
(() => {
  const number = text => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = number(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const result = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    if (!text) continue;
    const element = walker.currentNode.parentElement;
    const [a, b] = [luminance(number(getComputedStyle(element).color)), luminance(behind(element))];
    result.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), text.slice(0, 40)]);
  }
  return result;
})()
"""

# Elements that reach beyond the window's right edge.
OVERFLOWS = """
[...document.querySelectorAll('body *')].filter(e => {
  const box = e.getBoundingClientRect();
  return box.width > 1 && (box.right > innerWidth + 0.5 || box.left < -0.5 || e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 1
    && getComputedStyle(e).display !== 'inline');
}).map(e => e.outerHTML.slice(0, 120))
"""


def text(browser, selector):
    return " ".join(browser.evaluate(f"document.querySelector('{selector}')?.innerText ?? ''").split())


def test_the_banner_says_what_is_wrong_first(browser, pages, state):
    browser.show(pages[state], 1280)
    level, message = BANNERS[state]
    banner = text(browser, "main > section:first-child")
    assert message in banner
    assert text(browser, "main > section:first-child .w").split()[1] == level
    assert browser.evaluate("document.title").startswith(level), "the tab tells it too"


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_off_or_scrolls_sideways(browser, pages, state, width):
    browser.show(pages[state], width)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("innerWidth") == width, "the browser did not zoom out to make it fit"
    assert browser.evaluate(OVERFLOWS) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_text_has_enough_contrast(browser, pages, state, scheme):
    browser.show(pages[state], 1280, scheme=scheme)
    texts = browser.evaluate(CONTRASTS)
    assert len(texts) > 10
    assert [entry for entry in texts if entry[0] < 4.5] == []


def test_the_two_schemes_differ(browser, pages):
    colours = set()
    for scheme in SCHEMES:
        browser.show(pages["healthy"], 1280, scheme=scheme)
        colours.add(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(colours) == 2


def test_it_is_one_small_document_without_scripts(browser, pages, state):
    browser.show(pages[state], 1280)
    loaded = {event["request"]["url"].split(":")[0] for event in browser.events("Network.requestWillBeSent")}
    assert loaded <= {"file", "data"}
    assert len([event for event in browser.events("Network.requestWillBeSent") if event["type"] == "Document"]) == 1
    assert browser.evaluate("document.querySelectorAll('script,img,iframe,object,[onerror],[onclick],link:not([rel=icon])').length") == 0
    if state != "hostile":
        assert os.path.getsize(pages[state]) < 20_000
    assert os.path.getsize(pages[state]) < 300_000, "there is a bound, whatever the cluster holds"
    assert browser.events("Log.entryAdded") == [], "the browser has nothing to complain about"


def test_names_and_messages_cannot_become_markup(browser, pages):
    browser.show(pages["hostile"], 1280)
    assert browser.evaluate("document.title").startswith("Warning – dSSM </td><script>")
    assert "onerror=alert(1)" in text(browser, "h1")
    assert text(browser, "footer a") == "All of this as JSON"


def test_screen_readers_find_headings_and_tables(browser, pages):
    for width in (1280, 360):
        browser.show(pages["in_progress"], width)
        levels = browser.evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(e => +e.tagName[1])")
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after - before <= 1 for before, after in zip(levels, levels[1:]))
        nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
        roles = [node["role"]["value"] for node in nodes if "role" in node and not node["ignored"]]
        tables = browser.evaluate("document.querySelectorAll('table').length")
        assert roles.count("table") == tables > 4
        assert roles.count("columnheader") == browser.evaluate("document.querySelectorAll('thead th').length")
        assert roles.count("rowheader") == browser.evaluate("document.querySelectorAll('tbody th').length")
        names = {node["name"]["value"] for node in nodes
                 if node.get("role", {}).get("value") == "table" and not node["ignored"]}
        assert "dbs: 2 of 3 ready" in names, "a table is called by its caption"
        assert browser.evaluate("document.querySelectorAll('th:not([scope])').length") == 0


def test_colour_is_never_the_only_sign(browser, pages, state):
    browser.show(pages[state], 1280)
    marks = browser.evaluate("[...document.querySelectorAll('.m, .w')].map(e => e.innerText)")
    assert marks
    for mark in marks:
        sign, _, word = mark.partition(" ")
        assert sign in "✓▲✖↻…" and word.strip(), mark


def test_old_data_is_shown_with_its_age(browser, pages):
    browser.show(pages["failing"], 1280)
    assert "f5-dssm-db-0" in text(browser, "table")
    assert "cluster seen 12 min ago" in text(browser, "header")


def test_the_links_lead_to_the_machine_readable_forms(browser, pages, state):
    browser.show(pages[state], 1280)
    links = browser.evaluate("[...document.querySelectorAll('a')].map(e => e.getAttribute('href'))")
    assert set(links) == {"/api/status", "/metrics"}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", (1280, 390))
def test_screenshots(browser, pages, state, width, scheme, shots):
    """For people to look at: kept in the build folder."""
    browser.show(pages[state], width, scheme=scheme)
    path = os.path.join(shots, f"{state}-{width}-{scheme}.png")
    browser.screenshot(path)
    with open(path, "rb") as file:
        header = file.read(24)
    assert int.from_bytes(header[16:20], "big") == width
