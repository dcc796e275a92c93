"""A worker must be one file that can be copied to a node: it links few libraries and no others."""
import os
import re
import subprocess
import sys

import tree

# DESIGN: libzmq, msgpack-c, libsodium, hwloc, libcurl; the rest is the C library.
ALLOWED = ("libzmq", "libmsgpackc", "libmsgpack-c", "libsodium", "libhwloc", "libcurl", "libc",
           "libm", "libpthread", "libdl", "librt", "libgcc_s", "ld-linux-x86-64",
           "ld-linux-aarch64")


def programs(build):
    """Executables in build/worker, those of tests aside."""
    found = []
    for directory, names, entries in os.walk(os.path.join(build, "worker")):
        names[:] = [n for n in names if not n.endswith(".p")]
        for entry in entries:
            path = os.path.join(directory, entry)
            if os.access(path, os.X_OK) and not os.path.islink(path):
                with open(path, "rb") as f:
                    if f.read(4) == b"\x7fELF":
                        found.append(path)
    return sorted(found)


def needed(path):
    run = subprocess.run(["readelf", "-d", path], check=True, capture_output=True, text=True)
    return re.findall(r"\(NEEDED\).*\[([^\]]+)\]", run.stdout)


def check(paths):
    """Returns (problems, number of programs)."""
    problems = []
    for path in paths:
        for library in needed(path):
            if library.split(".so")[0] not in ALLOWED:
                problems.append(f"{path}: links {library}, which a worker must not need")
    return problems, len(paths)


if __name__ == "__main__":
    found = programs(sys.argv[1])
    if not found:
        print("no worker program is built yet")
        sys.exit(tree.SKIPPED_EXIT)
    tree.report("worker libraries", *check(found))
