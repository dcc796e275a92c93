/* `concurrency` and `max_jobs`: how many jobs of a group may be active at a time; `rate`: how fast a job's
 * shards may start. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/units.h"
#include "jobs/definition_read.h"

static bool read_group(struct definition_reader *r, const struct node *n, void *target)
{
	struct definition *d = target;

	if (!read_template(r, n, TEMPLATE_EVENT, false, &d->concurrency.group))
		return false;
	if (d->concurrency.group.size == 0)
		return read_refuse(r, n, NULL, "the name of a group");
	return true;
}

static bool read_group_limit(struct definition_reader *r, const struct node *n, void *target)
{
	int64_t limit;

	if (!read_integer(r, n, 1, UINT32_MAX, &limit))
		return false;
	((struct definition *)target)->concurrency.limit = (uint32_t)limit;
	return true;
}

static bool read_group_mode(struct definition_reader *r, const struct node *n, void *target)
{
	return read_kind(r, n, concurrency_mode_of, concurrency_mode_names(),
			 &((struct definition *)target)->concurrency.mode);
}

static bool read_group_latest(struct definition_reader *r, const struct node *n, void *target)
{
	return read_bool(r, n, &((struct definition *)target)->concurrency.latest);
}

static const struct definition_key group_keys[] = {
    {"group", true, read_group},
    {"limit", false, read_group_limit},
    {"mode", false, read_group_mode},
    {"latest", false, read_group_latest},
};

static bool are_digits(struct bytes text)
{
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
	return text.size > 0;
}

/* What is behind the last colon, if there is one. */
static struct bytes last_part(struct bytes text)
{
	const uint8_t *colon = text.size > 0 ? memrchr(text.data, ':', text.size) : NULL;

	return colon != NULL ? BYTES(colon + 1, (size_t)(text.data + text.size - colon - 1)) : BYTES(NULL, 0);
}

/* GROUP[:LIMIT][:MODE] */
static bool read_short(struct definition_reader *r, const struct node *n, struct definition *d)
{
	struct node part = *n;
	uint8_t mode = concurrency_mode_of(last_part(n->text));
	struct bytes limit;

	if (mode != 0) {
		d->concurrency.mode = mode;
		part.text.size -= last_part(n->text).size + 1;
	}
	limit = last_part(part.text);
	if (are_digits(limit)) {
		part.text.size -= limit.size + 1;
		if (!read_group_limit(r, &(struct node){.kind = NODE_SCALAR, .at = n->at, .text = limit}, d))
			return false;
	}
	return read_group(r, &part, d);
}

bool read_concurrency(struct definition_reader *r, const struct node *n, void *target)
{
	struct definition *d = target;

	d->concurrency = (struct concurrency){.limit = 1, .mode = CONCURRENCY_QUEUE};
	if (n->kind == NODE_SCALAR)
		return read_short(r, n, d);
	if (!read_map(r, n, "`concurrency`", group_keys, ARRAY_LENGTH(group_keys), d))
		return false;
	if (!d->concurrency.latest || d->concurrency.mode == CONCURRENCY_QUEUE)
		return true;
	return read_refuse(r, n, "of the other modes none waits", "`latest` with the mode queue");
}

bool read_max_jobs(struct definition_reader *r, const struct node *n, void *target)
{
	struct definition *d = target;

	if (!read_integer(r, n, 1, UINT32_MAX, &d->max_jobs))
		return false;
	if (d->concurrency.group.size == 0)
		return true;
	(void)problems_add(r->problems, n->key_at, ERR_INVALID,
			   "`max_jobs: 3` is a group of all jobs of the definition, with the limit 3",
			   "a definition has one of `concurrency` and `max_jobs`");
	return false;
}

#define RATE_LONGEST_US ((usec_t)USEC_PER_SEC * 86400 * 366)

/* "s", "min", "90s"; false: it is none. */
static bool read_time_of_rate(struct bytes text, usec_t *ret_us)
{
	char word[32];
	bool digit = text.size > 0 && text.data[0] >= '0' && text.data[0] <= '9';

	if (bytes_equal(text, BYTES_LIT("min")))
		text = BYTES_LIT("m");
	if (text.size == 0 || text.size + 2 > sizeof word)
		return false;
	snprintf(word, sizeof word, "%s%.*s", digit ? "" : "1", (int)text.size, (const char *)text.data);
	return units_parse_duration(bytes_of(word), ret_us, NULL) == 0 && *ret_us > 0 &&
	       *ret_us <= RATE_LONGEST_US;
}

bool read_rate(struct definition_reader *r, const struct node *n, void *target)
{
	struct definition *d = target;
	const uint8_t *slash =
	    n->kind == NODE_SCALAR && n->text.size > 0 ? memchr(n->text.data, '/', n->text.size) : NULL;
	size_t digits = slash != NULL ? (size_t)(slash - n->text.data) : 0;
	char count[16];
	uint64_t number;

	if (digits > 0 && digits < sizeof count) {
		snprintf(count, sizeof count, "%.*s", (int)digits, (const char *)n->text.data);
		if (units_parse_number(count, 1, UINT32_MAX, &number, NULL) == 0 &&
		    read_time_of_rate(BYTES(slash + 1, n->text.size - digits - 1), &d->rate.per_us)) {
			d->rate.count = (uint32_t)number;
			return true;
		}
	}
	return read_refuse(r, n, "a number of shards, a slash and a time: s, min, h, d or 30s",
			   "a rate such as 10/s, 100/min or 5/30s");
}
