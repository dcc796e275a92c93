#include "cli/numbers.h"

#include <stdlib.h>

#include "base/check.h"
#include "jobs/definition.h"
#include "jobs/plan.h"

void numbers_init(struct numbers *n, struct bytes array)
{
	const struct bytes argv[] = {BYTES_LIT("true")};
	const struct definition_command c = {.argv = argv, .argc = 1, .array = array};

	*n = (struct numbers){.from = NULL};
	if (array.size == 0 || definition_from_command(&c, &n->from, NULL) < 0)
		return;
	n->plan = check_calloc(1, sizeof(*n->plan));
	n->plan->kind = n->from->shard.kind;
	plan_row(n->plan->kind)->cut(&n->from->shard, n->plan);
}

void numbers_fini(struct numbers *n)
{
	definition_destroy(n->from);
	free(n->plan);
	*n = (struct numbers){.from = NULL};
}

bool numbers_differ(const struct numbers *n)
{
	return n->plan != NULL;
}

int64_t numbers_of(const struct numbers *n, uint64_t shard)
{
	return numbers_differ(n) && shard < n->plan->shard_count ? plan_number(n->plan, (uint32_t)shard)
								 : (int64_t)shard;
}

static struct plan plan_for(const struct numbers *n, uint64_t end)
{
	return numbers_differ(n) && end <= n->plan->shard_count ? *n->plan : plan_by_number(SHARDS_MAX);
}

void numbers_add(const struct numbers *n, uint64_t first, uint64_t count, struct buf *out)
{
	const struct plan plan = plan_for(n, first + count);

	plan_numbers(&plan, (struct range){(uint32_t)first, (uint32_t)count}, out);
}

void numbers_words(const struct numbers *n, uint64_t first, uint64_t count, struct buf *out)
{
	const struct plan plan = plan_for(n, first + count);

	plan_numbers_words(&plan, (struct range){(uint32_t)first, (uint32_t)count}, out);
}

int numbers_find(const struct numbers *n, uint64_t number, uint64_t *ret, struct error *reterr)
{
	struct buf all = {0};
	uint32_t shard;

	*ret = number;
	if (!numbers_differ(n))
		return 0;
	if (number <= INT64_MAX && plan_find(n->plan, (int64_t)number, &shard)) {
		*ret = shard;
		return 0;
	}
	plan_numbers_words(n->plan, (struct range){0, n->plan->shard_count}, &all);
	error_set(reterr, ERR_INVALID, "the job has no shard %llu: its numbers are %.200s",
		  (unsigned long long)number, buf_text(&all));
	buf_fini(&all);
	return ERR_INVALID;
}
