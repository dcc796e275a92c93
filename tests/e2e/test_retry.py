#!/usr/bin/env python3
"""`shardmill retry` of jobs that have ended: they go on in place, and only what is not done runs again. What ran is
counted by what shards append to a file."""
import json
import os
import re
import subprocess
import threading
import time

from case import FAST, ApiError, MillCase, main, until

SHARD = """echo {{shard.index}} >> %(dir)s/ran
if [ {{shard.index}} = 99 ] && ! [ -e %(dir)s/good ]; then
  until [ -e %(dir)s/die ]; do sleep 0.02; done; exit 3
fi
echo line {{shard.index}}
"""
GATHER = """cat > %(dir)s/gathered.$$; echo >> %(dir)s/gathers; [ -e %(dir)s/gather_well ] || exit 4
cat %(dir)s/gathered.$$"""


class Retry(MillCase):
    def start(self, **params):
        self.params = {**FAST, **params}
        self.mill.start_dispatcher(**self.params)
        self.mill.start_worker(heartbeat="100ms")

    def restart(self):
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher(**self.params)

    def cli(self, *args, code=0):
        """(stdout, stderr) as text"""
        env = {k: v for k, v in os.environ.items() if not k.startswith("SHARDMILL")}
        env.update(SHARDMILL_API_SOCKET=self.mill.socket, LC_ALL="C.UTF-8")
        p = subprocess.run([self.mill.program("shardmill"), *args], capture_output=True, env=env, cwd=self.mill.dir,
                           timeout=120)
        out, err = p.stdout.decode(), p.stderr.decode()
        self.assertEqual(p.returncode, code, "%s\n%s%s" % (args, out, err))
        return out, err

    def definition(self, shard="", more="", run=""):
        def text(script):
            return json.dumps(script % {"dir": self.mill.dir})
        return ("version: 1\nname: big\nshard: %s\nrun: {%sexec: [sh, -c, %s]}\nretry: {attempts: 1}\n"
                "gather: {exec: [sh, -c, %s]}\n%s" % (shard or "{count: 100}", run, text(SHARD), text(GATHER), more))

    def ran(self):
        """Executions so far, by shard."""
        counts = {}
        with open(self.path("ran")) as f:
            for line in f:
                counts[int(line)] = counts.get(int(line), 0) + 1
        return counts

    def gathers(self):
        try:
            with open(self.path("gathers")) as f:
                return len(f.readlines())
        except FileNotFoundError:
            return 0

    def one_dies(self, shard="", more="", run="", event=None):
        """A job of 100 shards that ended when all were done but the last, number 99: behind it no other waits."""
        self.write("gather_well", "")
        body = {"definition": self.definition(shard, more, run)}
        if event is not None:
            body["event"] = event
        job = self.mill.api("POST", "/v1/jobs", body)["id"]
        until(lambda: self.mill.job(job)["phases"][-1]["done"] == 99)
        self.write("die", "")
        ended = self.mill.wait(job)
        self.assertEqual(sum(p["dead"] for p in ended["phases"]), 1)
        return job, ended

    def goes_on(self, job, state="succeeded"):
        """It is retried by the command, and ends well; only number 99 has run again."""
        self.write("good", "")
        before = self.gathers()
        out, err = self.cli("retry", str(job))
        self.assertEqual((out, err), ("job %d goes on: 1 of 100 shards to do, 99 are kept\n" % job, ""))
        ended = self.mill.wait(job)
        self.assertEqual(ended["state"], state, ended)
        counts = self.ran()
        self.assertEqual({n for n in counts if counts[n] != 1}, {99}, counts)
        self.assertEqual((counts[99], len(counts), self.gathers() - before), (2, 100, 1))
        return ended

    def check_output(self, job):
        self.assertEqual(self.mill.output(job), b"".join(b"line %d\n" % n for n in range(100)))

    def test_only_the_dead_shard_runs_again_and_then_the_gather(self):
        self.start()
        job, failed = self.one_dies()
        self.assertEqual((failed["state"], self.gathers(), failed["reopens"]), ("failed", 0, 0))
        ended = self.goes_on(job)
        self.check_output(job)
        self.assertEqual((ended["id"], ended["reopens"], ended["why"]), (job, 1, ""))
        self.assertEqual([(p["name"], p["done"], p["dead"], p["dropped"]) for p in ended["phases"]],
                         [("shards", 100, 0, 0), ("gather", 1, 0, 0)])
        self.assertEqual(ended["accepted"], failed["accepted"])
        self.assertGreater(ended["ended"], failed["ended"])
        self.assertGreaterEqual(ended["run_seconds"], failed["run_seconds"])
        self.assertEqual(self.mill.api("GET", "/v1/jobs/%d/shards" % job)["shards"], [], "no shard is dead")
        self.assertEqual([j["id"] for j in self.jobs()], [job])
        self.assertEqual(self.mill.output(job, "?shard=99"), b"line 99\n")
        logs = self.cli("logs", str(job))[0]
        self.assertEqual((logs.count("line 99\n"), len(re.findall("line 7\n", logs))), (2, 2), "of the shard, and of the gather")
        self.assertIn("t went on after an end, 1 time: what was done before is kept", self.cli("explain", str(job))[0])
        self.assertIn("1 time after an end", self.cli("show", str(job))[0])
        error = self.expect_error(409, "exists", "POST", "/v1/jobs/%d/retry" % job)
        self.assertIn("no shard of it is dead", error["message"])
        self.assertIn("`shardmill retry --all %d`" % job, error["help"])

    def test_after_a_kill_9_of_the_dispatcher_and_again_while_it_goes_on(self):
        self.start()
        job, _ = self.one_dies()
        self.restart()
        self.mill.kill(self.mill.workers[0])  # only history knows
        self.write("good", "")
        self.cli("retry", str(job))
        self.restart()
        self.assertEqual((self.mill.job(job)["state"], self.mill.job(job)["phases"][0]["done"]), ("active", 99))
        self.mill.start_worker(heartbeat="100ms")
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        self.assertEqual({n: c for n, c in self.ran().items() if c != 1}, {99: 2})
        self.check_output(job)
        self.restart()
        self.assertEqual(self.mill.job(job)["reopens"], 1)
        self.check_output(job)
        self.mill.kill(self.mill.dispatcher)
        for name in os.listdir(self.path("state")):
            if name.startswith("history.db"):
                os.unlink(self.path("state", name))
        self.mill.start_dispatcher(**self.params)  # history is built again from the journal
        self.assertEqual(until(lambda: self.mill.job(job))["reopens"], 1)
        self.check_output(job)

    def shorten(self):
        """The journal's front goes, up to here."""
        def shortened():
            with open(self.mill.dispatcher.log) as f:
                return f.read().count("the journal was shortened")
        before = shortened()
        for n in range(2000):
            job = self.mill.submit(command={"argv": ["true", "%d" % n] + ["x" * 120000] * 2})
            self.mill.api("POST", "/v1/jobs/%d/cancel" % job)
            if n % 20 == 0 and shortened() >= before + 2:
                return
        self.fail("the journal was not shortened")

    def test_with_a_journal_that_begins_behind_the_end_and_behind_the_second_life(self):
        self.start(journal_segment="16MiB")
        job, _ = self.one_dies()
        self.mill.kill(self.mill.workers[0])
        self.shorten()
        self.restart()
        self.write("good", "")
        self.assertEqual(self.cli("retry", str(job))[0], "job %d goes on: 1 of 100 shards to do, 99 are kept\n" % job)
        self.shorten()
        self.restart()
        self.assertEqual((self.mill.job(job)["state"], self.mill.job(job)["reopens"]), ("active", 1))
        self.mill.start_worker(heartbeat="100ms")
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        self.assertEqual({n: c for n, c in self.ran().items() if c != 1}, {99: 2})
        self.check_output(job)

    def test_succeeded_with_a_dead_shard_that_was_tolerated(self):
        self.start()
        job, ended = self.one_dies(more="tolerate: 1\n")
        self.assertEqual((ended["state"], self.gathers()), ("succeeded", 1))
        self.assertEqual(len(self.mill.output(job).splitlines()), 99)
        self.goes_on(job)
        self.check_output(job)

    def test_failed_in_its_gather(self):
        self.start()
        self.write("good", "")
        job = self.mill.submit(self.definition())
        ended = self.mill.wait(job)
        self.assertEqual((ended["state"], self.gathers()), ("failed", 1))
        self.write("gather_well", "")
        self.assertEqual(self.cli("retry", "--failed", "all")[0], "job %d goes on: 0 of 100 shards to do, 100 are kept\n" % job)
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        self.assertEqual((set(self.ran().values()), self.gathers()), ({1}, 2))
        self.check_output(job)

    def test_a_cancelled_job_goes_on_when_it_is_named(self):
        self.start()
        self.write("gather_well", "")
        job = self.mill.submit(self.definition())
        until(lambda: self.mill.job(job)["phases"][0]["done"] == 99 and 99 in self.ran())
        self.mill.api("POST", "/v1/jobs/%d/cancel" % job)
        for args in (["all"], ["ended"], ["--failed", str(job)], ["1-5"]):
            out, err = self.cli("retry", *args)
            self.assertEqual(out, "", args)
            self.assertIn("job %d has been cancelled, and no shard of it is dead: it is left" % job, err)
        self.assertEqual(self.mill.job(job)["state"], "cancelled")
        self.goes_on(job)
        self.check_output(job)

    def test_a_held_back_job_that_never_ran_runs_all_of_it(self):
        self.params = FAST
        self.mill.start_dispatcher(**FAST)
        self.write("good", "")
        self.write("gather_well", "")
        job = self.mill.submit(self.definition())
        self.mill.api("POST", "/v1/jobs/%d/cancel" % job)
        out, _ = self.cli("retry", "cancelled")
        self.assertEqual(out, "job %d goes on: 100 of 100 shards to do, 0 are kept\n" % job)
        self.mill.start_worker(heartbeat="100ms")
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        self.check_output(job)

    def test_items_of_a_file_are_those_that_were_read(self):
        self.start()
        items = self.write("items.txt", "".join("item %d\n" % n for n in range(100)))
        job, _ = self.one_dies("{items: {lines: file://%s}}" % items)
        self.write("items.txt", "another list\n")
        self.assertEqual(len(os.listdir(self.path("state", "plans"))), 1, "the list is kept")
        self.restart()
        self.goes_on(job)
        self.check_output(job)
        self.assertEqual(os.listdir(self.path("state", "plans")), [], "the list is not needed any more")

    def test_items_of_a_command_are_not_printed_again(self):
        self.start()
        job, ended = self.one_dies("{items: {lines: {exec: [sh, -c, 'echo >> %s; seq 100']}}}" % self.path("listed"))
        self.assertEqual([p["name"] for p in ended["phases"]], ["plan", "shards"])
        ended = self.goes_on(job)
        self.assertEqual([(p["name"], p["done"]) for p in ended["phases"]], [("plan", 1), ("shards", 100), ("gather", 1)])
        self.check_output(job)
        with open(self.path("listed")) as f:
            self.assertEqual(len(f.readlines()), 1)

    def test_an_object_is_the_one_that_it_was(self):
        self.start()
        data = self.write("data.txt", "".join("%07d\n" % n for n in range(100)))
        job, _ = self.one_dies("{bytes: 8, of: file://%s}" % data, run="input: stdin, ")
        self.goes_on(job)
        # Another content: the shard that is not done fails, and says why.
        for name in ("good", "die", "ran"):
            os.unlink(self.path(name))
        job, _ = self.one_dies("{bytes: 8, of: file://%s}" % data, run="input: stdin, ")
        os.unlink(data)
        self.write("data.txt", "".join("%07d\n" % (n + 1) for n in range(100)))
        self.write("good", "")
        self.cli("retry", str(job))
        ended = self.mill.wait(job)
        self.assertEqual(ended["state"], "failed")
        self.assertRegex(ended["why"], "chang")
        self.assertEqual(ended["phases"][0]["done"], 99)

    def test_what_never_had_a_plan_is_done_anew(self):
        self.start()
        self.write("good", "")
        self.write("gather_well", "")
        list_of = self.path("list.txt")
        job = self.mill.submit(self.definition("{items: {lines: file://%s}}" % list_of))
        self.assertEqual(self.mill.wait(job)["state"], "failed")
        self.expect_error(404, "not_found", "POST", "/v1/jobs/%d/retry" % job)
        self.write("list.txt", "a\nb\n")
        out, err = self.cli("retry", str(job))
        self.assertEqual(out, "job %d does again what job %d was to do\n" % (job + 1, job))
        self.assertIn("job %d cannot go on: what its shards are is not known any more" % job, err)
        self.assertEqual(self.mill.wait(job + 1)["state"], "succeeded")

    def test_each_end_starts_what_waits_for_it(self):
        rules = self.make_dir("rules")
        for kind in ("job.failed", "job.succeeded"):
            self.write("rules/%s.yaml" % kind, "version: 1\nname: after-%s\non:\n  - pattern:\n      source: [shardmill]\n"
                       "      detail-type: [%s]\n      detail: {name: [big]}\nrun: {exec: [echo, '{{event.id}}']}\n"
                       % (kind.replace(".", "-"), kind))
        self.start(rules_dir=rules)
        event = {"id": "1", "source": "s", "detail-type": "t", "detail": {"who": "you"}}
        job, _ = self.one_dies(more="output: file://%s/{{event.detail.who}}/\n" % self.make_dir("results"), event=event)
        until(lambda: self.jobs("?name=after-job-failed"))
        self.cli("retry", str(job))  # number 99 dies once more
        self.mill.wait(job)
        until(lambda: len(self.jobs("?name=after-job-failed")) == 2)
        self.restart()
        self.write("good", "")
        self.cli("retry", str(job))
        ended = self.mill.wait(job)
        self.assertEqual((ended["state"], ended["reopens"]), ("succeeded", 2))
        follower = until(lambda: self.jobs("?name=after-job-succeeded"))[0]["id"]
        self.mill.wait(follower)
        self.assertRegex(self.mill.output(follower).decode(), r"/job/%d/ended/2\n" % job)
        self.restart()
        self.assertEqual([len(self.jobs("?name=after-job-" + kind)) for kind in ("failed", "succeeded")], [2, 1])
        with open(self.path("results", "you", "result"), "rb") as f:
            self.assertEqual(f.read(), self.mill.output(job))

    def test_one_that_runs_lets_its_dead_run_again(self):
        self.start()
        job = self.mill.submit("version: 1\nname: slow\nshard: {count: 2}\ntolerate: 1\nretry: {attempts: 1}\n"
                               "run: {exec: [sh, -c, 'test {{shard.index}} = 1 && exit 1; until test -e %s; do sleep 0.02; done']}\n"
                               % self.path("go"))
        until(lambda: self.mill.job(job)["phases"][0]["dead"] == 1)
        self.assertRegex(self.cli("retry", "--failed", str(job))[0], r"job %d slow  running\n" % job)
        until(lambda: self.mill.job(job)["phases"][0]["dead"] == 1)
        self.write("go", "")
        self.assertEqual(self.mill.wait(job)["reopens"], 0)

    def test_of_two_at_once_one_lets_it_go_on_and_the_other_finds_it_so(self):
        self.start()
        job, _ = self.one_dies()
        self.write("good", "")
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.mill.api("POST", "/v1/jobs/%d/retry" % job)))
                   for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(len(answers), 4)
        self.assertEqual([a["reopened"] for a in answers if "reopened" in a],
                         [{"shards": 100, "kept": 99, "to_do": 1, "lost": 0, "lost_gather": False}])
        self.assertEqual(self.mill.wait(job)["reopens"], 1)
        self.assertEqual(self.ran()[99], 2)
        self.check_output(job)

    def test_all_of_it_anew_is_still_to_be_had(self):
        self.start()
        job, _ = self.one_dies()
        self.write("good", "")
        self.assertEqual(self.cli("retry", "--all", str(job))[0],
                         "job %d does again what job %d was to do\n" % (job + 1, job))
        self.assertEqual(self.mill.wait(job + 1)["state"], "succeeded")
        self.assertEqual(self.mill.job(job)["state"], "failed")
        self.assertEqual((set(self.ran().values()), self.ran()[0]), ({2}, 2))

    def retry_until_known(self, job):
        """Right after a start history may be read anew: then it says to try again."""
        def asked():
            try:
                return self.mill.api("POST", "/v1/jobs/%d/retry" % job)
            except ApiError as e:
                if e.status != 429:
                    raise
        until(asked)

    def test_over_and_over_under_fire(self):
        """Retried again and again, the dispatcher killed around it: each shard that is done stays so."""
        self.start()
        job, _ = self.one_dies()
        for n in range(4):
            self.retry_until_known(job)
            time.sleep(0.03 * n)
            self.restart()
            self.assertEqual(self.mill.wait(job)["state"], "failed")
        self.goes_on_after(job, 4)

    def goes_on_after(self, job, lives):
        self.write("good", "")
        self.retry_until_known(job)
        ended = self.mill.wait(job)
        self.assertEqual((ended["state"], ended["reopens"]), ("succeeded", lives + 1))
        counts = self.ran()
        self.assertEqual({n for n in counts if counts[n] != 1}, {99})
        self.check_output(job)

    def test_a_job_that_does_not_exist_is_told(self):
        self.start()
        self.expect_error(404, "not_found", "POST", "/v1/jobs/9/retry")
        self.assertIn("there is no job 9", self.cli("retry", "9", code=2)[1])
        with self.assertRaises(ApiError):
            self.mill.api("POST", "/v1/jobs/9/again")


if __name__ == "__main__":
    main()
