#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/keys.h"
#include "dispatcher/api/api.h"
#include "dispatcher/planners/blobs.h"
#include "dispatcher/planners/planners.h"
#include "dispatcher/readers.h"
#include "dispatcher/rules.h"
#include "dispatcher/server/losses.h"
#include "dispatcher/server/replay.h"
#include "dispatcher/server/server.h"
#include "dispatcher/wire/peers.h"
#include "jobs/amounts_text.h"

#define STOP_WAIT_MS 10000

/* ---- state on disk ---- */

static int open_state(struct server *s, struct error *reterr)
{
	const char *path = params_text(s->services.params, PARAM_STATE_DIR);
	const char *output = params_text(s->services.params, PARAM_OUTPUT_DIR);
	unsigned flags = params_bool(s->services.params, PARAM_INIT) ? STATEDIR_CREATE : 0;
	char *fallback = NULL;
	int r = 0;

	if (path[0] == '\0')
		r = statedir_default(&fallback, reterr);
	if (r == 0)
		r = statedir_open(&s->services.state, fallback != NULL ? fallback : path, flags, reterr);
	free(fallback);
	if (r < 0)
		return r;
	s->services.plans_dir = statedir_path(&s->services.state, "plans");
	s->services.output_dir =
	    output[0] != '\0' ? strdup(output) : statedir_path(&s->services.state, "output");
	CHECK(s->services.output_dir != NULL);
	return 0;
}

/* The secret of deduplication keys: without it nobody can make two events collide. */
static int load_secret(struct server *s, struct error *reterr)
{
	char *path = statedir_path(&s->services.state, "keys/dedup");
	struct buf secret = {0};
	struct error e = {0};
	int r = fs_read_file(path, 4096, &secret, &e);

	if (r == ERR_NOT_FOUND) {
		randombytes_buf(s->services.dedup_secret, sizeof(s->services.dedup_secret));
		r = fs_write_file(path, BYTES(s->services.dedup_secret, sizeof(s->services.dedup_secret)),
				  0600, reterr);
	} else if (r == 0 && secret.size == sizeof(s->services.dedup_secret)) {
		memcpy(s->services.dedup_secret, secret.data, secret.size);
	} else if (r == 0) {
		r = error_set(reterr, ERR_CORRUPT, "expected %zu bytes of secret, found %zu",
			      sizeof(s->services.dedup_secret), secret.size);
		error_help(reterr,
			   "restore it from a copy; or remove it: the next start says what that means");
		(void)error_where(reterr, "%s", path);
	} else if (reterr != NULL) {
		*reterr = e;
	}
	buf_fini(&secret);
	free(path);
	return r;
}

/* All of them are there before the state counts as begun. */
static int open_keys(struct server *s, struct error *reterr)
{
	char *keys = statedir_path(&s->services.state, "keys");
	int r = losses_check_keys(s, reterr);

	if (r == 0)
		r = keys_ensure(keys, reterr);
	if (r == 0)
		r = load_secret(s, reterr);
	free(keys);
	return r;
}

/* ---- what the loop watches ---- */

static void read_empty(int fd)
{
	eventfd_t n;

	(void)eventfd_read(fd, &n);
}

static void on_journal(struct loop *loop, uint32_t events, void *arg)
{
	struct server *s = arg;

	(void)events;
	read_empty(journal_fd(s->services.journal));
	loop_defer(loop, &s->turn_end);
}

static void on_history(struct loop *loop, uint32_t events, void *arg)
{
	struct server *s = arg;

	(void)events;
	read_empty(history_fd(s->services.history));
	loop_defer(loop, &s->turn_end);
}

static void on_stop(struct loop *loop, int signo, void *arg)
{
	struct server *s = arg;

	log_info("stopping", log_i64("signal", signo));
	s->services.stopping = true;
	loop_stop(loop);
}

static void on_reload(struct loop *loop, int signo, void *arg)
{
	struct server *s = arg;

	(void)loop;
	child_reopen_log();
	log_info("reading rules and keys again", log_i64("signal", signo));
	rules_reload(s->services.rules);
	peers_reload_keys(s->services.peers);
}

/* Each listener of the API has its part of the places. */
static int share_descriptors(struct server *s, struct error *reterr)
{
	uint32_t listeners = params_text(s->services.params, PARAM_API_LISTEN)[0] != '\0' ? 2 : 1;

	return descriptors_cut(descriptors_raise_limit(), listeners, &s->services.descriptors, reterr);
}

/* Before the core is created, which takes it as it is. */
static int check_shared(const struct params *params, struct error *reterr)
{
	struct named_amount items[NAMED_RESOURCES_MAX];
	struct named_amount_list shared = {.items = items};

	if (amounts_parse_named(params_text(params, PARAM_SHARED), &shared, reterr) < 0)
		return error_where(reterr, "--shared");
	return 0;
}

static int open_loop(struct server *s, struct error *reterr)
{
	int r = loop_create(&s->services.loop, reterr);

	if (r == 0)
		r = loop_add_signal(s->services.loop, SIGTERM, on_stop, s, reterr);
	if (r == 0)
		r = loop_add_signal(s->services.loop, SIGINT, on_stop, s, reterr);
	if (r == 0)
		r = loop_add_signal(s->services.loop, SIGHUP, on_reload, s, reterr);
	s->journal_watch = (struct loop_watch){.fn = on_journal, .arg = s};
	s->history_watch = (struct loop_watch){.fn = on_history, .arg = s};
	return r;
}

/* ---- the core wakes up ---- */

/* Rules are read before ends of jobs are offered to them; doors open last. */
static int open_core(struct server *s, struct error *reterr)
{
	struct services *sv = &s->services;
	char *copies = statedir_path(&sv->state, "rules-good");
	uint64_t seed;
	int r;

	turn_init(s);
	sv->pools = &s->pools;
	sv->blobs = blobs_create(sv->plans_dir);
	r = rules_open(sv->loop, params_text(sv->params, PARAM_RULES_DIR), copies, &sv->rules, reterr);
	free(copies);
	if (r == 0)
		r = parts_open(sv, false, reterr);
	if (r < 0)
		return r;
	randombytes_buf(&seed, sizeof(seed));
	engine_open(s->engine, seed);
	losses_note(s);
	turn_run(s);
	planners_sweep(sv);
	return 0;
}

static void on_room(struct services *s, bool there_is)
{
	if (there_is)
		parts_resume(s);
	else
		parts_pause(s);
}

static int open_doors(struct server *s, struct error *reterr)
{
	int r =
	    loop_add(s->services.loop, &s->journal_watch, journal_fd(s->services.journal), EPOLLIN, reterr);

	if (r == 0)
		r = loop_add(s->services.loop, &s->history_watch, history_fd(s->services.history), EPOLLIN,
			     reterr);
	if (r == 0)
		r = parts_open(&s->services, true, reterr);
	if (r == 0)
		trouble_open(&s->trouble, &s->services, on_room);
	return r;
}

int server_open(struct server *s, const struct params *params, struct error *reterr)
{
	struct view_counters c;
	int r;

	*s = (struct server){
	    .services = {.params = params, .started_wall_us = clock_wall_us(), .state = {.lock_fd = -1}}};
	r = share_descriptors(s, reterr);
	if (r == 0)
		r = check_shared(params, reterr);
	if (r == 0)
		r = open_state(s, reterr);
	if (r == 0)
		r = open_keys(s, reterr);
	if (r == 0)
		r = open_loop(s, reterr);
	if (r == 0)
		r = replay_open(s, reterr);
	if (r == 0)
		r = open_core(s, reterr);
	if (r == 0)
		r = open_doors(s, reterr);
	if (r < 0)
		return r;
	dispatcher_view_counters(s->core, &c);
	log_info("dispatcher ready", log_u64("epoch", c.epoch), log_u64("jobs", c.live_jobs),
		 log_u64("rules", rules_count(s->services.rules)),
		 log_text("listen", peers_address(s->services.peers)));
	return 0;
}

void server_run(struct server *s)
{
	loop_run(s->services.loop);
}

/* What was answered with yes is durable already; the rest gets its chance. */
static void settle(struct server *s)
{
	usec_t deadline = clock_mono_us() + STOP_WAIT_MS * USEC_PER_MSEC;

	engine_flush(s->engine);
	while (port_view(s->services.port).durable_lsn < port_view(s->services.port).last_lsn &&
	       clock_mono_us() < deadline) {
		struct pollfd p = {.fd = journal_fd(s->services.journal), .events = POLLIN};

		if (poll(&p, 1, 100) > 0)
			read_empty(p.fd);
		engine_flush(s->engine);
	}
	api_turn(s->services.api);
	dispatcher_core_check(s->core, CHECK_FULL);
}

void server_close(struct server *s)
{
	struct services *sv = &s->services;

	sv->stopping = true;
	if (s->engine != NULL) {
		parts_pause(sv);
		engine_stop(s->engine);
		settle(s);
	}
	trouble_close(&s->trouble);
	if (sv->journal != NULL)
		journal_stop(sv->journal); /* its thread gives history what it commits, however late */
	if (sv->history != NULL)
		loop_remove(sv->loop, &s->history_watch);
	history_close(sv->history);
	readers_close(sv->readers); /* questions are answered, if only with an error */
	sv->readers = NULL;
	planners_stop(sv->planners);
	if (sv->port != NULL)
		parts_close(sv);
	if (sv->journal != NULL)
		loop_remove(sv->loop, &s->journal_watch);
	journal_close(sv->journal);
	rules_close(sv->rules);
	blobs_destroy(sv->blobs);
	engine_destroy(s->engine);
	pools_fini(&s->pools);
	dispatcher_core_destroy(s->core);
	loop_destroy(sv->loop);
	statedir_close(&sv->state);
	free(sv->plans_dir);
	free(sv->output_dir);
	free(sv->history_path);
}
