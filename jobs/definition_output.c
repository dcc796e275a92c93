/* output, out and err: where results go (jobs/result.h). */
#include <string.h>

#include "base/limits.h"
#include "base/url.h"
#include "jobs/definition_read.h"
#include "jobs/plan.h"
#include "jobs/result.h"

static bool is_place(struct bytes text)
{
	return text.size <= URL_BYTES_MAX && (url_scheme(text) == URL_S3 || url_scheme(text) == URL_FILE);
}

bool read_output(struct definition_reader *r, const struct node *n, void *target)
{
	struct definition *d = target;
	struct bytes text;

	if (!read_template(r, n, TEMPLATE_EVENT | TEMPLATE_JOB, true, &text))
		return false;
	if (!is_place(text))
		return read_refuse(r, n, NULL, "s3://bucket/… or file:///…");
	if (r->shards.run.kind == RUN_RUNNER && !r->has_gather) {
		(void)problems_add(r->problems, n->at, ERR_INVALID,
				   "add `gather`, whose result is one object",
				   "a runner's shards are too short to be an object each");
		return false;
	}
	d->body.output = text;
	return true;
}

/* ---- a file a shard ---- */

/* Would two shards write the same file? */
static bool tells_apart(struct definition_reader *r, struct bytes text)
{
	const struct shard_section *s = &r->d->shard;
	bool chosen = plan_row(s->kind)->names_also != NULL;
	uint32_t count = 0;
	struct template t;

	if (template_compile(text, TEMPLATE_ALL, r->arena, &t, NULL, NULL) < 0)
		return true; /* it was refused */
	for (uint32_t i = 0; i < t.part_count; i++) {
		const struct template_part *part = &t.parts[i];

		if (part->kind == PART_SHARD_INDEX ||
		    (part->kind == PART_SHARD_PLAN && !(chosen && template_is_choosable(part->text))))
			return true;
		count += part->kind == PART_SHARD_PLAN;
		for (uint32_t k = 0; k < i; k++)
			if (part->kind == PART_SHARD_PLAN && bytes_equal(t.parts[k].text, part->text)) {
				count--;
				break;
			}
	}
	if (chosen)
		return count == s->items.count; /* of each name the value */
	return s->planner == PLANNER_PURE && s->count == 1 && s->items.count == 0 && s->step_bytes == 0;
}

static bool refuse_beside(struct definition_reader *r, const struct node *n)
{
	const char *other = r->has_gather		       ? "gather"
			    : r->d->body.output.size > 0       ? "output"
			    : r->shards.run.kind == RUN_RUNNER ? "runner"
							       : NULL;

	if (other == NULL)
		return false;
	(void)problems_add(r->problems, n->key_at, ERR_INVALID,
			   "`output` says where the result of a gather, or of each shard, goes",
			   "`out` and `err`, a file a shard, do not go with `%s`", other);
	return true;
}

static bool read_stream(struct definition_reader *r, const struct node *n, struct bytes *ret)
{
	struct bytes text;

	if (refuse_beside(r, n) ||
	    !read_template(r, n,
			   TEMPLATE_EVENT | TEMPLATE_JOB | TEMPLATE_SHARD | TEMPLATE_PLAN(r->d->shard.kind),
			   true, &text))
		return false;
	if (!is_place(text) || memchr(text.data, '\n', text.size) != NULL || text.data[text.size - 1] == '/')
		return read_refuse(r, n, NULL, "s3://bucket/… or file:///…, the name of a file");
	if (!tells_apart(r, text)) {
		(void)problems_add(r->problems, n->at, ERR_INVALID,
				   "name each shard in it: by {{shard.value}}, {{shard.index}}, or {} on a "
				   "command line",
				   "all shards would write the same file");
		return false;
	}
	*ret = text;
	return true;
}

bool read_out(struct definition_reader *r, const struct node *n, void *target)
{
	(void)target;
	return read_stream(r, n, &r->streams.out);
}

bool read_err(struct definition_reader *r, const struct node *n, void *target)
{
	(void)target;
	if (!read_stream(r, n, &r->streams.err))
		return false;
	if (!bytes_equal(r->streams.err, r->streams.out))
		return true;
	(void)problems_add(r->problems, n->at, ERR_INVALID, NULL, "stdout is written to the same file");
	return false;
}
