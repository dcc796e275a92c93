"""Measures all figures, or those named, and ends with one table: figure, value, limit, ratio, goal, verdict.
Called by ./mill bench. Exits with 1 when a goal is missed; all figures are measured before.

run.py [--short] [NAME]...   --short: seconds in place of minutes; rough"""
import os
import subprocess
import sys
import tempfile

import end_to_end
import events
import library
import many_jobs
import mixed_load

ALL = {**end_to_end.ALL, **many_jobs.ALL, **events.ALL, **mixed_load.ALL, **library.ALL}

HEAD = ("figure", "value", "limit, in the same run", "ratio", "goal", "verdict")


def verdict(row):
    return "" if row.ok is None else "ok" if row.ok else "MISSED"


def failed(name, why):
    return end_to_end.Row(name, "-", "not measured: %s" % why, None, "to be measured", False)


def measure(bench, name):
    print("measuring %s: %s" % (name, ALL[name].__doc__), flush=True)
    try:
        return ALL[name](bench)
    except (AssertionError, OSError, subprocess.CalledProcessError, ValueError) as e:
        return [failed(name, str(e).splitlines()[0] if str(e) else type(e).__name__)]


def print_table(rows):
    lines = [HEAD]
    for row in rows:
        ratio = "-" if row.ratio is None else "%.4f" % row.ratio if row.ratio < 0.1 else "%.2f" % row.ratio
        lines.append((row.figure, row.value, row.limit, ratio, row.goal or "-", verdict(row) or "-"))
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    print()
    for n, line in enumerate(lines):
        cells = [cell.rjust(w) if i in (1, 3) else cell.ljust(w) for i, (cell, w) in enumerate(zip(line, widths))]
        print("  ".join(cells).rstrip())
        if n == 0:
            print("-" * (sum(widths) + 2 * (len(widths) - 1)))


def choose_place(build):
    """What is durable is measured on a disk: /tmp may be memory."""
    kind = subprocess.run(["stat", "-f", "-c", "%T", tempfile.gettempdir()], check=True, capture_output=True,
                          text=True).stdout.strip()
    if kind == "tmpfs":
        tempfile.tempdir = os.path.abspath(build)


def main():
    names = [a for a in sys.argv[1:] if a != "--short"]
    unknown = [n for n in names if n not in ALL]
    if unknown:
        print("bench: no figure %s; there are: %s (and --short)" % (" ".join(unknown), " ".join(ALL)),
              file=sys.stderr)
        return 2
    bench = end_to_end.Bench("build/release", "build/plain", "--short" in sys.argv[1:])
    choose_place(bench.build)
    rows = [row for name in names or ALL for row in measure(bench, name)]
    print_table(rows)
    missed = [row.figure for row in rows if row.ok is False]
    print("%d goals met, %d missed%s" % (sum(row.ok is True for row in rows), len(missed),
                                         ": " + ", ".join(missed) if missed else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
