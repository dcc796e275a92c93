#include "dispatcher/server/replay.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "dispatcher/readers.h"
#include "dispatcher/server/losses.h"
#include "jobs/ids.h"

#define READER_THREADS 8 /* more than one lane may take, and those of keys together */

struct replay {
	struct server *server;
	struct arena arena;
	uint64_t records;
};

static int apply_frame(void *arg, const struct frame *f, struct error *reterr)
{
	struct replay *p = arg;
	struct bytes in = f->payload;
	uint64_t lsn = f->lsn;

	for (uint32_t i = 0; i < f->record_count; i++, lsn++) {
		uint32_t type;
		void *record;
		int r = codec_union_decode(&record_union, &in, &type, &record, &p->arena, reterr);

		if (r == 0)
			r = dispatcher_core_apply(p->server->core, type, record, lsn, reterr);
		if (r < 0) {
			error_help(reterr, "restore the state directory from a copy; shardmill journal shows "
					   "what can be read");
			return error_where(reterr, "journal, record %llu", (unsigned long long)lsn);
		}
		p->records++;
		arena_reset(&p->arena);
	}
	return 0;
}

static struct dispatcher_config config_of(const struct server *s)
{
	struct dispatcher_config c;

	dispatcher_config_init(&c, s->services.params);
	CHECK(uuid_parse(bytes_of(s->services.state.cluster_id), &c.cluster, NULL) == 0);
	return c;
}

static int open_history(struct server *s, const struct uuid *cluster, char **ret_path, struct error *reterr)
{
	const char *given = params_text(s->services.params, PARAM_HISTORY);

	*ret_path = given[0] != '\0' ? strdup(given) : statedir_path(&s->services.state, "history.db");
	CHECK(*ret_path != NULL);
	return history_open(&s->services.history, *ret_path, cluster->hi, cluster->lo, reterr);
}

static int open_journal(struct server *s, const struct uuid *cluster, struct error *reterr)
{
	struct journal_options options = {
	    .cluster_hi = cluster->hi,
	    .cluster_lo = cluster->lo,
	    .segment_bytes = params_size_bytes(s->services.params, PARAM_JOURNAL_SEGMENT),
	    .create = s->services.state.fresh,
	    .tap = history_tap,
	    .tap_arg = s->services.history,
	};
	char *dir = statedir_path(&s->services.state, "journal");
	struct error torn = {0};
	char line[ERROR_LINE_MAX];
	int r = journal_open(&s->services.journal, dir, &options, reterr);

	if (r == 0 && journal_was_torn(s->services.journal, &torn))
		log_warn("the last commit did not come to its end: nobody was told of it",
			 log_error_field(&torn, line, sizeof(line)));
	free(dir);
	return r;
}

static int replay(struct server *s, struct error *reterr)
{
	struct replay p = {.server = s};
	usec_t started = clock_mono_us();
	int r;

	arena_init(&p.arena, 0);
	r = journal_replay(s->services.journal, 0, apply_frame, &p, reterr);
	arena_fini(&p.arena);
	if (r == 0)
		r = dispatcher_core_replay_end(s->core, reterr);
	if (r < 0)
		return r;
	dispatcher_core_check(s->core, CHECK_FULL);
	s->replayed_lsn = journal_next_lsn(s->services.journal) - 1;
	log_info("journal replayed", log_u64("records", p.records),
		 log_duration("took_us", clock_mono_us() - started));
	return 0;
}

int replay_open(struct server *s, struct error *reterr)
{
	struct dispatcher_config config = config_of(s);
	char *path = NULL;
	int r;

	s->core = dispatcher_core_create(&config);
	r = open_history(s, &config.cluster, &path, reterr);
	if (r == 0)
		r = open_journal(s, &config.cluster, reterr);
	if (r == 0)
		r = losses_check_begin(s, reterr);
	if (r == 0)
		r = replay(s, reterr);
	if (r == 0)
		r = losses_check_secret(s, reterr);
	if (r == 0)
		r = losses_check_history(s, reterr);
	if (r == 0)
		r = journal_start(s->services.journal, reterr);
	if (r == 0)
		r = statedir_set_ready(&s->services.state, reterr);
	if (r == 0)
		r = history_start(s->services.history, s->services.journal, NULL, reterr);
	if (r == 0)
		r = readers_open(
		    &s->services.readers, s->services.loop,
		    &(struct readers_config){.history = path, .threads = READER_THREADS, .lane_max = 1},
		    reterr);
	s->services.history_path = path;
	return r;
}
