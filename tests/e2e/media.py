#!/usr/bin/env python3
"""The library's media-ladder: a video that lands in a watched directory is cut at its key frames, encoded part
by part and put together. Frames and duration are the original's, and the picture is as good as that of one
ffmpeg with the same settings. The video is a test pattern with noise; the audio is the speech of alsa-utils.

Usage: media.py BUILD"""
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from mill import Mill, until  # noqa: E402

SPEECH = "/usr/share/sounds/alsa/Front_Center.wav"
RULE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "jobs", "library", "media", "media-ladder.yaml")
LADDER = [(240, 24), (180, 25), (144, 26)]
LONG = os.environ.get("MILL_TEST") == "long"
SECONDS = 120 if LONG else 12


def ffmpeg(*args):
    return subprocess.run(["ffmpeg", "-nostdin", "-hide_banner", "-y", *args], check=True, stderr=subprocess.PIPE,
                          text=True).stderr


def make_original(path):
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=30000/1001:duration=%d,noise=alls=6:allf=t:all_seed=1" % SECONDS,
           "-stream_loop", "-1", "-i", SPEECH, "-t", str(SECONDS), "-c:v", "libx264", "-preset", "ultrafast",
           "-x264-params", "open-gop=1:bframes=2:keyint=60", "-pix_fmt", "yuv420p", "-c:a", "aac", path)


def make_serial(original, directory):
    """One ffmpeg with the same settings: {height: path}."""
    made, args, chains = {}, [], []
    for n, (height, crf) in enumerate(LADDER):
        made[height] = os.path.join(directory, "serial-%d.mp4" % height)
        chains.append("[s%d]scale=-2:%d:flags=bicubic,format=yuv420p[v%d]" % (n, height, n))
        args += ["-map", "[v%d]" % n, "-map", "0:a:0", "-c:v", "libx264", "-preset", "veryfast", "-crf", str(crf),
                 "-fps_mode", "passthrough", "-c:a", "aac", "-b:a", "128k", made[height]]
    split = "[0:V:0]split=%d" % len(LADDER) + "".join("[s%d]" % n for n in range(len(LADDER)))
    ffmpeg("-i", original, "-filter_complex", ";".join([split] + chains), *args)
    return made


def look(path):
    """(frames, seconds of video, seconds of audio)"""
    said = json.loads(subprocess.check_output(
        ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_type,nb_read_frames,duration", "-of",
         "json", path]))["streams"]
    video = [s for s in said if s["codec_type"] == "video"][0]
    audio = [s for s in said if s["codec_type"] == "audio"][0]
    return int(video["nb_read_frames"]), float(video["duration"]), float(audio["duration"])


def psnr(path, original, height):
    said = ffmpeg("-i", path, "-i", original, "-lavfi",
                  "[0:v]settb=1/90000,setpts=N*3003[a];[1:v]scale=-2:%d:flags=bicubic,settb=1/90000,setpts=N*3003[b];[a][b]psnr" % height,
                  "-f", "null", "-")
    return float(re.search(r"average:([0-9.]+)", said).group(1))


def start(mill, tool):
    rule = open(RULE).read().replace("720:21,480:23,360:24", ",".join("%d:%d" % rung for rung in LADDER))
    rule = rule.replace("--preset, medium", "--preset, veryfast").replace('--seconds, "4"', '--seconds, "2"')
    os.mkdir(os.path.join(mill.dir, "bucket"))
    os.mkdir(os.path.join(mill.dir, "rules"))
    with open(os.path.join(mill.dir, "rules", "media.yaml"), "w") as f:
        f.write(rule)
    mill.start_dispatcher(bucket=os.path.join(mill.dir, "bucket"), rules_dir=os.path.join(mill.dir, "rules"))
    for _ in range(2):
        mill.start_worker(cpus="1")


def drop(mill, path, name, count):
    """The ended job of a file that is moved into the bucket; the count-th."""
    hidden = os.path.join(mill.dir, "bucket", "." + name)
    shutil.copy(path, hidden)
    os.rename(hidden, os.path.join(mill.dir, "bucket", name))
    jobs = until(lambda: (lambda j: j if len(j) == count else None)(mill.api("GET", "/v1/jobs")["jobs"]))
    return mill.wait(jobs[0]["id"], seconds=600)


def check_ladder(mill, job, original, serial):
    shards = [p for p in job["phases"] if p["name"] == "shards"][0]
    assert job["state"] == "succeeded", job
    assert shards["shards"] >= (SECONDS // 4) + 1, "%d parts" % shards["shards"]
    archive = os.path.join(mill.dir, "out.tar")
    with open(archive, "wb") as f:
        f.write(mill.output(job["id"]))
    with tarfile.open(archive) as tar:
        tar.extractall(mill.dir)
    frames, seconds, _ = look(original)
    for height, _ in LADDER:
        path = os.path.join(mill.dir, "%dp.mp4" % height)
        got, ours, theirs = look(path), psnr(path, original, height), psnr(serial[height], original, height)
        assert got[0] == frames, "%dp: %d frames, the original has %d" % (height, got[0], frames)
        assert abs(got[1] - seconds) < 0.001, "%dp: %f s, the original has %f" % (height, got[1], seconds)
        assert abs(got[2] - look(serial[height])[2]) < 0.001, "%dp: %f s of audio" % (height, got[2])
        assert abs(ours - theirs) < 0.1, "%dp: %.3f dB, one ffmpeg has %.3f" % (height, ours, theirs)
        print("media: %dp: %d frames in %d parts, %.3f s, %.2f dB; one ffmpeg: %.2f dB"
              % (height, got[0], shards["shards"] - 1, got[1], ours, theirs))
    print("media: %.1f s in attempts" % job["run_seconds"])


def check_broken(mill, original):
    """What cannot be cut is told with its name, and is not tried again."""
    keyless, truncated, silent = (os.path.join(mill.dir, n) for n in ("keyless.mkv", "cut.mp4", "speech.mkv"))
    ffmpeg("-i", original, "-c", "copy", "-an", "-bsf:v", "noise=drop=key", keyless)
    with open(truncated, "wb") as f:
        f.write(open(original, "rb").read()[:20000])
    ffmpeg("-i", SPEECH, "-c:a", "aac", silent)
    cases = [(keyless, "no key frame among them"), (truncated, "the video cannot be opened"), (silent, "there is no video in it")]
    for n, (path, words) in enumerate(cases):
        name = os.path.basename(path)
        job = drop(mill, path, name, n + 2)
        assert job["state"] == "failed" and words in job["why"] and name in job["why"], job
        assert job["retries"] == 0, job


def by_hand(tool, path, out):
    """What the job does, without a mill: the number of parts; out becomes the only rendition."""
    said = subprocess.run([tool, "--seconds", "1", "plan", "--", path], check=True, capture_output=True, text=True).stdout
    parts = []
    for n, part in enumerate(said.splitlines()):
        parts.append("%s.%d" % (out, n))
        with open(parts[-1], "wb") as f:
            subprocess.run([tool, "--ladder", "120:30", "--preset", "ultrafast", "encode", "--", path, part], check=True, stdout=f)
    tar = subprocess.run([tool, "--ladder", "120:30", "stitch", *parts], check=True, capture_output=True, cwd=os.path.dirname(out)).stdout
    with tarfile.open(fileobj=io.BytesIO(tar)) as t:
        with open(out, "wb") as f:
            f.write(t.extractfile("120p.mp4").read())
    return len(parts)


def times(path):
    """When its frames are presented, in milliseconds."""
    said = subprocess.check_output(["ffprobe", "-v", "error", "-select_streams", "V", "-show_entries", "frame=pts_time", "-of",
                                    "csv=p=0", "file:" + path], text=True)
    return [round(float(t.strip(",")) * 1000) for t in said.split()]


def check_odd(directory, tool):
    """Files that cameras and editors leave: each frame is there, at its time."""
    whole = os.path.join(directory, "whole.mp4")
    source, x264 = ["-f", "lavfi", "-i"], ["-c:v", "libx264", "-preset", "ultrafast"]
    ffmpeg(*source, "testsrc2=size=160x120:rate=30:duration=4", *x264, "-x264-params", "open-gop=1:bframes=2:keyint=30", whole)
    cases = [
        ("an edit list that begins within a group", "edit.mp4", ["-ss", "1.5", "-i", whole, "-c", "copy"], 2),
        ("an edit list within the last group", "last.mp4", ["-ss", "3.5", "-i", whole, "-c", "copy"], 1),
        ("a rate that varies", "vfr.mkv", ["-i", whole, "-vf", "select='mod(n,7)*mod(n,3)'", "-fps_mode", "vfr", *x264, "-g", "20"], 2),
        ("a rotated picture", "rotated.mp4", ["-i", whole, "-c", "copy", "-metadata:s:v", "rotate=90"], 4),
        ("odd sizes and 10 bits", "odd.mkv", [*source, "testsrc2=size=161x121:rate=25:duration=1", "-pix_fmt", "yuv420p10le", "-c:v", "ffv1"], 1),
        ("nothing but key frames", "key.mp4", ["-i", whole, *x264, "-g", "1"], 4),
        ("one frame", "one.mp4", [*source, "testsrc2=size=160x120", "-frames:v", "1", *x264], 1),
        ("a name", "-a%d:b'\"$(c) \\.mp4", ["-i", whole, "-c", "copy"], 4),
    ]
    for what, name, args, count in cases:
        path, out = os.path.join(directory, name), os.path.join(directory, "odd-out.mp4")
        ffmpeg(*args, "file:" + path)
        os.chdir(directory)
        assert by_hand(tool, name, out) >= count, what
        got, want = times(out), times(path)
        assert got == want, "%s: %d frames, the original has %d: %s, %s" % (what, len(got), len(want), got[:9], want[:9])
    stream = os.path.join(directory, "stream.ts")
    ffmpeg("-i", whole, "-c", "copy", stream)
    said = subprocess.run([tool, "plan", stream], capture_output=True, text=True)
    assert said.returncode == 2 and "mpegts" in said.stderr and "-c copy" in said.stderr, said


def main():
    build = os.path.abspath(sys.argv[1])
    tool = os.path.join(build, "jobs", "library", "media", "media-ladder")
    if not os.path.exists(tool):
        print("media-ladder is not built: ffmpeg's libraries are missing")
        sys.exit(77)
    os.environ["PATH"] = os.path.dirname(tool) + ":" + os.environ["PATH"]
    with Mill(build) as mill:
        original = os.path.join(mill.dir, "original.mp4")
        make_original(original)
        serial = make_serial(original, mill.dir)
        check_odd(mill.dir, tool)
        start(mill, tool)
        check_ladder(mill, drop(mill, original, "original.mp4", 1), original, serial)
        check_broken(mill, original)
    print("mill: 5 passed, 0 failed")


if __name__ == "__main__":
    main()
