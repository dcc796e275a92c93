"""The command and the scaler read and write the API's objects by its tables (jobs/api), never by a member's name.

What names a member of JSON (json_object_…, json_pack, json_unpack) stands nowhere in cli/ and scaler/ but at the
places of api_members-allowed.txt, which is JSON of other people. Those that are no longer needed must go.
"""
import os
import re
import sys

import sizes
import tree

FOLDERS = ("cli/", "scaler/")
LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "api_members-allowed.txt")
# json_object() alone is an object without members, json_object_size and _foreach name none.
CALL = re.compile(r"\bjson_(?:object_(?!size\b|foreach\b)\w+|v?pack\w*|v?unpack\w*)(?=\s*\()")


def function_at(functions, line):
    """The name of the function that a line is in; None: it is in none."""
    for name, first, length in functions:
        if first <= line < first + length:
            return name
    return None


def check(root, list_path=LIST):
    """Returns (problems, number of files)."""
    allowed, used, problems = sizes.read_list(list_path), set(), []
    paths = [p for p in tree.files(root, ".c", ".h") if p.startswith(FOLDERS)]
    for path in paths:
        text = tree.without_comments(tree.read(root, path))
        functions = sizes.functions(text)
        for number, line in enumerate(text.split("\n"), 1):
            place = f"{path}:{function_at(functions, number)}"
            for call in CALL.findall(line):
                if place in allowed:
                    used.add(place)
                else:
                    problems.append(f"{path}:{number}: {call}: members of the API's objects are rows of jobs/api; "
                                    "use object_read_answer and object_write")
    for name in sorted(set(allowed) - used):
        problems.append(f"{os.path.basename(list_path)}:{allowed[name]}: {name} needs no exception")
    return problems, len(paths)


if __name__ == "__main__":
    tree.report("api_members", *check(sys.argv[1]))
