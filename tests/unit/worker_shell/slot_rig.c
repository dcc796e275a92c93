#include "tests/unit/worker_shell/slot_rig.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "jobs/kinds.h"
#include "jobs/plan.h"
#include "jobs/slice.h"

extern char **environ;

const char *rig_path(const struct slot_rig *r, const char *name)
{
	static char paths[8][400];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof paths[0], "%s/%s", r->dir, name);
	return path;
}

static void open_parts(struct slot_rig *r, const struct rig_options *o, struct error *e)
{
	const struct uuid worker = {0x1234, 0x5678};

	snprintf(r->scratch, sizeof r->scratch, "%s/scratch", r->dir);
	snprintf(r->root, sizeof r->root, "%s/output", r->dir);
	CHECK(nursery_open(&r->nursery, e) == 0);
	CHECK(o->groups == NULL || nursery_groups(&r->nursery, o->groups->root.path, e) == 0);
	CHECK(fs_make_dirs(r->scratch, 0700, e) == 0);
	CHECK(home_open(&r->home, r->scratch, e) == 0);
	CHECK(topology_open(o->cores, o->pin ? 1 : 2, &r->topology, e) == 0);
	CHECK(output_dir_open(&r->output, r->root, &worker, o->roll_bytes ? o->roll_bytes : OUTPUT_ROLL_BYTES,
			      e) == 0);
	r->shared = (struct slot_shared){.worker = worker,
					 .topology = &r->topology,
					 .memory = o->memory,
					 .nursery = &r->nursery,
					 .output = &r->output,
					 .output_root = r->root,
					 .home = &r->home,
					 .environ = environ,
					 .output_bytes_max = o->output_bytes_max,
					 .kill_grace_us = o->kill_grace_us ? o->kill_grace_us : 100000,
					 .runner_idle_us = o->runner_idle_us,
					 .notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
}

static void open_slot(struct slot_rig *r, const struct worker_slot_ref *ref, struct error *e)
{
	uint32_t *used = check_calloc(r->topology.core_count, sizeof *used);
	unsigned *cores = check_calloc(r->topology.core_count, sizeof *cores);
	unsigned count = topology_place(&r->topology, used, ref->shape.cpu_milli, cores);

	CHECK(slot_open(&r->shared, ref, cores, count, &r->slot, e) == 0);
	free(used);
	free(cores);
}

void rig_open(struct slot_rig *r, const struct rig_options *options)
{
	struct rig_options o = options != NULL ? *options : (struct rig_options){0};
	struct worker_slot_ref ref = {
	    .shape = {.cpu_milli = o.cpu_milli ? o.cpu_milli : 1000, .memory_bytes = o.memory_bytes}};
	const char *base = getenv("TMPDIR");
	struct error e = {0};

	*r = (struct slot_rig){.shard_count = o.shard_count ? o.shard_count : 1000};
	snprintf(r->dir, sizeof r->dir, "%s/shardmill-slot-XXXXXX", base != NULL ? base : "/tmp");
	CHECK(mkdtemp(r->dir) != NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
	open_parts(r, &o, &e);
	r->shards = check_calloc(r->shard_count, sizeof *r->shards);
	open_slot(r, &ref, &e);
}

void rig_close(struct slot_rig *r)
{
	char command[300];

	slot_close(r->slot);
	nursery_close(&r->nursery);
	output_dir_close(&r->output);
	home_close(&r->home);
	topology_close(&r->topology);
	close(r->shared.notify_fd);
	free(r->shards);
	snprintf(command, sizeof command, "rm -rf %s", r->dir);
	CHECK(system(command) == 0);
}

/* Work */

void rig_work_init(struct rig_work *w, const char *const *argv)
{
	buf_fini(&w->slice);
	*w = (struct rig_work){.job = 7};
	w->definition.sha256 = BYTES(w->sha256, sizeof w->sha256);
	w->definition.name = bytes_of("rig");
	w->definition.value_names.items = w->value_names;
	w->definition.phases = (struct phase_run_list){&w->phase, 1};
	w->phase.name = bytes_of("shards");
	w->phase.run = (struct run_spec){
	    .kind = RUN_EXEC, .input = FEED_NONE, .format = FORMAT_JSON, .durable_output = true};
	w->phase.run.argv.items = w->argv;
	for (uint32_t i = 0; argv[i] != NULL; i++) {
		CHECK(i < RIG_ARGS_MAX);
		w->argv[i].text = bytes_of(argv[i]);
		w->phase.run.argv.count++;
	}
	w->phase.run.env.items = w->env;
	w->phase.run.exit_rules.items = w->rules;
	w->parameters = (struct job_parameters){.job = 7, .name = bytes_of("rig")};
	w->parameters.values.items = w->values;
	w->parameters.plan = (struct plan){.kind = PLAN_COUNT, .shard_count = 1000000, .start = 0, .step = 1};
}

void rig_work_shell(struct rig_work *w, const char *script)
{
	rig_work_init(w, (const char *const[]){"sh", "-c", script, NULL});
}

void rig_work_env(struct rig_work *w, const char *name, const char *value)
{
	struct pair_list *env = &w->phase.run.env;

	CHECK(env->count < ARRAY_LENGTH(w->env));
	env->items[env->count++] = (struct pair){bytes_of(name), bytes_of(value)};
}

void rig_work_items(struct rig_work *w, const struct bytes *items, uint32_t count)
{
	struct text_item *list = check_calloc(count, sizeof *list);
	struct slice slice = {.items = {list, count}};

	for (uint32_t i = 0; i < count; i++)
		list[i].text = items[i];
	buf_clear(&w->slice);
	slice_encode(&slice, &w->slice);
	free(list);
	w->parameters.plan = (struct plan){.kind = PLAN_ITEMS, .shard_count = 1000000};
}

void rig_work_fini(struct rig_work *w)
{
	buf_fini(&w->slice);
}

/* As the core and the agent do */

uint32_t rig_arm(struct slot_rig *r, struct rig_work *w, uint32_t first, uint32_t count)
{
	uint32_t cell = r->turn;

	CHECK(!r->armed[cell] && first + count <= r->shard_count);
	r->turn = cell_after(r->turn);
	r->armed[cell] = true;
	r->token[cell] = (struct token){3, ++r->lease};
	r->range[cell] = (struct range){first, count};
	r->seen[cell] = (struct cell_view){first, first + count};
	r->ended[cell] = 0;
	r->stopped[cell] = false;
	slot_arm(r->slot, &(struct worker_arm){.slot = 0,
					       .cell = cell,
					       .token = r->token[cell],
					       .job = w->job,
					       .phase = 0,
					       .range = {first, count},
					       .attempt = 1,
					       .slice = buf_bytes(&w->slice),
					       .slice_first = first,
					       .definition = &w->definition,
					       .run = &w->phase,
					       .parameters = &w->parameters});
	return cell;
}

uint32_t rig_last(const struct slot_rig *r)
{
	return (r->turn + SLOT_CELLS - 1) % SLOT_CELLS;
}

void rig_stop(struct slot_rig *r, uint32_t cell)
{
	r->stopped[cell] = true;
	slot_stop(r->slot, &(struct worker_stop){.cell = cell, .token = r->token[cell]});
}

static void see(struct slot_rig *r, uint32_t cell, struct cell_view v)
{
	CHECK(v.next >= r->seen[cell].next && v.next <= v.end && v.end <= r->seen[cell].end);
	r->seen[cell] = v;
}

struct cell_view rig_lower_end(struct slot_rig *r, uint32_t cell, uint32_t end)
{
	struct worker_lower_end l = {.cell = cell, .token = r->token[cell], .end = end};
	struct cell_view v;

	if (slot_lower_end(r->slot, &l, &v))
		see(r, cell, v);
	return r->seen[cell];
}

static struct rig_shard *end_shard(struct slot_rig *r, const struct slot_batch *b, uint64_t n)
{
	struct rig_shard *s = &r->shards[n];

	CHECK(n >= r->range[b->cell].first && n < r->seen[b->cell].next);
	CHECK(s->token.lease != b->token.lease); /* else it ended twice */
	r->ended[b->cell]++;
	*s = (struct rig_shard){.segment = b->segment, .token = b->token};
	return s;
}

static void take_batch(struct slot_rig *r, const struct slot_batch *b)
{
	struct cell_view v = slot_peek(r->slot, b->cell);

	CHECK(r->armed[b->cell] && r->token[b->cell].lease == b->token.lease);
	if (b->released)
		v.next = v.end;
	see(r, b->cell, v);
	for (uint32_t i = 0; i < b->done.count; i++) {
		r->wholes += b->whole ? b->done.items[i].count : 0;
		for (uint64_t n = b->done.items[i].first; n < range_end(b->done.items[i]); n++, r->done++)
			end_shard(r, b, n)->end = RIG_DONE;
	}
	for (uint32_t i = 0; i < b->failed.count; i++)
		for (uint32_t n = 0; n < b->failed.items[i].count; n++, r->failed++) {
			const struct failure *f = &b->failed.items[i];
			struct rig_shard *s = end_shard(r, b, f->first + n);

			s->end = RIG_FAILED;
			s->kind = f->kind;
			s->code = f->code;
			s->segment = f->segment;
			CHECK((failure_is_own(f->kind) || failure_is_workers(f->kind)) &&
			      f->why.size < sizeof s->why);
			memcpy(s->why, f->why.data, f->why.size);
		}
	for (int i = 0; i < RUN_BUCKETS; i++)
		r->run_counted += b->run_counts[i];
	totals_add(&r->totals, &b->totals);
	if (!b->released)
		return;
	/* What was begun has ended, unless it was stopped. */
	CHECK(r->stopped[b->cell] || r->ended[b->cell] == v.end - r->range[b->cell].first);
	r->armed[b->cell] = false;
}

void rig_fetch(struct slot_rig *r)
{
	for (struct slot_batch *b = slot_fetch(r->slot), *next; b != NULL; b = next) {
		next = b->next;
		take_batch(r, b);
		slot_batch_free(b);
	}
}

/* Sleeps until the slot says that there is something; the deadline is the test's failure. */
static void await_news(struct slot_rig *r, usec_t deadline_us)
{
	struct pollfd p = {r->shared.notify_fd, POLLIN, 0};
	uint64_t count;

	CHECK(clock_mono_us() < deadline_us);
	if (poll(&p, 1, 1000) > 0)
		CHECK(read(p.fd, &count, sizeof count) == sizeof count);
	rig_fetch(r);
}

void rig_await_release(struct slot_rig *r, uint32_t cell)
{
	usec_t deadline = clock_mono_us() + RIG_WAIT_US;

	rig_fetch(r);
	while (r->armed[cell])
		await_news(r, deadline);
}

void rig_await_ended(struct slot_rig *r, uint64_t shards)
{
	usec_t deadline = clock_mono_us() + RIG_WAIT_US;

	rig_fetch(r);
	while (r->done + r->failed < shards)
		await_news(r, deadline);
}

void rig_run(struct slot_rig *r, struct rig_work *w, uint32_t first, uint32_t count)
{
	rig_await_release(r, rig_arm(r, w, first, count));
}

void rig_await(bool (*holds)(const void *arg), const void *arg, const char *what)
{
	usec_t deadline = clock_mono_us() + RIG_WAIT_US;

	while (!holds(arg)) {
		if (clock_mono_us() > deadline)
			fprintf(stderr, "not in time: %s\n", what);
		CHECK(clock_mono_us() <= deadline);
		poll(NULL, 0, 1);
	}
}

bool rig_file_exists(const void *path)
{
	return access(path, F_OK) == 0;
}

/* Outputs */

void rig_output(const struct slot_rig *r, uint32_t shard, const char *kind, struct buf *ret)
{
	const struct rig_shard *s = &r->shards[shard];
	struct output_entry e = {0};
	struct buf index = {0};
	uint32_t damaged = 0;
	char name[120];
	uint8_t *to;
	bool out = strcmp(kind, "out") == 0;
	uint64_t length;
	int fd;

	buf_clear(ret);
	snprintf(name, sizeof name, "%s/%08u.idx", r->output.path + strlen(r->dir) + 1, s->segment);
	if (fs_read_file(rig_path(r, name), 1 << 30, &index, NULL) < 0)
		return;
	output_index_collect(buf_bytes(&index), s->token, (struct range){shard, 1}, &e, &damaged);
	buf_fini(&index);
	length = out ? e.out_length : e.err_length;
	if (length == 0)
		return;
	snprintf(name, sizeof name, "%s/%08u.%s", r->output.path + strlen(r->dir) + 1, s->segment, kind);
	fd = open(rig_path(r, name), O_RDONLY | O_CLOEXEC);
	to = buf_reserve(ret, length);
	CHECK(pread(fd, to, length, (off_t)(out ? e.out_offset : e.err_offset)) == (ssize_t)length);
	ret->size += length;
	close(fd);
}
