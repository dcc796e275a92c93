#!/usr/bin/env python3
"""Keys of events beyond the newest lie in files: repeats of old events start nothing, whenever the dispatcher is
killed, and files go with the window or at their bound."""
import os
import shutil
import threading

from case import ApiError, MillCase, main, until

RULE = "version: 1\nname: thing\non: [{pattern: {source: [test]}}]\nrun: {exec: [echo, thing]}\n"
SMALL = {"dedup_max": "2048"}  # 171 keys in a bucket
BATCH = 100


def event(n):
    return {"id": "e-%d" % n, "source": "test", "detail-type": "Thing", "time": "2026-01-01T00:00:00Z",
            "resources": [], "detail": {"n": n}}


class DedupCase(MillCase):
    def setUp(self):
        super().setUp()
        self.write("rules/thing.yaml", RULE)

    def start(self, **params):
        self.mill.start_dispatcher(**dict(SMALL, rules_dir=self.path("rules"), **params))

    def post(self, first, count):
        """What became of each event: (its jobs, was it known)"""
        taken = []
        for at in range(first, first + count, BATCH):
            body = [event(n) for n in range(at, min(at + BATCH, first + count))]
            taken += self.mill.api("POST", "/v1/events", body)["events"]
        return [(one["jobs"], one["duplicate"]) for one in taken]

    def dedup(self):
        return self.mill.api("GET", "/v1/status")["dedup"]

    def folder(self, *names):
        return os.path.join(self.mill.state, "dedup", *names)

    def key_files(self):
        return sorted(name for name in os.listdir(self.folder()) if name.endswith(".keys"))

    def expect_repeats(self, first, taken):
        again = self.post(first, len(taken))
        self.assertEqual([jobs for jobs, _ in again], [jobs for jobs, _ in taken])
        self.assertEqual([n for n, (_, known) in enumerate(again) if not known], [])

    def sealed(self):
        """All that is to be in files is there: at most three buckets are not."""
        return until(lambda: self.dedup()["in_memory"] <= 3 * 171, seconds=30)


class Files(DedupCase):
    def test_repeats_are_known_beyond_what_memory_holds(self):
        self.start()
        taken = self.post(0, 5000)
        self.assertEqual([jobs for jobs, _ in taken], [[n] for n in range(1, 5001)], "in the order of the bodies")
        self.sealed()
        until(lambda: self.dedup()["files"] <= 6, seconds=30)
        d = self.dedup()
        self.assertEqual(d["in_memory"] + d["in_files"], 5000)
        self.assertGreater(d["bytes"], 32 * d["in_files"])
        self.assertEqual(len(self.key_files()), d["files"])
        metrics = self.mill.api("GET", "/metrics", raw=True).decode()
        self.assertIn("# HELP shardmill_dedup_file_keys Keys of events and submissions that are remembered in files\n", metrics)
        self.assertIn("\nshardmill_dedup_file_keys %d\n" % d["in_files"], metrics)
        self.expect_repeats(0, taken)
        # New ones among old ones stay in their order.
        mixed = [event(n) for n in range(4990, 5010)]
        told = self.mill.api("POST", "/v1/events", mixed)["events"]
        self.assertEqual([one["jobs"] for one in told], [[n + 1] for n in range(4990, 5010)])
        self.assertEqual([one["duplicate"] for one in told], [True] * 10 + [False] * 10)
        self.mill.kill(self.mill.dispatcher)
        self.start()
        self.expect_repeats(0, taken)
        self.assertEqual(self.dedup()["in_memory"] + self.dedup()["in_files"], 5010)

    def test_a_submission_that_is_repeated_waits_for_its_key(self):
        self.start()
        definition = "version: 1\nname: x\nrun: {exec: [echo, x]}\n"
        job = self.mill.submit(definition, id="once")
        self.post(0, 1000)
        self.sealed()
        again = self.mill.api("POST", "/v1/jobs", {"definition": definition, "id": "once"})
        self.assertEqual((again["id"], again["duplicate"]), (job, True))
        dry = self.mill.api("POST", "/v1/jobs", {"definition": definition, "id": "once", "dry_run": True})
        self.assertTrue(dry["duplicate"], dry)

    def test_files_go_at_their_bound_the_oldest_first(self):
        self.start(dedup_bytes="64KiB")
        first = self.post(0, 200)
        self.post(200, 5000)
        until(lambda: self.dedup()["bytes"] <= 64 << 10 and self.dedup()["in_memory"] <= 3 * 171, seconds=30)
        newest = self.post(5200, 200)
        self.expect_repeats(5200, newest)
        self.assertEqual([known for _, known in self.post(0, 200)], [False] * 200)
        self.assertEqual(len(first), 200)
        with open(self.mill.dispatcher.log) as f:
            self.assertIn("dedup_bytes is its bound", f.read())
        self.assertLess(self.dedup()["in_files"], 3000)

    def test_without_files_all_stay_in_memory(self):
        self.start(dedup_bytes="0")
        taken = self.post(0, 900)
        self.assertEqual(self.dedup()["files"], 0)
        self.assertEqual(self.dedup()["in_memory"], 900)
        self.expect_repeats(0, taken)

    def test_a_file_that_is_damaged_refuses_what_needs_it(self):
        self.start()
        taken = self.post(0, 1000)
        self.sealed()
        until(lambda: self.dedup()["files"] <= 6, seconds=30)
        for name in self.key_files():
            with open(self.folder(name), "r+b") as f:
                f.seek(4096 + 100)
                byte = f.read(1)
                f.seek(4096 + 100)
                f.write(bytes([byte[0] ^ 1]))
        refused = 0
        for n in range(200):
            try:
                self.assertEqual(self.post(n, 1), [taken[n]] if taken[n][1] else [(taken[n][0], True)])
            except ApiError as e:
                self.assertEqual(e.status, 429)
                self.assertIn("a file of keys is damaged", e.error["message"])
                refused += 1
        self.assertGreater(refused, 0)


class Kills(DedupCase):
    def test_a_dispatcher_that_is_killed_again_and_again_starts_nothing_twice(self):
        """It is killed while events come, keys are sealed and files become fewer."""
        self.start()
        jobs = {}
        for life in range(8):
            stop = threading.Event()

            def bring(base=life * 2000):
                for n in range(base, base + 2000, 50):
                    try:
                        told = self.mill.api("POST", "/v1/events", [event(i) for i in range(n, n + 50)])["events"]
                    except (OSError, ApiError, ValueError, EOFError):
                        return
                    except Exception:  # the connection broke in the middle of an answer
                        return
                    for i, one in enumerate(told):
                        jobs.setdefault(n + i, one["jobs"])
                    if stop.is_set():
                        return
            thread = threading.Thread(target=bring)
            thread.start()
            until(lambda: len(jobs) > life * 400 + 100 * (life % 4) or not thread.is_alive())
            self.mill.kill(self.mill.dispatcher)
            stop.set()
            thread.join()
            self.start()
            known = sorted(jobs)
            for at in range(0, len(known), 500):
                body = [event(n) for n in known[at:at + 500]]
                told = self.mill.api("POST", "/v1/events", body)["events"]
                self.assertEqual([one["jobs"] for one in told], [jobs[n] for n in known[at:at + 500]])
                self.assertTrue(all(one["duplicate"] for one in told))
        self.sealed()
        until(lambda: len(self.key_files()) == self.dedup()["files"], seconds=30)

    def test_what_a_kill_leaves_behind_goes_at_the_next_start(self):
        self.start()
        taken = self.post(0, 2000)
        self.sealed()
        until(lambda: self.dedup()["files"] <= 6, seconds=30)
        self.mill.kill(self.mill.dispatcher)
        names = self.key_files()
        # A file that was being made, one that was whole but not named yet, one that was to be removed.
        with open(self.folder("000fff01.keys"), "wb") as f:
            f.write(b"half")
        shutil.copy(self.folder(names[0]), self.folder("000fff02.keys"))
        self.start()
        self.expect_repeats(0, taken)
        until(lambda: len(self.key_files()) == self.dedup()["files"], seconds=30)
        self.assertFalse({"000fff01.keys", "000fff02.keys"} & set(self.key_files()))


class Losses(DedupCase):
    def refused(self, *words):
        p = self.mill.start_dispatcher(wait=False, rules_dir=self.path("rules"), **SMALL)
        self.assertEqual(p.wait(30), 1)
        with open(p.log) as f:
            log = f.read()
        for word in words + ("--accept-lost=dedup", "start jobs a second time"):
            self.assertIn(word, log)

    def test_a_file_that_is_lost_is_told(self):
        self.start()
        taken = self.post(0, 2000)
        self.sealed()
        until(lambda: self.dedup()["files"] <= 6, seconds=30)
        self.mill.kill(self.mill.dispatcher)
        saved = self.path("saved")
        shutil.copytree(self.folder(), saved)

        def again():
            shutil.rmtree(self.folder())
            shutil.copytree(saved, self.folder())
        name = self.key_files()[0]
        os.unlink(self.folder(name))
        self.refused("a file of keys is missing", name)
        again()
        with open(self.folder(name), "r+b") as f:
            f.truncate(4096)
        self.refused("a file of keys is damaged", name)
        again()
        os.unlink(self.folder("list"))
        self.refused("dedup/list")
        again()
        with open(self.folder("list"), "r+b") as f:
            f.write(b"2")
        self.refused("is damaged")
        shutil.rmtree(self.folder())
        self.refused("dedup/list")
        self.start(accept_lost="dedup")
        self.mill.kill(self.mill.dispatcher)
        self.start()
        self.assertEqual(self.dedup()["in_files"], 0)
        self.mill.kill(self.mill.dispatcher)
        again()
        self.start()
        self.expect_repeats(0, taken[:500])


main()
