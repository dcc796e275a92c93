"""The library's jobs against what people do without shardmill: the same tool over the same parts, one after the
other, and by xargs on two cores. Each way starts from the same file and ends with the same bytes, merging included.

Parts have a session each (setsid): so have shardmill's attempts, and where others use the machine too, Linux shares its
cores between sessions (sched(7), autogroup). What is compared is the way of running, not who has more of them."""
import os
import subprocess
import time

import end_to_end
from mill import Mill

SLOTS = 2
GOAL = 0.90
SPEECH = "/usr/share/sounds/alsa/Front_Center.wav"
READS = "/usr/share/doc/bowtie2/examples/reads/reads_1.fq.gz"


def definition(field, name, *changes):
    """The library's, as it ships but for what is changed: (from, to)."""
    with open(os.path.join(end_to_end.LIBRARY, field, name + ".yaml")) as f:
        text = f.read()
    for old, new in changes:
        assert old in text, "%s.yaml has no %s" % (name, old)
        text = text.replace(old, new)
    return text


def put_on_path(bench, field):
    os.environ["PATH"] = os.path.abspath(os.path.join(bench.build, "jobs", "library", field)) + ":" + os.environ["PATH"]


def run(script, directory, *args):
    """A shell script; $1… are args. Its output, and its seconds."""
    begun = time.monotonic()
    done = subprocess.run(["sh", "-euc", script, "sh", *args], cwd=directory, stdin=subprocess.DEVNULL, capture_output=True,
                          check=False)
    assert done.returncode == 0, "%s: exit %d, %s" % (script, done.returncode, done.stderr.decode(errors="replace")[-300:])
    return done.stdout, time.monotonic() - begun


def compare(mill, directory, ways, text, rounds):
    """Seconds of (shardmill, xargs, serial): the round whose ratio of the first two is the median; serial once."""
    mill.start_dispatcher()
    mill.start_worker(cpus=str(SLOTS))
    want, serial = run(ways["serial"], directory)
    times = []
    for n in range(rounds + 1):  # the first warms up
        got, xargs = run(ways["xargs"], directory)
        assert got == want, "xargs made something else"
        begun = time.monotonic()
        job = mill.submit(text)
        assert mill.wait(job, seconds=300)["state"] == "succeeded", mill.job(job)
        got = mill.output(job)
        seconds = time.monotonic() - begun
        assert got == want, "shardmill made something else"
        if n > 0:
            times.append((seconds, xargs))
    seconds, xargs = end_to_end.middle(times)
    return seconds, xargs, serial


def row(what, amount, unit, times):
    """amount: how much each way did."""
    seconds, xargs, serial = times
    return [end_to_end.Row(what, "%.4g %s" % (amount / seconds, unit),
                           "xargs -P%d: %.4g %s; one by one: %.4g" % (SLOTS, amount / xargs, unit, amount / serial),
                           xargs / seconds, "ratio at least %.2f" % GOAL, xargs / seconds >= GOAL)]


def make_reads(directory, parts):
    """all.fastq, and the same as parts of whole records, each just under 16 MiB."""
    reads = subprocess.check_output(["gzip", "-dc", READS])
    block = reads * ((16 << 20) // len(reads))
    os.mkdir(os.path.join(directory, "parts"))
    with open(os.path.join(directory, "all.fastq"), "wb") as whole:
        for n in range(parts):
            whole.write(block)
            with open(os.path.join(directory, "parts", "%04d" % n), "wb") as f:
                f.write(block)
    return block


def genomics(bench):
    """fastq-qc of the library, parts of 16 MiB, against xargs over files of that size."""
    parts, rounds = (12, 1) if bench.short else (48, 3)
    put_on_path(bench, "genomics")
    ways = {
        "serial": "for p in parts/*; do setsid -w fastq-qc --json $p; done >reports; fastq-qc --merge --json reports",
        "xargs": "mkdir -p out; ls parts | xargs -P%d -I{} setsid -w sh -c 'fastq-qc --json parts/{} >out/{}'; "
                 "fastq-qc --merge --json out/*" % SLOTS,
    }
    with Mill(bench.build) as mill:
        size = len(make_reads(mill.dir, parts))
        text = definition("genomics", "fastq-qc", ("{{event.object}}", "file://" + os.path.join(mill.dir, "all.fastq")),
                          ("bytes: 16MiB", "bytes: %d" % size))
        times = compare(mill, mill.dir, ways, text, rounds)
    return row("genomics: FASTQ quality, %d parts of %.0f MB" % (parts, size / 1e6), parts * size / 1e6, "MB/s", times)


def media(bench):
    """media-ladder of the library, parts between key frames, against xargs over the same parts."""
    seconds, rounds = (4, 1) if bench.short else (12, 3)
    put_on_path(bench, "media")
    ladder = "240:21,180:23,144:24"
    encode = "media-ladder --ladder %s --preset veryfast encode master.mp4" % ladder
    ways = {
        "serial": "rm -rf out; mkdir out; media-ladder --seconds 1 plan master.mp4 >plan; n=1000; while read -r part; do "
                  "n=$((n+1)); setsid -w %s \"$part\" >out/$n; done <plan; media-ladder --ladder %s stitch out/*"
                  % (encode, ladder),
        "xargs": "rm -rf out; mkdir out; media-ladder --seconds 1 plan master.mp4 >plan; seq 1001 $((1000 + $(wc -l <plan))) | "
                 "xargs -P%d -I{} setsid -w sh -c '%s \"$(sed -n $(({} - 1000))p plan)\" >out/{}'; "
                 "media-ladder --ladder %s stitch out/*" % (SLOTS, encode, ladder),
    }
    with Mill(bench.build) as mill:
        master = os.path.join(mill.dir, "master.mp4")
        subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i",
                        "testsrc2=size=640x360:rate=25:duration=%d,noise=alls=8:allf=t:all_seed=1" % seconds,
                        "-stream_loop", "-1", "-i", SPEECH, "-t", str(seconds), "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt",
                        "yuv420p", "-c:a", "aac", master], check=True)
        text = definition("media", "media-ladder", ("720:21,480:23,360:24", ladder), ("{{event.object}}", master),
                          ("--preset, medium", "--preset, veryfast"), ('--seconds, "4"', '--seconds, "1"'))
        times = compare(mill, mill.dir, ways, text, rounds)
    return row("media: %d s of video, a part a second" % seconds, 25 * seconds, "frames/s", times)


def finance(bench):
    """finance-var of the library, parts of 50,000 scenarios, against xargs, a process a part."""
    parts, rounds = (6, 1) if bench.short else (40, 3)
    each = 50_000
    put_on_path(bench, "finance")
    tally = "finance-var --positions positions.csv --horizon 10 --decay 0.94 --seed 1 --scenarios %d --tally" % each
    ways = {
        "serial": "mkdir -p out; for n in $(seq 0 %d); do setsid -w %s --first $((n * %d)) >out/$n; done; "
                  "finance-var --merge --json out/*" % (parts - 1, tally, each),
        "xargs": "mkdir -p out; seq 0 %d | xargs -P%d -I{} setsid -w sh -c '%s --first $(({} * %d)) >out/{}'; "
                 "finance-var --merge --json out/*" % (parts - 1, SLOTS, tally, each),
    }
    with Mill(bench.build) as mill:
        positions = end_to_end.make_positions(mill.dir)
        text = definition("finance", "finance-var", ("count: 10000000}", "count: %d}" % parts),
                          ('"10000000"', '"%d"' % (parts * each)), ('"{{event.object}}"', positions))
        times = compare(mill, mill.dir, ways, text, rounds)
    return row("finance: value at risk, %d parts of %d scenarios" % (parts, each), parts * each / 1e6, "million/s", times)


ALL = {"library-genomics": genomics, "library-media": media, "library-finance": finance}
