"""Who asked for jobs and changed them: in answers, in words, in the log, in history, whatever happens meanwhile."""
import json
import os
import pwd
import subprocess
import urllib.request

from case import ECHO, FAST, RULE, MillCase, free_port, main, until

CHAIN = """version: 1
name: after
on:
  - pattern:
      source: [shardmill]
      detail: {name: [first]}
run: {exec: [echo, "after {{event.detail.name}}"]}
"""


def me():
    return {"kind": "uid", "name": pwd.getpwuid(os.getuid()).pw_name, "number": os.getuid(),
            "text": "user %s (%d)" % (pwd.getpwuid(os.getuid()).pw_name, os.getuid())}


class By(MillCase):
    def start(self, **params):
        self.mill.start_dispatcher(log_format="json", **dict(FAST, **params))

    def log(self):
        with open(self.mill.dispatcher.log) as f:
            return [json.loads(line) for line in f if line.startswith("{")]

    def told(self, what):
        return [(line.get("job"), line.get("by")) for line in self.log() if line["message"] == what]

    def history(self, question):
        return self.mill.sql(question)

    def show(self, *verb):
        run = subprocess.run([self.mill.program("shardmill"), *verb, "--api-socket", self.mill.socket],
                             capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout

    def test_a_person_submits_pauses_resumes_and_cancels(self):
        self.start()
        job = self.mill.submit(definition=ECHO)
        self.assertEqual([self.mill.job(job)[m] for m in ("by", "stopped_by", "again_by")], [me(), None, None])
        self.mill.api("POST", "/v1/jobs/%d/pause" % job, {"why": "lunch"})
        self.assertEqual(self.mill.job(job)["stopped_by"], me())
        self.assertIn("paused by", self.show("show", str(job)))
        self.mill.kill(self.mill.dispatcher)
        self.start()
        self.assertEqual([self.mill.job(job)[m] for m in ("by", "stopped_by")], [me(), me()], "it is in the journal")
        self.mill.api("POST", "/v1/jobs/%d/resume" % job)
        self.assertIsNone(self.mill.job(job)["stopped_by"])
        self.mill.api("POST", "/v1/jobs/%d/cancel" % job)
        until(lambda: self.history("SELECT 1 FROM jobs WHERE ended_us > 0"))
        ended = self.mill.job(job)
        self.assertEqual((ended["state"], ended["by"], ended["stopped_by"]), ("cancelled", me(), me()))
        self.assertIn(me()["text"][1:] + " cancelled it", self.show("explain", str(job)))
        self.assertIn("asked by   " + me()["text"], self.show("show", str(job)))
        for what in ("a job was resumed", "a job was cancelled"):
            self.assertEqual(self.told(what), [(job, me()["text"])])
        self.assertEqual(self.history("SELECT by_kind, by_name, by_number FROM job_list"),
                         [("uid", me()["name"], me()["number"])])

    def test_a_job_that_goes_on_keeps_who_asked_for_it(self):
        self.start()
        self.mill.start_worker()
        flag = self.path("flag")
        job = self.mill.submit(command={"argv": ["test", "-e", flag], "attempts": "1"})
        self.assertEqual(self.mill.wait(job)["state"], "failed")
        open(flag, "w").close()
        again = self.mill.api("POST", "/v1/jobs/%d/retry" % job)
        self.assertEqual((again["by"], again["again_by"]), (me(), me()))
        done = self.mill.wait(job)
        self.assertEqual((done["state"], done["by"], done["again_by"]), ("succeeded", me(), me()))
        self.assertEqual(self.told("a job that had ended goes on"), [(job, me()["text"])])

    def test_a_rule_asks_for_the_jobs_of_an_event_and_the_event_has_its_bringer(self):
        self.write("rules/first.yaml", RULE % ("first", "shop", "order", "x"))
        self.write("rules/after.yaml", CHAIN)
        self.start(rules_dir=self.path("rules"))
        self.mill.start_worker()
        answer = self.mill.api("POST", "/v1/events", {"id": "1", "source": "shop", "detail-type": "order"})
        first = answer["events"][0]["jobs"][0]
        self.mill.wait(first)
        self.assertEqual(self.mill.job(first)["by"],
                         {"kind": "rule", "name": "first", "number": None, "text": "rule first"})
        after = until(lambda: [j for j in self.jobs() if j["name"] == "after"])[0]
        self.assertEqual(after["by"]["text"], "rule after")
        self.mill.wait(after["id"])
        rows = until(lambda: [r for r in [self.history("SELECT k.name, e.by_name, e.by_number FROM events e JOIN "
                                                       "principal_kinds k ON k.kind = e.by_kind ORDER BY e.wall_us")]
                              if len(r) == 2])
        self.assertEqual(rows, [[("uid", me()["name"], me()["number"]), ("job", "first", first)]])

    def test_over_tcp_it_is_the_token(self):
        port = free_port()
        self.start(api_listen="127.0.0.1:%d" % port)
        with open(os.path.join(self.mill.state, "keys", "api-token")) as f:
            token = f.read().strip()
        request = urllib.request.Request("http://127.0.0.1:%d/v1/jobs" % port, method="POST",
                                         data=json.dumps({"definition": ECHO}).encode(),
                                         headers={"Authorization": "Bearer " + token})
        with urllib.request.urlopen(request) as answer:
            job = json.loads(answer.read())["id"]
        self.assertEqual(self.mill.job(job)["by"],
                         {"kind": "token", "name": "api-token", "number": None, "text": "token api-token"})


if __name__ == "__main__":
    main()
