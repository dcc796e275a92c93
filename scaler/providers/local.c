#include "scaler/providers/local.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/child.h"
#include "base/fs.h"
#include "base/log.h"
#include "scaler/providers/cores.h"
#include "scaler/providers/gpu_deal.h"
#include "scaler/providers/last_words.h"

#define ID_PREFIX "local-"

extern char **environ;

struct local_worker {
	struct local *local;
	struct provider_worker view;
	char *cores;	/* of its record */
	char *gpus;	/* likewise */
	off_t log_from; /* what it has written stands behind this */
	struct child child;
	struct loop_watch watch;
	struct local_worker *next;
};

struct local {
	struct provider base; /* first */
	struct loop *loop;
	struct core_deal deal;
	struct gpu_deal gpus;
	bool has_gpus; /* they are dealt */
	struct local_worker *workers;
	char *directory, *program, *log_path;
	char **arguments;
	size_t argument_count;
};

static struct local *local_of(struct provider *p)
{
	return (struct local *)p;
}

static char *record_path(const struct local *l, const char *id)
{
	struct buf path = {0};

	buf_printf(&path, "%s/%s", l->directory, id);
	buf_text(&path);
	return (char *)path.data;
}

static char *copy(const char *text)
{
	char *made = strdup(text);

	CHECK(made != NULL);
	return made;
}

/* The lines of a record. */
static void write_note(struct buf *out, const char *cores, const char *gpus, const char *worker)
{
	buf_printf(out, "cores: %s\n", cores);
	if (gpus[0] != '\0')
		buf_printf(out, "gpus: %s\n", gpus);
	if (worker[0] != '\0')
		buf_printf(out, "worker: %s\n", worker);
}

/* ---- workers ---- */

static void worker_free(struct local_worker *w)
{
	loop_remove(w->local->loop, &w->watch);
	child_close(&w->child);
	free(w->cores);
	free(w->gpus);
	free(w);
}

/* How it ended; of one that never registered also what it said, since that is why. */
static void tell_how(struct local_worker *w, const struct child_end *end)
{
	char said[sizeof w->view.how - 32];
	size_t used;

	child_end_text(end, w->view.how, sizeof w->view.how);
	used = strlen(w->view.how);
	if (w->view.worker[0] == '\0' && w->local->log_path != NULL &&
	    last_words(w->local->log_path, w->log_from, said, sizeof said)[0] != '\0')
		snprintf(w->view.how + used, sizeof w->view.how - used, ", %s", said);
}

static off_t log_end(const struct local *l)
{
	struct stat st;

	return l->log_path != NULL && stat(l->log_path, &st) == 0 ? st.st_size : 0;
}

static void see_end(struct local_worker *w)
{
	struct child_end end;

	if (!child_reap(&w->child, &end))
		return;
	loop_remove(w->local->loop, &w->watch);
	w->view.ended = true;
	tell_how(w, &end);
	log_info("a worker has ended", log_text("provider_id", w->view.id),
		 log_text("worker", w->view.worker), log_i64("pid", w->child.pid),
		 log_text("how", w->view.how));
	if (w->local->base.changed != NULL)
		w->local->base.changed(w->local->base.changed_arg);
}

static void on_ended(struct loop *loop, uint32_t events, void *arg)
{
	(void)loop;
	(void)events;
	see_end(arg);
}

static struct local_worker *worker_add(struct local *l, const char *id, const char *cores, const char *gpus)
{
	struct local_worker *w = check_calloc(1, sizeof *w);

	w->local = l;
	snprintf(w->view.id, sizeof w->view.id, "%s", id);
	w->cores = copy(cores);
	w->gpus = copy(gpus);
	w->child.pidfd = -1;
	w->watch.fn = on_ended;
	w->watch.arg = w;
	w->next = l->workers;
	l->workers = w;
	return w;
}

static int worker_watch(struct local_worker *w, struct error *reterr)
{
	return loop_add(w->local->loop, &w->watch, w->child.pidfd, EPOLLIN, reterr);
}

/* ---- starting ---- */

static bool is_free(const struct local *l, size_t place)
{
	for (const struct local_worker *w = l->workers; w != NULL; w = w->next)
		if (!w->view.ended && (core_place_overlaps(&l->deal.places[place], w->cores) ||
				       gpu_lists_overlap(l->gpus.parts[place].text, w->gpus)))
			return false;
	return true;
}

/* The number of a place; as many as there are: none is free. */
static size_t free_place(const struct local *l)
{
	for (size_t i = 0; i < l->deal.count; i++)
		if (is_free(l, l->gpus.order[i]))
			return l->gpus.order[i];
	return l->deal.count;
}

static uint32_t local_capacity(const struct provider *p)
{
	return (uint32_t)((const struct local *)p)->deal.count;
}

static void local_offer(const struct provider *p, struct resources *ret)
{
	const struct local *l = (const struct local *)p;

	*ret = (struct resources){.gpu_milli = l->gpus.most * 1000};
	for (size_t i = 0; i < l->deal.count; i++) {
		const struct core_place *place = &l->deal.places[i];

		if (place->core_count * 1000ull > ret->cpu_milli)
			ret->cpu_milli = place->core_count * 1000ull;
		if (place->memory_bytes > ret->memory_bytes)
			ret->memory_bytes = place->memory_bytes;
	}
	if (getenv("SHARDMILL_MEMORY") != NULL)
		ret->memory_bytes = 0;
}

static int start_process(struct local *l, const char *id, size_t number, struct child *ret,
			 struct error *reterr)
{
	const struct core_place *place = &l->deal.places[number];
	const struct gpu_part *part = &l->gpus.parts[number];
	char cores[4096], provider_id[128], memory[64], gpus[32], *record = record_path(l, id), *shown = NULL;
	char **argv = check_calloc(l->argument_count + 7, sizeof *argv), **envp = NULL;
	struct child_spec spec = {.program = l->program,
				  .argv = argv,
				  .envp = environ,
				  .log_path = l->log_path,
				  .record_path = record};
	struct buf note = {0};
	size_t n = 0;
	int rc;

	snprintf(cores, sizeof cores, "--cores=%s", place->text);
	write_note(&note, place->text, part->text, "");
	spec.note = buf_text(&note);
	if (part->count > 0)
		spec.envp = envp = gpu_environment(part->text, &shown);
	snprintf(gpus, sizeof gpus, "--gpus=%u", part->count);
	snprintf(provider_id, sizeof provider_id, "--provider-id=%s", id);
	snprintf(memory, sizeof memory, "--memory=%" PRIu64, place->memory_bytes);
	argv[n++] = l->program;
	argv[n++] = cores;
	argv[n++] = provider_id;
	if (place->memory_bytes > 0 && getenv("SHARDMILL_MEMORY") == NULL)
		argv[n++] = memory;
	if (l->has_gpus)
		argv[n++] = gpus;
	if (l->deal.quota_cores > 0 && getenv("SHARDMILL_PIN") == NULL)
		argv[n++] = "--pin=off";
	memcpy(argv + n, l->arguments, l->argument_count * sizeof *argv);
	rc = child_start(&spec, ret, reterr);
	free(argv);
	free(envp);
	free(shown);
	free(record);
	buf_fini(&note);
	return rc;
}

static int local_start(struct provider *p, char ret_id[PROVIDER_ID_BYTES], struct error *reterr)
{
	struct local *l = local_of(p);
	size_t place = free_place(l);
	struct child child;
	struct local_worker *w;
	char id[PROVIDER_ID_BYTES];
	off_t log_from = log_end(l);
	uint64_t random;
	int rc;

	if (place == l->deal.count)
		return error_set(reterr, ERR_LIMIT, "all cores of this machine are dealt");
	if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
		return error_set(reterr, ERR_IO, "the system gives no random numbers: %s", strerror(errno));
	snprintf(id, sizeof id, ID_PREFIX "%012" PRIx64, random >> 16);
	rc = start_process(l, id, place, &child, reterr);
	if (rc < 0)
		return rc;
	w = worker_add(l, id, l->deal.places[place].text, l->gpus.parts[place].text);
	w->child = child;
	w->log_from = log_from;
	log_info("a worker was started", log_text("provider_id", id), log_i64("pid", child.pid),
		 log_text("cores", w->cores), log_u64("numa_node", l->deal.places[place].numa_node),
		 log_text("gpus", w->gpus));
	rc = worker_watch(w, reterr);
	if (rc == 0)
		memcpy(ret_id, id, sizeof id);
	return rc;
}

/* ---- the list ---- */

static void local_list(struct provider *p, void (*visit)(void *arg, const struct provider_worker *w),
		       void *arg)
{
	struct local_worker *next;

	for (struct local_worker *w = local_of(p)->workers; w != NULL; w = next) {
		next = w->next;
		visit(arg, &w->view);
	}
}

static struct local_worker *find(struct local *l, const char *id)
{
	struct local_worker *w = l->workers;

	while (w != NULL && strcmp(w->view.id, id) != 0)
		w = w->next;
	return w;
}

static void local_note(struct provider *p, const char *id, const char *worker)
{
	struct local_worker *w = find(local_of(p), id);
	char line[ERROR_LINE_MAX], *record;
	struct buf note = {0};
	struct error e;

	if (w == NULL || strcmp(w->view.worker, worker) == 0)
		return;
	snprintf(w->view.worker, sizeof w->view.worker, "%s", worker);
	write_note(&note, w->cores, w->gpus, worker);
	record = record_path(local_of(p), id);
	if (child_note(record, &w->child, buf_text(&note), &e) < 0)
		log_warn("a worker's record could not be renewed", log_text("provider_id", id),
			 log_error_field(&e, line, sizeof line));
	free(record);
	buf_fini(&note);
}

/* SIGTERM: should it have work after all, that is finished. */
static void local_abandon(struct provider *p, const char *id)
{
	struct local_worker *w = find(local_of(p), id);

	if (w != NULL)
		child_signal(&w->child, SIGTERM);
}

static void local_forget(struct provider *p, const char *id)
{
	struct local *l = local_of(p);
	char *record;

	for (struct local_worker **at = &l->workers; *at != NULL; at = &(*at)->next) {
		struct local_worker *w = *at;

		if (strcmp(w->view.id, id) != 0)
			continue;
		*at = w->next;
		record = record_path(l, w->view.id); /* id may be the worker's own */
		unlink(record);
		free(record);
		worker_free(w);
		return;
	}
}

/* ---- finding them again ---- */

/* The value behind "name: " in a record's lines; "" when it is not there. */
static void note_value(struct buf *note, const char *name, char *ret, size_t size)
{
	const char *at = strstr(buf_text(note), name);

	ret[0] = '\0';
	if (at != NULL)
		snprintf(ret, size, "%.*s", (int)strcspn(at + strlen(name), "\n"), at + strlen(name));
}

static void adopt_one(struct local *l, const char *id)
{
	char *record = record_path(l, id), cores[4096], gpus[4096], line[ERROR_LINE_MAX];
	struct child child = {.pidfd = -1};
	struct buf note = {0};
	struct local_worker *w;
	struct error e;
	int rc = child_adopt(record, &child, &note, &e);

	note_value(&note, "cores: ", cores, sizeof cores);
	note_value(&note, "gpus: ", gpus, sizeof gpus);
	if (rc < 0 && rc != ERR_NOT_FOUND) {
		log_warn("what is no worker's record is removed", log_error_field(&e, line, sizeof line));
		unlink(record);
	} else {
		w = worker_add(l, id, cores, gpus);
		note_value(&note, "worker: ", w->view.worker, sizeof w->view.worker);
		w->child = child;
		w->view.ended = rc < 0 || worker_watch(w, NULL) < 0;
		if (w->view.ended)
			snprintf(w->view.how, sizeof w->view.how, "ended while no scaler ran");
		log_info(w->view.ended ? "a worker ended while no scaler ran"
				       : "a running worker is taken over",
			 log_text("provider_id", id), log_text("worker", w->view.worker),
			 log_i64("pid", child.pid), log_text("cores", cores));
	}
	buf_fini(&note);
	free(record);
}

static int adopt_all(struct local *l, struct error *reterr)
{
	DIR *dir = opendir(l->directory);

	if (dir == NULL) {
		error_set(reterr, ERR_IO, "cannot read the workers' records: %s", strerror(errno));
		return error_where(reterr, "%s", l->directory);
	}
	for (struct dirent *d; (d = readdir(dir)) != NULL;)
		if (strncmp(d->d_name, ID_PREFIX, strlen(ID_PREFIX)) == 0 && strchr(d->d_name, '.') == NULL &&
		    strlen(d->d_name) < PROVIDER_ID_BYTES)
			adopt_one(l, d->d_name);
	closedir(dir);
	return 0;
}

/* ---- the provider ---- */

static void local_destroy(struct provider *p)
{
	struct local *l = local_of(p);

	while (l->workers != NULL) {
		struct local_worker *w = l->workers;

		l->workers = w->next;
		worker_free(w);
	}
	for (size_t i = 0; i < l->argument_count; i++)
		free(l->arguments[i]);
	free(l->arguments);
	free(l->directory);
	free(l->program);
	free(l->log_path);
	gpu_deal_fini(&l->gpus);
	core_deal_fini(&l->deal);
	free(l);
}

static const struct provider_ops local_ops = {
    .name = "local",
    .start = local_start,
    .start_cost_us = USEC_PER_SEC,
    .capacity = local_capacity,
    .offer = local_offer,
    .list = local_list,
    .note = local_note,
    .abandon = local_abandon,
    .forget = local_forget,
    .destroy = local_destroy,
};

static void tell_deal(const struct local *l)
{
	log_info("cores of this machine are dealt", log_u64("cores", l->deal.core_count),
		 log_u64("workers", l->deal.count), log_u64("quota_cores", l->deal.quota_cores));
	if (l->deal.clamped)
		log_warn("no NUMA node has so many cores; a worker gets all of one",
			 log_text("parameter", "cpus_per_worker"));
}

static int deal_gpus(struct local *l, const char *text, struct error *reterr)
{
	struct gpu_list gpus;
	int rc = gpus_choose(text != NULL ? text : "", gpus_visible(), "", &gpus, reterr);

	if (rc < 0)
		return error_where(reterr, "--gpus");
	l->has_gpus = text != NULL && text[0] != '\0';
	gpu_deal_init(&l->gpus, &l->deal, &gpus);
	if (gpus.count > 0 && gpus_visible() == NULL) /* the workers' are of these numbers */
		CHECK(setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 0) == 0);
	if (gpus.count > 0)
		log_info("gpus of this machine are dealt", log_u64("gpus", gpus.count),
			 log_u64("gpus_of_a_worker", l->gpus.most));
	return 0;
}

int local_provider_create(struct loop *loop, const struct local_options *options, struct provider **ret,
			  struct error *reterr)
{
	struct local *l = check_calloc(1, sizeof *l);
	int rc;

	l->base.ops = &local_ops;
	l->loop = loop;
	l->directory = copy(options->directory);
	l->program = copy(options->program);
	l->log_path = options->log_path != NULL ? copy(options->log_path) : NULL;
	for (; options->arguments[l->argument_count] != NULL; l->argument_count++) {
		l->arguments = check_realloc(l->arguments, l->argument_count + 1, sizeof *l->arguments);
		l->arguments[l->argument_count] = copy(options->arguments[l->argument_count]);
	}
	rc = fs_make_dirs(l->directory, 0700, reterr);
	if (rc == 0)
		rc = core_deal_machine(&l->deal, options->cpu_milli, reterr);
	if (rc == 0 && l->deal.count == 0)
		rc = error_set(reterr, ERR_INVALID, "this process may use no core of this machine");
	if (rc == 0)
		rc = deal_gpus(l, options->gpus, reterr);
	if (rc == 0) {
		tell_deal(l);
		rc = adopt_all(l, reterr);
	}
	if (rc < 0) {
		local_destroy(&l->base);
		return rc;
	}
	*ret = &l->base;
	return 0;
}
