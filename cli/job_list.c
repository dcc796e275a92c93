#include "cli/job_list.h"

#include <inttypes.h>

#define PAGE_JOBS 1000u /* the API's most */
#define PAGE_IDS 10000u

static int read_page(struct cli *cli, const struct job_query *q, uint64_t limit, json_t *cursor,
		     struct client_answer *ret, struct error *reterr)
{
	struct buf path = {0};
	uint64_t page = q->ids ? PAGE_IDS : PAGE_JOBS;
	int r;

	buf_printf(&path, "/v1/jobs?limit=%" PRIu64 "%s", limit < page ? limit : page,
		   q->ids ? "&fields=id" : "");
	if (q->state != NULL) {
		buf_printf(&path, "&state=");
		client_escape(&path, q->state);
	}
	if (q->name != NULL) {
		buf_printf(&path, "&name=");
		client_escape(&path, q->name);
	}
	if (q->event != NULL) {
		buf_printf(&path, "&event=");
		client_escape(&path, q->event);
	}
	if (json_is_integer(cursor))
		buf_printf(&path, "&cursor=%" JSON_INTEGER_FORMAT, json_integer_value(cursor));
	r = client_get(&cli->client, buf_text(&path), ret, reterr);
	buf_fini(&path);
	return r;
}

int job_list_read(struct cli *cli, const struct job_query *q, json_t **ret_jobs, json_t **ret_next,
		  struct error *reterr)
{
	json_t *jobs = json_array();
	json_t *next = q->before > 0 ? json_integer((json_int_t)q->before) : json_null();
	int r;

	do {
		struct client_answer answer;

		r = read_page(cli, q, q->limit - json_array_size(jobs), next, &answer, reterr);
		if (r != 0)
			break;
		json_array_extend(jobs, json_object_get(answer.json, "jobs"));
		json_decref(next);
		next = json_incref(json_object_get(answer.json, "next"));
		client_answer_fini(&answer);
	} while (json_is_integer(next) && json_array_size(jobs) < q->limit);
	if (r != 0) {
		json_decref(jobs);
		json_decref(next);
		return r;
	}
	*ret_jobs = jobs;
	if (ret_next != NULL)
		*ret_next = next != NULL ? next : json_null();
	else
		json_decref(next);
	return 0;
}
