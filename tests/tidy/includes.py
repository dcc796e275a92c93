"""The dependency law, as the includes tell it: base <- jobs <- */core, outputs <- shells <- tests, bench.

Each file may include only what its component may know. Daemons never include one another; they
meet at the messages in jobs/. Includes are written from the root of the tree.
"""
import os
import re
import sys

import tree

SHELL = {"base-pure", "base", "jobs"}

# Who may include whom; its own component is added below. None = everything.
LAW = {
    "base-pure": set(),
    "base": {"base-pure"},
    "jobs": {"base-pure"},
    "jobs-library": {"base-pure", "base", "jobs"},
    "outputs": SHELL,
    "cli": SHELL,
    "tests": None,
    "bench": None,
    "demo": None,
}
for daemon in tree.DAEMONS:
    LAW[daemon + "/core"] = {"base-pure", "jobs"}
    LAW[daemon] = SHELL | {daemon + "/core"}
LAW["dispatcher/engine"] = {"base-pure", "jobs", "dispatcher/core"}
LAW["dispatcher"] |= {"dispatcher/engine", "outputs"}
LAW["worker"] |= {"outputs"}

# A daemon's parts, and which of the others each may know. The dispatcher's reach the engine by its port only; the
# server alone knows them all.
PARTS = {
    "dispatcher/wire/": (),
    "dispatcher/planners/": (),
    "dispatcher/intake/": (),
    "dispatcher/api/": ("dispatcher/wire/", "dispatcher/planners/", "dispatcher/intake/"),
    # The worker's: attempts use what reads and keeps bytes, both use the machine. The nursery holds the lock of the
    # worker's directory, so the machine knows that one.
    "worker/run/": ("worker/io/", "worker/machine/"),
    "worker/io/": ("worker/machine/",),
    "worker/machine/": ("worker/run/nursery.h",),
}
PORT = "dispatcher/engine/port.h"

# What changes durable state is known to its own folder only: for all others the compiler makes that state const.
# Tests of single tables may change them.
WRITER = "dispatcher/core/durable/writer.h"
WRITERS = ("dispatcher/core/durable/", "tests/")
DURABLE = re.compile(r"^\s*#\s*(define|undef)\s+DURABLE\b", re.M)
# Reading history may block: its readers are given to the threads of dispatcher/readers.c, and nobody else in the
# dispatcher opens one.
READER = "history_reader_open"
READERS = ("dispatcher/readers.c", "dispatcher/store/")

# Pure code calls no clock by an instruction either; nm would not see that.
ASSEMBLY = re.compile(r"\b(asm|__asm__|__asm|_?_rdtscp?|__builtin_ia32_rdtscp?)\b")
PURE = {"base-pure", "jobs", "dispatcher/engine"} | {daemon + "/core" for daemon in tree.DAEMONS}


def check_include(root, path, line, target, component, stems):
    where = f"{path}:{line}"
    if not os.path.exists(os.path.join(root, target)):
        beside = os.path.join(os.path.dirname(path), target)
        hint = f' (write "{beside}")' if os.path.exists(os.path.join(root, beside)) else ""
        return f'{where}: "{target}" is not a file from the root of the tree{hint}'
    if target == WRITER and not path.startswith(WRITERS):
        return f"{where}: only {WRITERS[0]} changes durable state, and includes {WRITER}; use apply.h"
    other = tree.component(root, target, stems)
    allowed = LAW[component]
    if allowed is not None and other != component and other not in allowed:
        return f"{where}: {component} must not include {target}, which is {other}"
    return check_part(path, where, target)


def check_part(path, where, target):
    part = next((p for p in PARTS if path.startswith(p)), None)
    if part is None or target.startswith(part):
        return None
    if target.startswith("dispatcher/server/") or (target.startswith("dispatcher/engine/") and target != PORT):
        return f"{where}: {part} must not include {target}: it knows {PORT} and dispatcher/services.h"
    if target.startswith("worker/agent"):
        return f"{where}: {part} must not include {target}, which puts the parts together"
    if any(target.startswith(p) for p in PARTS) and not target.startswith(PARTS[part]):
        return f"{where}: {part} must not include {target}, which is another part"
    return None


def check_reader(path, number, line):
    if READER not in line or not path.startswith("dispatcher/") or path.startswith(READERS):
        return None
    return f"{path}:{number}: only {READERS[0]} opens a reader of history: ask by dispatcher/readers.h"


def check(root):
    """Returns (problems, number of files)."""
    stems = tree.pure_stems(root)
    problems, paths = [], tree.files(root, ".c", ".h", ".def", ".tbl", ".inc")
    for path in paths:
        component = tree.component(root, path, stems)
        if component is None:
            problems.append(
                f"{path}: no component owns this folder; give it a place in "
                "tests/tidy/tree.py and in the law of tests/tidy/includes.py")
            continue
        text = tree.without_comments(tree.read(root, path))
        if DURABLE.search(text) and not path.startswith(WRITERS[0]):
            problems.append(f"{path}: only {WRITERS[0]} says what DURABLE means")
        for number, line in enumerate(text.split("\n"), 1):
            found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            problem = None
            if found:
                problem = check_include(root, path, number, found.group(1), component, stems)
            elif READER in line:
                problem = check_reader(path, number, line)
            elif component in PURE and ASSEMBLY.search(line):
                problem = f"{path}:{number}: {component} is pure and must hold no assembly"
            if problem:
                problems.append(problem)
    return problems, len(paths)


if __name__ == "__main__":
    tree.report("includes", *check(sys.argv[1]))
