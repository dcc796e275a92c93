#include "tests/unit/worker_shell/runner_rig.h"

#include <stdio.h>

#include "base/fs.h"
#include "jobs/kinds.h"

void runner_rig_work(struct rig_work *w, const char *const *argv, uint8_t format)
{
	rig_work_init(w, argv);
	w->phase.run.kind = RUN_RUNNER;
	w->phase.run.format = format;
}

void runner_rig_python(struct slot_rig *r, struct rig_work *w, const char *hello, const char *body)
{
	static char script[4096];

	snprintf(script, sizeof script,
		 "import json, os, sys, time, subprocess, signal\n"
		 "def say(m): sys.stdout.write(json.dumps(m) + '\\n'); sys.stdout.flush()\n"
		 "def done(m, **more):\n"
		 "    say(dict({'type': 'done', 'first': m['first'], 'count': m['count']}, **more))\n"
		 "def mark(name): open(os.environ['DIR'] + '/' + name, 'a').write('%%d\\n' %% os.getpid())\n"
		 "def has(name): return os.path.exists(os.environ['DIR'] + '/' + name)\n"
		 "mark('starts')\n"
		 "for line in sys.stdin:\n"
		 "    m = json.loads(line)\n"
		 "    if m['type'] == 'hello': say({'type': 'hello', %s})\n"
		 "    if m['type'] == 'job': mark('jobs')\n"
		 "    if m['type'] != 'run': continue\n"
		 "    n = m['first']; last = n + m['count'] - 1\n"
		 "    %s\n",
		 hello, body);
	runner_rig_work(w, (const char *const[]){"python3", "-c", script, NULL}, FORMAT_JSON);
	rig_work_env(w, "DIR", r->dir);
}

uint32_t runner_rig_lines(struct slot_rig *r, const char *name)
{
	struct buf text = {0};
	uint32_t lines = 0;

	if (fs_read_file(rig_path(r, name), 1 << 20, &text, NULL) < 0)
		return 0;
	for (size_t i = 0; i < text.size; i++)
		lines += text.data[i] == '\n';
	buf_fini(&text);
	return lines;
}
