#include "cli/selector.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/text.h"
#include "base/units.h"
#include "cli/job_list.h"
#include "cli/many.h"

#define NAMES_LOOK 1000u /* jobs whose names are looked at, to guess one */

/* Words, and what they ask GET /v1/jobs for. */
static const struct {
	const char *word, *state;
} words[] = {
    {"all", ""},
    {"live", "held,active"},
    {"ended", "succeeded,failed,cancelled"},
    {"held", "held"},
    {"planning", "planning"},
    {"queued", "queued"},
    {"running", "running"},
    {"gathering", "gathering"},
    {"paused", "paused"},
    {"succeeded", "succeeded"},
    {"failed", "failed"},
    {"cancelled", "cancelled"},
};

/* ---- reading ---- */

/* A number or a range; false: something else. */
static bool parse_numbers(const char *text, struct selector *ret)
{
	ret->kind = strchr(text, '-') == NULL ? SELECT_NUMBER : SELECT_RANGE;
	return units_take_range(text, INT64_MAX, &ret->first, &ret->last) && ret->first > 0 && ret->last > 0;
}

int selector_parse(const char *text, struct selector *ret, struct error *reterr)
{
	struct selector s = {.kind = SELECT_NAME, .text = text};
	bool digit = text[0] >= '0' && text[0] <= '9';
	char found[80];

	text_quote(found, sizeof(found), bytes_of(text));
	if (digit && strspn(text, "0123456789-") == strlen(text)) {
		if (!parse_numbers(text, &s)) {
			error_set(reterr, ERR_INVALID, "expected a job's number, or a range as 3-7, found %s",
				  found);
			return error_help(reterr, "the first job is 1");
		}
		if (s.last < s.first) {
			error_set(reterr, ERR_INVALID, "the first is behind the last in %s", found);
			return error_help(reterr, "write %" PRIu64 "-%" PRIu64, s.last, s.first);
		}
	} else if (strcmp(text, "last") == 0) {
		s.kind = SELECT_LAST;
	} else if (strncmp(text, "name:", 5) == 0) {
		s.text = text + 5;
	} else if (strncmp(text, "event:", 6) == 0 && text[6] != '\0') {
		s = (struct selector){.kind = SELECT_EVENT, .text = text + 6};
	}
	for (size_t i = 0; s.kind == SELECT_NAME && s.text == text && i < ARRAY_LENGTH(words); i++)
		if (strcmp(text, words[i].word) == 0)
			s = (struct selector){.kind = SELECT_STATE, .text = words[i].state};
	if (s.kind == SELECT_NAME && (s.text[0] == '\0' || !text_is_utf8(bytes_of(s.text)))) {
		error_set(reterr, ERR_INVALID, "expected a job, found %s", found);
		return error_help(reterr,
				  "a number, a range as 3-7, last, a name, event:KEY, or a word as running");
	}
	*ret = s;
	return 0;
}

/* ---- asking ---- */

static void add(struct job_ids *ids, uint64_t job)
{
	ARRAY_GROW(ids->items, ids->room, ids->count);
	ids->items[ids->count++] = job;
}

static uint64_t id_of(const json_t *job)
{
	struct api_job_id id;

	object_read(object_job_id(), job, &id);
	return id.id;
}

static int select_last(struct cli *cli, struct job_ids *ids, struct error *reterr)
{
	const struct job_query q = {.limit = 1};
	json_t *jobs;
	int r = job_list_read(cli, &q, &jobs, NULL, reterr);

	if (r != 0)
		return r;
	if (json_array_size(jobs) > 0)
		add(ids, id_of(json_array_get(jobs, 0)));
	else
		r = error_set(reterr, ERR_NOT_FOUND, "there is no job yet");
	json_decref(jobs);
	return r;
}

static void guess_name(struct cli *cli, const char *name, struct error *reterr)
{
	const struct job_query q = {.limit = NAMES_LOOK};
	const char *known[NAMES_LOOK + ARRAY_LENGTH(words) + 1], *nearest;
	size_t count = 0, i;
	struct api_job job;
	json_t *jobs, *json;

	error_help(reterr, "`shardmill jobs` lists them");
	if (job_list_read(cli, &q, &jobs, NULL, NULL) != 0)
		return;
	json_array_foreach(jobs, i, json)
	{
		object_read(object_job(), json, &job);
		known[count++] = api_text(job.name);
	}
	for (i = 0; i < ARRAY_LENGTH(words); i++)
		known[count++] = words[i].word;
	known[count++] = "last";
	nearest = text_nearest(bytes_of(name), known, count);
	if (nearest != NULL)
		error_help(reterr, "did you mean %s?", nearest);
	json_decref(jobs);
}

static int select_name(struct cli *cli, const char *name, struct job_ids *ids, struct error *reterr)
{
	const struct job_query q = {.name = name, .limit = 1};
	char found[80];
	json_t *jobs;
	int r = job_list_read(cli, &q, &jobs, NULL, reterr);

	if (r != 0)
		return r;
	if (json_array_size(jobs) > 0) {
		add(ids, id_of(json_array_get(jobs, 0)));
	} else {
		r = error_set(reterr, ERR_NOT_FOUND, "there is no job named %s",
			      text_quote(found, sizeof(found), bytes_of(name)));
		guess_name(cli, name, reterr);
	}
	json_decref(jobs);
	return r;
}

/* Both come newest first; *ret_newest is the newest of all that were there. */
static int select_set(struct cli *cli, const struct selector *s, bool live_only, struct job_ids *ids,
		      uint64_t *ret_newest, struct error *reterr)
{
	bool range = s->kind == SELECT_RANGE;
	const char *state = s->kind == SELECT_STATE ? s->text : "";
	struct job_query q = {.limit = range ? 10000 : UINT64_MAX, .ids = true};
	size_t before = ids->count;
	uint64_t next = 0;
	json_t *jobs;
	int r = 0;

	if (live_only && state[0] == '\0')
		state = words[1].state;
	q.state = state[0] != '\0' ? state : NULL;
	q.event = s->kind == SELECT_EVENT ? s->text : NULL;
	q.before = range ? s->last + 1 : 0;
	do {
		size_t i;
		json_t *job;

		r = job_list_read(cli, &q, &jobs, &next, reterr);
		if (r != 0)
			return r;
		json_array_foreach(jobs, i, job)
		{
			uint64_t id = id_of(job);

			if (*ret_newest == 0)
				*ret_newest = id;
			if (!range || id >= s->first)
				add(ids, id);
			q.before = id;
		}
		json_decref(jobs);
	} while (range && next > 0 && q.before > s->first);
	for (size_t a = before, b = ids->count; a + 1 < b; a++, b--) {
		uint64_t swap = ids->items[a];

		ids->items[a] = ids->items[b - 1];
		ids->items[b - 1] = swap;
	}
	return 0;
}

int select_jobs(struct cli *cli, const char *text, bool live_only, struct job_ids *ids, struct error *reterr)
{
	size_t before = ids->count;
	struct selector s = {0};
	uint64_t newest = 0;
	int r = selector_parse(text, &s, reterr);

	if (r != 0)
		return r;
	switch (s.kind) {
	case SELECT_NUMBER:
		add(ids, s.first);
		return 0;
	case SELECT_LAST:
		return select_last(cli, ids, reterr);
	case SELECT_NAME:
		return select_name(cli, s.text, ids, reterr);
	case SELECT_RANGE:
	case SELECT_STATE:
	case SELECT_EVENT:
		break;
	}
	r = select_set(cli, &s, live_only, ids, &newest, reterr);
	if (r != 0 || ids->count > before || s.kind == SELECT_STATE)
		return r;
	if (s.kind == SELECT_EVENT) {
		char found[80];

		error_set(reterr, ERR_NOT_FOUND, "there is no job%s of the event %s",
			  live_only ? " that has not ended" : "",
			  text_quote(found, sizeof(found), bytes_of(s.text)));
		return error_help(
		    reterr, "`shardmill jobs --event=TEXT` lists all of them; TEXT is its id, or the whole "
			    "key of its object");
	}
	error_set(reterr, ERR_NOT_FOUND, "there is no job%s from %" PRIu64 " to %" PRIu64,
		  live_only ? " that has not ended" : "", s.first, s.last);
	return error_help(reterr, "`shardmill jobs` lists them");
}

int select_job(struct cli *cli, const char *text, uint64_t *ret, struct error *reterr)
{
	struct job_ids ids = {0};
	char found[80];
	int r = select_jobs(cli, text, false, &ids, reterr);

	if (r == 0 && ids.count != 1) {
		r = error_set(reterr, ERR_INVALID, "expected one job, found %zu that are %s", ids.count,
			      text_quote(found, sizeof(found), bytes_of(text)));
		error_help(reterr, "a number, last or a name selects one");
	}
	if (r == 0)
		*ret = ids.items[0];
	free(ids.items);
	return r;
}

/* ---- each ---- */

/* by: of each job, the argument that selected it. */
static int work_all(struct cli *cli, const struct each_job *each, const struct job_ids *ids, const char **by,
		    void *options, struct error *reterr)
{
	int code = CLI_EXIT_FINE;

	for (size_t i = 0; i < ids->count; i++) {
		struct error e = {0};
		int r, told;

		if (each->by != NULL)
			*each->by = by[i];
		r = told = each->work(cli, ids->items[i], i, options, &e);
		if (r < 0 && (each->stop_at_error || i + 1 == ids->count) && code == CLI_EXIT_FINE) {
			if (reterr != NULL)
				*reterr = e;
			return r;
		}
		if (r < 0)
			told = cli_tell_error(cli, &e);
		if (code == CLI_EXIT_FINE || told == CLI_EXIT_JOB_FAILED)
			code = told;
		if (r == ERR_CLOSED || r == CLI_EXIT_TIMEOUT || r == CLI_EXIT_INTERRUPTED)
			return told;
	}
	return code;
}

/* Argument by argument. */
static int work_many(struct cli *cli, const struct each_job *each, const struct job_ids *ids, const char **by,
		     void *options, struct error *reterr)
{
	int code = CLI_EXIT_FINE, r = 0;

	for (size_t first = 0, end; first < ids->count && r >= 0; first = end) {
		struct job_ids some = {.items = ids->items + first};

		for (end = first; end < ids->count && by[end] == by[first]; end++)
			some.count++;
		r = each->many(cli, &some, by[first], options, reterr);
		if (code == CLI_EXIT_FINE || r == CLI_EXIT_JOB_FAILED)
			code = r;
		if (r == CLI_EXIT_TIMEOUT || r == CLI_EXIT_INTERRUPTED)
			return r;
	}
	return r < 0 ? r : code;
}

int each_job(struct cli *cli, const struct each_job *each, void *options, struct error *reterr)
{
	struct job_ids ids = {0};
	const char **by = NULL;
	size_t by_room = 0;
	int r = cli_expect_arguments(cli, 1, INT32_MAX, each->expected, reterr);

	for (int i = 0; r == 0 && i < cli->argc; i++) {
		size_t before = ids.count;

		r = select_jobs(cli, cli->argv[i], each->live_only, &ids, reterr);
		if (r == 0 && ids.count == before)
			fprintf(stderr, "%s: no job is %s\n", cli->program,
				strcmp(cli->argv[i], "all") != 0 ? cli->argv[i]
				: each->live_only		 ? "live"
								 : "there");
		ARRAY_RESERVE(by, by_room, ids.count);
		for (; before < ids.count; before++)
			by[before] = cli->argv[i];
	}
	if (r == 0 && each->many != NULL && ids.count > MANY_JOBS)
		r = work_many(cli, each, &ids, by, options, reterr);
	else if (r == 0)
		r = work_all(cli, each, &ids, by, options, reterr);
	free(by);
	free(ids.items);
	return r;
}
