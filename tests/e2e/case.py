"""What the end-to-end tests of the dispatcher share: a mill for each test, and YAML."""
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import openapi  # noqa: E402
from mill import ApiError, Mill, free_port, until  # noqa: E402,F401

BUILD = None
DOCUMENT = None  # one for all tests of a program
FAST = {"heartbeat": "100ms", "worker_timeout": "3s", "adopt_wait": "3s"}

ECHO = "version: 1\nname: echo\nrun: {exec: [echo, hello]}\n"

RULE = """version: 1
name: %s
on:
  - pattern:
      source: [%s]
      detail-type: [%s]
run: {exec: [echo, "%s"]}
"""


class MillCase(unittest.TestCase):
    """self.mill is there, nothing runs yet."""

    def setUp(self):
        self.mill = Mill(BUILD)
        self.mill.document = DOCUMENT
        self.mill.__enter__()

    def tearDown(self):
        outcome = self._outcome.result
        failed = any(t is self for t, _ in outcome.failures + outcome.errors)
        self.mill.__exit__(AssertionError if failed else None, None, None)

    def path(self, *names):
        return os.path.join(self.mill.dir, *names)

    def make_dir(self, name):
        os.makedirs(self.path(name), exist_ok=True)
        return self.path(name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        return self.path(name)

    def jobs(self, query=""):
        return self.mill.api("GET", "/v1/jobs" + query)["jobs"]

    def small_disk(self, path, size):
        """A disk of its own, of this size, is there; the test is left out where none may be mounted."""
        os.makedirs(path, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700,size=" + size, "tmpfs", path], capture_output=True)
        if done.returncode != 0:
            self.skip("a full disk: no file system may be mounted here")
        self.addCleanup(subprocess.run, ["umount", "--lazy", path], check=True)
        return path

    @staticmethod
    def fill_disk(path):
        """To its last page, with one file: removing that makes room."""
        name = os.path.join(path, "fill")
        try:
            with open(name, "wb", 0) as f:
                while True:
                    f.write(bytes(1 << 16))
        except OSError:
            return name

    def submit_until_full(self):
        """The journal of the dispatcher has no room: (the jobs that were accepted, the refusal)"""
        ids = []
        for n in range(1000):
            try:
                ids.append(self.mill.submit(ECHO + "# %d " % n + "x" * 100000, name="x" * 100))
                self.mill.submit(command={"argv": ["echo", "%d" % n + "x" * 100000]})
            except ApiError as e:
                return ids, e
        self.fail("the disk does not become full")

    def skip(self, why):
        """Told in the closing table."""
        print("mill: skipped: " + why, flush=True)
        self.skipTest(why)

    def expect_error(self, status, code, method, path, body=None, headers=None):
        with self.assertRaises(ApiError) as caught:
            self.mill.api(method, path, body, headers)
        e = caught.exception
        self.assertEqual(e.status, status, e.body)
        self.assertEqual(e.error["code"], code, e.body)
        self.assertTrue(e.error["message"], e.body)
        return e.error


def main():
    global BUILD, DOCUMENT
    BUILD = sys.argv.pop(1)
    DOCUMENT = openapi.load(BUILD)
    # The tests' module imports this one by name: it has to see BUILD too.
    sys.modules["case"].BUILD = BUILD
    sys.modules["case"].DOCUMENT = DOCUMENT
    unittest.main(module="__main__", verbosity=1)
