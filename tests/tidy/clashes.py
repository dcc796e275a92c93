"""No function or variable of ours has the name of one in the C library.

The linker takes ours without a word, and then the C library's own callers (or another library's) get it: a
core that defined `send` was every socket's send. Names are of our own objects as they are built; the C
library's are those that its shared objects export.
"""
import glob
import os
import re
import subprocess
import sys

import tree

FOLDERS = ("base", "jobs", "outputs", "dispatcher", "worker", "scaler", "cli", "bench", "demo")
LIBRARIES = ("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1")
# libc itself asks a program for the first two: its start, and --version. The third is libzmq's door (base/gate.h).
ALLOWED = {"main", "argp_program_version", "accept4"}


AT_ONCE = 200  # objects in one call of nm


def names(paths, *options):
    """[(object, external name that it defines)]"""
    found = []
    for first in range(0, len(paths), AT_ONCE):
        run = subprocess.run(["nm", "-A", "--format=posix", "--defined-only", "--extern-only", *options,
                              *paths[first:first + AT_ONCE]], check=True, capture_output=True, text=True)
        for line in run.stdout.splitlines():
            path, _, rest = line.partition(": ")
            words = rest.split()
            if len(words) >= 2 and words[1] != "A":
                found.append((path, words[0].partition("@")[0]))
    return found


def library_names():
    """{name: library} of the C library that the C compiler links."""
    found = {}
    for library in LIBRARIES:
        run = subprocess.run(["cc", "-print-file-name=" + library], check=True, capture_output=True, text=True)
        path = run.stdout.strip()
        if os.path.isabs(path):  # else it is part of libc.so.6
            for _, name in names([path], "--dynamic"):
                found.setdefault(name, library)
    return found


def check(build):
    """Returns (problems, number of objects)."""
    theirs, problems = library_names(), []
    if "send" not in theirs or "sin" not in theirs:
        return ["the C library's names were not found"], 0
    objects = sorted(path for folder in FOLDERS
                     for path in glob.glob(os.path.join(build, folder, "**", "*.o"), recursive=True))
    for path, name in sorted(names(objects)):
        if name in theirs and name not in ALLOWED:
            source = re.sub(r"\.o$", "", os.path.basename(path))
            problems.append(f"{source}: {name} is a name of {theirs[name]}: make it static, or call it otherwise")
    if not objects:
        problems.append(f"{build}: no object is built")
    return problems, len(objects)


if __name__ == "__main__":
    tree.report("clashes", *check(sys.argv[1]))
