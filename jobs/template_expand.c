#include "jobs/template.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "jobs/plan_kind.h"

static struct bytes number_u64(char digits[PLAN_FACT_DIGITS], uint64_t value)
{
	return BYTES(digits, (size_t)snprintf(digits, PLAN_FACT_DIGITS, "%llu", (unsigned long long)value));
}

/* What the shard has of its plan; facts holds it. A name that its kind has not was refused when the
 * definition was read: it is nothing. */
static struct bytes plan_value(struct bytes name, const struct template_values *v, struct plan_facts *facts,
			       char digits[PLAN_FACT_DIGITS])
{
	const struct plan_shard shard = {.plan = v->plan, .shard = v->shard, .item = v->item};
	const struct plan_row *row = plan_row(v->plan->kind);
	const struct plan_fact *found;

	facts->count = 0;
	facts->used = 0;
	if (row->expand != NULL)
		row->expand(&shard, facts);
	found = facts_find(facts, name);
	return found != NULL ? fact_as_text(found, digits) : BYTES(NULL, 0);
}

static struct bytes part_value(const struct template_part *part, const struct template_values *v,
			       struct plan_facts *facts, char digits[PLAN_FACT_DIGITS])
{
	switch (part->kind) {
	case PART_TEXT:
		return part->text;
	case PART_EVENT:
		CHECK(part->value != TEMPLATE_UNRESOLVED);
		/* A job that came without this value was refused at acceptance; a frame that lost it was not
		 * written by us. Nothing is then the harmless answer. */
		return part->value < v->values->count ? v->values->items[part->value].text : BYTES(NULL, 0);
	case PART_JOB_ID:
		return number_u64(digits, v->job);
	case PART_JOB_NAME:
		return v->job_name;
	case PART_SHARD_INDEX:
		return number_u64(digits, v->shard);
	case PART_SHARD_COUNT:
		return number_u64(digits, v->plan->shard_count);
	case PART_SHARD_PLAN:
		return plan_value(part->text, v, facts, digits);
	case PART_SHARD_INPUT_FILE:
		return v->input_file;
	}
	return BYTES(NULL, 0);
}

int template_expand(const struct template *t, const struct template_values *v, struct buf *out,
		    struct error *reterr)
{
	size_t before = out->size;
	char digits[PLAN_FACT_DIGITS], quoted[100];
	struct plan_facts facts;

	for (uint32_t i = 0; i < t->part_count; i++) {
		struct bytes value = part_value(&t->parts[i], v, &facts, digits);

		if (value.size > 0 && memchr(value.data, '\0', value.size) != NULL) {
			out->size = before;
			return error_set(reterr, ERR_INVALID,
					 "the value of %s has a NUL byte, which no argument can carry",
					 text_quote(quoted, sizeof quoted, t->parts[i].text));
		}
		if (value.size > ARG_BYTES_MAX - 1 - (out->size - before)) {
			out->size = before;
			return error_set(reterr, ERR_LIMIT, "an argument of over %llu bytes, at %s",
					 ARG_BYTES_MAX - 1,
					 text_quote(quoted, sizeof quoted, t->parts[i].text));
		}
		buf_append_bytes(out, value);
	}
	return 0;
}
