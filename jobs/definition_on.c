/* on: [{pattern: {…}}] — when a definition starts by itself. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "jobs/definition_read.h"

static bool check_branches(struct definition_reader *r, const struct node *branches);

/* A dotted key spells what is below a member. */
static struct bytes member_of(struct bytes key)
{
	const uint8_t *dot = key.size == 0 ? NULL : memchr(key.data, '.', key.size);

	return dot == NULL ? key : BYTES(key.data, (size_t)(dot - key.data));
}

/* Other members an event does not have, so that a pattern that names one never matches. */
static bool check_members(struct definition_reader *r, const struct node *pattern)
{
	static const char *const members[] = {"id",	"source",  "detail-type", "time",      "resources",
					      "detail", "account", "region",	  "extensions"};
	bool fine = true;

	for (const struct node *n = pattern->children; n != NULL; n = n->next) {
		struct bytes member = member_of(n->key);
		const char *nearest = text_nearest(member, members, ARRAY_LENGTH(members));
		char quoted[80], help[120] = "events have id, source, detail-type, time, resources, detail, "
					     "account, region and extensions";
		bool known = false;

		if (bytes_equal(n->key, BYTES_LIT("$or"))) {
			fine = check_branches(r, n) && fine;
			continue;
		}
		for (size_t i = 0; i < ARRAY_LENGTH(members); i++)
			known = known || bytes_equal(member, bytes_of(members[i]));
		if (known)
			continue;
		if (nearest != NULL)
			snprintf(help, sizeof help, "did you mean %s?", nearest);
		(void)problems_add(r->problems, n->key_at, ERR_INVALID, help, "an event has no %s",
				   text_quote(quoted, sizeof quoted, n->key));
		fine = false;
	}
	return fine;
}

static bool check_branches(struct definition_reader *r, const struct node *branches)
{
	bool fine = true;

	for (const struct node *n = branches->children; n != NULL; n = n->next)
		fine = (n->kind != NODE_MAP || check_members(r, n)) && fine;
	return fine;
}

static bool read_pattern(struct definition_reader *r, const struct node *n, void *target)
{
	const struct pattern **ret = target;
	json_t *json;
	bool fine = pattern_compile(n, r->arena, r->problems, ret) == 0;

	if (n->kind == NODE_MAP)
		fine = check_members(r, n) && fine;
	if (!fine)
		return false;
	json = node_to_json(n, r->problems);
	if (json == NULL)
		return false;
	CHECK(json_array_append_new(r->on, json_pack("{so}", "pattern", json)) == 0);
	return true;
}

bool read_on(struct definition_reader *r, const struct node *n, void *target)
{
	static const struct definition_key keys[] = {{"pattern", true, read_pattern}};
	struct pattern_list *on = target;
	bool fine = true;

	if (n->kind != NODE_LIST || n->child_count == 0)
		return read_refuse(r, n, "write each as - pattern: {…}", "a list of what starts it");
	if (n->child_count > DEFINITION_PATTERNS_MAX) {
		(void)problems_add(r->problems, n->at, ERR_LIMIT, NULL, "%u patterns; at most %d are taken",
				   n->child_count, DEFINITION_PATTERNS_MAX);
		return false;
	}
	on->items = read_alloc(r, n->child_count, sizeof(void *));
	for (const struct node *child = n->children; child != NULL; child = child->next)
		fine = read_map(r, child, "an entry of `on`", keys, ARRAY_LENGTH(keys),
				&on->items[on->count++]) &&
		       fine;
	return fine;
}
