#!/usr/bin/env python3
"""Who gets the next slot: a job that comes later does not wait for the end of one that keeps all slots busy."""
from case import FAST, MillCase, main, until

HUGE = "version: 1\nname: huge\nshard: {count: 4000000000}\nrun: {exec: [sleep, '0.05']}\n"
LATER = "version: 1\nname: %s\n%s\nrun: {exec: [%s], resources: {cpus: %s}}\n"


class Rank(MillCase):
    def start_busy(self, **params):
        """All slots are busy with shards of the same job, and more of them wait at the worker."""
        self.mill.start_dispatcher(**dict(FAST, **params))
        self.mill.start_worker(heartbeat="100ms", cpus=2)
        self.huge = self.mill.submit(HUGE)
        until(lambda: self.mill.job(self.huge)["phases"][0]["done"] >= 20)

    def expect_soon(self, *later):
        """It ends while the huge job goes on. The shards of the huge one would take a year."""
        ended = self.mill.wait(self.mill.submit(LATER % later), seconds=30)
        self.assertEqual(ended["state"], "succeeded", ended)
        self.assertEqual(self.mill.job(self.huge)["word"], "running")

    def test_a_later_job_that_goes_first_starts(self):
        self.start_busy()
        for priority in (1, 100):
            self.expect_soon("urgent%d" % priority, "priority: %d" % priority, "/bin/true", "1")
        self.expect_soon("other", "queue: other", "/bin/true", "1")
        self.expect_soon("large", "priority: 1", "/bin/true", "2")
        self.expect_soon("small", "queue: other", "/bin/true", "0.1")

    def test_a_job_whose_shards_are_known_to_be_long_gets_a_free_slot(self):
        self.start_busy(prefetch_below="200ms")
        for n in range(3):  # from the second on its run time is known
            self.expect_soon("slow", "priority: 1", "sleep, '0.4'", "1")


main()
