"""The dependency law, as the linker tells it.

Every undefined symbol of base-pure, of the jobs archives and of each */core archive must be defined
in what that archive may know, or stand in pure-symbols.txt with a reason. Archives are found by
where they are built, so that a new one is checked from its first build.
"""
import fnmatch
import glob
import os
import subprocess
import sys

import tree

LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pure-symbols.txt")


def read_list(path=LIST):
    """[(pattern, member pattern, allowed)], in the file's order; the last match decides."""
    rules = []
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            words = line.split("#", 1)[0].split(None, 2)
            if not words:
                continue
            if len(words) < 3:
                raise SystemExit(f"{path}:{number}: expected `symbol where reason`")
            pattern = words[0].removeprefix("!")
            rules.append((pattern, words[1], not words[0].startswith("!")))
    return rules


def nm(archive, option):
    """[(object's source, symbol)]; the source is "check.c" for "…/check.c.o"."""
    run = subprocess.run(["nm", "-A", "--format=posix", option, archive], check=True,
                         capture_output=True, text=True)
    found = []
    for line in run.stdout.splitlines():
        # "archive[member]: symbol type …"; a thin archive's member is a path.
        place, _, rest = line.partition("]: ")
        member = place.rpartition("[")[2]
        words = rest.split()
        if len(words) >= 2:
            found.append((os.path.basename(member).removesuffix(".o"), words[0]))
    return found


def name_of(archive):
    return os.path.basename(archive).removeprefix("lib").removesuffix(".a")


def archives(build):
    """{component: [archive, …]}"""
    found = {"base-pure": glob.glob(os.path.join(build, "base/libbase-pure.a")),
             "jobs": sorted(glob.glob(os.path.join(build, "jobs/lib*.a")))}
    for daemon in tree.DAEMONS:
        found[daemon + "/core"] = sorted(glob.glob(os.path.join(build, daemon, "core/lib*.a")))
    found["dispatcher/engine"] = sorted(glob.glob(os.path.join(build, "dispatcher/engine/lib*.a")))
    return found


def is_listed(rules, symbol, archive, source):
    allowed = False
    for pattern, place, verdict in rules:
        if fnmatch.fnmatchcase(symbol, pattern) and fnmatch.fnmatchcase(
                f"{name_of(archive)}:{source}", place):
            allowed = verdict
    return allowed


def check(build, list_path=LIST):
    """Returns (problems, number of archives)."""
    rules, found = read_list(list_path), archives(build)
    problems = [f"{build}: no archive of {part} is built" for part in ("base-pure", "jobs")
                if not found[part]]
    checked = 0
    for component, own in found.items():
        known = set(own) | set(found["base-pure"])
        if component != "base-pure":
            known |= set(found["jobs"])
        if component == "dispatcher/engine":
            known |= set(found["dispatcher/core"])
        defined = {symbol for archive in known for _, symbol in nm(archive, "--defined-only")}
        for archive in own:
            checked += 1
            for source, symbol in nm(archive, "--undefined-only"):
                if symbol in defined or is_listed(rules, symbol, archive, source):
                    continue
                problems.append(
                    f"{os.path.relpath(archive, build)}: {source} uses {symbol}, which neither "
                    f"{component} nor what it may know defines, and which is not in "
                    "tests/tidy/pure-symbols.txt")
    return problems, checked


if __name__ == "__main__":
    tree.report("symbols", *check(sys.argv[1]))
