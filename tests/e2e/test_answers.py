#!/usr/bin/env python3
"""The command before a dispatcher of another version: what it does not know it passes over, and what it cannot read it
tells in words, with the member and the answer. A server plays the dispatcher."""
import http.server
import json
import socketserver
import threading

from case import main
from cli_case import CliCase

PHASE = {"name": "shards", "shards": 3, "sealed": True, "pending": 0, "leased": 0, "delayed": 0, "done": 2, "dead": 1,
         "dropped": 0}
BY = {"kind": "uid", "name": "ann", "number": 7, "text": "user ann (7)"}
JOB = {"id": 7, "name": "night", "definition": "ab" * 32, "state": "failed", "word": "failed", "why": "too many",
       "by": BY, "paused": False, "priority": -1, "queue": "q", "phase": 0, "phases": [PHASE], "retries": 1, "reopens": 1,
       "run_seconds": 2.5, "output_bytes": 9, "cpu_seconds": 1.5, "max_rss_bytes": 5,
       "accepted": "2026-05-01T12:00:00Z", "started": "2026-05-01T12:00:01.5Z", "ended": "2026-05-01T12:00:09Z",
       "output": "s3://b/k", "event": {"id": "e", "source": "s", "detail-type": "t", "key": "k"}}
ERROR = {"code": "invalid", "message": "it is wrong", "where": "here", "help": "mend it"}
DEAD = {"shards": [{"phase": 0, "first": 2, "count": 1, "kind": "exit", "code": 3, "why": "status 3"}], "next": None}
DONE = {"shards": [{"phase": 0, "first": 0, "count": 2}], "next": None}
WRITTEN = {"written": [{"shard": 0, "out_bytes": 5, "err_bytes": 0}, {"shard": 1, "count": 1, "lost": True}], "next": 2}
RUNNING = {"running": [{"phase": 0, "shard": 2, "attempt_id": "a1", "out_bytes": 9, "err_bytes": 0}], "next": None}
WELL = dict(JOB, phases=[dict(PHASE, shards=2, dead=0)])
LIVE = dict(JOB, state="active", word="running", ended=None)
IDS = {"jobs": [{"id": n} for n in range(30, 0, -1)], "next": None}
WORKERS = {"workers": [{"id": "a" * 32, "host": "h", "pid": 3, "pool": "p", "provider_id": "i", "cpus": 2.0,
                        "memory_bytes": 9, "leases": 1, "done_shards": 4, "failed_shards": 1, "state": "resting",
                        "trouble": {"kind": "start", "why": "no program"}, "heard_seconds": 0.5}], "next": None}
POOL = {"pool": "p", "provider": "local", "wanted": 1, "ready": 1, "busy": 0, "starting": 0, "draining": 0, "min": 0,
        "max": 2, "cpus": 1.0, "does": "nothing", "why": "no work", "failed_starts": 0}
STATUS = {"version": "1", "cluster": "c", "epoch": 1, "started": "2026-05-01T12:00:00Z", "now": "2026-05-01T12:00:09Z",
          "jobs": {"live": 1, "held": 0, "runnable": 1, "accepted": 9}, "workers": 1, "pools": [POOL], "leases": 1,
          "leased_shards": 1, "shards_done": 5, "rules": 1, "rules_stale": 0, "rules_error": ERROR,
          "buckets": [{"path": "/in", "error": None, "files": 3, "left_out": {"hidden": 1}}],
          "journal": {"bytes": 9, "commits": 3}, "journal_error": None}
RULES = {"rules": [{"name": "r", "file": "r.yaml", "definition": "ab" * 32, "error": ERROR, "last_good": True,
                    "matched": 3}]}
PLAN = {"name": "n", "definition": "ab" * 32, "kind": "count", "shards": 9, "at_least": False, "why": "9 shards",
        "gather": False, "url": "file:///x", "size_bytes": 7, "first": [{"shard": 0, "value": 1}],
        "last": [{"shard": 8, "begin": 1, "end": 2}, {"shard": 9, "item": "i"}]}
TAKEN = {"events": [{"id": "e", "duplicate": False, "jobs": [7], "errors": [{"error": ERROR, "rule": "r", "job": 7}]}],
         "not_understood": [{"error": ERROR}], "not_understood_count": 2}
CHANGED = {"changed": 29, "same": 1, "left": 0, "errors": [{"id": 3, "error": ERROR}], "next": None}
WAITED = {"succeeded": 28, "failed": 1, "cancelled": 1, "not_succeeded": [3, 4], "errors": [], "next": None}
ACCEPTED = {"id": 7, "jobs": 1, "duplicate": False}

# What is asked by name, the exit code, and the answers: path -> JSON, or bytes as they are.
VERBS = [
    (["status"], 0, {"/v1/status": STATUS}),
    (["jobs"], 0, {"/v1/jobs": {"jobs": [JOB], "next": None}}),
    (["show", "last"], 0, {"/v1/jobs": {"jobs": [JOB], "next": None}, "/v1/jobs/7": JOB, "/v1/jobs/7/shards": DEAD}),
    (["explain", "7"], 0, {"/v1/jobs/7/explain": {"id": 7, "word": "failed", "sentences": ["it failed", "so it is"]}}),
    (["wait", "7"], 1, {"/v1/jobs/7/wait": JOB}),
    (["wait", "all"], 1, {"/v1/jobs": IDS, "/v1/wait": WAITED}),
    (["logs", "7"], 0, {"/v1/jobs/7": WELL, "/v1/jobs/7/shards": DONE, "/v1/jobs/7/written": WRITTEN,
                        "/v1/jobs/7/output": b"line\n"}),
    (["logs", "--shard=2", "7"], 0, {"/v1/jobs/7": LIVE, "/v1/jobs/7/shards": {"shards": []},
                                     "/v1/jobs/7/running": RUNNING, "/v1/jobs/7/live": b""}),
    (["workers"], 0, {"/v1/workers": WORKERS}),
    (["drain", "aaaa"], 0, {"/v1/workers": WORKERS, "/v1/workers/%s/drain" % ("a" * 32): b'{"state": "draining"}'}),
    (["rules"], 0, {"/v1/rules": RULES}),
    (["rules", "apply", "r"], 5, {"/v1/rules/apply": {"ended": True, "bucket": "/in", "files": 4, "started": 1,
                                                      "already": 1, "unmatched": 1, "failed": 1, "error": "no room"}}),
    (["plan", "--array=9", "--", "true"], 0, {"/v1/plan": PLAN}),
    (["submit", "--", "true"], 0, {"/v1/jobs": ACCEPTED}),
    (["emit", "--source=s", "--detail-type=t"], 1, {"/v1/events": TAKEN}),
    (["cancel", "7"], 0, {"/v1/jobs/7/cancel": JOB}),
    (["cancel", "live"], 2, {"/v1/jobs": IDS, "/v1/changes": CHANGED}),
    (["retry", "7"], 0, {"/v1/jobs/7": JOB, "/v1/jobs/7/retry": dict(JOB, reopened={"shards": 3, "kept": 2, "to_do": 1})}),
    (["retry", "--all", "7"], 0, {"/v1/jobs/7": JOB, "/v1/jobs/7/again": ACCEPTED}),
]


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    answers = {}
    asked = []


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.split("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, body))
        answer = self.server.answers.get(path)
        status = 404 if answer is None else 200
        if answer is None:
            answer = {"error": {"code": "not_found", "message": "there is no %s" % path, "where": "", "help": ""}}
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET

    def log_message(self, *args):
        pass


def copy_of(answers):
    return {path: answer if isinstance(answer, bytes) else json.loads(json.dumps(answer))
            for path, answer in answers.items()}


def places(value, path=""):
    """(path, what sets another value there) of each member at any depth."""
    items = enumerate(value) if isinstance(value, list) else value.items()
    for key, inner in items:
        here = "%s[%d]" % (path, key) if isinstance(value, list) else path + "." * (path != "") + key
        yield here, value, key
        if isinstance(inner, (dict, list)):
            yield from places(inner, here)


class Answers(CliCase):
    def setUp(self):
        super().setUp()
        self.server = Server(self.mill.socket, Handler)
        thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)

    def play(self, args, answers, code):
        self.server.answers = answers
        self.server.asked.clear()
        return self.run_cli(*args, code=code)

    def test_each_verb_reads_all_that_it_asks_for(self):
        for args, code, answers in VERBS:
            with self.subTest(args):
                self.play(args, answers, code)
                self.assertEqual({path.split("?")[0] for _, path, _ in self.server.asked}, set(answers))

    def test_a_member_of_another_type_is_told_with_its_answer(self):
        """each member of each answer in turn; [[]] is of no member's type"""
        told = 0
        for args, _, answers in VERBS:
            for path in answers:
                if isinstance(answers[path], bytes):
                    continue
                for n in range(len(list(places(answers[path])))):
                    broken = copy_of(answers)
                    place, owner, key = list(places(broken[path]))[n]
                    is_list = isinstance(owner[key], list)
                    owner[key] = [[]]
                    with self.subTest(args, place=place):
                        err = self.play(args, broken, 5)[1]
                        self.assertIn("%s%s of " % (place, "[0]" * is_list), err)
                        self.assertIn(" %s" % path, err)
                        self.assertRegex(err, "expected .*, found an array\n")
                    told += 1
        self.assertGreater(told, 300)

    def test_an_answer_that_is_no_object_is_told(self):
        for args, _, answers in VERBS:
            for path in answers:
                if not isinstance(answers[path], bytes):
                    with self.subTest(args, path=path):
                        err = self.play(args, {**answers, path: [1]}, 5)[1]
                        self.assertIn("%s" % path, err)
                        self.assertIn("expected an object, found an array", err)

    def test_members_that_are_new_change_nothing(self):
        for args, code, answers in VERBS:
            newer = copy_of(answers)
            for answer in newer.values():
                if isinstance(answer, bytes):
                    continue
                for _, owner, key in list(places(answer)):
                    if isinstance(owner[key], dict):
                        owner[key]["new"] = [{"id": {}}]
                answer["new"] = {"jobs": 7}
            with self.subTest(args):
                self.assertEqual(self.play(args, newer, code), self.play(args, answers, code))

    def test_members_that_are_missing_or_null_are_no_error(self):
        for args, _, answers in VERBS:
            nulls, bare = copy_of(answers), copy_of(answers)
            for path, answer in answers.items():
                if not isinstance(answer, bytes):
                    nulls[path], bare[path] = dict.fromkeys(answer), {}
            for older in nulls, bare:
                if args[:2] == ["rules", "apply"]:  # asks until it has ended
                    older = {path: dict(answer, ended=True) for path, answer in older.items()}
                if args[0] == "wait":  # waits until it has ended
                    older = {path: dict(answer, state="succeeded") for path, answer in older.items()}
                with self.subTest(args):
                    self.server.answers = older
                    t = self.terminal(*args)
                    self.assertGreaterEqual(t.end(), 0, t.text())
                    self.assertNotIn("expected", t.text())

    def test_bodies_are_objects_of_the_api(self):
        """as the document of the API describes them"""
        answers = {"/v1/jobs": IDS, "/v1/changes": CHANGED, "/v1/wait": WAITED, "/v1/jobs/7/pause": JOB}
        for args, code, path, body in (
                (["pause", "--why", "a \"b\"", "7"], 0, "/v1/jobs/7/pause", {"why": 'a "b"'}),
                (["cancel", "--why", "é", "live"], 2, "/v1/changes", {"change": "cancel", "jobs": [[1, 30]], "why": "é"}),
                (["retry", "all"], 2, "/v1/changes", {"change": "retry", "jobs": [[1, 30]]}),
                (["retry", "cancelled"], 2, "/v1/changes", {"change": "retry", "jobs": [[1, 30]], "cancelled": True}),
                (["wait", "all"], 1, "/v1/wait", {"jobs": [[1, 30]], "timeout": "30000000us"})):
            with self.subTest(args):
                self.play(args, answers, code)
                sent = [json.loads(body) for _, asked, body in self.server.asked if asked == path]
                self.assertEqual(sent, [body])


if __name__ == "__main__":
    main()
