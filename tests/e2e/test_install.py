#!/usr/bin/env python3
"""What `meson install` puts where, and that it works from there: the tree is installed into a directory of the test's own,
which is another place than the one that it was configured for."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from case import ROOT, main, until

import case

COMMANDS = {"shardmill", "shardmill-dispatcher", "shardmill-scaler", "shardmill-worker",
            "fastq-qc", "finance-var"}  # the last two print reports for people
HELPERS = {"media-ladder"}  # built where ffmpeg's libraries are


def is_program(path):
    with open(path, "rb") as f:
        return f.read(4) == b"\x7fELF"


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="shardmill-install-")
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        subprocess.run(["meson", "install", "--no-rebuild", "--quiet", "-C", case.BUILD, "--destdir", cls.dir], check=True,
                       stdout=subprocess.DEVNULL)
        bins = [path for path, _, _ in os.walk(cls.dir) if path.endswith("/bin")]
        assert len(bins) == 1, bins
        cls.prefix = os.path.dirname(bins[0])
        cls.bin = bins[0]

    def files(self, *names):
        return set(os.listdir(os.path.join(self.prefix, *names)))

    def test_only_commands_of_users_are_commands(self):
        self.assertEqual(self.files("bin"), COMMANDS)
        built = os.path.exists(os.path.join(case.BUILD, "jobs", "library", "media", "media-ladder"))
        self.assertEqual(self.files("libexec", "shardmill") if built else set(), HELPERS if built else set())

    def test_every_program_says_what_it_is(self):
        with open(os.path.join(ROOT, "meson.build"), encoding="utf-8") as f:
            version = re.search(r"version: '([^']+)'", f.read()).group(1)
        found = [os.path.join(path, name) for path, _, names in os.walk(self.dir) for name in names
                 if is_program(os.path.join(path, name))]
        programs = [path for path in found if not path.endswith(".so")]
        self.assertEqual([os.path.basename(path) for path in found if path not in programs], ["shardmill_history.so"])
        self.assertGreaterEqual(len(programs), 6)
        for program in programs:
            name = os.path.basename(program)
            for option, words in (("--version", "%s %s\n" % (name, version)), ("--help", "Usage: " + name)):
                done = subprocess.run([program, option], stdin=subprocess.DEVNULL, capture_output=True, text=True)
                self.assertEqual((done.returncode, done.stderr), (0, ""), program)
                self.assertTrue(done.stdout.startswith(words), (program, done.stdout[:200]))

    def test_history_is_asked_with_the_installed_extension(self):
        history = os.path.join(self.dir, "history.db")
        open(history, "w").close()
        done = subprocess.run([os.path.join(self.prefix, "bin", "shardmill"), "sql", "--history", history, "SELECT 1"],
                              capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, "1\n1\n"), done.stderr)

    def test_pages_licence_and_completion(self):
        with open(os.path.join(ROOT, "cli", "verbs.def"), encoding="utf-8") as f:
            verbs = set(re.findall(r'^VERB\("([^"]+)"', f.read(), re.M))
        self.assertGreater(len(verbs), 15)
        self.assertEqual(self.files("share", "man", "man1"), {"shardmill.1"} | {"shardmill-%s.1" % v for v in verbs})
        self.assertLessEqual({"LICENSE", "README.md", "metrics.md", "openapi.json"}, self.files("share", "doc", "shardmill"))
        self.assertEqual(self.files("share", "bash-completion", "completions"), {"shardmill.bash"})
        self.assertEqual(self.files("share", "zsh", "site-functions"), {"_shardmill"})

    def test_it_works_from_there(self):
        """`up` finds its daemons and the library's rules, and a worker the programs that they run: commands and helpers."""
        helper = os.path.join(self.prefix, "libexec", "shardmill", "helper-of-the-test")
        os.makedirs(os.path.dirname(helper), exist_ok=True)
        with open(helper, "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\nexec fastq-qc --version\n")
        os.chmod(helper, 0o755)
        self.addCleanup(os.unlink, helper)
        state = os.path.join(self.dir, "state")
        env = {k: v for k, v in os.environ.items() if not k.startswith("SHARDMILL_API")}
        env.update(SHARDMILL_STATE_DIR=state, TMPDIR=self.dir)
        shardmill = os.path.join(self.bin, "shardmill")
        with open(os.path.join(self.dir, "up.log"), "wb") as log:
            up = subprocess.Popen([shardmill, "up"], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            until(lambda: os.path.exists(os.path.join(state, "api.sock")))
            self.assertIn("fastq-qc.yaml", until(lambda: os.path.isdir(state + "/rules") and os.listdir(state + "/rules")))
            done = subprocess.run([shardmill, "submit", "--wait", "--", "helper-of-the-test"], env=env,
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 0, done)
            done = subprocess.run([shardmill, "output", "last"], env=env, capture_output=True, text=True, timeout=60)
            self.assertTrue(done.stdout.startswith("fastq-qc "), done)
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(60)


if __name__ == "__main__":
    main()
