"""Tests of bench/run.py that need neither Go nor PyTorch: python3 -m unittest -q bench/test_run.py"""
import sys
import tempfile
import types
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import run
from cases import Row, Side


def done(seconds, rss=100, **values):
    return {"seconds": seconds, "rss_mb": rss, "values": values}


def row(go, python, goal=0.5, **more):
    r = Row("work", Side("samtune", []), [Side(k, []) for k in python], goal, **more)
    r.go_runs, r.python_runs = go, python
    return r


class Summary(unittest.TestCase):
    def test_the_fastest_side_that_agrees_counts(self):
        r = run.summarise(row([done(1, value=2.0)], {"slow": [done(4, value=2.0)], "right": [done(2, value=2.0)], "wrong": [done(1, value=2.1)]}, close=1e-3), None)
        self.assertEqual((r["python"], r["ratio"], r["met"], r["disagree"]), ("right", 0.5, True, ["wrong"]))

    def test_no_ratio_where_none_agrees(self):
        with self.assertRaisesRegex(run.Stop, "no Python side agrees"):
            run.summarise(row([done(1, value=2.0)], {"wrong": [done(1, value=2.1)], "other": [done(1)]}, close=1e-3), None)

    def test_medians_memory_and_limit(self):
        r = run.summarise(row([done(3, 50), done(1, 60), done(2, 55)], {"a": [done(4), done(4), done(9)]}, gflop=100), 100)
        self.assertEqual((r["go_median_s"], r["py_median_s"], r["rss_ratio"], r["rss_met"]), (2, 4, 0.55, True))
        self.assertEqual((r["go_share_of_limit"], r["py_share_of_limit"]), (0.5, 0.25))

    def test_work_that_is_repeated(self):
        r = run.summarise(row([done(9)], {"a": [done(2)]}, goal=0.3, times=15), None)
        self.assertEqual((r["py_median_s"], r["ratio"], r["met"]), (30, 0.3, True))

    def test_without_a_go_side_the_first_library_is_right(self):
        r = run.summarise(row([], {"first": [done(3, value=1.0)], "other": [done(1, value=1.1)]}, close=1e-6), None)
        self.assertEqual((r["python"], r["ratio"], r["met"]), ("first", None, False))

    def test_the_table_lines_up(self):
        rows = [run.summarise(row([done(0.001)], {"a": [done(123.4)]}), None), run.summarise(row([], {"longer": [done(1)]}, goal=None), None)]
        lines = run.table(rows).splitlines()
        for word in ("Python side", "a", "longer"):
            self.assertEqual({l.rindex(word) for l in lines if l.endswith(word)}, {lines[0].rindex("Python side")})


class Process(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.settings = types.SimpleNamespace(env={}, log=Path(folder.name) / "log")

    def execute(self, code, **more):
        return run.execute(Side("made", [sys.executable, "-c", code], **more), self.settings)

    def test_what_a_process_reports(self):
        r = self.execute("""x = bytearray(300 << 20); print('noise'); print('BENCH {"seconds": 7, "values": {"a": 1}}')""")
        self.assertEqual((r["seconds"], r["values"]), (7, {"a": 1}))
        self.assertGreater(r["rss_mb"], 300)

    def test_first_output_and_wall_time(self):
        code = "import time; print('x', flush=True); time.sleep(0.5)"
        self.assertGreaterEqual(self.execute(code, clock="wall")["seconds"], 0.5)
        self.assertLess(self.execute(code, clock="first")["seconds"], self.execute(code, clock="wall")["seconds"])

    def test_failures_are_told(self):
        with self.assertRaisesRegex(run.Stop, "failed"):
            self.execute("import sys; sys.exit(3)")
        with self.assertRaisesRegex(run.Stop, "printed no time"):
            self.execute("print('nothing')")

    def test_rounds_take_turns_and_shared_sides_run_once(self):
        with tempfile.TemporaryDirectory() as folder:
            order = Path(folder) / "order"

            def side(name, **more):
                code = f"""open({str(order)!r}, 'a').write({name!r}); print('BENCH {{"seconds": 1, "values": {{"loss": 5}}}}')"""
                return Side(name, [sys.executable, "-c", code], **more)
            go = side("A")
            rows = [Row("one", go, [side("B")], 1), Row("two", go, [side("C", given=lambda r: [r["values"]["loss"]])], 1)]
            self.settings.rounds, self.settings.device = 2, "cpu"
            run.measure(rows, self.settings)
            self.assertEqual(order.read_text(), "ABCABC")
            self.assertEqual([len(r.go_runs) for r in rows], [2, 2])


if __name__ == "__main__":
    unittest.main()
