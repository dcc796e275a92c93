"""Every C file is as clang-format writes it (.clang-format)."""
import os
import re
import shutil
import subprocess
import sys

import tree

VERSION = "14"  # Debian 12's; others format some lines otherwise


def check(root):
    """Returns (problems, number of files)."""
    paths = tree.files(root, ".c", ".h")
    run = subprocess.run(["clang-format", "--dry-run", "-Werror", *paths], cwd=root,
                         capture_output=True, text=True)
    wrong = {}
    for path, line in re.findall(r"^(\S+?):(\d+):\d+: error", run.stderr, re.M):
        wrong.setdefault(path, set()).add(int(line))
    problems = [f"{path}:{min(lines)}: {len(lines)} lines are not as clang-format writes them "
                "(clang-format -i)" for path, lines in sorted(wrong.items())]
    if run.returncode != 0 and not problems:
        problems.append(run.stderr.strip() or "clang-format failed")
    return problems, len(paths)


def version():
    if shutil.which("clang-format") is None:
        return None
    run = subprocess.run(["clang-format", "--version"], capture_output=True, text=True)
    found = re.search(r"version (\d+)", run.stdout)
    return found.group(1) if found else None


if __name__ == "__main__":
    if version() != VERSION:
        print(f"needs clang-format {VERSION}, found {version() or 'none'}")
        sys.exit(tree.SKIPPED_EXIT)
    tree.report("formatting", *check(os.path.abspath(sys.argv[1])))
