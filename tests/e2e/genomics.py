#!/usr/bin/env python3
"""The library's fastq-qc over real reads: for five shard sizes the gathered result is byte for byte what
the tool says of the whole file in one run. The file comes as an event: it is moved into a watched directory.

Usage: genomics.py BUILD"""
import gzip
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from mill import Mill, until  # noqa: E402

READS = "/usr/share/doc/bowtie2/examples/reads/"
RULE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "jobs", "library", "genomics", "fastq-qc.yaml")
SIZES = ["16KiB", "100KiB", "333KiB", "1MiB", "64MiB"]


def main():
    build = os.path.abspath(sys.argv[1])
    tool = os.path.join(build, "jobs", "library", "genomics", "fastq-qc")
    os.environ["PATH"] = os.path.dirname(tool) + ":" + os.environ["PATH"]
    with Mill(build) as mill:
        whole = os.path.join(mill.dir, "whole.fastq")
        with open(whole, "wb") as f:
            for name in ("reads_1.fq.gz", "longreads.fq.gz"):
                f.write(gzip.open(READS + name).read())
        expected = subprocess.check_output([tool, "--json", whole])
        bucket, rules = os.path.join(mill.dir, "bucket"), os.path.join(mill.dir, "rules")
        os.mkdir(bucket)
        os.mkdir(rules)
        rule = open(RULE).read()
        for n, size in enumerate(SIZES):  # one rule a size, each for its own file
            text = rule.replace("16MiB\n", size + "\n", 1).replace("{suffix: .fastq}, {suffix: .fq}", "{suffix: .%d.fastq}" % n)
            text = text.replace("name: fastq-qc", "name: fastq-qc-%d" % n)
            assert "bytes: %s" % size in text
            with open(os.path.join(rules, "%d.yaml" % n), "w") as f:
                f.write(text)
        mill.start_dispatcher(bucket=bucket, rules_dir=rules)
        mill.start_worker()
        for n in range(len(SIZES)):
            part = os.path.join(bucket, ".reads.%d.fastq" % n)  # hidden: does not count until it is renamed
            with open(part, "wb") as f:
                f.write(open(whole, "rb").read())
            os.rename(part, os.path.join(bucket, "reads.%d.fastq" % n))
        jobs = until(lambda: (lambda j: j if len(j) == len(SIZES) else None)(mill.api("GET", "/v1/jobs")["jobs"]))
        for job in jobs:
            ended = mill.wait(job["id"])
            assert ended["state"] == "succeeded", ended
            size = SIZES[int(job["name"].rsplit("-", 1)[1])]
            shards = mill.job(job["id"])["phases"][0]["shards"]
            output = mill.output(job["id"])
            assert output == expected, "shards of %s: %d bytes, expected %d" % (size, len(output), len(expected))
            print("genomics: %s: %d shards, %d reads, byte for byte" % (size, shards, json.loads(output)["reads"]
                  if "reads" in json.loads(output) else -1))
    print("mill: %d passed, 0 failed" % len(SIZES))


if __name__ == "__main__":
    main()
