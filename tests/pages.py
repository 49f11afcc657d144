"""Read an HTML page: its tags, its text, and everything that a browser would fetch or run."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Draws nothing: finds pictures that are missing, and content that is wider than the window.
CHECK = """
<pre id="found"></pre><script>
const errors = []; window.onerror = text => errors.push(String(text));
addEventListener("load", () => {
  const broken = [...document.images].filter(x => !x.complete || x.naturalWidth === 0).length;
  const empty = [...document.querySelectorAll("svg")].filter(x => x.getBBox().width === 0).length;
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const style = getComputedStyle(document.body);
  document.getElementById("found").textContent = JSON.stringify({errors, broken, empty, wide,
    pictures: document.images.length, drawings: document.querySelectorAll("svg").length,
    ink: style.color, page: style.backgroundColor, resources: performance.getEntriesByType("resource").length});
});
</script>
"""


class Page(HTMLParser):
    """Counts tags, collects the text, and records what a browser would fetch or run."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.foreign, self.ids, self.unlabelled, self.metas = [], [], [], [], [], {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        if tag == "meta" and "name" in given:
            self.metas[given["name"]] = given["content"]
        if (tag == "img" and not given.get("alt")) or (tag == "svg" and not given.get("aria-labelledby")):
            self.unlabelled.append(given)
        for name, value in attrs:
            fetched = name in ("src", "href", "xlink:href", "action", "srcset", "poster", "data")
            found = [
                tag in ("script", "link", "iframe", "object") or name.startswith("on"),
                fetched and not (value or "").startswith(("data:image/", "#")),
                name == "style" and re.search(r"url\((?!#)", value or ""),
            ]
            self.foreign += [(tag, name, value)] if any(found) else []

    def handle_data(self, data):
        self.text.append(data)


def luminance(colour):
    """The relative luminance of a colour such as #ffffff (WCAG 2.2)."""
    channels = [int(colour[i : i + 2], 16) / 255.0 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    """The contrast ratio of two colours (WCAG 2.2)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def open_in_browser(path, folder, *, width, dark=False):
    """Open a page in a headless browser; return what it found, and the lines that it wrote to its console."""
    copy = folder / f"checked-{width}-{dark}.html"
    copy.write_text(path.read_text().replace("</body>", f"{CHECK}</body>"))
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--window-size={width},900",
        *(["--blink-settings=preferredColorScheme=0"] if dark else []), f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=5000", "--dump-dom", copy.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout)
    assert found, done.stderr
    return json.loads(found[1]), [line for line in done.stderr.splitlines() if "CONSOLE" in line]
