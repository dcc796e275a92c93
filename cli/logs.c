#include "cli/logs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "cli/human.h"

#define PHASES_MAX 40u		    /* a gather tree's levels among them */
#define LINE_BYTES_MAX 65536u	    /* a longer one is shown in parts */
#define LATE_US (10 * USEC_PER_SEC) /* for what an ended job's shards wrote to be known */

struct logs {
	struct cli *cli;
	const struct logs_options *options;
	uint64_t job;
	json_t *phases;
	struct runs shown[PHASES_MAX];
	struct terminal err_terminal;
};

/* ---- runs ---- */

/* The first run that ends behind n; r->count when there is none. */
static size_t run_at(const struct runs *r, uint64_t n)
{
	size_t low = 0, high = r->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->items[middle].end > n)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

bool runs_have(const struct runs *r, uint64_t n)
{
	size_t at = run_at(r, n);

	return at < r->count && r->items[at].first <= n;
}

void runs_add(struct runs *r, uint64_t n)
{
	size_t at = run_at(r, n);
	bool before = at > 0 && r->items[at - 1].end == n;
	bool behind = at < r->count && r->items[at].first == n + 1;

	if (runs_have(r, n))
		return;
	if (before && behind) {
		r->items[at - 1].end = r->items[at].end;
		r->count--;
		memmove(r->items + at, r->items + at + 1, (r->count - at) * sizeof(*r->items));
	} else if (before) {
		r->items[at - 1].end++;
	} else if (behind) {
		r->items[at].first--;
	} else {
		r->items = check_realloc(r->items, r->count + 1, sizeof(*r->items));
		memmove(r->items + at + 1, r->items + at, (r->count - at) * sizeof(*r->items));
		r->items[at] = (struct run){n, n + 1};
		r->count++;
	}
}

uint64_t runs_size(const struct runs *r)
{
	uint64_t size = 0;

	for (size_t i = 0; i < r->count; i++)
		size += r->items[i].end - r->items[i].first;
	return size;
}

void runs_fini(struct runs *r)
{
	free(r->items);
	*r = (struct runs){0};
}

/* ---- one shard's lines ---- */

struct lines {
	struct logs *logs;
	FILE *stream;
	const struct terminal *terminal;
	char prefix[96];
	struct buf line;
};

static void end_line(struct lines *l)
{
	struct buf out = {0};

	terminal_style(l->terminal, &out, STYLE_DIM, bytes_of(l->prefix));
	if (l->terminal->is_terminal)
		human_text(&out, buf_bytes(&l->line), false);
	else
		buf_append_bytes(&out, buf_bytes(&l->line));
	buf_append(&out, "\n", 1);
	fwrite(out.data, 1, out.size, l->stream);
	buf_fini(&out);
	buf_clear(&l->line);
}

static int take(void *arg, struct bytes piece)
{
	struct lines *l = arg;

	while (piece.size > 0) {
		const uint8_t *newline = memchr(piece.data, '\n', piece.size);
		size_t size = newline != NULL ? (size_t)(newline - piece.data) : piece.size;

		if (size > LINE_BYTES_MAX - l->line.size) {
			size = LINE_BYTES_MAX - l->line.size;
			newline = NULL;
		}
		buf_append(&l->line, piece.data, size);
		if (newline != NULL || l->line.size == LINE_BYTES_MAX)
			end_line(l);
		piece = BYTES(piece.data + size + (newline != NULL), piece.size - size - (newline != NULL));
	}
	return ferror(l->stream) ? -1 : 0;
}

/* "gather 3 | ", "3 | "; nothing of the only shard of the only phase. */
static void set_prefix(struct lines *l, uint32_t phase, uint64_t shard)
{
	json_t *p = json_array_get(l->logs->phases, phase);
	bool phases = json_array_size(l->logs->phases) > 1;
	const char *name = cli_text(p, "name");

	l->prefix[0] = '\0';
	if (phases && strcmp(name, "shards") != 0)
		snprintf(l->prefix, sizeof(l->prefix), "%.40s %" PRIu64 " | ", name, shard);
	else if (phases || cli_number(p, "shards") > 1)
		snprintf(l->prefix, sizeof(l->prefix), "%" PRIu64 " | ", shard);
}

/* ERR_EXISTS: not yet. */
static int show_stream(struct logs *logs, uint32_t phase, uint64_t shard, bool err, struct error *reterr)
{
	struct lines lines = {.logs = logs,
			      .stream = err ? stderr : stdout,
			      .terminal = err ? &logs->err_terminal : &logs->cli->terminal};
	struct client_request q = {.method = "GET", .take = take, .take_arg = &lines};
	struct client_answer answer = {0};
	struct buf path = {0};
	int r;

	buf_printf(&path, "/v1/jobs/%" PRIu64 "/output?phase=%u&shard=%" PRIu64 "%s", logs->job, phase, shard,
		   err ? "&stream=err" : "");
	q.path = buf_text(&path);
	set_prefix(&lines, phase, shard);
	r = client_call(&logs->cli->client, &q, &answer, reterr);
	if (r == 0 && lines.line.size > 0)
		end_line(&lines);
	client_answer_fini(&answer);
	buf_fini(&lines.line);
	buf_fini(&path);
	return r;
}

/* What cannot be read is told, and the others come. */
static int show_shard(struct logs *logs, uint32_t phase, uint64_t shard, struct error *reterr)
{
	int r = 0;

	for (int err = 1; err >= 0 && r == 0;
	     err--) { /* stderr says what goes on before stdout is complete */
		struct error e = {0};

		if (err ? !logs->options->err : !logs->options->out)
			continue;
		r = show_stream(logs, phase, shard, err, &e);
		if (r == ERR_EXISTS)
			return 0;
		if (r == ERR_CLOSED) {
			if (reterr != NULL)
				*reterr = e;
			return r;
		}
		if (r != 0)
			(void)cli_tell_error(logs->cli, &e);
		r = 0;
	}
	runs_add(&logs->shown[phase], shard);
	return 0;
}

/* ---- which have ended ---- */

static int show_runs(struct logs *logs, uint32_t phase, const char *state, struct error *reterr)
{
	uint64_t cursor = 0;
	bool more = true;

	while (more) {
		char suffix[96], path[CLI_PATH_BYTES_MAX];
		struct client_answer answer;
		json_t *run;
		size_t i;
		int r;

		snprintf(suffix, sizeof(suffix), "/shards?limit=1000&state=%s&phase=%u&cursor=%" PRIu64,
			 state, phase, cursor);
		r = client_get(&logs->cli->client, cli_job_path(logs->job, suffix, path, sizeof(path)),
			       &answer, reterr);
		if (r != 0)
			return r;
		json_array_foreach(json_object_get(answer.json, "shards"), i, run)
		{
			uint64_t first = cli_number(run, "first"), end = first + cli_number(run, "count");

			if (first < logs->options->first)
				first = logs->options->first;
			for (uint64_t n = first; r == 0 && n < end && n <= logs->options->last; n++)
				if (!runs_have(&logs->shown[phase], n))
					r = show_shard(logs, phase, n, reterr);
		}
		cursor = cli_number(answer.json, "next");
		more = r == 0 && cursor > 0;
		client_answer_fini(&answer);
		if (r != 0)
			return r;
	}
	return 0;
}

/* All phases that have begun; *ret_missing: shards that have ended, and could not be shown yet. */
static int show_ended(struct logs *logs, bool *ret_missing, struct error *reterr)
{
	json_t *phase;
	size_t i;
	int r = 0;

	*ret_missing = false;
	json_array_foreach(logs->phases, i, phase)
	{
		bool all = logs->options->first == 0 && logs->options->last == UINT64_MAX;

		if (i == PHASES_MAX || r != 0)
			break;
		r = show_runs(logs, (uint32_t)i, "done", reterr);
		if (r == 0)
			r = show_runs(logs, (uint32_t)i, "dead", reterr);
		if (all && runs_size(&logs->shown[i]) < cli_number(phase, "done") + cli_number(phase, "dead"))
			*ret_missing = true;
	}
	fflush(stdout);
	return r;
}

static bool has_ended(json_t *job)
{
	return cli_text(job, "ended")[0] != '\0';
}

static int look(struct logs *logs, const char *how, json_t **ret_job, struct error *reterr)
{
	char path[CLI_PATH_BYTES_MAX];
	struct client_answer answer;
	int r =
	    client_get(&logs->cli->client, cli_job_path(logs->job, how, path, sizeof(path)), &answer, reterr);

	if (r != 0)
		return r;
	*ret_job = json_incref(answer.json);
	logs->phases = json_object_get(*ret_job, "phases");
	client_answer_fini(&answer);
	return 0;
}

int logs_show(struct cli *cli, uint64_t job, const struct logs_options *o, struct error *reterr)
{
	struct logs logs = {.cli = cli, .options = o, .job = job, .err_terminal = terminal_of(stderr)};
	usec_t late_us = USEC_NEVER;
	json_t *value = NULL;
	bool missing = true, goes_on = true;
	int r = look(&logs, "", &value, reterr);

	while (r == 0 && goes_on) {
		bool ended = has_ended(value);

		r = show_ended(&logs, &missing, reterr);
		if (ended && late_us == USEC_NEVER)
			late_us = clock_mono_us() + LATE_US;
		goes_on = ended ? missing && clock_mono_us() < late_us : o->follow;
		json_decref(value);
		value = NULL;
		if (r == 0 && goes_on)
			r = look(&logs, "/wait?timeout=300ms", &value, reterr);
	}
	json_decref(value);
	for (size_t i = 0; i < PHASES_MAX; i++)
		runs_fini(&logs.shown[i]);
	return r;
}
