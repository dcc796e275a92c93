#include "cli/up/up.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "jobs/api/objects.h"
#include "jobs/json.h"

#define CLEAR_LINE "\r\033[K"
#define TAIL_BYTES 4096
#define DECISION_MARK " scaling "
#define CALL_US (USEC_PER_SEC / 2)

void up_view_init(struct up *up)
{
	up->view.terminal = isatty(STDOUT_FILENO);
}

static void clear_line(struct up *up)
{
	if (up->view.line)
		fputs(CLEAR_LINE, stdout);
	up->view.line = false;
}

void up_say(struct up *up, const char *fmt, ...)
{
	va_list args;

	clear_line(up);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

void up_view_fini(struct up *up)
{
	clear_line(up);
	fflush(stdout);
}

void up_say_welcome(struct up *up)
{
	const struct up_plan *p = &up->plan;
	const char *rules = p->rules_dir != NULL ? p->rules_dir : params_text(p->params, PARAM_RULES_DIR);
	const char *option = "", *place = ""; /* the command finds the default state directory by itself */

	if (params_is_set(p->params, PARAM_API_SOCKET)) {
		option = " --api-socket=";
		place = p->api_socket;
	} else if (params_is_set(p->params, PARAM_STATE_DIR)) {
		option = " --state-dir=";
		place = p->state_dir;
	}
	up_say(up, "shardmill is up (dispatcher %d, scaler %d)", (int)up->dispatcher.child.pid,
	       (int)up->scaler.child.pid);
	up_say(up, "  state    %s%s", p->state_dir, up->new_state ? " (new)" : "");
	up_say(up, "  API      %s", p->api_socket);
	up_say(up, "  results  %s", p->output_dir);
	up_say(up, "  logs     %s", p->logs_dir);
	if (up->library_rules > 0)
		up_say(up, "  rules    %s (new: %zu from the library, yours to change)", rules,
		       up->library_rules);
	else if (rules[0] != '\0')
		up_say(up, "  rules    %s", rules);
	if (p->bucket_dir != NULL)
		up_say(up, "  bucket   %s: each new file is an event", p->bucket_dir);
	for (size_t i = 0; i < params_list_count(p->params, PARAM_BUCKET); i++)
		up_say(up, "  bucket   %s: each new file is an event",
		       params_list_at(p->params, PARAM_BUCKET, i));
	up_say(up, "  submit   shardmill submit%s%s --array 1-10 -- echo {}", option, place);
	up_say(up, "  stop     %s: workers finish what they run", up->view.terminal ? "Ctrl-C" : "SIGTERM");
}

/* ---- logs ---- */

/* What stands in the file behind offset, its end when that is much; NUL-terminated. */
static size_t read_behind(const char *path, off_t offset, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
	ssize_t got = 0;

	if (end - offset > (off_t)size - 1)
		offset = end - (off_t)size + 1;
	if (fd >= 0) {
		got = end > offset ? pread(fd, text, size - 1, offset) : 0;
		close(fd);
	}
	text[got > 0 ? got : 0] = '\0';
	return got > 0 ? (size_t)got : 0;
}

void up_say_log(struct up *up, const char *path, off_t offset)
{
	char text[TAIL_BYTES];
	size_t size = read_behind(path, offset, text, sizeof text);

	while (size > 0 && text[size - 1] == '\n')
		text[--size] = '\0';
	up_say(up, "%s", size > 0 ? text : "(nothing)");
}

/* Lines like `… info  scaling pool=default from=0 to=2 why="…"`. */
static void say_decision(struct up *up, char *line)
{
	char *why = strstr(line, "why=\"");
	size_t length = strlen(line);

	if (strstr(line, DECISION_MARK) == NULL || why == NULL)
		return;
	if (length > 0 && line[length - 1] == '"')
		line[length - 1] = '\0';
	up_say(up, "%s", why + strlen("why=\""));
}

static void say_decisions(struct up *up)
{
	char text[16 * TAIL_BYTES];
	size_t size = read_behind(up->scaler_log, up->view.log_offset, text, sizeof text);
	char *line = text, *end;

	if (size == 0)
		return;
	while ((end = strchr(line, '\n')) != NULL) {
		*end = '\0';
		say_decision(up, line);
		line = end + 1;
	}
	up->view.log_offset += line - text;
}

/* ---- the status line ---- */

/* Its object is read into ret; NULL, and that is all zero: nobody answers, or in another way (e). */
static json_t *get(struct up *up, const char *path, const struct object_type *o, void *ret, struct error *e)
{
	const struct http_call call = {.method = "GET", .path = path, .timeout_us = CALL_US};
	struct http_answer answer;
	json_t *value;

	memset(ret, 0, o->size);
	if (http_client_call(up->http, &call, &answer, NULL) < 0)
		return NULL;
	value =
	    answer.status == 200 ? json_read(buf_bytes(&answer.body), HTTP_ANSWER_BYTES_MAX, 16, NULL) : NULL;
	http_answer_fini(&answer);
	if (value == NULL || object_read_answer(o, value, path, ret, e) == 0)
		return value;
	json_decref(value);
	return NULL;
}

/* What keeps work waiting; a short text, since the line may not wrap. */
static void show_troubles(const json_t *pools)
{
	struct api_pool pool;
	json_t *json;
	size_t i;

	json_array_foreach(pools, i, json)
	{
		object_read(object_pool(), json, &pool);
		if (pool.failed_starts > 0)
			printf(" · %" PRIu64 " failed start%s, next try in %.0f s", pool.failed_starts,
			       pool.failed_starts == 1 ? "" : "s", (double)pool.retry_us / USEC_PER_SEC);
		if (pool.unfit_shards > 0)
			printf(" · %" PRIu64 " shard%s too large for a worker", pool.unfit_shards,
			       pool.unfit_shards == 1 ? "" : "s");
	}
}

static void show_status(struct up *up)
{
	struct api_status status;
	struct api_demand demand = {.shards = 0};
	struct error e = {0};
	json_t *status_json = get(up, "/v1/status", object_status(), &status, &e);
	json_t *demand_json =
	    status_json != NULL ? get(up, "/v1/demand", object_demand(), &demand, &e) : NULL;
	usec_t now = clock_mono_us(), since = now - up->view.looked_us;
	uint64_t before = up->view.done;

	clear_line(up);
	if (e.code != ERR_OK) {
		printf("the dispatcher's answer is not understood: %.80s: %.80s", e.where, e.what);
	} else if (status_json == NULL) {
		fputs("the dispatcher does not answer", stdout);
	} else {
		printf("%" PRIu64 " jobs · %" PRIu64 " shards waiting, %" PRIu64 " done", status.jobs.live,
		       demand.shards, status.shards_done);
		if (up->view.looked_us > 0 && status.shards_done > before && since > 0)
			printf(" (%.0f/s)", (double)(status.shards_done - before) * 1e6 / (double)since);
		printf(" · %" PRIu64 " workers", status.workers);
		show_troubles(status.pools);
	}
	up->view.line = true;
	up->view.done = status.shards_done;
	up->view.looked_us = now;
	fflush(stdout);
	json_decref(status_json);
	json_decref(demand_json);
}

void up_view_refresh(struct up *up)
{
	if (!up->view.terminal)
		return;
	say_decisions(up);
	if (up->phase != UP_OVER)
		show_status(up);
}
