#!/usr/bin/env python3
"""One stdin for all shards: `submit --stdin FILE|-`, and `stdin` in a definition."""
import hashlib
import os

from case import main
from cli_case import CliCase

KIB = 1024


class Stdin(CliCase):
    def output(self, *args, stdin=b"", code=0):
        out, _ = self.run_cli("submit", "--wait", *args, stdin=stdin, code=code)
        job = self.mill.api("GET", "/v1/jobs?limit=1")["jobs"][0]["id"]
        return self.run_cli("output", str(job))[0]

    def test_what_is_on_stdin_now_is_what_each_shard_reads(self):
        self.start()
        self.assertEqual("a b\nc\n" * 3, self.output("--array=3", "--stdin=-", "--", "cat", stdin=b"a b\nc\n"))
        self.assertEqual("2\n1\n" * 2, self.output("--array=2", "--stdin", "-", "--", "sort", "-r", stdin=b"1\n2\n"))
        every = bytes(range(256)) * 256
        self.assertEqual(64 * KIB, len(every))
        job = self.run_cli("submit", "--stdin=-", "--", "sha256sum", stdin=every)[0].strip()
        self.run_cli("wait", job)
        self.assertIn(hashlib.sha256(every).hexdigest(), self.run_cli("output", job)[0])
        self.assertEqual("", self.output("--stdin=-", "--", "cat", stdin=b""))

    def test_each_shard_reads_it_from_its_beginning_and_may_seek(self):
        self.start()
        self.assertEqual("ab\nab\n", self.output("--stdin=-", "--", "python3", "-c",
                         "import sys; f = sys.stdin.buffer; a = f.read(); f.seek(0); sys.stdout.buffer.write(a + f.read())", stdin=b"ab\n"))

    def test_a_file_is_opened_by_the_worker_for_each_shard(self):
        self.start()
        self.write("in.txt", "from a file\n")
        self.write("in-1.txt", "one\n")
        self.write("in-2.txt", "two\n")
        self.assertEqual("from a file\n" * 2, self.output("--array=2", "--stdin=in.txt", "--", "cat"))
        self.assertEqual("one\ntwo\n", self.output("--array=1-2", "--stdin=in-{}.txt", "--", "cat"))
        self.assertEqual("12\n", self.output("--stdin", self.path("in.txt"), "--", "wc", "-c"))
        job = self.submit("--attempts=2", "--stdin=gone.txt", "--", "cat")
        self.run_cli("wait", job, code=1)
        row, = self.mill.api("GET", "/v1/jobs/%s/shards" % job)["shards"]
        self.assertEqual("input", row["kind"])
        self.assertIn("cannot open the file for stdin: No such file or directory", row["why"])
        self.assertIn(self.path("gone.txt"), row["why"])
        job = self.submit("--attempts=1", "--stdin=.", "--", "cat")
        self.run_cli("wait", job, code=1)
        self.assertIn("Is a directory", self.mill.job(int(job))["why"])
        self.assertEqual("", self.output("--stdin=/dev/null", "--", "cat"))

    def test_a_definition_and_a_script_say_it_too(self):
        self.start()
        self.write("in.txt", "from a file\n")
        self.write("job.yaml", "version: 1\nname: given\nshard: {count: 2}\nrun: {exec: [cat], stdin: {text: \"x\\ny\\n\"}}\n")
        self.assertEqual("x\ny\n" * 2, self.output("job.yaml"))
        self.write("job.sh", "#!/bin/sh\n#shardmill --stdin in.txt\ncat\n")
        os.chmod(self.path("job.sh"), 0o755)
        self.assertEqual("from a file\n", self.output("job.sh"))

    def test_it_is_kept_over_a_retry_of_a_job_and_a_restart(self):
        self.start()
        out, _ = self.run_cli("submit", "--stdin=-", "--attempts=1", "--", "sh", "-c", "cat; test -e go", stdin=b"kept\n")
        job = out.strip()
        self.run_cli("wait", job, code=1)
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher()
        self.write("go", "")
        self.run_cli("retry", job)
        self.run_cli("wait", job)
        self.assertEqual("kept\n", self.run_cli("output", job)[0])

    def test_what_cannot_be_is_said_before_anything_starts(self):
        self.start()
        self.write("list", "a\n")
        for args, words in (
                (("--stdin=-", "--each-line=-", "--", "cat"), "two options read stdin"),
                (("--stdin=-", "--", "cat"), "at most"),
                (("--stdin=list", "--input=stdin", "--each-line=list", "--", "cat"), "stdin is the shard's part of the input already"),
                (("--stdin={{shard.vlue}}", "--", "cat"), "--stdin")):
            _, err = self.run_cli("submit", *args, stdin=b"x" * (64 * KIB + 1), code=2)
            self.assertIn(words, err)
        self.assertIn("write it to a file", self.run_cli("submit", "--stdin=-", "--", "cat", stdin=b"x" * (64 * KIB + 1), code=2)[1])
        self.write("job.yaml", "version: 1\nname: given\nrun: {exec: [cat]}\n")
        self.assertIn("this is for a command", self.run_cli("submit", "--stdin=list", "job.yaml", code=2)[1])
        self.assertEqual([], self.jobs())


main()
