"""What the documents name is there: files behind links, metrics, events, values, and a runbook for each alert."""

import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RULES = "helm/f5-dssm/templates/monitoring/prometheusrule.yaml"


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def files(folder, ending):
    for where, _, names in os.walk(os.path.join(ROOT, folder)):
        yield from (os.path.relpath(os.path.join(where, name), ROOT) for name in names if name.endswith(ending))


DOCUMENTS = sorted({"README.md", "CONTRIBUTING.md", *files("docs", ".md"), *files("services", "README.md"),
                    *files("helm", "README.md")})
SOURCES = "\n".join(read(path) for folder in ("services", "shared") for path in files(folder, ".swift"))


def anchor(heading):
    """A heading's identifier, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


class Documents(unittest.TestCase):
    def test_links_lead_somewhere(self):
        for path in DOCUMENTS:
            for link in re.findall(r"\]\(([^)\s]+)\)", read(path)):
                if re.match(r"\w+:", link):
                    continue
                target, _, fragment = link.partition("#")
                full = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
                with self.subTest(f"{path}: {link}"):
                    self.assertTrue(os.path.exists(os.path.join(ROOT, full)))
                    if fragment:
                        headings = re.findall(r"^#+ (.*)$", read(full), re.M)
                        self.assertIn(fragment, map(anchor, headings))

    def test_each_alert_has_a_runbook_and_each_runbook_an_alert(self):
        alerts = set(re.findall(r"alert: (\w+)", read(RULES)))
        pages = {os.path.basename(path)[:-3] for path in files("docs/runbooks", ".md")} - {"README"}
        self.assertEqual(alerts, pages)
        index = read("docs/runbooks/README.md")
        for alert in alerts:
            self.assertIn(f"[{alert}]({alert}.md)", index)
            severity = re.search(rf"alert: {alert}\b.*?severity: (\w+)", read(RULES), re.S).group(1)
            self.assertRegex(index, rf"\[{alert}\].*\| {severity} \|")

    def test_metrics_and_events_are_those_of_the_code(self):
        for path in files("docs", ".md"):
            text = read(path)
            for name in set(re.findall(r"\bdssm_[a-z_]+[a-z]\b", text)) - {"dssm_secrets"}:
                with self.subTest(f"{path}: {name}"):
                    self.assertTrue(f'"{name}"' in SOURCES)
            for name in set(re.findall(r"event=([a-z][a-z-]*[a-z])\b(?!-)", text)):
                with self.subTest(f"{path}: {name}"):
                    self.assertTrue(f'"{name}"' in SOURCES)

    def test_values_are_those_of_the_chart(self):
        values = read("helm/f5-dssm/values.yaml")
        for path in files("docs", ".md"):
            names = set(re.findall(r"`((?:certInit|restartCoordinator|metrics|db|sentinel|tls|tmm)\.\w+[\w.]*)`", read(path)))
            for name in names - {"tls.crt", "tls.key"}:  # items of cert-manager's Secrets
                with self.subTest(f"{path}: {name}"):
                    # Below `config` are the directives of db and sentinel, below `resources` Kubernetes's own names.
                    for word in re.split(r"\.(?:config|resources)\.", name)[0].split("."):
                        self.assertTrue(re.search(rf"(?m)^\s*{word}:", values), word)


if __name__ == "__main__":
    unittest.main()
