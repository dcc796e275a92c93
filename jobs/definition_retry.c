/* retry, tolerate, keep_going and max_failures: how often a shard is tried, how many may stay dead, and when
 * those that are dead end the job. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "base/units.h"
#include "jobs/definition_read.h"

#define EXIT_CODE_MAX 255

void policy_defaults(struct policy *p)
{
	*p = (struct policy){.attempts_max = 3,
			     .backoff_us = USEC_PER_SEC,
			     .backoff_max_us = 60 * USEC_PER_SEC,
			     .tolerate_kind = TOLERATE_NONE,
			     .durable_output = true};
}

static bool read_attempts(struct definition_reader *r, const struct node *n, void *target)
{
	struct policy *p = target;
	int64_t attempts;

	if (!read_integer(r, n, 1, ATTEMPTS_MAX, &attempts))
		return false;
	p->attempts_max = (uint32_t)attempts;
	return true;
}

static bool read_backoff(struct definition_reader *r, const struct node *n, void *target)
{
	struct policy *p = target;

	return read_duration(r, n, &p->backoff_us);
}

static bool read_backoff_max(struct definition_reader *r, const struct node *n, void *target)
{
	struct policy *p = target;

	return read_duration(r, n, &p->backoff_max_us);
}

static bool parse_code(struct bytes text, uint32_t *ret)
{
	uint32_t value = 0;

	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] < '0' || text.data[i] > '9' || value > EXIT_CODE_MAX)
			return false;
		value = value * 10 + (uint32_t)(text.data[i] - '0');
	}
	*ret = value;
	return text.size > 0 && value >= 1 && value <= EXIT_CODE_MAX;
}

/* "2" or "75-78" */
static bool parse_codes(struct bytes text, struct exit_rule *ret)
{
	const uint8_t *dash = text.size == 0 ? NULL : memchr(text.data, '-', text.size);
	size_t size = dash == NULL ? text.size : (size_t)(dash - text.data);

	if (!parse_code(BYTES(text.data, size), &ret->first))
		return false;
	ret->last = ret->first;
	return dash == NULL ||
	       (parse_code(BYTES(dash + 1, text.size - size - 1), &ret->last) && ret->last >= ret->first);
}

/* In order, and no two of them about one code: so the order in the file says nothing. */
static bool insert_rule(struct exit_rule_list *list, struct exit_rule rule)
{
	uint32_t at = list->count;

	while (at > 0 && list->items[at - 1].first > rule.first)
		at--;
	if ((at > 0 && list->items[at - 1].last >= rule.first) ||
	    (at < list->count && list->items[at].first <= rule.last))
		return false;
	memmove(&list->items[at + 1], &list->items[at], (list->count - at) * sizeof rule);
	list->items[at] = rule;
	list->count++;
	return true;
}

static bool read_exit_rule(struct definition_reader *r, const struct node *n, struct exit_rule_list *list)
{
	struct exit_rule rule = {0};
	char quoted[80];

	if (!parse_codes(n->key, &rule)) {
		(void)problems_add(r->problems, n->key_at, ERR_INVALID, NULL,
				   "expected exit codes of 1 to 255 such as 2 or 75-78, found %s",
				   text_quote(quoted, sizeof quoted, n->key));
		return false;
	}
	if (!read_kind(r, n, exit_verdict_of, exit_verdict_names(), &rule.verdict))
		return false;
	if (insert_rule(list, rule))
		return true;
	(void)problems_add(r->problems, n->key_at, ERR_INVALID, NULL, "two rules for one exit code: %s",
			   text_quote(quoted, sizeof quoted, n->key));
	return false;
}

static bool read_exit(struct definition_reader *r, const struct node *n, void *target)
{
	struct policy *p = target;
	bool fine = true;

	if (n->kind != NODE_MAP || n->child_count > DEFINITION_EXIT_RULES_MAX)
		return read_refuse(r, n, NULL, "a map of at most 64 exit codes and what they mean");
	p->exit_rules.items = read_alloc(r, (size_t)n->child_count + 1, sizeof *p->exit_rules.items);
	for (const struct node *child = n->children; child != NULL; child = child->next)
		fine = read_exit_rule(r, child, &p->exit_rules) && fine;
	return fine;
}

static bool read_oom(struct definition_reader *r, const struct node *n, void *target)
{
	struct policy *p = target;
	bool larger = bytes_equal(n->text, BYTES_LIT("larger"));

	if (n->kind != NODE_SCALAR || (!larger && !bytes_equal(n->text, BYTES_LIT("same"))))
		return read_refuse(r, n, NULL, "same or larger (twice the memory)");
	p->retry_larger = larger;
	return true;
}

bool read_retry(struct definition_reader *r, const struct node *n, void *target)
{
	static const struct definition_key keys[] = {
	    {"attempts", false, read_attempts}, {"backoff", false, read_backoff},
	    {"max", false, read_backoff_max},	{"exit", false, read_exit},
	    {"oom", false, read_oom},
	};
	struct policy *p = target;
	const struct node *max = node_get(n, "max");

	if (!read_map(r, n, "`retry`", keys, ARRAY_LENGTH(keys), p))
		return false;
	if (p->backoff_max_us >= p->backoff_us)
		return true;
	if (max != NULL)
		return read_refuse(r, max, NULL, "at least the backoff");
	p->backoff_max_us = p->backoff_us;
	return true;
}

bool read_tolerate(struct definition_reader *r, const struct node *n, void *target)
{
	struct policy *p = target;
	struct error e;
	uint32_t ppm;
	int64_t count;

	if (n->kind == NODE_SCALAR && n->text.size > 0 && n->text.data[n->text.size - 1] == '%') {
		if (units_parse_percent(n->text, &ppm, &e) < 0)
			return read_refuse_error(r, n->at, &e);
		p->tolerate = ppm;
		p->tolerate_kind = TOLERATE_PPM;
	} else {
		if (n->kind != NODE_SCALAR)
			return read_refuse(r, n, NULL, "a number of dead shards or a share such as 2%");
		if (!read_integer(r, n, 0, SHARDS_MAX, &count))
			return false;
		p->tolerate = (uint64_t)count;
		p->tolerate_kind = TOLERATE_COUNT;
	}
	if (p->tolerate == 0)
		p->tolerate_kind = TOLERATE_NONE;
	return true;
}

/* Each of the three says what becomes of a job whose shards die: none goes with another. */
static bool refuse_both(struct definition_reader *r, const struct node *n)
{
	(void)problems_add(
	    r->problems, n->key_at, ERR_INVALID,
	    "tolerate: so many dead shards, and it still succeeds; keep_going: all shards are run, "
	    "and it fails if one died; max_failures: others are run until more have died",
	    "a definition has one of `tolerate`, `keep_going` and `max_failures`");
	return false;
}

bool read_keep_going(struct definition_reader *r, const struct node *n, void *target)
{
	struct policy *p = target;
	bool going;

	if (!read_bool(r, n, &going))
		return false;
	if (!going)
		return true;
	if (p->tolerate_kind != TOLERATE_NONE)
		return refuse_both(r, n);
	p->tolerate_kind = TOLERATE_TO_THE_END;
	return true;
}

bool read_max_failures(struct definition_reader *r, const struct node *n, void *target)
{
	struct policy *p = target;
	int64_t count;

	if (!read_integer(r, n, 0, SHARDS_MAX, &count))
		return false;
	if (count == 0)
		return true;
	if (p->tolerate_kind != TOLERATE_NONE)
		return refuse_both(r, n);
	p->tolerate = (uint64_t)count;
	p->tolerate_kind = TOLERATE_FAILURES;
	return true;
}
