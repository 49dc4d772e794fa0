"""The layer check finds each kind of breach in a made-up package, and nothing in a clean one."""

import importlib.util
import os
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_spec = importlib.util.spec_from_file_location("check_layers", os.path.join(ROOT, "tools", "check-layers.py"))
check_layers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(check_layers)


def target(name, path, dependencies=(), kind="regular"):
    return {"name": name, "path": path, "type": kind, "dependencies": [{"byName": [d, None]} for d in dependencies]}


def package(*targets):
    return {"targets": list(targets)}


class Declarations(unittest.TestCase):
    def problems(self, *targets):
        return list(check_layers.check_declarations(package(*targets)))

    def test_a_clean_package_has_no_problems(self):
        self.assertEqual(self.problems(
            target("COpenSSL", "shared/COpenSSL", kind="system"), target("TLS", "shared/TLS", ["COpenSSL"]),
            target("Reactor", "shared/Reactor", ["TLS"])), [])

    def test_a_dependency_upwards_is_found(self):
        found = self.problems(target("TLS", "shared/TLS", ["Reactor"]), target("Reactor", "shared/Reactor"))
        self.assertEqual(len(found), 1)
        self.assertIn("not below it", found[0])

    def test_a_dependency_on_another_service_is_found(self):
        found = self.problems(target("SentinelServer", "services/sentinel/Server", ["DatabaseEngine"]),
                              target("DatabaseEngine", "services/db/Engine"))
        self.assertEqual(len(found), 1)
        self.assertIn("another service", found[0])

    def test_a_c_module_with_two_importers_is_found(self):
        found = self.problems(target("COpenSSL", "shared/COpenSSL", kind="system"), target("TLS", "shared/TLS", ["COpenSSL"]),
                              target("CertificateIssuing", "services/cert-init/CertificateIssuing", ["COpenSSL"]))
        self.assertEqual(len(found), 1)
        self.assertIn("exactly one", found[0])

    def test_an_unknown_target_is_found(self):
        self.assertIn("not in the table", self.problems(target("Misc", "shared/Misc"))[0])

    def test_a_product_that_uses_test_code_is_found(self):
        found = self.problems(target("RESP", "shared/RESP", ["TestSupport"]), target("TestSupport", "tests/Support"))
        self.assertIn("for tests", found[0])


class Sources(unittest.TestCase):
    def problems(self, name, text, dependencies=()):
        with tempfile.TemporaryDirectory() as root:
            path = {"SentinelCore": "services/sentinel/Core"}.get(name, "shared/" + name)
            os.makedirs(os.path.join(root, path))
            with open(os.path.join(root, path, "File.swift"), "w") as file:
                file.write(text)
            return list(check_layers.check_sources(package(target(name, path, dependencies)), root))

    def test_declared_imports_pass(self):
        self.assertEqual(self.problems("TLS", "import Glibc\n@testable import RESP\n// import Nothing\n", ["RESP"]), [])

    def test_an_undeclared_import_is_found_with_its_line(self):
        found = self.problems("TLS", "import Glibc\npublic import RESP\n")
        self.assertEqual(len(found), 1)
        self.assertIn("File.swift:2: imports RESP", found[0])

    def test_an_import_of_one_declaration_is_found(self):
        self.assertIn("imports RESP", self.problems("TLS", "import struct RESP.Parser\n")[0])

    def test_a_pure_module_that_imports_the_reactor_is_found(self):
        found = self.problems("SentinelCore", "import Reactor\n", ["Reactor"])
        self.assertTrue(any("pure" in line for line in found))

    def test_a_pure_module_that_asks_the_clock_is_found(self):
        found = self.problems("SentinelCore", "import Glibc\nlet now = time(nil)\nlet lifetime(1)\n")
        self.assertEqual(len(found), 1)
        self.assertIn("may not call time()", found[0])

    def test_foundation_in_a_shared_module_is_found(self):
        self.assertIn("no Foundation", self.problems("TLS", "import Foundation\n")[0])


if __name__ == "__main__":
    unittest.main()
