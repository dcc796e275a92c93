"""Every C file stands in ARCHITECTURE.md, so that a reader finds the file of a feature there.

A name in backquotes is a file's path or the end of one (`cli/table.c`, `core/step.c`), its name alone where
there is one file of that name, or where the heading or an earlier name of the same line tells the folder.
`definition_{on,shard}.c` is two names; <…> stands for anything: `cli/verb_<name>.c`. A folder with a slash at
its end (`tests/sim/`) stands for all in it, in tests, bench, demo and in libraries of jobs, which have a map
of their own.
"""
import fnmatch
import itertools
import os
import re
import sys

import tree

MAP = "ARCHITECTURE.md"
BY_FOLDER = ("tests/", "bench/", "demo/", "jobs/library/")


def expanded(token):
    """The names that `a{b,c}d` and `a<b>c` stand for, as patterns."""
    parts = [part.split(",") for part in re.split(r"\{([^{}]*)\}", token)]
    return [re.sub(r"<[^>]*>|…", "*", "".join(choice)) for choice in itertools.product(*parts)]


def tokens(text):
    """[(pattern, folders that the place tells)]"""
    found, heading = [], set()
    for line in text.split("\n"):
        if line.startswith("#"):
            heading = {word.strip("`").rstrip("/") for word in re.findall(r"[\w./`-]+", line)}
        folders = set(heading)
        for token in re.findall(r"`([^`\s]+)`", line):
            for pattern in expanded(token):
                if pattern.endswith((".c", "/")):
                    found.append((pattern, set(folders)))
                if "/" in pattern:
                    folders.add(os.path.dirname(pattern))
    return found


def is_named(path, named, lone):
    folder, name = os.path.split(path)
    for pattern, folders in named:
        if pattern.endswith("/"):
            if path.startswith(BY_FOLDER) and fnmatch.fnmatchcase(path, pattern + "*"):
                return True
        elif "/" in pattern:
            if fnmatch.fnmatchcase("/" + path, "*/" + pattern):
                return True
        elif fnmatch.fnmatchcase(name, pattern):
            if name in lone or any(folder == f or folder.endswith("/" + f) for f in folders):
                return True
    return False


def check(root):
    """Returns (problems, number of files)."""
    paths = tree.files(root, ".c")
    named = tokens(tree.read(root, MAP))
    names = [os.path.basename(path) for path in paths]
    lone = {name for name in names if names.count(name) == 1}
    problems = [f"{path}: {MAP} does not name it: say there what it does" for path in paths
                if not is_named(path, named, lone)]
    return problems, len(paths)


if __name__ == "__main__":
    tree.report("maps", *check(sys.argv[1]))
