#!/usr/bin/env python3
"""The command against a real dispatcher and a real worker, as people and scripts use it."""
import json
import os
import re
import signal
import subprocess

from case import main
from cli_case import HOSTILE, CliCase
from mill import free_port, until


class Submit(CliCase):
    def test_an_array_is_run_here_and_its_output_is_the_bytes(self):
        self.start()
        job = self.submit("--array", "1-10:3", "--env", "WHO=you", "--", "sh", "-c", "echo {} $WHO; pwd")
        self.run_cli("wait", job)
        here = os.path.realpath(self.mill.dir)
        self.assertEqual(self.run_cli("output", job)[0], "".join("%d you\n%s\n" % (n, here) for n in (1, 4, 7, 10)))
        self.assertEqual(self.run_cli("output", "--shard=7", "last")[0], "7 you\n%s\n" % here)

    def test_gather_adds_it_up(self):
        self.start()
        self.run_cli("submit", "--array=1-20", "--gather", "awk '{s += $1} END {print s}'", "-w", "--", "echo", "{}")
        self.assertEqual(self.run_cli("output", "last")[0], "210\n")

    def test_a_definition_from_a_file_or_stdin_with_an_event(self):
        self.start()
        text = "version: 1\nname: hi\nrun: {exec: [echo, \"{{event.detail.who}}\"]}\n"
        event = self.write("event.json", json.dumps(
            {"id": "1", "source": "s", "detail-type": "t", "detail": {"who": "you"}}))
        for source, stdin in ((self.write("hi.yaml", text), b""), ("-", text.encode())):
            out, _ = self.run_cli("submit", source, "--event", event, "--name=tonight", stdin=stdin)
            self.run_cli("wait", out.strip())
            self.assertEqual(self.run_cli("output", out.strip())[0], "you\n")
        self.assertEqual([j["name"] for j in self.mill.api("GET", "/v1/jobs")["jobs"]], ["tonight"] * 2)

    def test_an_id_makes_it_once(self):
        self.mill.start_dispatcher()
        first = self.submit("--id", "night 7", "--", "true")
        out, err = self.run_cli("submit", "--id", "night 7", "--", "true")
        self.assertEqual(out.strip(), first)
        self.assertIn("has this id already", err)
        self.assertNotEqual(self.submit("--", "true"), first)

    def test_a_definition_is_refused_with_all_that_is_wrong_in_it(self):
        self.mill.start_dispatcher()
        path = self.write("bad.yaml", "version: 1\nname: x\nrun: {exec: [a], timout: 3}\nshard: {cuont: 3}\n")
        out, err = self.run_cli("submit", path, code=2)
        self.assertEqual(out, "")
        for part in ("bad.yaml:3:", "timout", "did you mean timeout?", "bad.yaml:4:9", "cuont", "^"):
            self.assertIn(part, err)

    def test_wrong_usage_says_what_is_right(self):
        self.mill.start_dispatcher()
        for args, part in (
                (["submit"], "expected a definition, or a command behind --"),
                (["submit", "x.yaml", "--", "true"], "found both"),
                (["submit", "--"], "expected a command behind --"),
                (["submit", "--array=9", "x.yaml"], "--array 9: this is for a command"),
                (["submit", "--gather=a | b", "--", "true"], "this takes a shell"),
                (["submit", "--array=9-1", "--", "true"], "the first is behind the last"),
                (["sumbit"], "did you mean submit?"),
                (["show", "nine"], "there is no job named \"nine\""),
                (["show", "last"], "there is no job yet"),
                (["show", "99"], "there is no job 99; none has been accepted yet"),
                (["wait"], "expected jobs"),
                (["jobs", "--limit=0"], "--limit must be at least 1"),
                (["jobs", "--state=bogus"], "bogus"),
                (["drain", "zz"], "no worker whose id begins with \"zz\""),
                (["emit", "--source=a"], "--detail-type"),
                (["--output=xml", "jobs"], "expected one of text|json")):
            out, err = self.run_cli(*args, code=2)
            self.assertEqual(out, "")
            self.assertIn(part, err, args)


    def test_a_wrong_value_is_told_with_its_option(self):
        self.mill.start_dispatcher()
        of = ["--of=/etc/passwd", "--bytes=1MiB"]
        refused = (  # (option, wrong value, part of the sentence, options beside it)
            ("array", "5-1", "write 1-5"),
            ("array", "", "expected a value"),
            ("array", "1-9%x", "how many shards may run at a time"),
            ("cpus", "none", "expected a number of cpus"),
            ("memory", "1X", "expected a size"),
            ("gpus", "-1", "expected a number from 0"),
            ("pin", "socket", "expected core, pu, l3, numa or none"),
            ("timeout", "0", "write none for no timeout"),
            ("timeout", "1", "a unit must follow the number"),
            ("attempts", "0", "expected a number from 1"),
            ("tolerate", "101%", "expected a percentage"),
            ("max-running", "0", "expected a number from 1"),
            ("max-running", "2", "stands behind the % of the array", "--array=9%3"),
            ("rate", "10", "expected a rate such as 10/s"),
            ("concurrency", "a:0", "expected a number from 1"),
            ("concurrency", ":2:skip", "expected the name of a group"),
            ("max-failures", "few", "expected a number from 0"),
            ("max-failures", "3", "one of `tolerate`, `keep_going` and `max_failures`", "--keep-going"),
            ("exit", "2", "expected CODE=VERDICT"),
            ("grid", "seed", "expected NAME=VALUES"),
            ("grid", "seed=9-1", "expected a range such as 1-100"),
            ("grid", "a=1", "not by both", "--array=3"),
            ("exit", "2=try", "expected retry, fail or success"),
            ("exit", "0=fail", "exit codes of 1 to 255"),
            ("exit", "2=fail", "two rules for one exit code", "--exit=2=retry"),
            ("of", "ftp://there", "expected s3://bucket/key", "--bytes=1MiB"),
            ("of", "/etc/passwd", "goes with bytes"),
            ("bytes", "0", "expected a size above 0", of[0]),
            ("bytes", "1MiB", "--of"),
            ("bytes", "1MiB", "not by both", of[0], "--array=3"),
            ("align", "word", "expected none, line or fastq", *of),
            ("align", "line", "goes with bytes"),
            ("input", "disk", "expected none, stdin or file"),
            ("pin", "socket", "expected"),
            ("out", "same", "all shards would write the same file", "--array=3"),
            ("out", "{}", "do not go with `gather`", "--array=3", "--gather=cat"),
            ("err", "dir/", "the name of a file"),
            ("queue", "a/b", "expected a name"),
            ("directory", "", "expected a value"),
            ("env", "A", "expected NAME=VALUE"),
            ("gather", "a|b", "this takes a shell"),
            ("name", "", "expected a value"),
            ("name", "x" * 129, "expected a name of 1 to 128 bytes"),
            ("id", "", "expected a value"),
            ("event", "", "expected a value"),
            ("each-line", "/dev/null", "expected lines, found none"),
            ("each-line", "nofile", "No such file"),
            ("each-line", "x", "by one of them", "--array=3"),
            ("after", "1:maybe", "expected the number of a job"),
            ("after", "99", "there is no job 99"),
            ("after-shard", "x", "expected the number of a job", "--array=3"),
            ("stdin", "", "expected a value"),
            ("deadline", "soon", "expected"),
            ("deadline", "0s", "expected a time above 0"),
            ("start-by", "1", "a unit must follow the number"),
            ("priority", "high", "expected a whole number"),
            ("priority", "9" * 12, "32 bits"))
        for option, value, part, *beside in refused:
            _, err = self.run_cli("submit", "--%s=%s" % (option, value), *beside, "--", "true", code=2)
            self.assertIn(part, err)
            self.assertRegex(err, r"\Ashardmill submit: --%s [^ ].*: " % option)
            self.assertNotIn("command line:", err)
        offered = set(re.findall(r"^ .*--([a-z-]+)=", self.run_cli("submit", "--help")[0], re.M))
        every_verb = set(re.findall(r"^ .*--([a-z-]+)=", self.run_cli("status", "--help")[0], re.M))
        self.assertEqual({option for option, *_ in refused}, offered - every_verb, "each option has a case")
        _, err = self.run_cli("submit", "--env=2A=1", "--", "true", code=2)
        self.assertIn("--env 2A: expected the name of an environment variable", err)
        _, err = self.run_cli("submit", "--", "echo", "{{shard.vlue}}", code=2)
        self.assertIn("the command's word \"{{shard.vlue}}\": ", err)
        self.assertEqual(self.jobs(), [])

    def test_each_line_of_a_file_is_a_shard(self):
        self.start()
        text = "one two\r\n\n\"three\"\n$(id)"
        few = self.write("few.txt", text)
        for path, stdin in ((few, b""), ("-", text.encode())):
            job = self.run_cli("submit", "--each-line", path, "--", "echo", "got {}", stdin=stdin)[0].strip()
            self.run_cli("wait", job)
            self.assertEqual(self.run_cli("output", job)[0], 'got one two\ngot "three"\ngot $(id)\n')
        many = "".join("%d\n" % n for n in range(1200))
        self.write("many.txt", many)
        self.run_cli("submit", "--each-line", "many.txt", "--gather", "wc -c", "-w", "--", "echo", "{}")
        self.assertEqual(self.run_cli("output", "last")[0], "%d\n" % os.path.getsize(self.path("many.txt")))
        _, err = self.run_cli("submit", "--each-line=-", "--", "true", stdin=b"1\n" * 12000, code=2)
        self.assertIn("expected at most 10000 lines", err)
        _, err = self.run_cli("submit", "--each-line=-", "--", "true", stdin=b"a\n\xff\n", code=2)
        self.assertIn("expected text in UTF-8 in line 2", err)

    def test_a_plan_says_what_would_be_cut_and_starts_nothing(self):
        self.mill.start_dispatcher()
        self.write("data.bin", b"x" * 2500)
        self.write("empty.bin", b"")
        self.write("list.txt", "".join("item %d\n" % n for n in range(10001)))
        event = self.write("event.json", json.dumps({
            "id": "1", "source": "s", "detail-type": "Object Created", "detail": {
                "bucket": {"name": "b"}, "object": {"key": "k", "size": 10, "etag": "0"}}}))
        cut = self.write("cut.yaml", "version: 1\nname: cut\nshard: {bytes: 4, align: none, of: '{{event.object}}'}\n"
                                     "run: {exec: [cat], input: stdin}\n")
        for args, parts in (
                (["--array=1-9:2", "--", "true"], ["true: 5 shards, with the numbers 1 to 9 in steps of 2", "4  9"]),
                (["--", "true"], ["one shard, as nothing says how to cut it"]),
                (["--of=data.bin", "--bytes=1KiB", "--input=stdin", "--", "wc"],
                 ["3 shards of 1KiB, the last one of 452 bytes; each begins at the first record (line)",
                  "/data.bin, 2.4 KiB", "2  2,048 to 2,500"]),
                (["--of=data.bin", "--bytes=1KiB", "--align=none", "--", "cat", "{}"], ["cut at exactly these bytes"]),
                (["--of=data.bin", "--bytes=1GB", "--gather=cat", "--input=none", "--", "true"],
                 ["one shard, as the object has 2.441KiB and a shard takes 1GB; what they write is gathered"]),
                (["--of=empty.bin", "--bytes=1GB", "--", "wc", "{}"], ["one shard, as the object is empty"]),
                (["--each-line=list.txt", "--", "true"], ["10001 shards, one for each item", "10000  item 10000"]),
                ([cut, "--event", event], ["cut: 3 shards of 4 bytes, the last one of 2 bytes", "2  8 to 10"])):
            out, _ = self.run_cli("plan", *args)
            for part in parts:
                self.assertIn(part, out, args)
        plan = json.loads(self.run_cli("--output=json", "plan", "--each-line=list.txt", "--", "true")[0])
        self.assertEqual((plan["shards"], plan["at_least"], plan["kind"]), (10001, False, "items"))
        self.assertEqual([s["item"] for s in plan["first"] + plan["last"]],
                         ["item %d" % n for n in (0, 1, 2, 9998, 9999, 10000)])
        for count in range(1, 9):  # both ends meet
            shards = json.loads(self.run_cli("--output=json", "plan", "--array=%d" % count, "--", "true")[0])
            self.assertEqual([s["shard"] for s in shards["first"] + shards["last"]],
                             [n for n in range(count) if n < 3 or n >= count - 3])
        self.assertIn("No such file", self.run_cli("plan", "--of=gone", "--bytes=1", "--", "cat", "{}", code=5)[1])
        self.run_cli("plan", "--id=x", "--", "true", code=2)
        _, err = self.run_cli("plan", cut, code=2)
        self.assertIn("there is no event", err)
        self.assertIn("--event FILE", err)
        self.assertEqual(self.jobs(), [])
        self.assertEqual(os.listdir(os.path.join(self.mill.state, "plans")), [])

    def test_what_is_misspelt_is_guessed(self):
        for args, part in (
                (["sumbit"], "did you mean submit?"),
                (["work"], "did you mean worker?"),
                (["hlep"], "did you mean help?"),
                (["submit", "--arry=1", "--", "true"], "--arry: there is no such option (did you mean --array?)"),
                (["submit", "--a=1", "--", "true"], "more than one option begins so (--api-socket, --api"),
                (["jobs", "--state-dri=x"], "did you mean --state-dir?"),
                (["cancel", "--reason=x"], "`shardmill cancel --help` lists them"),
                (["up", "x"], "expected options only, found \"x\""),
                (["worker", "x"], "expected options only, found \"x\""),
                (["scaler", "x"], "expected options only, found \"x\""),
                (["jobs", "--name="], "--name \"\": expected a value"),
                (["rules", "x"], "expected no argument, found \"x\"")):
            self.assertIn(part, self.run_cli(*args, code=2)[1], args)

    def test_yaml_that_ends_early_is_shown_at_its_end(self):
        self.mill.start_dispatcher()
        path = self.write("bad.yaml", "version: 1\nname: x\nrun: {exec: [a,\n\n\n")
        _, err = self.run_cli("submit", path, code=2)
        self.assertIn("bad.yaml:3:16: expected YAML, found the end of the text", err)
        self.assertIn("\n    run: {exec: [a,\n", err)


class Wait(CliCase):
    def test_the_exit_code_says_how_it_went(self):
        self.start()
        good, bad = self.submit("--", "true"), self.submit("--attempts=1", "--", "false")
        out, err = self.run_cli("wait", good)
        self.assertRegex(out, r"\Ajob %s true succeeded: 1 of 1 shard in .*\n\Z" % good)
        self.assertEqual(err, "", "no bar in a pipe")
        self.assertIn("failed", self.run_cli("wait", bad, code=1)[0])
        self.run_cli("wait", good, bad, code=1)
        self.run_cli("submit", "--attempts=1", "--wait", "--", "false", code=1)
        long = self.submit("--", "sleep", "600")
        out, err = self.run_cli("wait", "--timeout=100ms", long, code=124)
        self.assertIn("job %s goes on" % long, err)
        self.run_cli("cancel", long, "--why", "no need")
        self.assertIn("no need", self.run_cli("wait", long, code=3)[0])
        self.run_cli("wait", good, long, code=3)

    def test_without_a_dispatcher_it_says_so_at_once(self):
        for verb in (["wait", "1"], ["jobs"], ["submit", "--", "true"], ["emit", "--source=a", "--detail-type=b"]):
            out, err = self.run_cli(*verb, code=4)
            self.assertIn(self.mill.socket + ": no dispatcher answers", err)
            self.assertIn("shardmill up", err)

    def test_it_goes_on_while_the_dispatcher_is_started_again(self):
        self.start()
        gate = os.path.join(self.mill.dir, "gate")
        job = self.submit("--", "sh", "-c", "while ! test -e %s; do sleep 0.02; done" % gate)
        with subprocess.Popen([self.mill.program("shardmill"), "wait", job], env=self.env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
            until(lambda: self.mill.job(int(job))["word"] == "running")
            until(lambda: self.long_poll(p.pid))
            self.mill.kill(self.mill.dispatcher)
            self.assertIn(b"away", p.stderr.readline())
            self.mill.start_dispatcher()
            self.assertIn(b"back", p.stderr.readline())
            open(gate, "w").close()
            out, _ = p.communicate(timeout=60)
        self.assertEqual(p.returncode, 0)
        self.assertIn(b"succeeded", out)

    def test_a_terminal_shows_a_bar_that_ends_as_a_whole_line(self):
        self.start()
        gate = os.path.join(self.mill.dir, "gate")
        t = self.terminal("submit", "--name", HOSTILE, "--array=8", "-w", "--", "sh", "-c",
                          "test {} -lt 4 || while ! test -e %s; do sleep 0.02; done" % gate)
        t.until("50 %")
        t.until("4/8")
        open(gate, "w").close()
        self.assertEqual(t.end(), 0)
        text = t.text()
        self.assertIn("░", text)
        self.assertIn("\033[32m", text)
        self.assertNotIn("\033[2J", text)
        last = [line for line in t.lines() if line][-1]
        self.assertIn("8 of 8 shards in", last)
        self.assertIn("a\\x1b[2J\\nb", last)

    def test_a_terminal_says_why_a_job_waits(self):
        self.mill.start_dispatcher()
        t = self.terminal("submit", "-w", "--", "true")
        t.until("job 1 waits: no worker is connected")
        t.until("0/1")
        self.mill.start_worker()
        self.assertEqual(t.end(), 0)
        self.assertEqual(t.text().count("waits:"), 1)

    def test_no_color_is_respected(self):
        self.start()
        t = self.terminal("submit", "-w", "--", "true", NO_COLOR="1")
        self.assertEqual(t.end(), 0)
        self.assertNotRegex(t.text(), r"\033\[[0-9;]*m")

    def test_ctrl_c_leaves_the_job_alone(self):
        self.start()
        t = self.terminal("submit", "-w", "--", "sleep", "600")
        t.until("0/1")
        os.write(t.fd, b"\x03")
        self.assertEqual(t.end(), 130)
        self.assertIn("job 1 goes on", t.text())
        self.assertEqual(self.mill.job(1)["state"], "active")
        self.run_cli("cancel", "1")


class Look(CliCase):
    def test_lists_and_pages_for_people(self):
        self.start()
        self.run_cli("submit", "--name", HOSTILE, "--attempts=1", "--tolerate=1", "--array=3", "-w", "--",
                     "sh", "-c", "test {} != 1")
        out, _ = self.run_cli("jobs")
        head, row = out.splitlines()
        self.assertEqual(head.split(), ["JOB", "NAME", "STATE", "DONE", "SHARDS", "DEAD", "ACCEPTED", "TOOK"])
        self.assertRegex(row, r"^  1  a\\x1b\[2J\\nb  succeeded     2       3     1  .*(ago|now)  \d.* m?s$")
        out, _ = self.run_cli("show", "last")
        self.assertRegex(out, r"\Ajob 1  a\\x1b\[2J\\nb  succeeded\n")
        self.assertRegex(out, r"100 %  3 shards: 2 done, 1 dead\n")
        self.assertRegex(out, r"  accepted   \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")
        self.assertNotIn("\033", out)
        out, _ = self.run_cli("status")
        self.assertRegex(out, r"jobs +0 live.*1 accepted")
        out, _ = self.run_cli("workers")
        self.assertEqual(len(out.splitlines()), 2)
        self.assertEqual(self.run_cli("rules")[0], "")

    def test_a_live_job_shows_which_shards_are_dead_and_why(self):
        self.start()
        job = self.submit("--attempts=1", "--tolerate=3", "--array=0-3", "--", "sh", "-c",
                          "test {} = 3 && exec sleep 600; exit 7")
        until(lambda: self.mill.job(int(job))["phases"][0]["dead"] == 3)
        out, _ = self.run_cli("show", job)
        self.assertIn("3 dead", out)
        self.assertRegex(out, r"Dead shards\nSHARDS +KIND +CODE")
        self.assertRegex(out, r"\n0(-2)? +exit +7")
        self.run_cli("cancel", job)

    def test_json_is_the_apis(self):
        self.start()
        out, _ = self.run_cli("--output=json", "submit", "--", "true")
        self.assertEqual(json.loads(out), {"id": 1, "jobs": 1, "duplicate": False})
        self.assertEqual(json.loads(self.run_cli("wait", "1", SHARDMILL_OUTPUT="json")[0])["state"], "succeeded")
        self.assertEqual(json.loads(self.run_cli("show", "1", "--output", "json")[0])["id"], 1)
        self.assertEqual([j["id"] for j in json.loads(self.run_cli("jobs", "--output=json")[0])["jobs"]], [1])
        self.assertEqual(len(json.loads(self.run_cli("workers", "--output=json")[0])["workers"]), 1)
        self.assertEqual(json.loads(self.run_cli("rules", "--output=json")[0]), {"rules": []})
        self.assertEqual(json.loads(self.run_cli("status", "--output=json")[0])["epoch"], 1)
        self.assertEqual(json.loads(self.run_cli("submit", "-w", "--output=json", "--", "true")[0])["id"], 2)

    def test_more_jobs_than_a_page(self):
        self.mill.start_dispatcher()
        for _ in range(7):
            self.mill.submit(command={"argv": ["true"]})
        self.assertEqual(len(self.run_cli("jobs", "-n", "5")[0].splitlines()), 6)
        self.assertEqual(len(self.run_cli("jobs")[0].splitlines()), 8)
        self.assertEqual(self.run_cli("jobs", "--state=failed,cancelled")[0], "")

    def test_output_goes_to_a_file_that_is_whole(self):
        self.start()
        self.run_cli("submit", "-w", "--array=3", "--", "sh", "-c", "printf '\\000\\377{}'; echo e{} >&2")
        path = os.path.join(self.mill.dir, "result")
        self.run_cli("output", "1", "-o", path)
        with open(path, "rb") as f:
            self.assertEqual(f.read(), b"\0\xff0\0\xff1\0\xff2")
        self.assertEqual(self.run_cli("output", "1", "--stderr")[0], "e0\ne1\ne2\n")
        self.run_cli("output", "1", "--shard=9", "-o", path, code=2)
        with open(path, "rb") as f:
            self.assertEqual(len(f.read()), 9, "a refused one leaves the file as it was")
        self.assertEqual([n for n in os.listdir(self.mill.dir) if "part" in n], [])
        _, err = self.run_cli("output", "1", "-o", "/dev/full", code=5)
        self.assertIn("/dev/full: cannot write", err)

    def test_each_verb_has_help_and_a_manual(self):
        out, _ = self.run_cli("help")
        verbs = re.findall(r"^  ([a-z]+) ", out, re.M)
        self.assertGreaterEqual(len(verbs), 17)
        for verb in set(verbs) - {"dispatcher", "worker", "scaler"}:
            self.assertIn("Usage: shardmill " + verb, self.run_cli("help", verb)[0])
            self.assertIn(".TH", self.run_cli(verb, "--man")[0])
        self.assertIn("Usage: shardmill-worker", self.run_cli("worker", "--help")[0])


class Select(CliCase):
    def test_jobs_are_meant_by_number_range_name_and_state(self):
        self.mill.start_dispatcher()
        for name in ("fastq-qc", "other", "fastq-qc", "failed", "seven"):
            self.submit("--name", name, "--", "true")
        self.run_cli("cancel", "2")

        def shown(*selectors, code=0):
            out, err = self.run_cli("show", *selectors, code=code)
            return [int(n) for n in re.findall(r"^job (\d+) ", out, re.M)], err

        for selectors, ids in (
                (["3"], [3]), (["last"], [5]), (["2-4"], [2, 3, 4]), (["4-99"], [4, 5]), (["all"], [1, 2, 3, 4, 5]),
                (["live"], [1, 3, 4, 5]), (["ended"], [2]), (["cancelled"], [2]), (["queued"], [1, 3, 4, 5]),
                (["fastq-qc"], [3]), (["name:failed"], [4]), (["failed"], []), (["5", "1-2", "other"], [5, 1, 2, 2])):
            self.assertEqual(shown(*selectors)[0], ids, selectors)
        self.assertIn("no job is failed\n", shown("failed")[1])
        for selector, parts in (
                ("fastq-cq", ["there is no job named \"fastq-cq\"", "did you mean fastq-qc?"]),
                ("runing", ["did you mean running?"]),
                ("zzzzzzzzz", ["`shardmill jobs` lists them"]),
                ("70-80", ["there is no job from 70 to 80"]),
                ("7-3", ["write 3-7"])):
            err = shown(selector, code=2)[1]
            for part in parts:
                self.assertIn(part, err)
        self.assertIn("expected one job, found 4 that are", self.run_cli("output", "live", code=2)[1])
        # a set is what the verb can still be done to; what is named one by one is not overlooked
        out, err = self.run_cli("pause", "1-2")
        self.assertEqual((out.split()[:2], err), (["job", "1"], ""))
        self.assertIn("has been cancelled already", self.run_cli("pause", "other", code=2)[1])
        self.assertEqual(len(self.run_cli("cancel", "all")[0].splitlines()), 4)
        self.assertEqual(self.run_cli("cancel", "all"), ("", "shardmill cancel: no job is live\n"))
        self.run_cli("wait", "all", code=3)

    def test_a_range_of_more_than_a_page(self):
        self.mill.start_dispatcher()
        for _ in range(1, 1106):
            self.mill.api("POST", "/v1/jobs", {"command": {"argv": ["true"]}})
        out, _ = self.run_cli("--output=json", "show", "2-1104")
        self.assertEqual([json.loads(line)["id"] for line in out.splitlines()], list(range(2, 1105)))


class Change(CliCase):
    def test_pause_and_resume(self):
        self.mill.start_dispatcher()
        job = self.submit("--array=100", "--", "true")
        self.assertRegex(self.run_cli("pause", "last", "--why", "lunch")[0], r"job 1 true  paused\n")
        self.assertIn("lunch", self.run_cli("show", job)[0])
        self.assertNotIn("paused", self.run_cli("resume", job)[0])
        self.mill.start_worker()
        self.run_cli("wait", job)

    def test_retry_lets_the_dead_run_again(self):
        self.start()
        here = self.mill.dir
        job = self.submit("--attempts=1", "--tolerate=1", "--array=2", "--", "sh", "-c",
                          "test {} = 0 && { while ! test -e %s/end; do sleep 0.02; done; exit 0; }; "
                          "test -e %s/good" % (here, here))
        until(lambda: self.mill.job(int(job))["phases"][0]["dead"] == 1)
        open(os.path.join(here, "good"), "w").close()
        self.run_cli("retry", job)
        until(lambda: self.mill.job(int(job))["phases"][0]["done"] == 1)
        open(os.path.join(here, "end"), "w").close()
        self.assertIn("2 of 2 shards", self.run_cli("wait", job)[0])

    def test_what_has_ended_is_done_again_by_a_new_job(self):
        self.start()
        event = self.write("event.json", json.dumps(
            {"id": "1", "source": "s", "detail-type": "t", "detail": {"who": "you"}}))
        text = self.write("job.yaml", "version: 1\nname: hi\nrun: {exec: [sh, -c, 'echo \"$0\"; test -e %s/good', "
                                      "'{{event.detail.who}}']}\nretry: {attempts: 1}\n" % self.mill.dir)
        bad = self.submit(text, "--event", event, "--name=tonight", "--priority=3")
        fine = self.submit("--", "true")
        self.run_cli("wait", bad, fine, code=1)
        _, err = self.run_cli("retry", fine, code=2)
        self.assertIn("job 2 has succeeded, no shard of it is dead, and no output is lost", err)
        self.assertIn("`shardmill retry --all 2` does all of it again, as a new job", err)
        open(os.path.join(self.mill.dir, "good"), "w").close()
        self.assertEqual(self.run_cli("retry", "--all", "1")[0], "job 3 does again what job 1 was to do\n")
        out, err = self.run_cli("retry", "--failed", "1-2")
        self.assertEqual(out, "job 1 goes on: 1 of 1 shard to do, 0 are kept\n")
        self.assertEqual(err, "")
        self.assertIn("no shard of it is dead: it is left", self.run_cli("retry", "--failed", "2")[1])
        self.run_cli("wait", "1")
        self.assertEqual(self.run_cli("output", "1")[0], "you\n")
        self.run_cli("wait", "3")
        self.assertEqual(self.run_cli("output", "3")[0], "you\n")
        again, first = self.mill.job(3), self.mill.job(1)
        for same in ("name", "priority", "definition"):
            self.assertEqual(again[same], first[same])
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher()
        self.assertEqual(self.run_cli("retry", "--all", fine)[0], "job 4 does again what job 2 was to do\n")
        self.run_cli("wait", "4")
        self.run_cli("retry", "--all", "4")  # it waits until history knows the end
        self.mill.api("POST", "/v1/jobs/4/again", headers={"Idempotency-Key": "x"})
        self.assertTrue(self.mill.api("POST", "/v1/jobs/4/again", headers={"Idempotency-Key": "x"})["duplicate"])
        waiting = self.submit("--", "sleep", "600")
        self.expect_error(409, "exists", "POST", "/v1/jobs/%s/again" % waiting)
        self.expect_error(404, "not_found", "POST", "/v1/jobs/99/again")

    def test_what_has_ended_is_told_in_words(self):
        self.start()
        good, bad = self.submit("--", "true"), self.submit("--attempts=1", "--", "false")
        self.run_cli("wait", good, bad, code=1)
        cancelled = self.submit("--", "sleep", "600")
        self.run_cli("cancel", cancelled)
        for again in (False, True):  # of the core, then of history
            for verb, job, part in (
                    ("cancel", good, "job 1 has succeeded already; nothing was cancelled"),
                    ("pause", good, "job 1 has succeeded already; there is nothing to pause"),
                    ("resume", bad, "job 2 has failed already; there is nothing to resume"),
                    ("pause", cancelled, "job 3 has been cancelled already; there is nothing to pause"),
                    ("cancel", "7", "there is no job 7; the last is 3"),
                    ("show", "7", "there is no job 7; the last is 3"),
                    ("wait", "7", "there is no job 7; the last is 3"),
                    ("output", "7", "there is no job 7; the last is 3")):
                self.assertIn(part, self.run_cli(verb, job, code=2)[1])
            self.assertIn("cancelled", self.run_cli("cancel", cancelled)[0], "asked twice is as good as once")
            if not again:
                self.mill.kill(self.mill.dispatcher)
                self.mill.start_dispatcher()

    def test_several_jobs_of_which_one_is_wrong(self):
        self.mill.start_dispatcher()
        a, b = self.submit("--", "true"), self.submit("--", "true")
        out, err = self.run_cli("cancel", a, "99", b, code=2)
        self.assertEqual(len(out.splitlines()), 2)
        self.assertEqual(len([line for line in err.splitlines() if line.startswith("shardmill cancel: ")]), 1)
        self.assertEqual(self.run_cli("jobs", "--state=queued")[0], "")

    def test_a_drained_worker_leaves(self):
        self.start()
        worker = until(lambda: self.mill.api("GET", "/v1/workers")["workers"])[0]["id"]
        self.assertIn(worker[:12], self.run_cli("drain", worker[:6])[0])
        self.assertEqual(self.mill.workers[0].wait(timeout=60), 0)
        until(lambda: self.run_cli("workers")[0] == "")


class Emit(CliCase):
    def test_an_event_starts_the_jobs_of_its_rules_once(self):
        self.write("rules/hi.yaml", "version: 1\nname: hi\non: [{pattern: {source: [shop]}}]\n"
                   "run: {exec: [echo, \"{{event.detail.who}}\"]}\n")
        self.start(rules_dir=os.path.join(self.mill.dir, "rules"))
        self.assertRegex(self.run_cli("rules")[0], r"\nhi +\S*hi.yaml +0 ")
        args = ("emit", "--source=shop", "--detail-type=Order Placed", "--detail={\"who\": \"you\"}", "--id=7")
        self.assertEqual(self.run_cli(*args)[0], "event 7: starts job 1\n")
        self.assertEqual(self.run_cli(*args)[0], "event 7: was known already; it started job 1\n")
        self.run_cli("wait", "last")
        self.assertEqual(self.run_cli("output", "last")[0], "you\n")
        self.assertIn("no rule matches", self.run_cli("emit", "--source=other", "--detail-type=x")[0])
        empty = ("emit", "--source=shop", "--detail-type=x", "--detail={}", "--id=9")
        out, _ = self.run_cli(*empty, code=1)
        self.assertEqual(out, "event 9: starts job 2\n"
                         "  rule hi: job 2 failed at once: the event has no \"event.detail.who\"\n")
        self.assertIn("event.detail.who", self.run_cli("show", "2")[0])
        self.run_cli("wait", "2", code=1)
        # Who asks again gets the same answer.
        self.assertIn("was known already; it started job 2", self.run_cli(*empty, code=1)[0])
        event = self.write("event.json", json.dumps(
            {"specversion": "1.0", "id": "8", "source": "shop", "type": "x", "data": {"who": "them"}}))
        self.assertEqual(self.run_cli("emit", event)[0], "event 8: starts job 3\n")
        with open(event, "rb") as f:
            answer = json.loads(self.run_cli("emit", "-", "--output=json", stdin=f.read())[0])
        self.assertEqual((answer["events"][0]["duplicate"], answer["events"][0]["jobs"]), (True, [3]))
        _, err = self.run_cli("emit", "--source=a", "--detail-type=b", "--detail=[1]", code=2)
        self.assertIn("--detail [1]: expected a JSON object", err)


class Reach(CliCase):
    def test_over_tcp_with_a_token(self):
        port = free_port()
        self.mill.start_dispatcher(api_listen="127.0.0.1:%d" % port)
        url, token = "http://127.0.0.1:%d" % port, os.path.join(self.mill.state, "keys", "api-token")
        self.assertEqual(self.run_cli("submit", "--api", url, "--api-token-file", token, "--", "true")[0], "1\n")
        self.assertIn("queued", self.run_cli("jobs", SHARDMILL_API=url + "/", SHARDMILL_STATE_DIR=self.mill.state)[0])
        wrong = self.write("token", "0" * 64)
        _, err = self.run_cli("--api", url, "--api-token-file", wrong, "jobs", code=5)
        self.assertIn("token", err)
        _, err = self.run_cli("--api", url, "--api-token-file", "/nonexistent", "jobs", code=2)
        self.assertIn("api_token_file", err)
        _, err = self.run_cli("--api", "here", "jobs", code=2)
        self.assertIn("expected http://host:port", err)
        _, err = self.run_cli("--api", "http://127.0.0.1:%d" % free_port(), "jobs", code=4)
        self.assertIn("no dispatcher answers", err)

    def test_by_the_state_directory(self):
        socket = os.path.join(self.mill.state, "api.sock")
        self.mill.socket = socket
        self.mill.start_dispatcher(api_socket=socket)
        del self.env["SHARDMILL_API_SOCKET"]
        self.assertIn(socket, self.run_cli("status", "--state-dir", self.mill.state)[0])
        self.assertIn(socket, self.run_cli("--state-dir", self.mill.state, "status")[0])


if __name__ == "__main__":
    main()
