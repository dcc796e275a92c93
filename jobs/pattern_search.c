/* Does an event match all fields of a rule? Fields that lie in the same list of the event have to match in
 * the same element of it. So the search takes an element of a list for one field, and keeps to it for the
 * fields behind; when one of these does not match, it goes back to the field that chose an element that
 * stands in the way, and to no other (Prosser, "Hybrid algorithms for the constraint satisfaction problem",
 * 1993: conflict-directed backjumping). Values that stand in a list themselves choose nothing. A field that
 * may be absent is absent when none of its values lies in the elements that were chosen before. Source of the
 * rules: event-ruler's ArrayMembership and ACFinder. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "jobs/pattern_tree.h"

/* Fields, by their numbers in the rule. */
struct set {
	uint64_t words[PATTERN_FIELDS_MAX / 64];
};

struct choice {
	const json_t *list;
	size_t element;
	uint32_t by; /* the field that chose it */
};

enum mode {
	PROBE,	/* does it match without choosing an element? */
	ANY,	/* is there any value? */
	SEARCH, /* does it match, and do the fields behind? */
};

struct search {
	const struct pattern_rule *rule;
	const json_t *event;
	struct choice *choices;
	uint32_t choice_count, choice_capacity;
	enum mode mode;
	uint32_t field;	     /* in work */
	struct set *blame;   /* of it: who chose elements that kept values out of its sight */
	bool open;	     /* PROBE: an element would have to be chosen */
	bool jump;	     /* nothing that this field chooses will help */
	const json_t *value; /* ANY: the one that was found */
	uint32_t *steps;     /* of the whole pattern */
	bool exhausted;
	char key[PATTERN_PATH_BYTES_MAX + 1];
};

static bool search_from(struct search *s, uint32_t field, struct set *blame);

static bool set_has(const struct set *set, uint32_t i)
{
	return set->words[i / 64] >> (i % 64) & 1;
}

static void set_add(struct set *set, uint32_t i)
{
	set->words[i / 64] |= (uint64_t)1 << (i % 64);
}

static const struct choice *find_choice(const struct search *s, const json_t *list)
{
	for (uint32_t i = s->choice_count; i > 0; i--)
		if (s->choices[i - 1].list == list)
			return &s->choices[i - 1];
	return NULL;
}

static void push_choice(struct search *s, const json_t *list, size_t element)
{
	if (s->choice_count == s->choice_capacity) {
		s->choice_capacity = s->choice_capacity == 0 ? 16 : 2 * s->choice_capacity;
		s->choices = check_realloc(s->choices, s->choice_capacity, sizeof *s->choices);
	}
	s->choices[s->choice_count++] = (struct choice){list, element, s->field};
}

/* The fields behind this one, with what is chosen now. */
static bool go_on(struct search *s)
{
	struct set behind = {{0}}, *own = s->blame;
	uint32_t field = s->field;
	bool found = search_from(s, field + 1, &behind);

	s->field = field;
	s->blame = own;
	s->mode = SEARCH;
	if (found || s->exhausted)
		return found;
	if (!set_has(&behind, field)) {
		*own = behind;
		s->jump = true;
		return false;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(own->words); i++)
		own->words[i] |= behind.words[i];
	own->words[field / 64] &= ~((uint64_t)1 << (field % 64));
	return false;
}

static bool at_value(struct search *s, const json_t *value)
{
	if (s->mode == ANY) {
		s->value = value;
		return true;
	}
	if (!pattern_values_match(&s->rule->fields[s->field]->values, value))
		return false;
	return s->mode == PROBE || go_on(s);
}

static bool over(const struct search *s)
{
	return s->jump || s->open || s->exhausted;
}

static bool walk(struct search *s, const json_t *value, struct bytes rest);

/* A list or an object in a list. */
static bool walk_element(struct search *s, const json_t *list, size_t i, struct bytes rest)
{
	bool found;

	if (s->mode != SEARCH || find_choice(s, list) != NULL)
		return walk(s, json_array_get(list, i), rest);
	push_choice(s, list, i);
	found = walk(s, json_array_get(list, i), rest);
	s->choice_count--;
	return found;
}

static bool spend_step(struct search *s)
{
	s->exhausted = s->exhausted || ++*s->steps > PATTERN_STEPS_MAX;
	return !s->exhausted;
}

/* Of the lists and objects in it the chosen one, if one is; and the values in it, when the path ends here. */
static bool walk_list(struct search *s, const json_t *list, struct bytes rest)
{
	const struct choice *choice = find_choice(s, list);
	size_t chosen = choice != NULL ? choice->element : 0, count = json_array_size(list);
	bool only_chosen = choice != NULL && rest.data != NULL;

	if (choice != NULL)
		set_add(s->blame, choice->by);
	for (size_t i = only_chosen ? chosen : 0; i < (only_chosen ? chosen + 1 : count) && !over(s); i++) {
		const json_t *item = json_array_get(list, i);
		bool deeper = json_is_array(item) || json_is_object(item);

		if (!spend_step(s))
			return false;
		if (deeper ? choice != NULL && i != chosen : rest.data != NULL)
			continue;
		if (deeper && choice == NULL && s->mode == PROBE) {
			s->open = true;
			return false;
		}
		if (deeper ? walk_element(s, list, i, rest) : walk(s, item, rest))
			return true;
	}
	return false;
}

/* A key may spell several members of the path: "a.b". */
static bool walk_object(struct search *s, const json_t *object, struct bytes rest)
{
	for (size_t i = 0; i <= rest.size && !over(s); i++) {
		const json_t *child;

		if (i < rest.size && rest.data[i] != '.')
			continue;
		memcpy(s->key, rest.data, i);
		s->key[i] = '\0';
		child = json_object_get(object, s->key);
		if (child != NULL &&
		    walk(s, child,
			 i == rest.size ? BYTES(NULL, 0) : BYTES(rest.data + i + 1, rest.size - i - 1)))
			return true;
	}
	return false;
}

/* rest.data NULL: the path ends here. */
static bool walk(struct search *s, const json_t *value, struct bytes rest)
{
	if (!spend_step(s))
		return false;
	if (json_is_array(value))
		return walk_list(s, value, rest);
	if (json_is_object(value))
		return rest.data != NULL && walk_object(s, value, rest);
	return rest.data == NULL && at_value(s, value);
}

static bool look(struct search *s, enum mode mode)
{
	s->mode = mode;
	s->open = false;
	return walk(s, s->event, s->rule->fields[s->field]->path);
}

/* *blame: the fields before `field` that could mend it by choosing otherwise. */
static bool search_from(struct search *s, uint32_t field, struct set *blame)
{
	for (; field < s->rule->field_count; field++) {
		const struct pattern_field *f = s->rule->fields[field];
		bool found;

		memset(blame, 0, sizeof *blame);
		s->field = field;
		s->blame = blame;
		if (f->absent && !look(s, ANY) && !s->exhausted)
			continue;
		if (look(s, PROBE))
			continue;
		if (s->open && !s->exhausted) {
			found = look(s, SEARCH);
			s->jump = false;
			if (found)
				return true;
		}
		for (uint32_t i = 0; f->absent && i < field; i++) /* more chosen, less in sight */
			set_add(blame, i);
		return false;
	}
	return true;
}

/* The key's buffer needs no zeros. */
static void init(struct search *s, const struct pattern_rule *rule, const json_t *event, uint32_t *steps)
{
	memset(s, 0, offsetof(struct search, key));
	s->rule = rule;
	s->event = event;
	s->steps = steps;
}

enum pattern_found pattern_search(const struct pattern_rule *rule, const json_t *event, uint32_t *steps)
{
	struct search s;
	struct set blame = {{0}};
	bool found;

	init(&s, rule, event, steps);
	found = search_from(&s, 0, &blame);

	free(s.choices);
	if (s.exhausted)
		return PATTERN_TOO_LONG;
	return found ? PATTERN_MATCH : PATTERN_NO_MATCH;
}

const json_t *pattern_first_value(struct bytes path, const json_t *event)
{
	struct pattern_field field = {.path = path};
	const struct pattern_field *fields[] = {&field};
	struct pattern_rule rule = {.fields = fields, .field_count = 1};
	struct set blame = {{0}};
	uint32_t steps = 0;
	struct search s;

	init(&s, &rule, event, &steps);
	s.blame = &blame;
	return look(&s, ANY) ? s.value : NULL;
}
