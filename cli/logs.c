#include "cli/logs.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "cli/watch.h"

#define LATE_US (10 * USEC_PER_SEC) /* for what an ended job's shards wrote to be known */

/* ---- a shard that has ended ---- */

/* What is missing of one stream. */
struct rest {
	struct watched *w;
	bool err;
	struct http_header attempt; /* whose it is */
};

static int take(void *arg, struct bytes piece)
{
	struct rest *rest = arg;

	watch_attempt(rest->w, rest->attempt.value);
	return watch_take(&rest->w->streams[rest->err], piece);
}

/* ERR_EXISTS: not yet. */
static int show_stream(struct logs *logs, struct watched *w, bool err, struct error *reterr)
{
	struct watched_stream *s = &w->streams[err];
	struct rest rest = {.w = w, .err = err, .attempt = {.name = "Shardmill-Attempt"}};
	struct client_request q = {.method = "GET", .take = take, .take_arg = &rest, .wanted = &rest.attempt};
	struct client_answer answer = {0};
	struct buf path = {0};
	int r;

	buf_printf(&path, "/v1/jobs/%" PRIu64 "/output?phase=%u&shard=%" PRIu64 "%s", logs->id, w->phase,
		   w->shard, err ? "&stream=err" : "");
	if (s->bytes > 0) {
		buf_printf(&path, "&from=%" PRIu64 "&attempt_id=", s->bytes);
		client_escape(&path, w->attempt);
	}
	q.path = buf_text(&path);
	r = client_call(&logs->cli->client, &q, &answer, reterr);
	if (r == 0 && rest.attempt.value[0] != '\0') /* it may have written nothing */
		watch_attempt(w, rest.attempt.value);
	if (r != ERR_EXISTS)
		lines_end(&s->lines);
	client_answer_fini(&answer);
	buf_fini(&path);
	return r;
}

/* What cannot be read is told, and the others come. false: it is to be shown later. */
static int show_streams(struct logs *logs, struct watched *w, bool *ret_shown, struct error *reterr)
{
	for (int err = 1; err >= 0; err--) { /* stderr says what goes on before stdout is complete */
		struct error e = {0};
		int r, told;

		if (err ? !logs->options->err : !logs->options->out)
			continue;
		r = show_stream(logs, w, err, &e);
		*ret_shown = r != ERR_EXISTS;
		if (r == ERR_EXISTS)
			return 0;
		if (r == ERR_CLOSED) {
			if (reterr != NULL)
				*reterr = e;
			return r;
		}
		if (r != 0 && w->phase == 0 && numbers_differ(&logs->numbers))
			error_where(&e, "number %" PRId64 " of the array, its shard %" PRIu64,
				    numbers_of(&logs->numbers, w->shard), w->shard);
		if (r != 0)
			told = cli_tell_error(logs->cli, &e);
		if (r == ERR_CORRUPT) { /* of both streams */
			logs->trouble = told;
			return 0;
		}
	}
	return 0;
}

static int show_shard(struct logs *logs, uint32_t phase, uint64_t shard, struct error *reterr)
{
	struct watched *watched = watch_find(logs, phase, shard), fresh;
	bool shown = true;
	int r = 0;

	if (watched != NULL) /* before another attempt takes its place */
		r = watch_last_bytes(logs, watched, reterr);
	else
		watch_init(logs, &fresh, phase, shard);
	if (r == 0)
		r = show_streams(logs, watched != NULL ? watched : &fresh, &shown, reterr);
	if (r == 0 && shown)
		runs_add(&logs->shown[phase], shard, shard + 1);
	if (watched == NULL)
		watch_fini(&fresh);
	else if (r == 0 && shown)
		watch_forget(logs, watched);
	return r;
}

/* ---- which have ended ---- */

/* Shards that counted without a word; but for those of which another attempt was shown, there is nothing to
 * say. */
static int pass_silent(struct logs *logs, uint32_t phase, uint64_t first, uint64_t end, struct error *reterr)
{
	int r = 0;

	for (size_t i = logs->watched_count; i-- > 0 && r == 0;) {
		const struct watched *w = &logs->watched[i];

		if (w->phase == phase && w->shard >= first && w->shard < end && w->attempt[0] != '\0' &&
		    !runs_have(&logs->shown[phase], w->shard))
			r = show_shard(logs, phase, w->shard, reterr);
	}
	if (r == 0)
		runs_add(&logs->shown[phase], first, end);
	return r;
}

/* The reason was told for the first of them. Returns the shard behind them. */
static uint64_t pass_lost(struct logs *logs, uint32_t phase, uint64_t first, uint64_t end)
{
	struct buf words = {0};

	if (end <= first)
		return first;
	numbers_words(phase == 0 ? &logs->numbers : &(struct numbers){.from = NULL}, first, end - first,
		      &words);
	fprintf(stderr, "%s: the output%s of shard%s %s %s lost, too\n", logs->cli->program,
		end - first > 1 ? "s" : "", end - first > 1 ? "s" : "", buf_text(&words),
		end - first > 1 ? "are" : "is");
	buf_fini(&words);
	runs_add(&logs->shown[phase], first, end);
	return end;
}

static int show_each(struct logs *logs, uint32_t phase, uint64_t first, uint64_t end, struct error *reterr)
{
	int r = 0;

	for (uint64_t n = first; r == 0 && n < end; n++)
		if (!runs_have(&logs->shown[phase], n))
			r = show_shard(logs, phase, n, reterr);
	return r;
}

/* Shards that wrote something, and those whose outputs are lost, from *first on; moves *first behind them. */
static int show_list(struct logs *logs, uint32_t phase, const json_t *list, uint64_t *first,
		     struct error *reterr)
{
	struct api_lost_shards lost; /* of one that is not lost, count is 0 */
	json_t *json;
	size_t i;
	int r = 0;

	json_array_foreach(list, i, json)
	{
		object_read(object_lost_shards(), json, &lost);
		if (r == 0)
			r = pass_silent(logs, phase, *first, lost.shard, reterr);
		if (r == 0 && !runs_have(&logs->shown[phase], lost.shard))
			r = show_shard(logs, phase, lost.shard, reterr);
		*first = lost.shard + 1;
		if (r == 0)
			*first = pass_lost(logs, phase, *first, lost.shard + lost.count);
	}
	return r;
}

/* Of done shards first..end-1 those that wrote anything; of millions that are short few did. */
static int show_written(struct logs *logs, uint32_t phase, uint64_t first, uint64_t end, struct error *reterr)
{
	for (;;) {
		char suffix[112], path[CLI_PATH_BYTES_MAX];
		struct client_answer answer;
		struct error e = {0};
		struct api_written written;
		uint64_t asked = runs_next_absent(&logs->shown[phase], first), next;
		int r;

		first = asked;
		if (first >= end)
			return 0;
		snprintf(suffix, sizeof(suffix), "/written?phase=%u&first=%" PRIu64 "&count=%" PRIu64, phase,
			 first, end - first);
		r = client_get_object(&logs->cli->client, cli_job_path(logs->id, suffix, path, sizeof(path)),
				      object_written(), &written, &answer, &e);
		if (r == ERR_NOT_FOUND) /* a dispatcher of an older version */
			return show_each(logs, phase, first, end, reterr);
		if (r != 0) {
			*reterr = e;
			return r;
		}
		next = written.next;
		r = show_list(logs, phase, written.written, &first, reterr);
		client_answer_fini(&answer);
		if (r == 0)
			r = pass_silent(logs, phase, first, next, reterr);
		if (r != 0 || next <= asked) /* the rest is not in history yet */
			return r;
		first = next;
	}
}

static int show_runs(struct logs *logs, uint32_t phase, const char *state, struct error *reterr)
{
	bool done = strcmp(state, "done") == 0, more = true;
	uint64_t cursor = 0;

	while (more) {
		char suffix[96], path[CLI_PATH_BYTES_MAX];
		struct client_answer answer;
		struct api_done_shards run; /* what dead ones have, too */
		struct api_shards shards;
		json_t *json;
		size_t i;
		int r;

		snprintf(suffix, sizeof(suffix), "/shards?limit=1000&state=%s&phase=%u&cursor=%" PRIu64,
			 state, phase, cursor);
		r = client_get_object(&logs->cli->client, cli_job_path(logs->id, suffix, path, sizeof(path)),
				      object_shards(), &shards, &answer, reterr);
		if (r != 0)
			return r;
		json_array_foreach(shards.shards, i, json)
		{
			uint64_t first, end;

			object_read(object_done_shards(), json, &run);
			first = run.first;
			end = first + run.count;
			if (first < logs->options->first)
				first = logs->options->first;
			if (end > logs->options->last)
				end = logs->options->last + (logs->options->last < UINT64_MAX);
			if (r == 0)
				r = done ? show_written(logs, phase, first, end, reterr)
					 : show_each(logs, phase, first, end, reterr);
		}
		cursor = shards.next;
		more = r == 0 && cursor > 0;
		client_answer_fini(&answer);
		if (r != 0)
			return r;
	}
	return 0;
}

/* How many of the shards that were asked for have ended, as far as the phase's numbers tell: of some of its
 * shards only when all have. */
static uint64_t asked_ended(const struct logs_options *o, const struct api_phase *phase)
{
	uint64_t ended = phase->done + phase->dead;

	if (o->first == 0 && o->last == UINT64_MAX)
		return ended;
	if (ended < phase->shards || o->first >= phase->shards)
		return 0;
	return (o->last < phase->shards ? o->last + 1 : phase->shards) - o->first;
}

/* All phases that have begun; *ret_missing: shards that have ended, and could not be shown yet. */
static int show_ended(struct logs *logs, bool *ret_missing, struct error *reterr)
{
	struct api_phase phase;
	json_t *json;
	size_t i;
	int r = 0;

	*ret_missing = false;
	json_array_foreach(logs->job.phases, i, json)
	{
		uint64_t asked;

		if (i == PHASES_MAX || r != 0)
			break;
		r = show_runs(logs, (uint32_t)i, "done", reterr);
		if (r == 0)
			r = show_runs(logs, (uint32_t)i, "dead", reterr);
		object_read(object_phase(), json, &phase);
		asked = asked_ended(logs->options, &phase);
		if (runs_size(&logs->shown[i]) < asked)
			*ret_missing = true;
	}
	fflush(stdout);
	return r;
}

/* The job as it is now, which takes the place of what was known of it. */
static int look(struct logs *logs, const char *how, struct error *reterr)
{
	char path[CLI_PATH_BYTES_MAX];

	client_answer_fini(&logs->answer);
	return client_get_object(&logs->cli->client, cli_job_path(logs->id, how, path, sizeof(path)),
				 object_job(), &logs->job, &logs->answer, reterr);
}

/* The numbers that were asked for become shards: all from the one to the other, in their order. */
static int name_shards(struct logs *logs, struct logs_options *o, struct error *reterr)
{
	int r = 0;

	numbers_init(&logs->numbers, logs->job.array);
	if (!numbers_differ(&logs->numbers) || o->last == UINT64_MAX)
		return 0;
	r = numbers_find(&logs->numbers, o->first, &o->first, reterr);
	if (r == 0)
		r = numbers_find(&logs->numbers, o->last, &o->last, reterr);
	if (r != 0)
		return error_where(reterr, "--shard");
	if (o->first > o->last) { /* 9,5,1 is in no order */
		uint64_t first = o->first;

		o->first = o->last;
		o->last = first;
	}
	return 0;
}

int logs_show(struct cli *cli, uint64_t job, const struct logs_options *options, struct error *reterr)
{
	struct logs_options o = *options;
	struct logs logs = {.cli = cli, .options = &o, .id = job, .err_terminal = terminal_of(stderr)};
	usec_t late_us = USEC_NEVER;
	bool missing = true, goes_on = true;
	int r = look(&logs, "", reterr);

	if (r == 0)
		r = name_shards(&logs, &o, reterr);

	while (r == 0 && goes_on) {
		bool ended = logs.job.ended_wall_us > 0;

		r = show_ended(&logs, &missing, reterr);
		if (r == 0 && !ended)
			r = watch_running(&logs, reterr);
		if (r == 0 && !ended && !o.follow) /* what has ended between the two looks */
			r = show_ended(&logs, &missing, reterr);
		if (ended && late_us == USEC_NEVER)
			late_us = clock_mono_us() + LATE_US;
		goes_on = ended ? missing && clock_mono_us() < late_us : o.follow;
		if (r == 0 && goes_on)
			r = look(&logs, "/wait?timeout=300ms", reterr);
	}
	watch_end(&logs);
	numbers_fini(&logs.numbers);
	client_answer_fini(&logs.answer);
	for (size_t i = 0; i < PHASES_MAX; i++)
		runs_fini(&logs.shown[i]);
	return r == 0 ? logs.trouble : r;
}
