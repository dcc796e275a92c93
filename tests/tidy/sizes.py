"""Files of at most 500 lines, functions of at most 70: a reader sees at a glance what is there.

Exceptions stand in sizes-allowed.txt with a reason; one that is no longer needed must go.
"""
import os
import re
import sys

import tree

FILE_LINES = 500
FUNCTION_LINES = 70
LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sizes-allowed.txt")


def functions(text):
    """[(name, first line, lines)] of C text in our format: braces of functions in column 0."""
    found, lines, start = [], text.split("\n"), None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line.startswith("}") and start is not None:
            found.append((name_above(lines, start), start, number - start + 1))
            start = None
    return found


def name_above(lines, brace):
    """The name before the parameter list that ends above line `brace`."""
    head = ""
    for line in reversed(lines[:brace - 1]):
        head = line + " " + head
        if line and not line[0].isspace():
            break
    found = re.search(r"(\w+)\s*\(", head)
    if found and found.group(1) == "Test":  # Criterion: Test(suite, name, …)
        words = re.findall(r"\w+", head)
        return ".".join(words[1:3])
    return found.group(1) if found else "?"


def read_list(path):
    """{name: line number} of `path reason` and `path:function reason`."""
    allowed = {}
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            words = line.split("#", 1)[0].split(None, 1)
            if not words:
                continue
            if len(words) < 2:
                raise SystemExit(f"{path}:{number}: expected a reason behind {words[0]}")
            allowed[words[0]] = number
    return allowed


def check(root, list_path=LIST):
    """Returns (problems, number of files)."""
    allowed, used, problems = read_list(list_path), set(), []
    paths = tree.files(root, ".c", ".h")

    def judge(name, where, text):
        if name in allowed:
            used.add(name)
        else:
            problems.append(f"{where}: {text}")

    for path in paths:
        text = tree.read(root, path)
        count = text.count("\n")
        if count > FILE_LINES:
            judge(path, path, f"{count} lines; at most {FILE_LINES}")
        for function, line, length in functions(text):
            if length > FUNCTION_LINES:
                judge(f"{path}:{function}", f"{path}:{line}",
                      f"{function} has {length} lines; at most {FUNCTION_LINES}")
    for name in sorted(set(allowed) - used):
        problems.append(f"{os.path.basename(list_path)}:{allowed[name]}: {name} needs no exception")
    return problems, len(paths)


if __name__ == "__main__":
    tree.report("sizes", *check(sys.argv[1]))
