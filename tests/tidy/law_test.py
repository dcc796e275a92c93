"""Tests of the law itself: a check that cannot fail proves nothing.

Each test builds a small tree that breaks one rule, beside a sound one that must pass.
Usage: law_test.py ROOT (the real tree: its base-pure and log are compiled).
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import api_members
import clashes
import formatting
import includes
import maps
import plan_kinds
import sizes
import symbols
import tree
import words
import worker_libraries

ROOT = ""

SOUND = """\
#include "base/check.h"
#include "base/error.h"

int core_step(struct error *reterr);
int core_step(struct error *reterr)
{
	CHECK(reterr != NULL);
	return error_set(reterr, ERR_BUSY, "later");
}
"""

CLOCK = """\
#include <time.h>

long core_step(void);
long core_step(void)
{
	struct timespec ts;

	return clock_gettime(CLOCK_MONOTONIC, &ts) + ts.tv_nsec;
}
"""

CLOCK_THROUGH_LOG = """\
#include "base/log.h"

void core_step(void);
void core_step(void)
{
	log_info("stepped");
}
"""


class TreeCase(unittest.TestCase):
    """A tree of its own: base as it is, and what the test writes."""

    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="shardmill-law-")
        self.addCleanup(shutil.rmtree, self.root)
        shutil.copytree(os.path.join(ROOT, "base"), os.path.join(self.root, "base"))

    def write(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)

    def one_problem(self, result, *parts):
        problems, _ = result
        self.assertEqual(len(problems), 1, problems)
        for part in parts:
            self.assertIn(part, problems[0])


class Symbols(TreeCase):
    compiled = {}  # objects of base by source: the same in each test

    def setUp(self):
        super().setUp()
        self.build = os.path.join(self.root, "build")
        stems = sorted(tree.pure_stems(ROOT))
        self.archive("base/libbase-pure.a", *(stem + ".c" for stem in stems))
        self.archive("base/libbase.a", "base/log.c", "base/clock.c")
        self.write("jobs/job.c", "int job_state;\n")
        self.archive("jobs/libjobs-shape.a", "jobs/job.c")

    def archive(self, path, *sources):
        """Compiles sources into build/path."""
        full = os.path.join(self.build, path)
        objects = []
        os.makedirs(os.path.dirname(full), exist_ok=True)
        for source in sources:
            objects.append(os.path.join(self.build, source + ".o"))
            os.makedirs(os.path.dirname(objects[-1]), exist_ok=True)
            self.compile(source, objects[-1])
        subprocess.run(["ar", "rcs", full, *objects], check=True)

    def compile(self, source, target):
        key = (source, tree.read(self.root, source))
        if key not in self.compiled:
            subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-I", self.root, "-c", "-o",
                            target, os.path.join(self.root, source)], check=True)
            with open(target, "rb") as f:
                self.compiled[key] = f.read()
        with open(target, "wb") as f:
            f.write(self.compiled[key])

    def core(self, text, daemon="dispatcher"):
        self.write(f"{daemon}/core/core.c", text)
        self.archive(f"{daemon}/core/lib{daemon}-core.a", f"{daemon}/core/core.c")
        return symbols.check(self.build)

    def test_a_sound_core_passes(self):
        self.assertEqual(self.core(SOUND), ([], 3))

    def test_a_core_that_calls_clock_gettime(self):
        self.one_problem(self.core(CLOCK), "libdispatcher-core.a", "clock_gettime", "core.c")

    def test_a_core_that_calls_clock_gettime_through_bases_log(self):
        problems, _ = self.core(CLOCK_THROUGH_LOG)
        self.assertEqual(len(problems), 2, problems)
        self.assertIn("uses log_enabled", problems[0])
        self.assertIn("uses log_write", problems[1])
        self.one_problem(includes.check(self.root), "dispatcher/core/core.c:1", "base/log.h")

    def test_each_core_is_checked(self):
        for daemon in tree.DAEMONS:
            problems, _ = self.core(CLOCK, daemon)
            self.assertIn(f"lib{daemon}-core.a", problems[-1])

    def test_a_thin_archive_is_read_as_meson_builds_it(self):
        self.core(SOUND)
        os.makedirs(os.path.join(self.build, "worker/core"))
        self.write("worker/core/clock.c", CLOCK)
        subprocess.run(["cc", "-c", "-o", "worker/core/clock.c.o",
                        os.path.join(self.root, "worker/core/clock.c")], check=True,
                       cwd=self.build)
        subprocess.run(["ar", "csrDT", "worker/core/libworker-core.a", "worker/core/clock.c.o"],
                       check=True, cwd=self.build)
        self.one_problem(symbols.check(self.build), "libworker-core.a", "clock.c uses clock_")

    def test_jobs_may_ask_for_nothing_either(self):
        self.write("jobs/home.c", '#include <stdlib.h>\nchar *home(void);\n'
                                  'char *home(void)\n{\n\treturn getenv("HOME");\n}\n')
        self.archive("jobs/libjobs-authoring.a", "jobs/home.c")
        self.one_problem(symbols.check(self.build), "libjobs-authoring.a", "getenv")

    def test_a_core_may_not_use_another(self):
        self.core("int of_dispatcher;\n")
        self.one_problem(self.core("extern int of_dispatcher;\nint *core_peek(void);\n"
                                   "int *core_peek(void)\n{\n\treturn &of_dispatcher;\n}\n",
                                   "worker"), "libworker-core.a", "of_dispatcher")

    def test_only_check_c_may_write_to_stderr(self):
        text = tree.read(self.root, "base/error.c")
        self.write("base/error.c", text + '\nvoid shout(void);\nvoid shout(void)\n{\n'
                                          '\tfprintf(stderr, "%d", 1);\n}\n')
        stems = sorted(tree.pure_stems(ROOT))
        os.unlink(os.path.join(self.build, "base/libbase-pure.a"))
        self.archive("base/libbase-pure.a", *(stem + ".c" for stem in stems))
        problems, _ = symbols.check(self.build)
        self.assertEqual([p.split(" uses ")[0] for p in problems],
                         ["base/libbase-pure.a: error.c"] * 2)

    def test_a_missing_archive_is_no_success(self):
        os.unlink(os.path.join(self.build, "jobs/libjobs-shape.a"))
        self.one_problem(symbols.check(self.build), "no archive of jobs")

    def test_the_last_match_decides(self):
        rules = symbols.read_list()
        for symbol, allowed in (("json_loads", True), ("json_load_file", False),
                                ("fy_document_build_from_string", True),
                                ("fy_document_build_from_file", False),
                                ("crypto_hash_sha256", True), ("crypto_sign_keypair", False),
                                ("memcpy", True), ("memfd_create", False), ("strftime", False),
                                ("syscall", False), ("rand", False), ("time", False)):
            self.assertEqual(symbols.is_listed(rules, symbol, "libjobs-shape.a", "x.c"), allowed,
                             symbol)


class Clashes(TreeCase):
    def check(self, text):
        self.write("worker/core/x.c", text)
        os.makedirs(os.path.join(self.root, "build/worker/core/x.p"))
        subprocess.run(["cc", "-fno-builtin", "-c", "-o", "build/worker/core/x.p/x.c.o", "worker/core/x.c"],
                       check=True, cwd=self.root)
        return clashes.check(os.path.join(self.root, "build"))

    def test_a_core_that_defines_send(self):
        self.one_problem(self.check("int send(int a);\nint send(int a)\n{\n\treturn a;\n}\n"),
                         "x.c: send is a name of libc.so.6")

    def test_a_variable_of_the_mathematical_library(self):
        self.one_problem(self.check("int lgamma;\n"), "lgamma is a name of libm.so.6")

    def test_static_ones_and_others_are_fine(self):
        self.assertEqual(self.check("static int send(int a)\n{\n\treturn a;\n}\nint worker_send(int a);\n"
                                    "int worker_send(int a)\n{\n\treturn send(a);\n}\n"
                                    "int main(void)\n{\n\treturn worker_send(0);\n}\n"), ([], 1))

    def test_nothing_built_is_no_success(self):
        self.one_problem(clashes.check(os.path.join(self.root, "build")), "no object is built")


class Maps(TreeCase):
    def check(self, text, *paths):
        shutil.rmtree(os.path.join(self.root, "base"))
        self.write("ARCHITECTURE.md", text)
        for path in paths:
            self.write(path, "int x;\n")
        return maps.check(self.root)

    def test_names_and_ends_of_paths(self):
        self.assertEqual(self.check("| a | `cli/table.c`, `core/step.c`; `definition_{on,off}.c`; `cli/verb_<name>.c` |\n",
                                    "cli/table.c", "worker/core/step.c", "jobs/definition_on.c",
                                    "jobs/definition_off.c", "cli/verb_show.c"), ([], 5))

    def test_a_file_that_is_not_there(self):
        self.one_problem(self.check("`cli/table.c` `…` `*`\n", "cli/table.c", "cli/chair.c"), "cli/chair.c")

    def test_a_name_of_two_files_needs_its_folder(self):
        paths = ("cli/main.c", "worker/main.c")
        self.one_problem(self.check("`worker/core.h`: `main.c`\n", *paths), "cli/main.c")

    def test_a_heading_tells_the_folder(self):
        self.assertEqual(self.check("## cli/: the command\n`main.c`\n## worker/core and worker\n| `main.c` |\n",
                                    "cli/main.c", "worker/main.c"), ([], 2))

    def test_a_folder_stands_for_tests_and_not_for_components(self):
        self.one_problem(self.check("`tests/unit/<component>/` `cli/`\n", "tests/unit/cli/x_test.c", "cli/x.c"),
                         "cli/x.c")


class Includes(TreeCase):
    def case(self, path, include):
        self.write(path, f'/* not this one: #include "cli/no.h" */\n#include "{include}"\n')
        return includes.check(self.root)

    def setUp(self):
        super().setUp()
        for path in ("jobs/job.h", "dispatcher/core/core.h", "dispatcher/server.h",
                     "worker/core/core.h", "worker/agent.h", "cli/table.h", "tests/help.h",
                     "jobs/library/media/cut.h", "dispatcher/engine/port.h", "dispatcher/engine/engine.h",
                     "dispatcher/server/server.h", "dispatcher/api/api.h", "dispatcher/wire/peers.h",
                     "worker/run/slot.h", "worker/run/nursery.h", "worker/io/input.h", "worker/machine/home.h",
                     "outputs/segments.h"):
            self.write(path, "#pragma once\n")

    def test_what_is_allowed(self):
        for path, include in (("base/x.c", "base/log.h"), ("jobs/x.c", "base/error.h"),
                              ("jobs/x.c", "base/limits.h"), ("jobs/x.c", "jobs/job.h"),
                              ("worker/core/x.c", "worker/core/core.h"),
                              ("worker/core/x.c", "jobs/job.h"),
                              ("worker/x.c", "worker/core/core.h"), ("worker/x.c", "base/log.h"),
                              ("cli/x.c", "jobs/job.h"), ("tests/x.c", "worker/agent.h"),
                              ("tests/x.c", "dispatcher/core/core.h"),
                              ("jobs/library/media/x.c", "base/log.h"),
                              ("dispatcher/engine/x.c", "dispatcher/core/core.h"),
                              ("dispatcher/api/x.c", "dispatcher/engine/port.h"),
                              ("dispatcher/api/x.c", "dispatcher/wire/peers.h"),
                              ("dispatcher/server/x.c", "dispatcher/engine/engine.h"),
                              ("dispatcher/server/x.c", "dispatcher/api/api.h"),
                              ("dispatcher/api/x.c", "outputs/segments.h"), ("worker/io/x.c", "outputs/segments.h"),
                              ("outputs/x.c", "base/log.h"), ("outputs/x.c", "jobs/job.h"),
                              ("worker/x.c", "worker/run/slot.h"), ("worker/run/x.c", "worker/io/input.h"),
                              ("worker/run/x.c", "worker/machine/home.h"), ("worker/io/x.c", "worker/core/core.h"),
                              ("worker/io/x.c", "worker/machine/home.h"),
                              ("worker/machine/x.c", "worker/run/nursery.h")):
            self.assertEqual(self.case(path, include)[0], [], (path, include))

    def test_what_is_not(self):
        for path, include in (("base/error.c", "base/log.h"), ("base/units.c", "jobs/job.h"),
                              ("base/x.c", "jobs/job.h"), ("base/x.c", "tests/help.h"),
                              ("jobs/x.c", "base/log.h"), ("jobs/x.c", "dispatcher/core/core.h"),
                              ("jobs/x.c", "jobs/library/media/cut.h"),
                              ("dispatcher/core/x.c", "base/clock.h"),
                              ("dispatcher/core/x.c", "dispatcher/server.h"),
                              ("dispatcher/core/x.c", "worker/core/core.h"),
                              ("dispatcher/x.c", "worker/core/core.h"),
                              ("dispatcher/x.c", "worker/agent.h"),
                              ("worker/x.c", "dispatcher/server.h"),
                              ("scaler/x.c", "worker/agent.h"), ("cli/x.c", "dispatcher/server.h"),
                              ("dispatcher/engine/x.c", "base/clock.h"),
                              ("dispatcher/engine/x.c", "dispatcher/server/server.h"),
                              ("dispatcher/core/x.c", "dispatcher/engine/port.h"),
                              ("dispatcher/api/x.c", "dispatcher/engine/engine.h"),
                              ("dispatcher/api/x.c", "dispatcher/server/server.h"),
                              ("dispatcher/intake/x.c", "dispatcher/api/api.h"),
                              ("dispatcher/planners/x.c", "dispatcher/wire/peers.h"),
                              ("jobs/x.c", "outputs/segments.h"), ("worker/core/x.c", "outputs/segments.h"),
                              ("cli/x.c", "outputs/segments.h"), ("outputs/x.c", "worker/io/input.h"),
                              ("worker/run/x.c", "worker/agent.h"), ("worker/run/x.c", "dispatcher/server.h"),
                              ("worker/io/x.c", "worker/run/slot.h"), ("worker/io/x.c", "worker/run/nursery.h"),
                              ("worker/machine/x.c", "worker/run/slot.h"),
                              ("worker/machine/x.c", "worker/io/input.h"),
                              ("worker/x.c", "cli/table.h"), ("worker/x.c", "tests/help.h")):
            saved = tree.read(self.root, path) if path in ("base/error.c", "base/units.c") else ""
            self.one_problem(self.case(path, include), f"{path}:2", "must not include", include)
            self.write(path, saved)

    def test_who_changes_durable_state(self):
        writer = "dispatcher/core/durable/writer.h"
        self.write(writer, "#pragma once\n#define DURABLE\n")
        for path in ("dispatcher/core/durable/x.c", "tests/x.c"):
            self.assertEqual(self.case(path, writer)[0], [], path)
        for path in ("dispatcher/core/decide/x.c", "dispatcher/core/volatile/x.h", "dispatcher/core/x.c",
                     "dispatcher/engine/x.c"):
            self.one_problem(self.case(path, writer), f"{path}:2", "changes durable state")
            self.write(path, "\n")
        self.write("dispatcher/core/decide/x.c", "  # define DURABLE\n")
        self.one_problem(includes.check(self.root), "dispatcher/core/decide/x.c", "DURABLE")

    def test_an_include_that_is_not_from_the_root(self):
        self.one_problem(self.case("worker/x.c", "agent.h"), 'write "worker/agent.h"')

    def test_a_folder_that_nobody_owns(self):
        self.one_problem(self.case("helpers/x.c", "base/error.h"), "no component owns")

    def test_a_reader_of_history_that_is_opened_outside_the_threads(self):
        text = "int f(void)\n{\n\treturn history_reader_open(0, 0, 0);\n}\n"
        for path in ("dispatcher/readers.c", "dispatcher/store/x.c", "tests/x.c"):
            self.write(path, text)
        self.assertEqual(includes.check(self.root)[0], [])
        self.write("dispatcher/api/x.c", text)
        self.one_problem(includes.check(self.root), "dispatcher/api/x.c:3", "only dispatcher/readers.c")

    def test_a_clock_as_an_instruction(self):
        self.write("worker/core/x.c", "/* asm */\nlong t(void)\n{\n\treturn __rdtsc();\n}\n")
        self.one_problem(includes.check(self.root), "worker/core/x.c:4", "no assembly")


DECIDING = """\
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/durable/apply.h"
#include "dispatcher/core/durable/definition_table.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/durable/lease_table.h"
#include "dispatcher/core/durable/shards.h"
#include "dispatcher/core/durable/windows.h"

void decide(struct dispatcher_core *core, struct job_row *row, struct lease_entry *lease);
void decide(struct dispatcher_core *core, struct job_row *row, struct lease_entry *lease)
{
@
}
"""


class DurableState(unittest.TestCase):
    """What the compiler makes of deciding code that writes to each durable struct of the real tree."""

    REFUSED = (
        "core->d.next_job++;",
        "core->d.jobs.count = 0;",
        "core->d.marks[0].lsn = 0;",
        "core->d.windows->tries++;",
        "core->d.windows->events[0].hi = 0;",
        "core->d.dedup.buckets[0]->count = 0;",
        "core->d.dedup.buckets[0]->chunks[0][0].job = 0;",
        "core->d.definitions.items[0]->references++;",
        "core->d.definitions.items[0]->body.queue = BYTES(NULL, 0);",
        "*row = (struct job_row){0};",
        "row->state = 0;",
        "row->flags |= JOB_PAUSED;",
        "row->body[0] = 0;",
        "row->run = NULL;",
        "row->run->frontier = 0;",
        "row->run->delayed[0].due_wall_us = 0;",
        "row->run->why.data[0] = 0;",
        "shard_set_clear(&row->run->done);",
        "blob_fini(&row->run->plan);",
        "lease->traits.crashes = 0;",
        "lease->worker->lease_count = 0;",
        "HASH_DEL(core->d.leases, lease);",
        "lease_remove(&core->d, lease);",
        "shards_take(row->run, (struct range){0, 1});",
        "((struct traits *)&lease->traits)->crashes = 0;",
    )
    FINE = (
        "row->next = row->previous;",
        "row->live_flags |= JOB_RUNNABLE;",
        "row->run->planning = row->state == JOB_ACTIVE;",
        "lease->seen = core->d.next_job;",
        "lease->worker->pinned = true;",
        "core->d.definitions.items[0]->queue = NULL;",
        "core->d.touched_count = 0;",
    )

    def test_it_is_const(self):
        body = "\n".join(self.REFUSED + self.FINE)
        first = DECIDING.split("@")[0].count("\n") + 1
        run = subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-fno-strict-aliasing", "-Wall", "-Wcast-qual",
                              "-Werror", "-fsyntax-only", "-I", ROOT, "-x", "c", "-"],
                             input=DECIDING.replace("@", body), capture_output=True, text=True)
        found = {int(line) for line in re.findall(r"^<stdin>:(\d+):\d+: error", run.stderr, re.M)}
        self.assertEqual(found, {first + i for i in range(len(self.REFUSED))}, run.stderr)


class Sizes(TreeCase):
    def setUp(self):
        super().setUp()
        shutil.rmtree(os.path.join(self.root, "base"))
        self.list = os.path.join(self.root, "allowed")
        self.allow("")

    def allow(self, text):
        with open(self.list, "w", encoding="utf-8") as f:
            f.write(text)

    def function(self, lines):
        self.write("cli/f.c", "static int\nodd(int x)\n{\n" + "\tx++;\n" * (lines - 2) + "}\n")
        return sizes.check(self.root, self.list)

    def test_functions(self):
        self.assertEqual(self.function(70)[0], [])
        self.one_problem(self.function(71), "cli/f.c:3", "odd has 71 lines")
        self.allow("cli/f.c:odd a table in words\n")
        self.assertEqual(self.function(71)[0], [])
        self.one_problem(self.function(70), "needs no exception")

    def test_files(self):
        self.write("cli/f.c", "\n" * 500)
        self.assertEqual(sizes.check(self.root, self.list)[0], [])
        self.write("cli/f.h", "\n" * 501)
        self.one_problem(sizes.check(self.root, self.list), "cli/f.h", "501 lines")

    def test_an_exception_needs_a_reason(self):
        self.allow("cli/f.c\n")
        self.assertRaises(SystemExit, sizes.check, self.root, self.list)

    def test_tests_have_names(self):
        self.write("tests/t.c", "Test(suite, name, .init = x,\n     .fini = y)\n{\n"
                   + "\n" * 80 + "}\n")
        self.one_problem(sizes.check(self.root, self.list), "suite.name has 82 lines")


class PlanKinds(TreeCase):
    def setUp(self):
        super().setUp()
        self.write("jobs/plans/plans.def", '/* PLAN_KIND(OLD, old, 9, "gone") */\n'
                   'PLAN_KIND(COUNT, count, 1, "numbers")\nPLAN_KIND(BYTES, bytes, 2, "parts")\n')
        for name in ("count", "bytes"):
            self.write(f"jobs/plans/{name}.c", f"int kind = PLAN_{name.upper()};\n")

    def test_in_its_own_file_and_in_tests(self):
        self.write("worker/io/input.c", "/* PLAN_BYTES */\nint max = PLAN_BYTES_MAX; char c[] = \"PLAN\";\n")
        self.write("tests/unit/jobs/test_plan.c", "int kind = PLAN_BYTES;\n")
        self.assertEqual(plan_kinds.check(self.root)[0], [])

    def test_nowhere_else(self):
        for path in ("worker/io/input.c", "jobs/plan.h", "jobs/kinds.def", "jobs/plans/count.c"):
            saved = tree.read(self.root, path) if path == "jobs/plans/count.c" else ""
            self.write(path, "/* a kind */\nint x = PLAN_BYTES;\n")
            self.one_problem(plan_kinds.check(self.root), f"{path}:2", "PLAN_BYTES", "jobs/plans/bytes.c")
            self.write(path, saved)

    def test_a_row_needs_its_file(self):
        os.unlink(os.path.join(self.root, "jobs/plans/bytes.c"))
        self.one_problem(plan_kinds.check(self.root), "jobs/plans/bytes.c: expected the file of PLAN_BYTES")

    def test_no_rows_are_no_success(self):
        self.write("jobs/plans/plans.def", "\n")
        self.one_problem(plan_kinds.check(self.root), "expected rows")


class ApiMembers(TreeCase):
    def setUp(self):
        super().setUp()
        self.list = os.path.join(self.root, "allowed")
        self.allow("")

    def allow(self, text):
        with open(self.list, "w", encoding="utf-8") as f:
            f.write(text)

    def check(self, line, path="cli/f.c"):
        self.write(path, "/* json_object_get(a, b) */\nint look(void *json)\n{\n\t%s;\n}\n" % line)
        return api_members.check(self.root, self.list)

    def test_what_names_no_member(self):
        for line in ("object_read(object_job(), json, &job)", "json_object_foreach(json, name, value)", "json_object()",
                     "json_object_size(json)", "json_array_get(json, 1)", 'puts("json_pack")'):
            self.assertEqual(self.check(line), ([], 1), line)

    def test_what_names_one(self):
        for folder in ("cli", "cli/up", "scaler", "scaler/providers"):
            path = folder + "/f.c"
            for call in ("json_object_get", "json_object_getn", "json_object_set_new", "json_object_del", "json_unpack",
                         "json_unpack_ex", "json_pack", "json_vpack_ex"):
                self.one_problem(self.check(f'x = {call}(json, "a")', path), f"{path}:4", call, "object_read_answer")
            os.unlink(os.path.join(self.root, path))

    def test_others_may(self):
        self.assertEqual(self.check('json_object_get(json, "a")', "dispatcher/api/f.c"), ([], 0))

    def test_a_place_with_a_reason(self):
        self.allow("cli/f.c:look an event is the user's\n")
        self.assertEqual(self.check('json_object_get(json, "a")'), ([], 1))
        self.one_problem(self.check("json_object()"), "allowed:1", "cli/f.c:look needs no exception")
        self.allow("cli/f.c:other an event is the user's\n")
        self.assertEqual(len(self.check('json_object_get(json, "a")')[0]), 2)
        self.allow("cli/f.c:look\n")
        self.assertRaises(SystemExit, api_members.check, self.root, self.list)


class Others(TreeCase):
    def setUp(self):
        super().setUp()
        shutil.rmtree(os.path.join(self.root, "base"))

    def test_words(self):
        for mark in words.MARKS:
            self.write("cli/f.c", f"int x; /* {mark}: later */\n")
            self.one_problem(words.check(self.root), "cli/f.c:1", mark)
        self.write("cli/f.c", 'char name[] = "file-XXXXXX"; /* a method */\n')
        self.assertEqual(words.check(self.root)[0], [])

    @unittest.skipIf(formatting.version() != formatting.VERSION, "needs clang-format 14")
    def test_formatting(self):
        shutil.copy(os.path.join(ROOT, ".clang-format"), self.root)
        self.write("cli/f.c", "int x;\n")
        self.assertEqual(formatting.check(self.root)[0], [])
        self.write("cli/f.c", "int  x ;\n")
        self.one_problem(formatting.check(self.root), "cli/f.c:1")

    def test_worker_libraries(self):
        self.write("worker/main.c", "int main(void)\n{\n\treturn 0;\n}\n")
        program = os.path.join(self.root, "worker/shardmill-worker")
        for libraries, count in ((["-lm"], 0), (["-lsqlite3"], 1)):
            subprocess.run(["cc", "-o", program, os.path.join(self.root, "worker/main.c"),
                            "-Wl,--no-as-needed", *libraries], check=True)
            self.assertEqual(worker_libraries.programs(self.root), [program])
            self.assertEqual(len(worker_libraries.check([program])[0]), count)


if __name__ == "__main__":
    ROOT = os.path.abspath(sys.argv.pop(1))
    unittest.main()
