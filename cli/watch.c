#include "cli/watch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define OTHER_ATTEMPT "(another attempt; what stands above does not count)"

/* ---- which ---- */

/* "gather 3 | ", "3 | "; nothing of the only shard of the only phase. */
static void set_prefix(const struct logs *logs, const struct watched *w, struct lines *l)
{
	bool phases = json_array_size(logs->job.phases) > 1;
	struct api_phase p;
	const char *name;

	object_read(object_phase(), json_array_get(logs->job.phases, w->phase), &p);
	name = api_text(p.name);
	l->prefix[0] = '\0';
	if (phases && strcmp(name, "shards") != 0)
		snprintf(l->prefix, sizeof(l->prefix), "%.40s %" PRIu64 " | ", name, w->shard);
	else if (phases || p.shards > 1)
		snprintf(l->prefix, sizeof(l->prefix), "%" PRId64 " | ",
			 numbers_of(&logs->numbers, w->shard));
}

void watch_init(const struct logs *logs, struct watched *w, uint32_t phase, uint64_t shard)
{
	*w = (struct watched){.phase = phase, .shard = shard};
	for (int err = 0; err < 2; err++) {
		struct lines *l = &w->streams[err].lines;

		l->stream = err ? stderr : stdout;
		l->terminal = err ? &logs->err_terminal : &logs->cli->terminal;
		set_prefix(logs, w, l);
	}
}

void watch_fini(struct watched *w)
{
	for (int err = 0; err < 2; err++)
		lines_fini(&w->streams[err].lines);
}

struct watched *watch_find(struct logs *logs, uint32_t phase, uint64_t shard)
{
	for (size_t i = 0; i < logs->watched_count; i++)
		if (logs->watched[i].shard == shard && logs->watched[i].phase == phase)
			return &logs->watched[i];
	return NULL;
}

static struct watched *add(struct logs *logs, uint32_t phase, uint64_t shard)
{
	struct watched *w;

	if (logs->watched_count == WATCHED_MAX)
		return NULL;
	if (logs->watched == NULL)
		logs->watched = check_calloc(WATCHED_MAX, sizeof(*logs->watched));
	w = &logs->watched[logs->watched_count++];
	watch_init(logs, w, phase, shard);
	return w;
}

void watch_forget(struct logs *logs, struct watched *w)
{
	watch_fini(w);
	*w = logs->watched[--logs->watched_count];
}

/* stderr before stdout, as ever: it says what goes on before stdout is complete. */
static void end_lines(struct watched *w)
{
	for (int err = 1; err >= 0; err--)
		lines_end(&w->streams[err].lines);
}

void watch_attempt(struct watched *w, const char *attempt)
{
	bool shown = w->streams[0].bytes > 0 || w->streams[1].bytes > 0;

	if (strcmp(w->attempt, attempt) == 0)
		return;
	if (shown) {
		end_lines(w);
		fflush(stdout); /* on a terminal the remark stands behind them */
		lines_remark(&w->streams[1].lines, OTHER_ATTEMPT);
	}
	w->streams[0].bytes = w->streams[1].bytes = 0;
	snprintf(w->attempt, sizeof(w->attempt), "%s", attempt);
}

void watch_end(struct logs *logs)
{
	for (size_t i = 0; i < logs->watched_count; i++) {
		end_lines(&logs->watched[i]);
		watch_fini(&logs->watched[i]);
	}
	free(logs->watched);
	logs->watched = NULL;
	logs->watched_count = 0;
}

/* ---- what they write ---- */

int watch_take(void *arg, struct bytes piece)
{
	struct watched_stream *s = arg;

	s->bytes += piece.size;
	return lines_take(&s->lines, piece);
}

/* What came behind `end` is for the next look: others have their turn. */
static int follow_stream(struct logs *logs, struct watched *w, bool err, uint64_t end, struct error *reterr)
{
	struct watched_stream *s = &w->streams[err];
	int r = 0;

	if (!(err ? logs->options->err : logs->options->out))
		return 0;
	while (r == 0 && s->bytes < end) {
		struct client_request q = {.method = "GET", .take = watch_take, .take_arg = s};
		struct client_answer answer = {0};
		uint64_t before = s->bytes;
		struct buf path = {0};
		struct error e = {0};

		buf_printf(&path, "/v1/jobs/%" PRIu64 "/live?attempt_id=", logs->id);
		client_escape(&path, w->attempt);
		buf_printf(&path, "&from=%" PRIu64 "%s", s->bytes, err ? "&stream=err" : "");
		q.path = buf_text(&path);
		r = client_call(&logs->cli->client, &q, &answer, &e);
		client_answer_fini(&answer);
		buf_fini(&path);
		if (r == ERR_NOT_FOUND) /* what is missing comes with the shard's end */
			return 0;
		if (r != 0)
			*reterr = e;
		if (s->bytes == before)
			break;
	}
	return r;
}

int watch_last_bytes(struct logs *logs, struct watched *w, struct error *reterr)
{
	int r;

	if (w->through || w->attempt[0] == '\0')
		return 0;
	w->through = true;
	r = follow_stream(logs, w, true, UINT64_MAX, reterr);
	return r == 0 ? follow_stream(logs, w, false, UINT64_MAX, reterr) : r;
}

static int follow(struct logs *logs, const struct api_running_attempt *a, struct error *reterr)
{
	uint64_t shard = a->shard, phase = a->phase;
	const char *attempt = api_text(a->attempt_id);
	struct watched *w;
	int r = 0;

	if (shard > logs->options->last || phase >= json_array_size(logs->job.phases) ||
	    phase >= PHASES_MAX || runs_have(&logs->shown[phase], shard))
		return 0;
	w = watch_find(logs, (uint32_t)phase, shard);
	if (w == NULL)
		w = add(logs, (uint32_t)phase, shard);
	if (w == NULL)
		return 0;
	if (strcmp(w->attempt, attempt) != 0)
		r = watch_last_bytes(logs, w, reterr);
	if (r != 0)
		return r;
	watch_attempt(w, attempt);
	w->listed = true;
	w->through = false;
	r = follow_stream(logs, w, true, a->err_bytes, reterr);
	return r == 0 ? follow_stream(logs, w, false, a->out_bytes, reterr) : r;
}

/* Those that have ended since the last look; the list goes up to shard `end`. */
static int follow_ends(struct logs *logs, uint64_t end, struct error *reterr)
{
	int r = 0;

	for (size_t i = 0; i < logs->watched_count && r == 0; i++) {
		struct watched *w = &logs->watched[i];

		if (!w->listed && w->shard < end)
			r = watch_last_bytes(logs, w, reterr);
		w->listed = false;
	}
	return r;
}

int watch_running(struct logs *logs, struct error *reterr)
{
	char suffix[64], path[CLI_PATH_BYTES_MAX];
	struct client_answer answer;
	struct api_running_attempt attempt;
	struct api_running running;
	struct error e = {0};
	json_t *json;
	size_t i;
	int r;

	if (logs->blind)
		return 0;
	snprintf(suffix, sizeof(suffix), "/running?limit=%u&cursor=%" PRIu64, WATCHED_MAX,
		 logs->options->first);
	r = client_get_object(&logs->cli->client, cli_job_path(logs->id, suffix, path, sizeof(path)),
			      object_running(), &running, &answer, &e);
	logs->blind = r == ERR_NOT_FOUND;
	if (r != 0 && !logs->blind)
		*reterr = e;
	if (r != 0)
		return logs->blind ? 0 : r;
	json_array_foreach(running.running, i, json)
	{
		object_read(object_running_attempt(), json, &attempt);
		r = follow(logs, &attempt, reterr);
		if (r != 0)
			break;
	}
	if (r == 0)
		r = follow_ends(logs, running.next > 0 ? running.next : UINT64_MAX, reterr);
	client_answer_fini(&answer);
	fflush(stdout);
	return r;
}
