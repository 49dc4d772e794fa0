"""What all Dockerfiles must agree on."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCKERFILES = sorted(ROOT.glob("services/*/Dockerfile"))


class Dockerfiles(unittest.TestCase):
    def test_every_service_has_one(self):
        services = sorted(path.name for path in (ROOT / "services").iterdir() if path.is_dir())
        self.assertEqual([path.parent.name for path in DOCKERFILES], services)

    def test_the_build_stage_is_the_same_in_all(self):
        stages = {re.search(r"^FROM swift.*?(?=\n\n)", path.read_text(), re.M | re.S)[0] for path in DOCKERFILES}
        self.assertEqual(len(stages), 1)

    def test_each_builds_and_starts_its_own_product_as_a_user_without_rights(self):
        for path in DOCKERFILES:
            text, product = path.read_text(), f"dssm-{path.parent.name}"
            self.assertIn(f"ARG PRODUCT={product}\n", text)
            self.assertIn(f'ENTRYPOINT ["/usr/local/bin/{product}"]\n', text)
            self.assertIn("\nUSER 10001:0\n", text)
            self.assertIn(f'title="{product}"', text)


if __name__ == "__main__":
    unittest.main()
