#!/usr/bin/env python3
"""What a user meets on a release of Debian or Ubuntu where nothing is prepared: a fresh root by debootstrap, in which
./mill builds, the programs run, `meson install` installs, `./mill test --quick` passes, and clang builds without a warning.

root.py RELEASE     trixie, noble, or any other that debootstrap knows
root.py all         the releases of ./mill test --long (the test that meson runs)

Needs root, debootstrap, the archive and its keyring; what is missing is told as not run. MILL_MIRROR_DEBIAN and
MILL_MIRROR_UBUNTU name other mirrors than debootstrap's own. The root lives in a directory of its own below TMPDIR (1.5 GB)
and in namespaces that end with it: nothing stays mounted. MILL_KEEP=1 leaves the directory."""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "..", "..")
SKIPPED_EXIT = 77
RELEASES = ("trixie", "noble")
KEYRINGS = {"Debian": "/usr/share/keyrings/debian-archive-keyring.gpg",
            "Ubuntu": "/usr/share/keyrings/ubuntu-archive-keyring.gpg"}
UBUNTU = ("noble", "questing", "resolute")
SCRIPTS = "/usr/share/debootstrap/scripts/"
COMMON_SCRIPT = {"Debian": "sid", "Ubuntu": "gutsy"}  # what releases that are younger than debootstrap use, too
UNREACHABLE = ("Failed getting release", "Couldn't download", "Invalid Release file")
# Each has a line of its own in the log, and counts as a test.
STEPS = (
    ("builds with what ./mill build asks for", "./mill build"),
    ("its programs say what they are",
     "for p in shardmill shardmill-dispatcher shardmill-worker shardmill-scaler; do"
     " f=$(find build/plain -type f -name $p -perm -100) && $f --version && $f --help >/dev/null || exit 1; done"),
    ("meson install",
     "DESTDIR=/installed meson install --no-rebuild -C build/plain --quiet && /installed/usr/local/bin/shardmill --version"),
    ("./mill test --quick", "./mill test --quick"),
    ("clang builds without a warning",
     "apt-get install -y -qq --no-install-recommends clang >/dev/null &&"
     " CC=clang meson setup build/clang -Dwerror=true -Dtests=enabled >/dev/null && ninja --quiet -C build/clang"),
)
# What the namespaces hold goes with the last process in them.
MOUNTS = ('mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount --rbind /sys "$1/sys" &&'
          ' exec chroot "$1" /bin/sh -c "$2"')


class Missing(Exception):
    """Why it cannot run here."""


def family(release):
    return "Ubuntu" if release in UBUNTU else "Debian"


def mirror(release):
    return os.environ.get("MILL_MIRROR_" + family(release).upper())


def check_needs(release):
    if os.geteuid() != 0:
        raise Missing("debootstrap needs root")
    if shutil.which("debootstrap") is None:
        raise Missing("no debootstrap (packages.txt)")
    keyring = KEYRINGS[family(release)]
    if not os.path.exists(keyring):
        raise Missing("the keyring of %s's archive is not here (%s)" % (family(release), keyring))
    if not os.path.exists(SCRIPTS + release) and not mirror(release):
        raise Missing("debootstrap does not know it; name its mirror in MILL_MIRROR_" + family(release).upper())
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True).returncode != 0:
        raise Missing("no namespaces can be made here")


def bootstrap(release, root):
    """Fills root. Missing when the archive cannot be reached."""
    argv = ["debootstrap", "--variant=minbase", "--keyring=" + KEYRINGS[family(release)]]
    if family(release) == "Ubuntu":
        argv.append("--components=main,universe")
    argv += [release, root]
    if mirror(release):
        argv.append(mirror(release))
        if not os.path.exists(SCRIPTS + release):
            argv.append(SCRIPTS + COMMON_SCRIPT[family(release)])
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", *argv],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode == 0:
        return
    last = (done.stdout.strip().split("\n") or [""])[-1]
    if any(words in last for words in UNREACHABLE):
        raise Missing("its archive cannot be reached: " + last)
    raise AssertionError("debootstrap failed:\n" + done.stdout[-3000:])


def copy_sources(root):
    left_out = shutil.ignore_patterns("build", "run", ".git", "__pycache__")
    shutil.copytree(SOURCES, os.path.join(root, "src"), symlinks=True, ignore=left_out)


def copy_ways_out(root):
    """How this machine finds names and reaches archives (proxies and the like)."""
    if os.path.exists("/etc/resolv.conf"):
        shutil.copy("/etc/resolv.conf", os.path.join(root, "etc", "resolv.conf"))
    if shutil.which("apt-config"):
        settings = subprocess.run(["apt-config", "dump"], capture_output=True, text=True).stdout
        with open(os.path.join(root, "etc", "apt", "apt.conf.d", "99host"), "w", encoding="utf-8") as f:
            f.write("".join(line + "\n" for line in settings.splitlines() if line.startswith("Acquire::")))


def run_in(root, command):
    """The exit code; what it prints goes to the log."""
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8",
           **{name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}}
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "sh", "-c", MOUNTS, "sh",
         root, "cd /src && { %s; }" % command], env=env, stdin=subprocess.DEVNULL).returncode


def try_release(release):
    """(passed, failed)"""
    check_needs(release)
    root = tempfile.mkdtemp(prefix="shardmill-root-%s-" % release)
    os.chmod(root, 0o755)  # it is what users in there see as /
    passed = 0
    try:
        bootstrap(release, root)
        copy_sources(root)
        copy_ways_out(root)
        for what, command in STEPS:
            print("--- %s: %s" % (release, what), flush=True)
            code = run_in(root, command)
            if code != 0:
                print("%s: FAILED (%d): %s" % (release, code, what), flush=True)
            passed += code == 0
    finally:
        if not os.environ.get("MILL_KEEP"):
            shutil.rmtree(root, ignore_errors=True)
    return passed, len(STEPS) - passed


def main(releases):
    passed = failed = 0
    for release in releases:
        try:
            good, bad = try_release(release)
        except Missing as why:
            print("mill: skipped: a fresh root of %s: %s" % (release, why), flush=True)
            continue
        passed, failed = passed + good, failed + bad
    print("mill: %d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: root.py RELEASE | all")
    sys.exit(main(RELEASES if sys.argv[1] == "all" else sys.argv[1:]))
