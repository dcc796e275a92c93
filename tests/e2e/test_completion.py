#!/usr/bin/env python3
"""What completes the command in bash and zsh, and its manual pages: made of the same tables, tried in real
shells."""
import glob
import os
import re
import shutil
import subprocess
import unittest

from case import main
from cli_case import CliCase, Terminal
from mill import until

VERBS = ("submit", "plan", "jobs", "show", "wait", "output", "cancel", "up", "dispatcher", "completion", "help")


class Bash(CliCase):
    def setUp(self):
        super().setUp()
        self.env["PATH"] = os.path.dirname(self.mill.program("shardmill")) + ":" + self.env["PATH"]
        self.script = self.write("completion.bash", self.run_cli("completion", "bash")[0])

    def complete(self, *words):
        """what may stand for the last one of the words, as bash cuts them"""
        text = "\n".join([
            "set -u; . %s" % self.script,
            'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()',
            "_shardmill",
            'printf "%s\\n" ${COMPREPLY[@]+"${COMPREPLY[@]}"}'])
        p = subprocess.run(["bash", "-c", text, "bash", "shardmill", *words], env=self.env, cwd=self.mill.dir,
                           capture_output=True, timeout=60)
        self.assertEqual((p.returncode, p.stderr), (0, b""), words)
        return p.stdout.decode().split()

    def test_verbs_options_and_values(self):
        self.write("reads.fastq", "")
        os.mkdir(self.path("reads.d"))
        for words, found in (
                (["su"], ["submit"]),
                (["--out"], ["--output="]),
                (["--output", "=", "js"], ["json"]),
                (["--output", "json", "sta"], ["status"]),
                (["submit", "--arr"], ["--array="]),
                (["submit", "--each-line", "=", "rea"], ["reads.d", "reads.fastq"]),
                (["submit", "--directory", "rea"], ["reads.d"]),
                (["submit", "--array", ""], []),
                (["submit", "rea"], ["reads.d", "reads.fastq"]),
                (["submit", "--", "cat", "rea"], ["reads.d", "reads.fastq"]),
                (["show", "fai"], ["failed"]),
                (["up", "--journal-s"], ["--journal-segment="]),
                (["completion", ""], ["bash", "zsh"]),
                (["help", "pla"], ["plan"]),
                (["status", ""], [])):
            self.assertEqual(sorted(self.complete(*words)), sorted(found), words)
        self.assertIn("cat", self.complete("submit", "--", "ca"))
        self.assertLessEqual(set(VERBS), set(self.complete("")))

    def test_every_option_of_every_verb(self):
        for verb in self.complete(""):
            if verb == "help":
                continue
            offered = {word.rstrip("=") for word in self.complete(verb, "-")}
            helped = set(re.findall(r"^ .*?(--[a-z0-9-]+)", self.run_cli(verb, "--help")[0], re.M))
            self.assertEqual(offered - {"--help", "--version"}, helped - {"--help", "--version"}, verb)

    def test_jobs_are_those_of_the_dispatcher(self):
        self.assertNotIn("1", self.complete("show", ""))
        self.mill.start_dispatcher()
        for _ in range(12):
            self.submit("--", "true")
        self.assertEqual(sorted(self.complete("cancel", "1")), ["1", "10", "11", "12"])


class Zsh(CliCase):
    def test_a_terminal_shows_verbs_options_and_jobs(self):
        if shutil.which("zsh") is None:
            self.skipTest("zsh is not installed")
        self.mill.start_dispatcher()
        self.submit("--name=first", "--", "true")
        os.makedirs(self.path("functions"))
        self.write("functions/_shardmill", self.run_cli("completion", "zsh")[0])
        self.env["PATH"] = os.path.dirname(self.mill.program("shardmill")) + ":" + self.env["PATH"]
        self.env.update(PS1="ready> ", ZDOTDIR=self.mill.dir)
        t = Terminal([shutil.which("zsh"), "-f", "-i"], self.env, cwd=self.mill.dir)
        os.write(t.fd, b"fpath=($PWD/functions $fpath); autoload -U compinit; compinit -u -D; echo be''gun\r")
        t.until("begun")
        for typed, shown in ((b"shardmill subm\t", "submit"),
                             (b"shardmill --outp\t", "--output="),
                             (b"shardmill submit --each\t", "--each-line="),
                             (b"shardmill --output=js\t", "--output=json"),
                             (b"shardmill show canc\t", "cancelled"),
                             (b"shardmill completion z\t", "completion zsh"),
                             (b"shardmill show \t", "running")):
            t.written = b""
            os.write(t.fd, typed)
            until(lambda: t.read(0.1) and shown in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", t.text()))
            os.write(t.fd, b"\x15")  # the line is taken back
        os.write(t.fd, b"exit\r")
        t.end()


class Manual(CliCase):
    def test_every_verb_has_a_page_without_a_warning(self):
        checkers = []
        if shutil.which("mandoc"):
            checkers.append(["mandoc", "-Tlint", "-Wwarning"])
        if shutil.which("groff"):
            checkers.append(["groff", "-man", "-Tutf8", "-ww", "-z"])
        if not checkers:
            self.skipTest("neither mandoc nor groff is installed")
        verbs = re.findall(r"^  ([a-z]+)  +", self.run_cli("help")[0], re.M)
        self.assertLessEqual(set(VERBS) - {"help"}, set(verbs))
        for verb in [None, *verbs]:
            page = self.run_cli("man", *([verb] if verb else []))[0]
            title = "SHARDMILL" + ("-" + verb.upper() if verb else "")
            self.assertTrue(page.startswith(".TH %s 1 " % title.replace("-", "\\-")), page[:80])
            for checker in checkers:
                p = subprocess.run(checker, input=page.encode(), capture_output=True, timeout=60)
                said = [line for line in (p.stdout + p.stderr).decode().splitlines() if "missing date" not in line]
                self.assertEqual(said, [], verb)
            if verb:
                for option in re.findall(r"^ .*?--([a-z0-9-]+)", self.run_cli(verb, "--help")[0], re.M):
                    self.assertIn("\\-\\-" + option.replace("-", "\\-"), page, verb)
        self.assertIn("there is no verb \"sumbit\"", self.run_cli("man", "sumbit", code=2)[1])

    def test_the_build_makes_them(self):
        built = {os.path.basename(path) for path in glob.glob(os.path.join(self.mill.build, "cli", "*.1"))}
        verbs = re.findall(r"^  ([a-z]+)  +", self.run_cli("help")[0], re.M)
        self.assertEqual(built, {"shardmill.1"} | {"shardmill-%s.1" % verb for verb in verbs})


if __name__ == "__main__":
    main()
