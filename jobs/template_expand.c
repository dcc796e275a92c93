#include "jobs/template.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "jobs/kinds.h"
#include "jobs/plan.h"

#define NUMBER_MAX 24

static struct bytes number_u64(char buf[NUMBER_MAX], uint64_t value)
{
	return BYTES(buf, (size_t)snprintf(buf, NUMBER_MAX, "%llu", (unsigned long long)value));
}

static struct bytes shard_value(const struct template_values *v, char number[NUMBER_MAX])
{
	if (v->plan->kind == PLAN_ITEMS)
		return v->item;
	return BYTES(number, (size_t)snprintf(number, NUMBER_MAX, "%lld",
					      (long long)plan_count_value(v->plan, v->shard)));
}

static struct bytes shard_byte(const struct template_values *v, enum template_part_kind kind,
			       char number[NUMBER_MAX])
{
	uint64_t first, end;

	plan_bytes_range(v->plan, v->shard, &first, &end);
	if (kind == PART_SHARD_FIRST_BYTE)
		return number_u64(number, first);
	return number_u64(number, kind == PART_SHARD_END_BYTE ? end : end - first);
}

static struct bytes part_value(const struct template_part *part, const struct template_values *v,
			       char number[NUMBER_MAX])
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
		return number_u64(number, v->job);
	case PART_JOB_NAME:
		return v->job_name;
	case PART_SHARD_INDEX:
		return number_u64(number, v->shard);
	case PART_SHARD_COUNT:
		return number_u64(number, v->plan->shard_count);
	case PART_SHARD_VALUE:
		return shard_value(v, number);
	case PART_SHARD_ITEM:
		return v->item;
	case PART_SHARD_FIRST_BYTE:
	case PART_SHARD_END_BYTE:
	case PART_SHARD_BYTE_COUNT:
		return shard_byte(v, part->kind, number);
	case PART_SHARD_URL:
		return v->plan->url;
	case PART_SHARD_INPUT_FILE:
		return v->input_file;
	}
	return BYTES(NULL, 0);
}

int template_expand(const struct template *t, const struct template_values *v, struct buf *out,
		    struct error *reterr)
{
	size_t before = out->size;
	char number[NUMBER_MAX], quoted[100];

	for (uint32_t i = 0; i < t->part_count; i++) {
		struct bytes value = part_value(&t->parts[i], v, number);

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
