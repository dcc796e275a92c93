#!/usr/bin/env python3
"""The library's media and finance on objects of a real S3 server: the event names the object, tools and ffmpeg read it
by ranges, and the result is byte for byte that of the same file. (genomics reads its objects by the worker.)"""
import json
import os
import subprocess
import unittest

from case import MillCase, main, until
import ceph as ceph_module
from ceph import Ceph
import media

CEPH = None
HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARY = os.path.join(HERE, "..", "..", "jobs", "library")
EVENT = {"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
                      "eventTime": "2026-01-02T03:04:05.678Z", "eventName": "ObjectCreated:Put",
                      "s3": {"bucket": {"name": "", "arn": ""}, "object": {"key": "", "size": 0, "sequencer": "1"}}}]}


def setUpModule():
    global CEPH
    reason = ceph_module.why_not()
    if reason:
        print("mill: skipped: the library on objects in S3: " + reason)
        raise unittest.SkipTest(reason)
    CEPH = Ceph()
    CEPH.__enter__()
    os.environ.update({k: v for k, v in CEPH.environment.items() if k != "AWS_ENDPOINT_URL_S3"})
    os.environ["HOME"] = CEPH.dir  # nobody's ~/.aws
    for bucket in ("masters", "positions"):
        CEPH.make_bucket(bucket)


def tearDownModule():
    if CEPH is not None:
        CEPH.__exit__(None, None, None)


class OnS3(MillCase):
    def start(self, field, name, *changes):
        """The library's rule, with changes; the endpoint is the worker's parameter."""
        rules = os.path.join(self.mill.dir, "rules")
        os.mkdir(rules)
        with open(os.path.join(LIBRARY, field, name + ".yaml")) as f:
            text = f.read()
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        with open(os.path.join(rules, name + ".yaml"), "w") as f:
            f.write(text)
        self.tool = os.path.join(self.mill.build, "jobs", "library", field, name)
        os.environ["PATH"] = os.path.dirname(self.tool) + ":" + os.environ["PATH"]
        self.mill.start_dispatcher(rules_dir=rules, s3_endpoint=CEPH.endpoint)
        self.mill.start_worker(cpus=2, s3_endpoint=CEPH.endpoint)

    def arrives(self, bucket, key):
        event = json.loads(json.dumps(EVENT))
        s3 = event["Records"][0]["s3"]
        s3["bucket"] = {"name": bucket, "arn": "arn:aws:s3:::" + bucket}
        s3["object"]["key"] = key
        answer = self.mill.api("POST", "/v1/events", event)["events"][0]
        return self.mill.wait(answer["jobs"][0], seconds=180)

    def test_a_video_is_read_by_ranges(self):
        original = self.write("original.mp4", b"")
        media.ffmpeg("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=6", "-f", "lavfi", "-i",
                     "sine=frequency=300:duration=6", "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "8M", "-g", "25",
                     "-pix_fmt", "yuv420p", "-c:a", "aac", original)
        CEPH.put("masters", "a%20b.mp4", original)
        self.start("media", "media-ladder", ("720:21,480:23,360:24", "120:30"), ("--preset, medium", "--preset, ultrafast"),
                   ('--seconds, "4"', '--seconds, "1.5"'))
        job = self.arrives("masters", "a+b.mp4")
        self.assertEqual(job["state"], "succeeded", job)
        parts = subprocess.check_output([self.tool, "-s", "1.5", "plan", original], text=True).split("\n")[:-1]
        self.assertEqual([p for p in job["phases"] if p["name"] == "shards"][0]["done"], len(parts))
        for n, part in enumerate(parts):  # what the file gives
            with open(os.path.join(self.mill.dir, "%d.nut" % n), "wb") as f:
                subprocess.check_call([self.tool, "-l", "120:30", "-p", "ultrafast", "encode", original, part], stdout=f)
        expected = subprocess.check_output([self.tool, "-l", "120:30", "stitch"] + ["%d.nut" % n for n in range(len(parts))],
                                           cwd=self.mill.dir)
        self.assertEqual(self.mill.output(job["id"]), expected)
        gone = self.arrives("masters", "gone.mp4")
        self.assertEqual((gone["state"], gone["retries"]), ("failed", 0), gone)
        self.assertIn("s3://masters/gone.mp4", gone["why"])

    def test_positions_and_prices_are_objects(self):
        prices = "date,A,B\n" + "".join(
            "2020-%02d-%02d,%.2f,%.2f\n" % (1 + n // 28, 1 + n % 28, 100 + n * 7 % 13, 50 + n * 5 % 11) for n in range(200))
        CEPH.put_bytes("positions", "eod/prices.csv", prices.encode())
        CEPH.put_bytes("positions", "eod/book.positions.csv", b"asset,quantity\nA,10\nB,-4\n")
        self.start("finance", "finance-var", ("shard: {count: 10000000}", "shard: {count: 20}"), ('"10000000"', '"20000"'))
        job = self.arrives("positions", "eod/book.positions.csv")
        self.assertEqual(job["state"], "succeeded", job)
        self.write("prices.csv", prices.encode())
        expected = subprocess.check_output([self.tool, "--positions", self.write("book.positions.csv", b"asset,quantity\nA,10\nB,-4\n"),
                                            "--scenarios", "20000", "--json"])
        self.assertEqual(self.mill.output(job["id"]), expected)
        lost = self.arrives("positions", "lost/book.positions.csv")
        self.assertEqual(lost["state"], "failed", lost)
        self.assertIn("s3://positions/lost/book.positions.csv", lost["why"])


if __name__ == "__main__":
    main()
