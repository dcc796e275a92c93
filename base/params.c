#include "base/params.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "base/units.h"

#define D PARAM_SCOPE_DISPATCHER
#define W PARAM_SCOPE_WORKER
#define S PARAM_SCOPE_SCALER
#define U PARAM_SCOPE_UP
#define C PARAM_SCOPE_CLI
static const struct param_info table[] = {
#define PARAM(id, name, type, def, min, max, choices, placeholder, scopes, doc)                              \
	{name, PARAM_TYPE_##type, def, min, max, choices, placeholder, scopes, doc},
#include "base/params.def"
};
#undef D
#undef W
#undef S
#undef U
#undef C

static const struct {
	enum param_id low, high;
} orders[] = {
#define PARAM(...)
#define PARAM_ORDER(low, high) {PARAM_##low, PARAM_##high},
#include "base/params.def"
};

const struct param_info *param_info(enum param_id id)
{
	CHECK(id < PARAM_COUNT);
	return &table[id];
}

static bool same_name(struct bytes name, const char *known)
{
	if (strlen(known) != name.size)
		return false;
	for (size_t i = 0; i < name.size; i++)
		if ((name.data[i] == '-' ? '_' : name.data[i]) != (uint8_t)known[i])
			return false;
	return true;
}

int param_find(struct bytes name, enum param_id *ret_id, struct error *reterr)
{
	const char *names[PARAM_COUNT], *nearest;
	char found[80];

	for (size_t i = 0; i < PARAM_COUNT; i++) {
		names[i] = table[i].name;
		if (same_name(name, names[i])) {
			*ret_id = (enum param_id)i;
			return 0;
		}
	}
	nearest = text_nearest(name, names, PARAM_COUNT);
	error_set(reterr, ERR_NOT_FOUND, "there is no parameter %s", text_quote(found, sizeof found, name));
	if (nearest != NULL)
		error_help(reterr, "did you mean %s?", nearest);
	else
		error_help(reterr, "--help lists them");
	return ERR_NOT_FOUND;
}

static int parse_bool(struct bytes text, int64_t *ret, struct error *reterr)
{
	static const char *const words[][2] = {{"no", "yes"}, {"false", "true"}, {"off", "on"}, {"0", "1"}};
	char found[80];

	for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
		for (int value = 0; value < 2; value++) {
			if (bytes_equal(text, bytes_of(words[i][value]))) {
				*ret = value;
				return 0;
			}
		}
	}
	return error_set(reterr, ERR_INVALID, "expected yes or no, found %s",
			 text_quote(found, sizeof found, text));
}

static int parse_int(struct bytes text, int64_t *ret, struct error *reterr)
{
	int64_t value = 0;
	char found[80];

	for (size_t i = 0; i < text.size; i++) {
		int digit = text.data[i] - '0';

		if (digit < 0 || digit > 9 || value > (INT64_MAX - digit) / 10) {
			value = -1;
			break;
		}
		value = value * 10 + digit;
	}
	if (text.size == 0 || value < 0)
		return error_set(reterr, ERR_INVALID, "expected a whole number, found %s",
				 text_quote(found, sizeof found, text));
	*ret = value;
	return 0;
}

static int parse_choice(const char *choices, struct bytes text, int64_t *ret, struct error *reterr)
{
	const char *word = choices;
	char found[80];

	for (int64_t index = 0; word != NULL; index++) {
		const char *end = strchr(word, '|');
		size_t length = end != NULL ? (size_t)(end - word) : strlen(word);

		if (bytes_equal(text, BYTES(word, length))) {
			*ret = index;
			return 0;
		}
		word = end != NULL ? end + 1 : NULL;
	}
	return error_set(reterr, ERR_INVALID, "expected one of %s, found %s", choices,
			 text_quote(found, sizeof found, text));
}

static int parse_number(const struct param_info *info, struct bytes text, int64_t *ret, struct error *reterr)
{
	uint64_t bytes;
	uint32_t milli;
	usec_t us;
	int r;

	switch (info->type) {
	case PARAM_TYPE_BOOL:
		return parse_bool(text, ret, reterr);
	case PARAM_TYPE_INT:
		return parse_int(text, ret, reterr);
	case PARAM_TYPE_CHOICE:
		return parse_choice(info->choices, text, ret, reterr);
	case PARAM_TYPE_DURATION:
		r = units_parse_duration(text, &us, reterr);
		if (r == 0)
			*ret = us;
		return r;
	case PARAM_TYPE_SIZE:
		r = units_parse_size(text, &bytes, reterr);
		if (r == 0 && bytes > INT64_MAX)
			return error_set(reterr, ERR_INVALID, "expected a size below 8EiB");
		if (r == 0)
			*ret = (int64_t)bytes;
		return r;
	case PARAM_TYPE_CPUS:
		r = units_parse_cpus(text, &milli, reterr);
		if (r == 0)
			*ret = milli;
		return r;
	case PARAM_TYPE_TEXT:
	case PARAM_TYPE_PATH:
	case PARAM_TYPE_PATHS:
		break;
	}
	CHECK_NEVER("a type without a number");
	return ERR_INVALID;
}

static bool is_text(enum param_type type)
{
	return type == PARAM_TYPE_TEXT || type == PARAM_TYPE_PATH || type == PARAM_TYPE_PATHS;
}

static int check_bounds(const struct param_info *info, struct bytes text, int64_t value, struct error *reterr)
{
	int64_t bound;
	char found[80];

	if (info->min_text[0] != '\0') {
		CHECK(parse_number(info, bytes_of(info->min_text), &bound, NULL) == 0);
		if (value < bound)
			return error_set(reterr, ERR_LIMIT, "%s must be at least %s, found %s", info->name,
					 info->min_text, text_quote(found, sizeof found, text));
	}
	if (info->max_text[0] != '\0') {
		CHECK(parse_number(info, bytes_of(info->max_text), &bound, NULL) == 0);
		if (value > bound)
			return error_set(reterr, ERR_LIMIT, "%s must be at most %s, found %s", info->name,
					 info->max_text, text_quote(found, sizeof found, text));
	}
	return 0;
}

static int check_text(const struct param_info *info, struct bytes text, struct error *reterr)
{
	if (text.size > PARAMS_TEXT_MAX)
		return error_set(reterr, ERR_LIMIT, "%s must be at most %u bytes, found %zu", info->name,
				 PARAMS_TEXT_MAX, text.size);
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] < 0x20 || text.data[i] == 0x7f)
			return error_set(reterr, ERR_INVALID,
					 "%s must hold no control characters, found \\x%02x at byte "
					 "%zu",
					 info->name, text.data[i], i + 1);
	if (info->type == PARAM_TYPE_PATHS && text.size == 0)
		return error_set(reterr, ERR_INVALID, "%s must name a path, found nothing", info->name);
	return 0;
}

static char *copy_text(struct bytes text)
{
	char *copy = check_calloc(text.size + 1, 1);

	if (text.size > 0)
		memcpy(copy, text.data, text.size);
	return copy;
}

static void value_clear(struct param_value *v)
{
	for (size_t i = 0; i < v->text_count; i++)
		free(v->texts[i]);
	free(v->where);
	*v = (struct param_value){0};
}

int params_set(struct params *p, enum param_id id, struct bytes text, enum param_from from, const char *where,
	       struct error *reterr)
{
	const struct param_info *info = param_info(id);
	struct param_value *v = &p->values[id];
	int64_t number = 0;
	int r;

	if (is_text(info->type)) {
		r = check_text(info, text, reterr);
		if (r == 0 && info->type == PARAM_TYPE_PATHS && v->from == from &&
		    v->text_count == PARAMS_LIST_MAX)
			r = error_set(reterr, ERR_LIMIT, "%s may be given at most %u times", info->name,
				      PARAMS_LIST_MAX);
	} else {
		r = parse_number(info, text, &number, reterr);
		if (r == 0)
			r = check_bounds(info, text, number, reterr);
	}
	if (r != 0) {
		error_where(reterr, "%s", where != NULL ? where : info->name);
		return r;
	}
	if (from < v->from)
		return 0; /* what is set already is stronger */
	if (info->type != PARAM_TYPE_PATHS || from != v->from)
		value_clear(v);
	v->from = from;
	free(v->where);
	v->where = where != NULL ? copy_text(bytes_of(where)) : NULL;
	v->number = number;
	if (is_text(info->type))
		v->texts[v->text_count++] = copy_text(text);
	return 0;
}

void params_init(struct params *p, unsigned scopes)
{
	*p = (struct params){.scopes = scopes};
	for (size_t i = 0; i < PARAM_COUNT; i++) {
		if (table[i].type == PARAM_TYPE_PATHS && table[i].default_text[0] == '\0')
			continue;
		CHECK(params_set(p, (enum param_id)i, bytes_of(table[i].default_text), PARAM_FROM_DEFAULT,
				 NULL, NULL) == 0);
	}
}

void params_fini(struct params *p)
{
	for (size_t i = 0; i < PARAM_COUNT; i++)
		value_clear(&p->values[i]);
}

int params_check(const struct params *p, struct error *reterr)
{
	for (size_t i = 0; i < ARRAY_LENGTH(orders); i++) {
		const struct param_value *low = &p->values[orders[i].low];
		const struct param_value *high = &p->values[orders[i].high];
		const struct param_value *named = low->from >= high->from ? low : high;
		struct buf low_text = {0}, high_text = {0};

		if (low->number <= high->number ||
		    !(table[orders[i].low].scopes & table[orders[i].high].scopes & p->scopes))
			continue; /* another program's affair: it has one of them, or neither */
		params_format(p, orders[i].low, &low_text);
		params_format(p, orders[i].high, &high_text);
		error_set(reterr, ERR_INVALID, "%s must be at most %s, found %s and %s",
			  table[orders[i].low].name, table[orders[i].high].name, buf_text(&low_text),
			  buf_text(&high_text));
		buf_fini(&low_text);
		buf_fini(&high_text);
		error_where(reterr, "%s", named->where != NULL ? named->where : "defaults");
		return ERR_INVALID;
	}
	return 0;
}

static const struct param_value *value_of(const struct params *p, enum param_id id, enum param_type type)
{
	CHECK(param_info(id)->type == type);
	return &p->values[id];
}

bool params_bool(const struct params *p, enum param_id id)
{
	return value_of(p, id, PARAM_TYPE_BOOL)->number != 0;
}

int64_t params_int(const struct params *p, enum param_id id)
{
	return value_of(p, id, PARAM_TYPE_INT)->number;
}

usec_t params_duration_us(const struct params *p, enum param_id id)
{
	return value_of(p, id, PARAM_TYPE_DURATION)->number;
}

uint64_t params_size_bytes(const struct params *p, enum param_id id)
{
	return (uint64_t)value_of(p, id, PARAM_TYPE_SIZE)->number;
}

uint32_t params_cpus_milli(const struct params *p, enum param_id id)
{
	return (uint32_t)value_of(p, id, PARAM_TYPE_CPUS)->number;
}

unsigned params_choice(const struct params *p, enum param_id id)
{
	return (unsigned)value_of(p, id, PARAM_TYPE_CHOICE)->number;
}

const char *params_text(const struct params *p, enum param_id id)
{
	const struct param_value *v = &p->values[id];

	CHECK(param_info(id)->type == PARAM_TYPE_TEXT || param_info(id)->type == PARAM_TYPE_PATH);
	CHECK(v->text_count == 1);
	return v->texts[0];
}

size_t params_list_count(const struct params *p, enum param_id id)
{
	return value_of(p, id, PARAM_TYPE_PATHS)->text_count;
}

const char *params_list_at(const struct params *p, enum param_id id, size_t index)
{
	const struct param_value *v = value_of(p, id, PARAM_TYPE_PATHS);

	CHECK(index < v->text_count);
	return v->texts[index];
}

bool params_is_set(const struct params *p, enum param_id id)
{
	CHECK(id < PARAM_COUNT);
	return p->values[id].from != PARAM_FROM_DEFAULT;
}
