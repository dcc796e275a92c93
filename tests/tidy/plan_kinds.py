"""A plan kind is one file: its constant stands nowhere but there, so that a new kind is a file and a row.

The kinds are read from jobs/plans/plans.def. Each PLAN_<NAME> may be used in jobs/plans/<name>.c alone; tests may
use all of them. What other code has to know of a kind is a field or a function of its row (jobs/plan_kind.h).
"""
import os
import re
import sys

import tree

FOLDER = "jobs/plans"
TABLE = FOLDER + "/plans.def"
ROW = re.compile(r"^PLAN_KIND\((\w+), (\w+), \d+,", re.M)


def kinds(root):
    """{constant: the kind's file}"""
    rows = ROW.findall(tree.without_comments(tree.read(root, TABLE)))
    return {f"PLAN_{name}": f"{FOLDER}/{stem}.c" for name, stem in rows}


def check(root):
    """Returns (problems, number of files)."""
    known = kinds(root)
    if not known:
        return [f"{TABLE}: expected rows PLAN_KIND(NAME, name, number, doc)"], 0
    problems = [f"{path}: expected the file of {name}, a row of {TABLE}" for name, path in known.items()
                 if not os.path.exists(os.path.join(root, path))]
    pattern = re.compile(r"\b(" + "|".join(known) + r")\b")
    paths = [p for p in tree.files(root, ".c", ".h", ".def", ".tbl") if not p.startswith("tests/")]
    for path in paths:
        text = tree.without_comments(tree.read(root, path))
        for number, line in enumerate(text.split("\n"), 1):
            problems += [f"{path}:{number}: {name} has its place in {known[name]}; ask its row (jobs/plan_kind.h)"
                         for name in pattern.findall(line) if known[name] != path]
    return problems, len(paths)


if __name__ == "__main__":
    tree.report("plan_kinds", *check(sys.argv[1]))
