#!/usr/bin/env python3
"""Patterns mean what EventBridge says they mean.

patterns.py PATTERN-VERDICTS [SEED]

First the cases of tests/data/patterns, with the verdicts that AWS gave. Then generated patterns and events: against
a reference of our own, and, where there is java, against event-ruler, the engine that AWS publishes
(MILL_EVENT_RULER: its class path, with what it needs; version 1.8.1 of software.amazon.event.ruler:event-ruler, of which
Maven's dependency:build-classpath prints the path).

The generator leaves out where we mean to differ from event-ruler 1.8.1:
- A path that one way through $or has twice: it takes the later one, we refuse.
- equals-ignore-case: it loses characters beyond 16 bits, and title case (Dž as one letter) does not match itself.
- An empty key below another is found by it only when it is spelled with a dot.
- A quote at the end of a prefix, or at the beginning of a suffix, matches its own quotes around the text.
- It takes an IPv4 address for a block of IPv6 and the digits of a number for an address when the first hexadecimal
  digits of both are alike: 10.0.0.1 and 5 are in its ::/0.
- It fails (an index is out of bounds) on a range beyond the greatest double, and of a few numbers, such as 5e-324, its
  Java writes a text that is not the shortest, so that it refuses to compare them.
- Numbers beyond the range of a double, and integers beyond 64 bits, are refused by us.
- Fractions in the event with more digits than a double has are compared by us as doubles, by it as text.
- A list of nothing in anything-but's prefix, suffix, wildcard and equals-ignore-case is refused by us.
- Alternatives share one machine in it, and some of them hide others or make it fail. A difference is its own when it
  says as we do of the same pattern taken apart, with one alternative of each field at a time.
- We search at most PATTERN_STEPS_MAX values, it may search without end; it has no bound on stars, we have.
"""
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile

from pattern_cases import Cases, dump, read
from pattern_reference import Twice, verdict, ways

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "..", "data", "patterns")
COUNTS = {"quick": 5000, "normal": 20000, "long": 100000}
SHOWN = 20
APART_MAX = 500


def answers(command, lines):
    done = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True, check=False)
    found = done.stdout.splitlines()
    if done.returncode != 0 or len(found) != len(lines):
        raise SystemExit(f"{command[0]} ended with {done.returncode} after {len(found)} of {len(lines)} lines: {done.stderr[-800:]}")
    return found


def recorded():
    lines, wanted = [], []
    with open(os.path.join(DATA, "expected.tsv"), encoding="utf-8") as table:
        for row in table:
            name, verdict_of_aws = row.rstrip("\n").split("\t")
            with open(os.path.join(DATA, name + ".json"), encoding="utf-8") as f:
                both = json.load(f)
            lines.append("\t".join(json.dumps(both[part], ensure_ascii=False) for part in ("EventPattern", "Event")))
            wanted.append(verdict_of_aws)
    return lines, wanted


def generated(seed, count):
    cases, lines, wanted = Cases(seed), [], []
    while len(lines) < count:
        pattern, event = cases.case()
        try:
            wanted.append(verdict(pattern, event))
        except Twice:
            continue
        lines.append(dump(pattern) + "\t" + dump(event))
    return lines, wanted


def compare(title, ours, wanted, lines):
    """Number of differences, the first of them told."""
    failed = 0
    for own, other, line in zip(ours, wanted, lines):
        if own.split(" ")[0] == other.split(" ")[0]:
            continue
        failed += 1
        if failed <= SHOWN:
            print(f"{title}: we say {own}, wanted {other}\n  {line}")
    counts = {word: sum(w.split(" ")[0] == word for w in wanted) for word in ("match", "nomatch", "invalid")}
    print(f"{title}: {len(lines) - failed} of {len(lines)} alike "
          f"({counts['match']} match, {counts['nomatch']} do not, {counts['invalid']} are invalid)")
    return failed


def apart(pattern):
    """The patterns, of one alternative of each field, one of which matches when this one does."""
    for way in ways(read(pattern), made=lambda item: item):
        for chosen in itertools.islice(itertools.product(*way.values()), APART_MAX):
            yield dump({path: [item] for path, item in zip(way, chosen)})


def own_differences(engine, ours, theirs, lines):
    """How many differences vanish when the engine sees one alternative of each field at a time; their answers are ours then."""
    count = 0
    for i, line in enumerate(lines):
        said = ours[i].split(" ")[0]
        if said == theirs[i].split(" ")[0] or said == "invalid":
            continue
        pattern, event = line.split("\t")
        parts = answers(engine, [part + "\t" + event for part in apart(pattern)])
        if ("match" if "match" in parts else "nomatch") == said and not any(p.startswith("invalid") for p in parts):
            theirs[i], count = said, count + 1
    return count


def against_engine(lines, ours):
    """Failures; None: it is not there."""
    classes = os.environ.get("MILL_EVENT_RULER")
    if not classes or not shutil.which("java") or not shutil.which("javac"):
        print("mill: skipped: event-ruler: needs a JDK, and MILL_EVENT_RULER with its class path")
        return None
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(["javac", "-nowarn", "-cp", classes, "-d", out, os.path.join(HERE, "Ruler.java")], check=True, stderr=subprocess.DEVNULL)
        engine = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{out}:{classes}", "Ruler"]
        theirs = answers(engine, lines)
        own = own_differences(engine, ours, theirs, lines)
    if own > 0:
        print(f"event-ruler: of {own} it says otherwise, but not of their alternatives one at a time")
    return compare("event-ruler", ours, theirs, lines)


def main():
    program, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
    lines, wanted = recorded()
    passed, failed = len(lines), compare("AWS's own verdicts", answers([program], lines), wanted, lines)
    count = COUNTS[os.environ.get("MILL_TEST", "quick")]
    lines, wanted = generated(seed, count)
    ours = answers([program], lines)
    reports = [compare(f"reference, seed {seed}", ours, wanted, lines), against_engine(lines, ours)]
    for report in reports:
        failed += report or 0
        passed += count if report is not None else 0
    print(f"mill: {passed - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
