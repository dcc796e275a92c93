/* Any text: refused with a report, or a definition whose canonical text is the same definition, and of
 * which an event makes a job or a reason. */
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "jobs/instantiate.h"
#include "jobs/kinds.h"
#include "jobs/plan.h"
#include "tests/fuzz/fuzz.h"

static const char event_text[] =
    "{\"id\":\"1\",\"source\":\"aws.s3\",\"detail-type\":\"Object Created\",\"detail\":{\"bucket\":{\"name\":"
    "\"reads\"},\"object\":{\"key\":\"x.fastq\",\"size\":123456789,\"etag\":\"e\"}}}";

static void check_same(const struct definition *d)
{
	struct definition *again = NULL;
	struct error e = {0};
	int rc = definition_parse(d->body.text, "again", NULL, &again, &e);

	CHECK(rc == 0);
	CHECK(codec_equal(codec_definition_body(), &d->body, &again->body));
	definition_destroy(again);
}

static void check_job(const struct definition *d)
{
	struct event_list list = {0};
	struct new_job job;
	struct arena arena;
	struct error e = {0};

	arena_init(&arena, 0);
	CHECK(events_read(bytes_of(event_text), 0, &list, NULL) == 0);
	(void)definition_matches(d, &list.items[0]);
	if (definition_instantiate(d, &list.items[0], BYTES(NULL, 0), &arena, &job, &e) < 0)
		CHECK(e.what[0] != '\0');
	else if (job.planner == PLANNER_PURE)
		CHECK(plan_validate(&job.plan, NULL) == 0 && job.plan.shard_count > 0);
	events_fini(&list);
	arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct definition *d = NULL;
	struct buf report = {0};
	struct error e = {0};

	if (definition_parse(BYTES(data, size), "fuzz.yaml", &report, &d, &e) < 0) {
		CHECK(d == NULL && e.code < 0 && e.what[0] != '\0');
		CHECK(report.size > 0 && text_is_utf8(buf_bytes(&report)));
	} else {
		check_same(d);
		check_job(d);
	}
	definition_destroy(d);
	buf_fini(&report);
	return 0;
}
