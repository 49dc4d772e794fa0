"""The generator of docs/VALUES.md."""
import importlib.machinery
import importlib.util
import pathlib
import unittest

PATH = pathlib.Path(__file__).resolve().parents[2] / "tools" / "values-reference"
_loader = importlib.machinery.SourceFileLoader("values_reference", str(PATH))
module = importlib.util.module_from_spec(importlib.util.spec_from_loader(_loader.name, _loader))
_loader.exec_module(module)

TEXT = """# About all.

# First.
one: 1

# The group,
# in two lines.
group:
  # Inner | <x>.
  inner: {a: b}
  # Sized.
  resources:
    requests: {cpu: 1}
"""


class ValuesReference(unittest.TestCase):
    def test_each_key_has_its_path_default_and_comment(self):
        self.assertEqual(module.entries(TEXT), [
            ("one", "1", "First."), ("group", None, "The group, in two lines."), ("group.inner", "{a: b}", "Inner | <x>."),
            ("group.resources", None, "Sized."), ("group.resources.requests", "{cpu: 1}", "What the scheduler reserves.")])

    def test_the_page_has_a_table_for_what_stands_alone_and_one_for_each_group(self):
        page = module.reference(TEXT)
        self.assertIn("## General\n\n| value | default | meaning |\n| --- | --- | --- |\n| `one` | `1` | First. |\n", page)
        self.assertIn("## `group`\n\nThe group, in two lines.\n", page)
        self.assertIn("| `group.inner` | `{a: b}` | Inner \\| \\<x>. |\n", page)

    def test_a_key_without_a_comment_is_told_with_its_line(self):
        with self.assertRaisesRegex(module.Problem, "line 3: two has no comment"):
            module.entries("# One.\none: 1\ntwo: 2\n")
        with self.assertRaisesRegex(module.Problem, "line 5: a.c has no comment"):
            module.entries("# A.\na:\n  # B.\n  b: 1\n  c: 2\n")

    def test_the_schema_gets_the_comments_and_keeps_the_rest(self):
        schema = {"properties": {"one": {"type": "integer", "description": "old"}, "two": {"description": "kept"},
                                 "group": {"properties": {"inner": {"type": "object"}}}}}
        found = module.json.loads(module.described(module.json.dumps(schema), TEXT))["properties"]
        self.assertEqual(found["one"], {"type": "integer", "description": "First."})
        self.assertEqual(found["two"], {"description": "kept"})
        self.assertEqual(found["group"]["description"], "The group, in two lines.")
        self.assertEqual(found["group"]["properties"]["inner"]["description"], "Inner | <x>.")

    def test_a_comment_before_an_empty_line_describes_nothing(self):
        with self.assertRaises(module.Problem):
            module.entries("# Lost.\n\none: 1\n")


if __name__ == "__main__":
    unittest.main()
