"""What ./mill installs, asks for and passes on, with commands that only say how they were called."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
COMMANDS = {
    "dpkg-query": 'cat "$FAKE/installed"',
    "id": 'cat "$FAKE/id"',
    "apt-get": 'echo "apt-get $*" >>"$FAKE/calls"; exit "$(cat "$FAKE/apt_exit")"',
    "sudo": '[ -e "$FAKE/may_sudo" ] || exit 1; "$@"',
    "meson": 'echo "meson $*" >>"$FAKE/calls"; for d; do case $d in build/*) mkdir -p $d; touch $d/build.ninja;; esac; done',
    "ninja": 'echo "ninja $*" >>"$FAKE/calls"',
    "python3": 'echo "python3 $*" >>"$FAKE/calls"',
}


def wanted(*kinds):
    with open(os.path.join(ROOT, "packages.txt"), encoding="utf-8") as f:
        rows = [line.split()[:2] for line in f if not line.startswith("#") and line.strip()]
    return [name for name, kind in rows if kind in kinds]


class MillScript(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)
        for name in ("mill", "packages.txt"):
            shutil.copy(os.path.join(ROOT, name), self.dir)
        os.mkdir(self.path("bin"))
        for name, text in COMMANDS.items():
            with open(self.path("bin", name), "w", encoding="utf-8") as f:
                f.write("#!/bin/sh\n" + text + "\n")
            os.chmod(self.path("bin", name), 0o755)
        self.say("id", "1000")
        self.say("apt_exit", "0")
        self.install(wanted("build"))

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def say(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text + "\n")

    def install(self, names, *more):
        self.say("installed", "\n".join(["installed %s, " % name for name in names] + list(more)))

    def run_mill(self, *words):
        """(exit code, what it printed, the calls that it made)"""
        self.say("calls", "")
        env = dict(os.environ, PATH=self.path("bin") + ":/usr/bin:/bin", FAKE=self.dir)
        done = subprocess.run(["bash", self.path("mill"), *words], env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        with open(self.path("calls"), encoding="utf-8") as f:
            return done.returncode, done.stdout + done.stderr, f.read()

    def test_a_user_without_rights_who_has_everything_builds(self):
        code, said, calls = self.run_mill("build")
        self.assertEqual((code, "apt-get" in said + calls), (0, False), said)
        self.assertRegex(calls, r"meson setup build/plain\nninja --quiet -C build/plain")

    def test_building_asks_for_nothing_that_only_tests_need(self):
        self.install([])
        self.say("id", "0")
        _, _, calls = self.run_mill("build")
        asked = re.search(r"apt-get install -y --no-install-recommends (.*) -qq", calls).group(1).split()
        self.assertEqual(asked, wanted("build"))

    def test_tests_add_their_own_and_the_quick_ones_no_servers(self):
        self.say("id", "0")
        _, _, calls = self.run_mill("test", "--quick")
        for name in wanted("demo", "test"):
            self.assertIn(" %s " % name, calls)
        for name in wanted("build", "e2e"):
            self.assertNotIn(" %s " % name, calls)
        self.assertIn("--path-include=/usr/share/doc/bowtie2/*", calls)
        _, _, calls = self.run_mill("test")
        self.assertIn(" radosgw ", calls)

    def test_what_another_package_provides_is_there(self):
        self.install(set(wanted("build")) - {"libmsgpack-dev", "pkg-config"},
                     "installed libmsgpack-c-dev, libmsgpack-dev (= 6.0.0-1), libmsgpack-old-dev",
                     "installed pkgconf:amd64, pkg-config:any (= 1.8.1-4)")
        code, said, calls = self.run_mill("build")
        self.assertEqual((code, "apt-get" in said + calls), (0, False), said)

    def test_what_was_removed_is_not_there(self):
        self.install(set(wanted("build")) - {"gcc"}, "config-files gcc, c-compiler")
        self.say("id", "0")
        _, _, calls = self.run_mill("build")
        self.assertIn("apt-get install -y --no-install-recommends gcc -qq", calls)

    def test_the_advice_is_the_command_that_it_runs(self):
        """Without rights, and when apt-get fails: the build goes on, since the library may be there all the same."""
        self.install(set(wanted("build")) - {"uthash-dev"})
        advice = "apt-get update && apt-get install -y --no-install-recommends uthash-dev"
        code, said, calls = self.run_mill("build")
        self.assertEqual((code, "apt-get" in calls), (0, False), said)
        self.assertIn(advice, said)
        self.say("may_sudo", "")
        self.say("apt_exit", "100")
        code, said, calls = self.run_mill("build")
        self.assertEqual(code, 0, said)
        self.assertIn(advice, said)
        self.assertIn("apt-get install -y --no-install-recommends uthash-dev", calls)
        self.assertIn("ninja", calls)

    def test_warnings_end_the_build_of_tests_only(self):
        _, _, calls = self.run_mill("build")
        self.assertNotIn("werror", calls)
        _, _, calls = self.run_mill("test", "--quick")
        self.assertIn("meson setup --reconfigure build/plain -Dtests=enabled -Dwerror=true", calls)
        for words in (("test", "--quick"), ("build",)):  # the options stay; nothing is set up again
            _, _, calls = self.run_mill(*words)
            self.assertNotIn("meson", calls)


if __name__ == "__main__":
    unittest.main()
