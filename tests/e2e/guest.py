#!/usr/bin/env python3
"""The mill in a machine with two NUMA nodes and cgroup v2: where things run, and what memory they get.

Boots Debian's kernel in qemu (TCG: it shows where things are, not how fast) with an initramfs of busybox
and the programs of this build. What the guest finds is read from its serial line.
Usage: guest.py BUILD. Exits with 77 when a part of it cannot be had; its last line says which."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
APPLETS = ("sh", "mount", "poweroff", "cat", "ls", "echo", "mkdir", "grep", "sed", "wc", "sleep", "usleep", "kill",
           "head", "tail", "ln", "dirname", "tr", "cut", "sort", "env", "setsid", "mv", "rm", "true", "touch")
BOOT_SECONDS = 500
KERNEL_PACKAGE = "linux-image-cloud-amd64"


class Missing(Exception):
    """A part that this machine does not have."""


def output_of(*argv, **more):
    return subprocess.run(argv, check=True, capture_output=True, text=True, **more).stdout


def kernel(build):
    """A Debian kernel image, fetched and unpacked once; it is not installed."""
    cache = os.path.join(os.path.dirname(os.path.abspath(build)), "guest-kernel")
    found = sorted(glob.glob(cache + "/boot/vmlinuz-*"))
    if found:
        return found[-1]
    if not shutil.which("apt-get"):
        raise Missing("no kernel image for the guest: there is no apt-get here")
    os.makedirs(cache, exist_ok=True)
    try:
        depends = output_of("apt-cache", "depends", KERNEL_PACKAGE)
        real = re.search(r"Depends: (linux-image-\S+)", depends)
        name = (real.group(1) if real else KERNEL_PACKAGE)
        output_of("apt-get", "download", "-q", name, cwd=cache)
        for package in glob.glob(cache + "/linux-image-*.deb"):
            output_of("dpkg-deb", "-x", package, cache)
            os.unlink(package)
        for name in ("lib", "usr"):  # modules and papers: the initramfs needs none
            shutil.rmtree(os.path.join(cache, name), ignore_errors=True)
    except subprocess.CalledProcessError as e:
        raise Missing("no kernel image for the guest: %s: %s" % (" ".join(e.cmd), (e.stderr or "").strip().split("\n")[-1]))
    found = sorted(glob.glob(cache + "/boot/vmlinuz-*"))
    if not found:
        raise Missing("no kernel image for the guest: the package holds none")
    return found[-1]


def add(root, build, program):
    """A program of the build, below /mill wherever the build is (a checkout may lie in /tmp, which is another
    one there), and its shared libraries, at the same places."""
    path = os.path.join(build, program)
    ldd = subprocess.run(["ldd", path], capture_output=True, text=True)
    needed = {name: root + os.path.abspath(name) for name in re.findall(r"(/\S+) \(0x", ldd.stdout)}
    needed[path] = os.path.join(root, "mill", program)
    for name, to in needed.items():
        if not os.path.exists(to):
            os.makedirs(os.path.dirname(to), exist_ok=True)
            shutil.copy(os.path.realpath(name), to)
            subprocess.run(["strip", "--strip-debug", to], capture_output=True)


def initramfs(root, build, image):
    """Everything that the guest has."""
    programs = {"CLI": "cli/shardmill", "WORKER": "worker/shardmill-worker", "PROBE": "tests/e2e/numa-probe",
                "EAT": "tests/unit/worker_shell/eat",
                "UNIT": "tests/unit/worker_shell/worker-memory-test"}
    for name in ("bin", "proc", "sys", "dev", "tmp", "etc"):
        os.makedirs(os.path.join(root, name))
    busybox = shutil.which("busybox", path="/bin:/usr/bin:/sbin")
    shutil.copy(busybox, os.path.join(root, "bin", "busybox"))
    for name in APPLETS:
        os.symlink("busybox", os.path.join(root, "bin", name))
    for name in list(programs.values()) + ["dispatcher/shardmill-dispatcher", "scaler/shardmill-scaler"]:
        add(root, build, name)
    with open(os.path.join(HERE, "guest", "init.sh")) as f:
        lines = f.read().split("\n")
    lines[1:1] = ["%s=/mill/%s" % (name, path) for name, path in programs.items()]
    lines[1:1] = ["BUILT_EAT=" + os.path.join(build, programs["EAT"])]
    with open(os.path.join(root, "init"), "w") as f:
        f.write("\n".join(lines))
    os.chmod(os.path.join(root, "init"), 0o755)
    with open(os.path.join(root, "etc", "passwd"), "w") as f:
        f.write("root:x:0:0:root:/tmp:/bin/sh\n")
    subprocess.run("find . | cpio -o -H newc --quiet | gzip -1 >'%s'" % image, shell=True, check=True, cwd=root)


def boot(kernel_image, image):
    """What the guest writes until it powers off."""
    argv = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-nodefaults", "-no-user-config",
            "-no-reboot", "-display", "none", "-serial", "stdio", "-m", "1536M",
            "-smp", "4,sockets=2,cores=2,threads=1",
            "-object", "memory-backend-ram,id=m0,size=768M", "-object", "memory-backend-ram,id=m1,size=768M",
            "-numa", "node,nodeid=0,cpus=0-1,memdev=m0", "-numa", "node,nodeid=1,cpus=2-3,memdev=m1",
            "-numa", "dist,src=0,dst=1,val=21", "-kernel", kernel_image, "-initrd", image,
            "-append", "console=ttyS0 quiet loglevel=3 panic=-1 tsc=reliable no_timer_check"]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=BOOT_SECONDS)
        return (done.stdout + done.stderr).decode("utf-8", "replace").replace("\r", "")
    except subprocess.TimeoutExpired as e:
        return (e.stdout or b"").decode("utf-8", "replace").replace("\r", "") + "\nthe guest did not end in time"


def told(text, name):
    """The lines that begin with ### NAME, without that."""
    return re.findall(r"^### %s (.*)$" % re.escape(name), text, re.M)


def cpus_of(text):
    cpus = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        cpus |= set(range(int(first), int(last or first) + 1))
    return cpus


class Findings:
    """Checks, counted; each has its words."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, what, holds, found=""):
        if holds:
            self.passed += 1
        else:
            self.failed += 1
            print("not so: %s (found %s)" % (what, found))


def probes_of(text, name):
    return [dict(pair.split("=", 1) for pair in line.split()[1:]) for line in told(text, name)
            if line.startswith("probe ")]


def judge_cores(f, probes, nodes):
    f.check("four shards ran, one for each core", len(probes) == 4, probes)
    f.check("each has a core of its own", sorted(p["cpus"] for p in probes) == ["0", "1", "2", "3"], probes)
    for p in probes:
        judge_place(f, p, nodes, lambda own, worker: len(own) == 1 and own < worker)


def judge_place(f, p, nodes, cpus_are_right):
    """One probe: cores, thread, policy and pages are of one node, which is its worker's."""
    own, worker = cpus_of(p["cpus"]), cpus_of(p["worker_cpus"])
    node = next((n for n, cpus in enumerate(nodes) if cpus == worker), None)
    f.check("a worker runs on the cores of one node", node is not None, p)
    if node is None:
        return
    other = 1 - node
    f.check("a shard's cores are its worker's", cpus_are_right(own, worker), p)
    f.check("the slot's thread is bound as the shard is", p.get("slot_cpus") == p["cpus"], p)
    f.check("the shard runs there", int(p["node"]) == node, p)
    f.check("its memory is bound to the node", p["policy"] == "bind:%d" % (1 << node), p)
    f.check("there are pages", int(p["pages_node%d" % node]) > 8000, p)
    f.check("each page of its buffers is on the node",
            p["pages_node%d" % other] == "0" and p["pages_elsewhere"] == "0", p)
    f.check("the worker's own pages are on the node",
            p["worker_node%d" % other] == "0" and int(p["worker_node%d" % node]) > 100, p)


def judge(text):
    f = Findings()
    nodes = [cpus_of(line.split()[0]) for line in re.findall(r"^### node\d cpus (.*)$", text, re.M)]
    f.check("the machine has two nodes of two cores", nodes == [{0, 1}, {2, 3}], nodes)
    judge_cores(f, probes_of(text, "cores"), nodes)
    wide = probes_of(text, "nodes")
    f.check("both workers were at work", {p["cpus"] for p in wide} == {"0-1", "2-3"}, wide)
    for p in wide:
        judge_place(f, p, nodes, lambda own, worker: own == worker)
    free = probes_of(text, "anywhere")
    f.check("unpinned shards run anywhere, their memory too",
            len(free) == 4 and all(p["cpus"] == "0-3" and p["policy"] == "default:0" for p in free), free)
    f.check("what memory is bound by", len(re.findall(r"memory_bound=\"?cgroup v2 below /sys/fs/cgroup/mill", text)) >= 2,
            re.findall(r"memory_bound=.*", text))
    f.check("an oom is tried with more", told(text, "larger") == ["exit 0", "output attempt 2", "output attempt 2"],
            told(text, "larger"))
    f.check("without that it is dead of it", told(text, "same")[:1] == ["exit 1"], told(text, "same"))
    show = "\n".join(told(text, "show"))
    f.check("and why is told", "it needed more than 48MiB (cgroup memory limit)" in show and "oom" in show, show)
    f.check("no group is left", "### groups left: 0" in text, re.findall("### groups left.*", text))
    alone = "\n".join(told(text, "alone"))
    f.check("a worker alone in its group makes room there", "cgroup v2 below /sys/fs/cgroup/alone" in alone, alone)
    f.check("and tidies up", "groups left: 0" in alone, alone)
    unit = "\n".join(told(text, "unit"))
    found = re.search(r"Tested: (\d+) \| Passing: (\d+) \| Failing: 0 \| Crashing: 0", unit)
    f.check("the stories of control groups hold with v2", found is not None and found.group(1) == found.group(2) == "6"
            and "skipped" not in unit, unit)
    return f


def main(build):
    if os.environ.get("MILL_BUILD") == "asan":
        raise Missing("the guest runs the plain build's programs only: emulated, sanitizers take minutes")
    for program in ("qemu-system-x86_64", "busybox", "cpio", "ldd"):
        if not shutil.which(program, path=os.environ["PATH"] + ":/bin:/usr/bin:/sbin:/usr/sbin"):
            raise Missing("there is no %s here; see packages.txt" % program)
    kernel_image = kernel(build)
    with tempfile.TemporaryDirectory(prefix="shardmill-guest-") as directory:
        image = os.path.join(directory, "initramfs.gz")
        initramfs(os.path.join(directory, "root"), os.path.abspath(build), image)
        text = boot(kernel_image, image)
    found = judge(text)
    if found.failed:
        print("--- what the guest wrote\n" + text)
    print("mill: %d passed, %d failed" % (found.passed, found.failed))
    return 1 if found.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except Missing as e:
        print(e)
        sys.exit(77)
