#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/child.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/statedir.h"
#include "jobs/amounts_text.h"
#include "scaler/providers/local.h"
#include "scaler/service_impl.h"

#define ARGUMENTS_MAX 16

static char *join(const char *folder, const char *name)
{
	struct buf path = {0};

	buf_printf(&path, "%s/%s", folder, name);
	buf_text(&path);
	return (char *)path.data;
}

/* ---- the provider ---- */

/* What every worker is started with. */
struct arguments {
	char *items[ARGUMENTS_MAX + 1];
	size_t count;
};

static void add(struct arguments *a, const char *name, const char *value)
{
	struct buf text = {0};

	CHECK(a->count < ARGUMENTS_MAX);
	buf_printf(&text, "--%s=%s", name, value);
	buf_text(&text);
	a->items[a->count++] = (char *)text.data;
}

static void add_place(struct arguments *a, const struct service *s, const struct params *params,
		      enum param_id id, const char *name, const char *folder)
{
	const char *said = params_text(params, id);
	char *usual = join(s->state_dir, folder);

	add(a, name, said[0] != '\0' ? said : usual);
	free(usual);
}

static void fill_arguments(struct arguments *a, const struct service *s, const struct params *params)
{
	static const enum param_id log_ids[] = {PARAM_LOG_FORMAT, PARAM_LOG_LEVEL};
	static const char *const log_names[] = {"log-format", "log-level"};

	add(a, "connect", params_text(params, PARAM_CONNECT));
	add(a, "pool", s->pool);
	add_place(a, s, params, PARAM_KEYS_DIR, "keys-dir", "keys");
	add_place(a, s, params, PARAM_OUTPUT_DIR, "output-dir", "output");
	if (params_is_set(params, PARAM_NAMED))
		add(a, "named", params_text(params, PARAM_NAMED));
	if (params_is_set(params, PARAM_SCRATCH_DIR))
		add(a, "scratch-dir", params_text(params, PARAM_SCRATCH_DIR));
	for (size_t i = 0; i < ARRAY_LENGTH(log_ids); i++) {
		struct buf value = {0};

		params_format(params, log_ids[i], &value);
		if (params_is_set(params, log_ids[i]))
			add(a, log_names[i], buf_text(&value));
		buf_fini(&value);
	}
}

static int open_provider(struct service *s, const struct params *params, struct error *reterr)
{
	char *records = join(s->state_dir, "providers/local"), *logs = join(s->state_dir, "logs"),
	     *log = join(logs, "workers.log"), program[4096];
	struct arguments arguments = {0};
	const struct local_options options = {
	    .directory = records,
	    .program = program,
	    .log_path = log,
	    .arguments = (const char *const *)arguments.items,
	    .cpu_milli = params_cpus_milli(params, PARAM_CPUS_PER_WORKER),
	    .gpus = params_text(params, PARAM_GPUS),
	};
	int rc = child_find_program("shardmill-worker", "worker", program, sizeof program, reterr);

	fill_arguments(&arguments, s, params);
	if (rc == 0)
		rc = fs_make_dirs(logs, 0755, reterr);
	if (rc == 0)
		rc = local_provider_create(s->loop, &options, &s->provider, reterr);
	for (size_t i = 0; i < arguments.count; i++)
		free(arguments.items[i]);
	free(records);
	free(logs);
	free(log);
	return rc;
}

/* ---- the core ---- */

static int open_core(struct service *s, const struct params *params, struct error *reterr)
{
	const struct provider_ops *ops = s->provider->ops;
	struct scaler_provider facts = {.start_cost_us = ops->start_cost_us};
	struct named_amount_list named = {.items = s->named};
	uint32_t room = ops->capacity(s->provider);
	struct scaler_pool_config pool;
	struct scaler_config config = {.pools = &pool, .pool_count = 1};

	if (amounts_parse_named(params_text(params, PARAM_NAMED), &named, reterr) < 0)
		return error_where(reterr, "--named");
	ops->offer(s->provider, &s->fleet.offer);
	s->fleet.offer.named = named;
	facts.cpu_milli = s->fleet.offer.cpu_milli;
	scaler_pool_config_init(&pool, params, &facts);
	pool.name = bytes_of(s->pool);
	if (pool.max_workers == 0 || pool.max_workers > room)
		pool.max_workers = room;
	if (pool.min_workers > pool.max_workers) {
		log_warn("there is room for fewer workers than pool_min",
			 log_u64("pool_min", pool.min_workers), log_u64("room", pool.max_workers));
		pool.min_workers = pool.max_workers;
	}
	s->min_workers = pool.min_workers;
	s->max_workers = pool.max_workers;
	return scaler_core_create(&config, &s->core, reterr);
}

/* ---- all of it ---- */

/* Workers inherit it, and what they run: a shard may call `shardmill` without an option. */
static int export_place(const char *name, const char *path, struct error *reterr)
{
	struct buf whole = {0};
	char here[4096];
	int rc = 0;

	if (path[0] == '/')
		buf_printf(&whole, "%s", path);
	else if (getcwd(here, sizeof here) != NULL)
		buf_printf(&whole, "%s/%s", here, path);
	else
		rc = error_set(reterr, ERR_IO, "the current directory is not known: %s", strerror(errno));
	if (rc == 0)
		CHECK(setenv(name, buf_text(&whole), 1) == 0);
	buf_fini(&whole);
	return rc;
}

static int find_places(struct service *s, const struct params *params, struct error *reterr)
{
	const char *state = params_text(params, PARAM_STATE_DIR),
		   *api = params_text(params, PARAM_API_SOCKET);
	int rc = 0;

	if (state[0] != '\0') {
		s->state_dir = strdup(state);
		CHECK(s->state_dir != NULL);
	} else {
		rc = statedir_default(&s->state_dir, reterr);
	}
	if (rc < 0)
		return rc;
	s->api_socket = api[0] != '\0' ? strdup(api) : join(s->state_dir, "api.sock");
	CHECK(s->api_socket != NULL);
	rc = export_place("SHARDMILL_STATE_DIR", s->state_dir, reterr);
	return rc == 0 ? export_place("SHARDMILL_API_SOCKET", s->api_socket, reterr) : rc;
}

/* The dispatcher makes the state directory; we never do: an empty one could be a disk not mounted. */
static int hold_lock(struct service *s, struct error *reterr)
{
	char *identity = join(s->state_dir, "identity"), *lock = join(s->state_dir, "scaler.lock");
	int rc = 0;

	if (access(identity, F_OK) != 0) {
		error_set(reterr, ERR_NOT_FOUND, "expected a state directory, found none");
		error_where(reterr, "%s", s->state_dir);
		rc = error_help(reterr, "the dispatcher makes it at its first start");
	}
	if (rc == 0)
		rc = fs_lock_file(lock, &s->lock_fd, NULL, reterr);
	free(identity);
	free(lock);
	return rc;
}

int service_open(struct service *s, const struct params *params, struct error *reterr)
{
	int rc;

	s->lock_fd = -1;
	s->pool = params_text(params, PARAM_POOL);
	rc = find_places(s, params, reterr);
	if (rc == 0)
		rc = hold_lock(s, reterr);
	if (rc == 0)
		rc = http_client_create(s->api_socket, &s->http, reterr);
	if (rc == 0)
		rc = loop_create(&s->loop, reterr);
	if (rc == 0)
		rc = open_provider(s, params, reterr);
	if (rc == 0)
		rc = open_core(s, params, reterr);
	return rc;
}

void service_close(struct service *s)
{
	while (s->starts != NULL) {
		struct service_start *next = s->starts->next;

		free(s->starts);
		s->starts = next;
	}
	scaler_core_destroy(s->core);
	if (s->provider != NULL)
		s->provider->ops->destroy(s->provider);
	loop_destroy(s->loop);
	http_client_destroy(s->http);
	fleet_fini(&s->fleet);
	free(s->instances);
	buf_fini(&s->told);
	free(s->state_dir);
	free(s->api_socket);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
}
