"""The source tree as the tidy checks see it: which files there are, and what each one is."""
import os
import re
import sys

SKIPPED_DIRS = {"__pycache__"}
SKIPPED_AT_ROOT = {"build", "run", "subprojects"}  # what is built, state directories, other projects
DAEMONS = ("dispatcher", "worker", "scaler")
SKIPPED_EXIT = 77  # meson's and automake's way to say: did not run


def files(root, *suffixes):
    """Paths relative to root that end so, sorted; hidden and built directories left out."""
    found = []
    for directory, names, entries in os.walk(root):
        skipped = SKIPPED_DIRS | SKIPPED_AT_ROOT if directory == root else SKIPPED_DIRS
        names[:] = sorted(n for n in names if n not in skipped and not n.startswith("."))
        for entry in entries:
            if entry.endswith(suffixes):
                found.append(os.path.relpath(os.path.join(directory, entry), root))
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="surrogateescape") as f:
        return f.read()


def without_comments(text):
    """C text with comments blanked out, lines kept; literals stay."""
    pattern = r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*'

    def blank(match):
        found = match.group(0)
        return found if found[0] in "\"'" else re.sub(r"[^\n]", " ", found)

    return re.sub(pattern, blank, text, flags=re.S)


def pure_stems(root):
    """What libbase-pure is made of, read from base/meson.build: {"base/error", …}."""
    build = read(root, "base/meson.build")
    library = re.search(r"static_library\('base-pure',(.*?)include_directories", build, re.S)
    if library is None:
        raise SystemExit("base/meson.build: expected static_library('base-pure', ...)")
    return {"base/" + name for name in re.findall(r"'([\w-]+)\.c'", library.group(1))}


def component(root, path, stems):
    """What a file counts as under the dependency law; None = not known."""
    parts = path.split("/")
    top = parts[0]
    if top == "base":
        stem = os.path.splitext(path)[0]
        alone = len(parts) == 2 and not os.path.exists(os.path.join(root, stem + ".c"))
        return "base-pure" if stem in stems or alone else "base"
    if top == "jobs":
        return "jobs-library" if len(parts) > 2 and parts[1] == "library" else "jobs"
    if top in DAEMONS:
        pure = len(parts) > 2 and (parts[1] == "core" or (top, parts[1]) == ("dispatcher", "engine"))
        return top + "/" + parts[1] if pure else top
    if top in ("outputs", "cli", "tests", "bench", "demo"):
        return top
    return None


def report(name, problems, checked):
    """Prints them and ends the program as a test does."""
    for problem in problems:
        print(problem)
    print(f"tidy: {checked} checked, {len(problems)} failed ({name})")
    sys.exit(1 if problems else 0)
