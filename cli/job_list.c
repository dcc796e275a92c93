#include "cli/job_list.h"

#include <inttypes.h>

#define PAGE_JOBS 1000u /* the API's most */
#define PAGE_IDS 10000u

static int read_page(struct cli *cli, const struct job_query *q, uint64_t limit, uint64_t cursor,
		     struct api_jobs *ret, struct client_answer *ret_answer, struct error *reterr)
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
	if (cursor > 0)
		buf_printf(&path, "&cursor=%" PRIu64, cursor);
	r = client_get_object(&cli->client, buf_text(&path), object_jobs(), ret, ret_answer, reterr);
	buf_fini(&path);
	return r;
}

int job_list_read(struct cli *cli, const struct job_query *q, json_t **ret_jobs, uint64_t *ret_next,
		  struct error *reterr)
{
	json_t *jobs = json_array();
	uint64_t next = q->before;
	int r;

	do {
		struct client_answer answer;
		struct api_jobs page;

		r = read_page(cli, q, q->limit - json_array_size(jobs), next, &page, &answer, reterr);
		if (r != 0)
			break;
		json_array_extend(jobs, page.jobs);
		next = page.next;
		client_answer_fini(&answer);
	} while (next > 0 && json_array_size(jobs) < q->limit);
	if (r != 0) {
		json_decref(jobs);
		return r;
	}
	*ret_jobs = jobs;
	if (ret_next != NULL)
		*ret_next = next;
	return 0;
}
