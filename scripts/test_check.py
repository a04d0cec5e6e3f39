"""Tests of the tree's own checks: python3 -m unittest scripts/test_check.py. Each check finds what it is there to find."""
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))
import check  # noqa: E402

GOTCH = check.BINDINGS[0] + "/libtch"


class Imports(unittest.TestCase):
    TABLE = f"# comment\ndata:\ninternal/tensor: {GOTCH}\nmodel: data internal/tensor # encoders\n"
    FOUND = {"data": (set(), set()), "internal/tensor": ({GOTCH}, set()), "model": ({"data", "internal/tensor"}, {"data"})}

    def found(self, **changes):
        return {**self.FOUND, **{name.replace("_", "/"): pair for name, pair in changes.items()}}

    def wrong(self, table=TABLE, **changes):
        return check.wrong_imports(check.read_table(table), self.found(**changes))

    def test_in_order(self):
        self.assertEqual(self.wrong(), [])

    def test_what_is_wrong_is_named(self):
        for want, problems in (
                ("data imports model, which scripts/imports.txt does not allow", self.wrong(data=({"model"}, set()))),
                (f"model imports {GOTCH}, which", self.wrong(model=({"data", "internal/tensor", GOTCH}, set()))),
                ("the tests of data import model, which stands below", self.wrong(data=(set(), {"model"}))),
                ("model does not import data any more", self.wrong(model=({"internal/tensor"}, set()))),
                ("eval is not in scripts/imports.txt", self.wrong(eval=(set(), set()))),
                ("eval is no package", self.wrong(self.TABLE + "eval:\n")),
                ("data may not import model, which does not stand above it", self.wrong(f"data: model\ninternal/tensor: {GOTCH}\nmodel: data internal/tensor\n"))):
            with self.subTest(want):
                self.assertTrue(any(want in p for p in problems), problems)


class Comments(unittest.TestCase):
    def test_package_comments(self):
        found = {"data": (set(), set(), "data", "Package data finds."), "eval": (set(), set(), "eval", ""), "cmd/x": (set(), set(), "main", "Command x does."),
                 "model": (set(), set(), "model", "Package modell is.")}
        with mock.patch.object(check, "packages", return_value=found):
            problems = check.check_comments(Path())
        self.assertEqual([p.split(":")[0] for p in problems], ["eval", "model"])


class Links(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        (self.root / "docs").mkdir()
        (self.root / "docs" / "a b.md").write_text("# One `two`, [three](x.md)\n\n## Again\n\n## Again\n\n```\n# no heading\n```\n<a id=\"own\"></a>\n")

    def broken(self, text):
        (self.root / "README.md").write_text(text)
        return [p.split(": ", 1)[1] for p in check.broken_links(self.root / "README.md", text)]

    def test_links_that_lead_somewhere(self):
        self.assertEqual(self.broken("# Top\n[a](docs/a%20b.md) [b](docs/a%20b.md#one-two-three) [c](docs/) [d](#top) [e](docs/a%20b.md#again-1) [f](docs/a%20b.md#own)\n"
                                     "[g](https://example.com/x) [h](mailto:a@b.c) `[i](gone.md)`\n```\n[j](gone.md)\n```\n"), [])

    def test_links_that_lead_nowhere(self):
        for text in ("[a](gone.md)", "![a](gone.png)", "[a](docs/a%20b.md#no-heading)", "[a](docs/a%20b.md#again-2)", "[a](#nowhere)", '<img src="gone.png">', "[a]: gone.md"):
            with self.subTest(text):
                self.assertEqual(len(self.broken(text)), 1)


if __name__ == "__main__":
    unittest.main()
