#!/usr/bin/env python3
"""The command line does what was typed: braces, directories, sockets, sets of jobs."""
import json
import os
import signal
import subprocess

from case import ApiError, main
from cli_case import CliCase
from mill import until


class Command(CliCase):
    def output(self, *args, **how):
        job = self.run_cli("submit", *args, **how)[0].split()[0]
        self.run_cli("wait", job)
        return self.run_cli("output", job)[0]

    def test_braces_mean_something_where_an_option_gives_them_a_meaning(self):
        self.start()
        os.makedirs(self.path("d"))
        self.write("d/report.txt", "x\n")
        self.write("data.txt", "abcdefgh")
        self.write("lines.txt", "one\ntwo\n")
        cut = ("--of=data.txt", "--bytes=4", "--align=none")
        for args, output in (
                (["--", "find", "d", "-type", "f", "-exec", "echo", "found", "{}", ";"], "found d/report.txt\n"),
                (["--", "printf", "%s", "{}"], "{}"),
                (["--", "printf", "%s", '{"a":{},"b":[{}]}'], '{"a":{},"b":[{}]}'),
                (["--gather=xargs -n1 echo {}", "--", "echo", "a"], "{} a\n"),
                (["--array=2", "--", "echo", "{}", "{{}}"], "0 {}\n1 {}\n"),
                (["--array=1", "--", "echo", '{"n":{}}'], '{"n":0}\n'),
                (["--each-line=lines.txt", "--", "echo", "{}", "{{}}"], "one {}\ntwo {}\n"),
                ([*cut, "--", "cat", "{}"], "abcdefgh"),
                ([*cut, "--input=stdin", "--", "cat"], "abcdefgh"),
                ([*cut, "--input=none", "--", "echo", "{{}}"], "{}\n" * 2),
                (["--literal", "--", "echo", "{{.Names}}", "{{}}"], "{{.Names}} {{}}\n"),
                (["--literal", "--array=2", "--", "echo", "{}", "{{job.id}}"], "{} {{job.id}}\n" * 2),
                (["--", "echo", "{{{{.Names}}"], "{{.Names}}\n")):
            self.assertEqual(self.output(*args), output, args)

    def test_a_part_that_nobody_takes_is_refused_with_the_ways_to_mend_it(self):
        self.mill.start_dispatcher()
        self.write("data.txt", "abcdefgh")
        _, err = self.run_cli("submit", "--of=data.txt", "--bytes=4", "--", "wc", "-c", code=2)
        self.assertIn("shardmill submit: the command: the shards are cut by bytes, but their command takes nothing", err)
        for way in ("--input stdin", "{} on a command line"):
            self.assertIn(way, err)
        _, err = self.run_cli("submit", "--of=data.txt", "--bytes=4", "--input=stdin", "--", "cat", "{}", code=2)
        self.assertIn("--input stdin: {} is a file that holds the shard's bytes", err)
        _, err = self.run_cli("submit", "--", "docker", "ps", "--format", "{{.Names}}", code=2)
        self.assertIn("--literal passes the command as it is", err)
        _, err = self.run_cli("submit", "--literal", self.write("x.yaml", "version: 1\n"), code=2)
        self.assertIn("--literal: this is for a command", err)
        self.assertEqual(self.jobs(), [])

    def test_a_job_runs_where_it_was_submitted_or_not_at_all(self):
        self.start()
        program = self.mill.program("shardmill")
        odd, gone = os.fsencode(self.mill.dir) + b"/lab\xe9", self.path("gone")
        for directory, what in ((odd, "is not UTF-8"), (os.fsencode(gone), "does not exist any more")):
            os.makedirs(directory)
            script = 'cd "$1" && { test "$1" != "$2" || rmdir "$1"; } && exec "$3" submit --wait -- touch result'
            p = subprocess.run([b"sh", b"-c", script.encode(), b"sh", directory, gone.encode(), program.encode()],
                               env=self.env, capture_output=True, timeout=60)
            self.assertEqual(p.returncode, 2, p.stderr)
            self.assertIn(what, p.stderr.decode("utf-8", "replace"))
            self.assertIn("--directory", p.stderr.decode("utf-8", "replace"), "a way to mend it")
        self.assertEqual(self.jobs(), [])
        os.symlink(odd, self.path("lab"))
        self.run_cli("submit", "--directory=lab", "--wait", "--", "touch", "result")
        self.assertEqual(os.listdir(odd), [b"result"])

    def test_what_does_not_exist_is_found_at_the_first_attempt(self):
        self.start()
        for args, what in ((["--directory=/no/such/place", "--", "true"], "the directory that it is to run in does not"),
                           (["--directory=/dev/null", "--", "true"], "what it is to run in is no directory"),
                           (["--", "/no/such/place/program"], "no program")):
            job = int(self.submit(*args))
            self.run_cli("wait", str(job), code=1)
            self.assertEqual((self.mill.job(job)["retries"], self.mill.job(job)["state"]), (0, "failed"), args)
            self.assertIn(what, self.mill.job(job)["why"])

    def test_a_shard_can_call_the_command(self):
        """what `up` and the scaler tell workers, they tell shards; --state-dir names another mill all the same"""
        self.mill.start_dispatcher()
        os.environ.update(SHARDMILL_STATE_DIR=self.mill.state, SHARDMILL_API_SOCKET=self.mill.socket)
        try:
            self.mill.start_worker()
        finally:
            del os.environ["SHARDMILL_STATE_DIR"], os.environ["SHARDMILL_API_SOCKET"]
        program = self.mill.program("shardmill")
        self.assertEqual(self.output("--name=outer", "--", "sh", "-c", program + " jobs --name=outer | wc -l"), "2\n")
        out = self.output("--", "sh", "-c", program + " --state-dir=/nowhere jobs 2>&1 || true")
        self.assertIn("/nowhere/api.sock: no dispatcher answers", out)

    def test_show_names_the_event_of_a_job(self):
        self.start()
        event = {"id": "e-7", "source": "shop", "detail-type": "Object Created", "detail": {
            "bucket": {"name": "b"}, "object": {"key": "in/reads.fastq", "size": 10, "etag": "0"}}}
        self.write("event.json", json.dumps(event))
        self.write("job.yaml", "version: 1\nname: x\nrun: {exec: [echo, '{{event.id}}']}\n")
        job = self.submit("--event=event.json", "job.yaml")
        self.run_cli("wait", job)
        self.assertRegex(self.run_cli("show", job)[0], r"event +in/reads.fastq  \(Object Created of shop\)\n")
        self.assertEqual(json.loads(self.run_cli("--output=json", "show", job)[0])["event"],
                         {"id": "e-7", "source": "shop", "detail-type": "Object Created", "key": "in/reads.fastq"})
        plain = self.submit("--", "true")
        self.assertIsNone(self.mill.api("GET", "/v1/jobs/%s" % plain)["event"])
        self.assertNotIn("event", self.run_cli("show", plain)[0])

    def test_jobs_are_found_by_their_event(self):
        self.start()
        for i, key in enumerate(("in/a.fastq", "in/b.fastq", "in/a.fastq")):
            self.write("event.json", json.dumps({"id": "e-%d" % i, "source": "shop", "detail-type": "Object Created",
                                                 "detail": {"object": {"key": key}}}))
            self.write("job.yaml", "version: 1\nname: x%d\nrun: {exec: [test, -e, %s]}\n"
                       "retry: {attempts: 1}\n" % (i, self.path("gate")))
            self.assertEqual(self.submit("--event=event.json", "job.yaml"), str(i + 1))
            listed = self.jobs("?event=e-%d" % i)
            self.assertEqual([j["id"] for j in listed], [i + 1], "just accepted")
            self.assertEqual(listed[0]["event"], {"id": "e-%d" % i, "source": "shop", "detail-type": "Object Created",
                                                  "key": key})
        plain = self.submit("--", "true")
        self.assertEqual(self.mill.api("GET", "/v1/jobs/%s/wait" % plain)["event"], None)
        self.assertEqual(self.mill.api("GET", "/v1/jobs/1/wait")["event"]["id"], "e-0")
        self.assertEqual(json.loads(self.run_cli("--output=json", "wait", "2", code=1)[0])["event"]["key"], "in/b.fastq")
        for when in ("live or just ended", "history's"):
            self.assertEqual([(j["event"] or {}).get("key") for j in self.jobs()],
                             [None, "in/a.fastq", "in/b.fastq", "in/a.fastq"], when)
            self.assertEqual([j["id"] for j in self.jobs("?event=in/a.fastq")], [3, 1], when)
            self.assertEqual([j["id"] for j in self.jobs("?event=in/a.fastq&name=x0")], [1], when)
            self.assertEqual(self.mill.api("GET", "/v1/jobs?event=in/a.fastq&limit=1&fields=id"),
                             {"jobs": [{"id": 3}], "next": 3}, when)
            self.assertEqual(self.jobs("?event=in/a.fastq&state=succeeded"), [], when)
            self.assertEqual(self.jobs("?event=in"), [], when)
            self.run_cli("wait", "3", code=1)
            until(lambda: self.mill.api("GET", "/v1/status")["jobs"].get("ended", 0) == 0)
        out = self.run_cli("jobs")[0]
        self.assertRegex(out.splitlines()[0], r" TOOK +EVENT +WHY$")
        self.assertEqual(out.count("in/a.fastq"), 2)
        self.assertEqual(self.run_cli("jobs", "--event=in/b.fastq")[0].count("\n"), 2)
        self.assertNotIn("EVENT", self.run_cli("jobs", "--name=true")[0], "none of these has one")
        self.write("gate", "")
        self.assertEqual(self.run_cli("retry", "event:in/a.fastq")[0].count("\n"), 2)
        self.assertEqual(len(self.run_cli("--output=json", "wait", "event:in/a.fastq")[0].splitlines()), 2)
        _, err = self.run_cli("cancel", "event:in/a.fastq", code=2)
        self.assertIn("there is no job that has not ended of the event", err)

    def test_a_name_may_say_what_the_event_is_about(self):
        rule = self.write("rules/qc.yaml", "version: 1\nname: 'qc {{event.detail.object.key}}'\non: [{pattern: {source: [shop]}}]\n"
                          "run: {exec: [sh, -c, 'echo $SHARDMILL_NAME, {{job.name}}']}\n"
                          "output: 'file://%s/{{job.name}}'\n" % self.mill.dir)
        self.start(rules_dir=os.path.dirname(rule))
        for key, name in (("a.fastq", "qc a.fastq"), ("k" * 126, None)):
            event = {"id": key[:5], "source": "shop", "detail-type": "t", "detail": {"object": {"key": key}}}
            answer = self.mill.api("POST", "/v1/events", event)["events"][0]
            job = self.mill.wait(answer["jobs"][0])
            if name is None:
                self.assertEqual(job["state"], "failed")
                self.assertIn("has 129 bytes with the values of its event; at most 128 are taken", job["why"])
                self.assertEqual(job["name"], "qc {{event.detail.object.key}}", "the rule's")
                continue
            self.assertEqual((job["name"], job["state"]), (name, "succeeded"))
            self.assertEqual(self.mill.output(job["id"]), b"qc a.fastq, qc a.fastq\n")
            self.assertEqual(job["output"], "file://%s/qc a.fastq/shard-*" % self.mill.dir)
            self.assertTrue(os.path.isdir(self.path("qc a.fastq")))
            self.assertEqual([j["id"] for j in self.jobs("?name=qc%20a.fastq")], [job["id"]])
        self.assertEqual(self.mill.api("GET", "/v1/rules")["rules"][0]["name"], "qc {{event.detail.object.key}}")
        _, err = self.run_cli("submit", rule, code=2)
        self.assertIn("there is no event", err)
        named = self.submit("--name={{x}}", self.write(
            "plain.yaml", "version: 1\nname: '{{event.id}}'\nrun: {exec: [echo, '{{job.name}}']}\n"))
        self.run_cli("wait", named)
        self.assertEqual(self.run_cli("output", named)[0], "{{x}}\n", "a name that is given is taken as it is")

    def test_a_socket_that_is_not_for_us_says_so(self):
        if os.getuid() != 0:
            self.skip("only root can call as somebody else")
        self.mill.start_dispatcher()
        os.chmod(self.mill.dir, 0o711)
        os.chmod(self.mill.state, 0o700)
        p = subprocess.run([self.mill.program("shardmill"), "jobs"], env=self.env, capture_output=True, text=True,
                           cwd="/", user=65534, group=65534, extra_groups=[], timeout=60)
        self.assertEqual(p.returncode, 5, p.stderr)
        self.assertIn(self.mill.socket + ": permission to use this socket is denied", p.stderr)
        self.assertNotIn("no dispatcher answers", p.stderr)

    def test_a_size_is_answered_as_it_was_typed(self):
        self.mill.start_dispatcher()
        self.mill.start_worker(memory="2000000000")
        until(lambda: self.mill.api("GET", "/v1/workers")["workers"])
        _, err = self.run_cli("submit", "--memory=100GB", "--", "true", code=2)
        self.assertIn("no worker or pool offers 100GB of memory; the largest offer is 2GB", err)
        job = self.submit("--memory=100GB", "--allow-pending", "--", "true")
        until(lambda: "memory" in self.mill.job(int(job))["why"])
        self.assertIn("no worker has 100GB of memory (the most that one has is 2GB)", self.mill.job(int(job))["why"])


class Many(CliCase):
    """More than 20 jobs are one request, and their sum is told."""

    def test_a_set_is_changed_waited_for_and_retried_by_one_request(self):
        self.mill.start_dispatcher()
        for _ in range(30):
            self.mill.submit("version: 1\nname: x\nrun: {exec: [sh, -c, 'test -e gate'], directory: %s}\n"
                             "retry: {attempts: 1}\n" % self.mill.dir)
        self.assertEqual(self.run_cli("cancel", "1-2")[0].count("cancelled"), 2, "a line for each of a few")
        self.assertEqual(self.run_cli("pause", "all", "--why", "lunch")[0], "28 jobs paused\n")
        self.assertEqual({j["why"] for j in self.jobs("?state=paused")}, {"lunch"})
        self.assertEqual(self.run_cli("pause", "all")[0], "0 jobs paused, 28 needed nothing\n")
        self.assertEqual(self.run_cli("resume", "live")[0], "28 jobs resumed\n")
        _, err = self.run_cli("wait", "all", "--timeout=200ms", code=124)
        self.assertIn("time is over; of 30 jobs, job 3 and perhaps others go on", err)
        self.assertEqual(json.loads(self.run_cli("--output=json", "cancel", "1-24")[0]),
                         {"changed": 22, "same": 0, "left": 0}, "a range leaves out what has ended")
        self.assertEqual(self.run_cli("retry", "1-24")[0], "0 jobs go on, 24 had ended\n", "they were cancelled")
        self.assertEqual(self.run_cli("retry", "cancelled")[0], "24 jobs go on\n")
        self.mill.start_worker()
        out, _ = self.run_cli("wait", "all", code=1)
        self.assertRegex(out, r"\A30 jobs have ended: 0 succeeded, 30 failed, 0 cancelled "
                              r"\(not succeeded: 1, 2, .*, 20, \.\.\.\)\n\Z")
        self.write("gate", "")
        self.assertEqual(self.run_cli("retry", "failed")[0], "30 jobs go on\n")
        self.assertEqual(self.run_cli("wait", "all")[0], "30 jobs have ended: 30 succeeded, 0 failed, 0 cancelled\n")
        self.assertEqual(self.run_cli("retry", "all")[0], "0 jobs go on, 30 had ended\n")

    def test_what_is_wrong_with_such_a_request_is_told(self):
        self.mill.start_dispatcher()
        for path, body, where in (
                ("changes", {"jobs": [1]}, "change"), ("changes", {"change": "eat", "jobs": [1]}, "change"),
                ("changes", {"change": "cancel"}, "jobs"), ("changes", {"change": "cancel", "jobs": [0]}, "jobs[0]"),
                ("changes", {"change": "cancel", "jobs": [1, [3, 2]]}, "jobs[1]"),
                ("changes", {"change": "cancel", "jobs": [[1]]}, "jobs[0]"),
                ("wait", {"jobs": [1], "timeout": "1"}, "timeout"), ("wait", {"jobs": "all"}, "jobs")):
            with self.assertRaises(ApiError) as caught:
                self.mill.api("POST", "/v1/" + path, body)
            self.assertEqual((caught.exception.status, caught.exception.error["where"]), (400, where), body)
        answer = self.mill.api("POST", "/v1/changes", {"change": "cancel", "jobs": [[1, 1 << 60]]})
        self.assertEqual((len(answer["errors"]), answer["next"]), (100, 101), "it stops after 100 errors")
        self.assertIn("there is no job 1", answer["errors"][0]["error"]["message"])


class Up(CliCase):
    """`up` itself, a process that is signalled and started twice"""

    def up(self, *options):
        log = open(self.path("up.log"), "ab")
        p = subprocess.Popen([self.mill.program("shardmill"), "up", "--state-dir=" + self.mill.state,
                              "--scratch-dir=" + self.path("scratch"), *options], stdout=log, stderr=log,
                             stdin=subprocess.DEVNULL, env=self.env, cwd=self.mill.dir)
        log.close()
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        return p

    def told(self):
        with open(self.path("up.log")) as f:
            return f.read()

    def test_a_hangup_reads_again_and_a_second_one_says_what_has_no_effect(self):
        self.env.pop("SHARDMILL_API_SOCKET")
        first = self.up("--log-level=info")
        until(lambda: "shardmill is up" in self.told())
        log = os.path.join(self.mill.state, "logs", "dispatcher.log")
        os.rename(log, log + ".old")
        first.send_signal(signal.SIGHUP)
        until(lambda: os.path.exists(log) and "reading rules and keys again" in open(log).read())
        until(lambda: "rules and keys are read again" in self.told())
        self.assertIsNone(first.poll())
        first.kill()
        first.wait()
        second = self.up("--log-level=info", "--pool-max=3", "--heartbeat=1s", "--kill-grace=2s")
        until(lambda: self.told().count("shardmill is up") == 2)
        told = [line for line in self.told().splitlines() if "without effect" in line]
        self.assertEqual(len(told), 2, self.told())
        self.assertIn("--heartbeat=1s", told[0])
        self.assertNotIn("--log-level", "".join(told), "they have it")
        self.assertIn("--pool-max=3", told[1])
        self.assertIn("--kill-grace=2s", told[1], "what workers would be told")
        second.terminate()
        self.assertEqual(second.wait(60), 0)


if __name__ == "__main__":
    main()
