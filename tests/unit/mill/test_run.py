"""What ./mill test counts, and that nothing which went wrong is counted as well."""
import contextlib
import importlib.util
import io
import os
import sys
import tempfile
import threading
import unittest

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../run.py")
spec = importlib.util.spec_from_file_location("run", PATH)
run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run)


def criterion(tested, passing, failing, crashing):
    return (f"\x1b[0;34m====\x1b[0m] Synthesis: Tested: \x1b[1m{tested}\x1b[0m | Passing: {passing}"
            f" | Failing: {failing} | Crashing: {crashing} \n")


class Counting(unittest.TestCase):
    def test_outputs(self):
        for output, expected in (
                (criterion(9, 6, 2, 1), (6, 3, 0)),
                ("..\nRan 12 tests in 1.2s\n\nOK\n", (12, 0, 0)),
                ("Ran 1 test in 0s\n\nOK (skipped=1)\n", (0, 0, 1)),
                ("Ran 9 tests in 0s\n\nFAILED (failures=2, errors=1, skipped=1)\n", (5, 3, 1)),
                ("mill: 3 passed, 0 failed\nmill: 4 passed, 1 failed\n", (7, 1, 0)),
                ("no mill: 3 passed, 0 failed\n", None),
                ("", None)):
            self.assertEqual(run.counted(output), expected, output)

    def test_results(self):
        """(meson's result, output) gives (passed, failed, did not run)."""
        leak = "==12==ERROR: LeakSanitizer: detected memory leaks"
        for result, output, expected in (
                ("OK", "", (1, 0, 0)),
                ("FAIL", "", (0, 1, 0)),
                ("TIMEOUT", "", (0, 1, 0)),
                ("SKIP", "no worker\n", (0, 0, 1)),
                ("OK", criterion(3, 3, 0, 0), (3, 0, 0)),
                ("FAIL", criterion(3, 2, 1, 0), (2, 1, 0)),
                # All tests passed, and then the program died.
                ("FAIL", criterion(3, 3, 0, 0), (3, 1, 0)),
                ("TIMEOUT", criterion(3, 3, 0, 0), (3, 1, 0)),
                # The program ended well, but its tests did not.
                ("OK", criterion(3, 2, 1, 0), (2, 1, 0)),
                ("OK", criterion(3, 3, 0, 0) + leak, (3, 1, 0)),
                ("OK", "x.c:3:4: runtime error: signed integer overflow", (1, 1, 0))):
            row, failures = run.Row("unit", "plain"), []
            run.add_test(row, {"name": "a / b", "result": result, "stdout": output}, failures)
            got = (row.passed, row.failed, len(row.not_run))
            self.assertEqual(got, expected, (result, output))
            self.assertEqual(bool(failures), row.failed > 0)

    def test_a_leak_that_nobody_told_is_a_failure(self):
        row, failures = run.Row("unit", "asan"), []
        with tempfile.TemporaryDirectory() as directory:
            for name, text in (("report.1", ""), ("report.2", "==2==ERROR: LeakSanitizer: …\n")):
                with open(os.path.join(directory, name), "w", encoding="utf-8") as f:
                    f.write(text)
            with contextlib.redirect_stdout(io.StringIO()) as shown:
                run.add_reports(row, directory, failures)
        self.assertIn("LeakSanitizer", shown.getvalue())
        self.assertEqual((row.passed, row.failed, len(failures)), (0, 1, 1))

    def test_every_suite_has_a_row_whatever_the_mode(self):
        for mode in ("quick", "normal", "long"):
            rows = run.plan(mode)
            self.assertEqual({suite for suite, build, _ in rows if build == "plain"},
                             set(run.SUITES))
            self.assertEqual({suite for suite, build, _ in rows if build == "asan"},
                             set(run.SUITES) - {"tidy", "roots"})
            left_out = {(suite, build) for suite, build, reason in rows if reason}
            self.assertEqual(left_out, {"long": set(), "normal": {("roots", "plain")}}.get(mode, left_out))
            self.assertEqual(len(left_out) > 1, mode == "quick")


class Lanes(unittest.TestCase):
    """Suites that wait and suites that compute, side by side; here they only say that they ran."""

    def setUp(self):
        self.saved = run.run_suite, run.run_shown, run.registered
        self.addCleanup(lambda: self.restore(*self.saved))
        run.registered = lambda build: {"unit": ["a"], "e2e": ["b"]}
        run.run_shown = lambda argv, label, **more: 0
        self.order = []

    def restore(self, *saved):
        run.run_suite, run.run_shown, run.registered = saved

    def run_rows(self, *pairs):
        rows = [run.Row(*pair) for pair in pairs]
        builds = run.Builds()
        builds.make("plain", 0)
        return rows, run.run_side_by_side(rows, "normal", builds)

    def test_what_waits_runs_beside_what_computes(self):
        """Each waits here for the other to have begun."""
        begun = {"unit": threading.Event(), "e2e": threading.Event()}

        def suite(row, mode, nice):
            begun[row.suite].set()
            self.assertTrue(begun["e2e" if row.suite == "unit" else "unit"].wait(60))
            self.assertEqual(nice > 0, row.suite == "unit")
            return []

        run.run_suite = suite
        rows, outcome = self.run_rows(("unit", "plain"), ("e2e", "plain"))
        self.assertEqual(outcome, {row: [] for row in rows})

    def test_nothing_runs_before_its_build(self):
        def build(argv, label, **more):
            self.order.append(argv[-1])
            return 0

        def suite(row, mode, nice):
            self.order.append((row.suite, row.build))
            return []

        run.run_shown, run.run_suite = build, suite
        self.run_rows(("unit", "asan"), ("e2e", "asan"))
        self.assertEqual(self.order[0], "build-asan")
        self.assertEqual(set(self.order[1:]), {("unit", "asan"), ("e2e", "asan")})

    def test_a_build_that_fails_fails_its_suites_only(self):
        run.run_shown = lambda argv, label, **more: 1
        run.run_suite = lambda row, mode, nice: []
        rows, outcome = self.run_rows(("unit", "plain"), ("unit", "asan"), ("e2e", "asan"))
        self.assertEqual([row.failed for row in rows], [0, 1, 1])
        self.assertEqual([len(outcome[row]) for row in rows], [0, 1, 1])

    def test_a_suite_that_could_not_be_run_is_not_taken_for_good(self):
        def suite(row, mode, nice):
            raise OSError("no meson")

        run.run_suite = suite
        with contextlib.redirect_stderr(io.StringIO()):
            _, outcome = self.run_rows(("unit", "plain"), ("unit", "asan"), ("e2e", "asan"))
        self.assertEqual([(row.suite, row.build) for row in outcome], [("e2e", "asan")])
        self.assertEqual(len(list(outcome.values())[0]), 1)


if __name__ == "__main__":
    sys.exit(unittest.main())
