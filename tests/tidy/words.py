"""Marks of unfinished work have no place in what is landed."""
import re
import sys

import tree

# In two halves, or this file would find itself.
MARKS = [a + b for a, b in (("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("HA", "CK"))]
PATTERN = re.compile(r"\b(" + "|".join(MARKS) + r")\b")
SUFFIXES = (".c", ".h", ".def", ".tbl", ".py", ".sh", ".build", ".yaml", "/mill", "/run")


def check(root):
    """Returns (problems, number of files)."""
    problems = []
    paths = [p for p in tree.files(root, "") if ("/" + p).endswith(SUFFIXES)]
    for path in paths:
        for number, line in enumerate(tree.read(root, path).split("\n"), 1):
            found = PATTERN.search(line)
            if found:
                problems.append(f"{path}:{number}: {found.group(1)}: finish it, or open an issue")
    return problems, len(paths)


if __name__ == "__main__":
    tree.report("words", *check(sys.argv[1]))
