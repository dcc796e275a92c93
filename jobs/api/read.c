#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "jobs/api/objects.h"
#include "jobs/json.h"

#define SCALED_MAX 9.2e18 /* what fits 63 bits */

/* ---- one member ---- */

/* Days since 1970 of a date, by the count of days of 400 years (H. Hinnant, "chrono-compatible low-level date
 * algorithms", days_from_civil). */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t in_era = y - era * 400;
	int64_t in_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

/* As event_time writes it; 0: it is none. */
static usec_t time_of(const char *text)
{
	int year, month, day, hour, minute;
	double second;
	char zone;

	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%lf%c", &year, &month, &day, &hour, &minute, &second, &zone) !=
		7 ||
	    zone != 'Z')
		return 0;
	return ((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60 * USEC_PER_SEC +
	       (usec_t)(second * USEC_PER_SEC + 0.5);
}

static uint64_t scaled(const json_t *json, double unit)
{
	double value = json_number_value(json) * unit;

	return value > 0 && value < SCALED_MAX ? (uint64_t)(value + 0.5) : 0;
}

static double unit_of(const struct object_field *f)
{
	return f->kind == OBJECT_SECONDS ? USEC_PER_SEC : f->kind == OBJECT_CPUS ? 1000 : 1;
}

static bool fits_number(const struct object_field *f, const json_t *json)
{
	double value = json_is_number(json) ? json_number_value(json) : -1;
	bool whole = f->kind == OBJECT_COUNT || f->kind == OBJECT_SIZE;

	if (value < 0 || (!json_is_integer(json) && value * unit_of(f) >= SCALED_MAX))
		return false;
	return !whole || (double)(uint64_t)value >= value;
}

/* Is it of the type that its row says? What is in it is not looked at. */
static bool fits(const struct object_field *f, const json_t *json)
{
	switch (f->kind) {
	case OBJECT_BOOL:
		return json_is_boolean(json);
	case OBJECT_COUNT:
	case OBJECT_SIZE:
	case OBJECT_SECONDS:
	case OBJECT_CPUS:
		return fits_number(f, json);
	case OBJECT_INT:
		return json_is_integer(json);
	case OBJECT_TIME:
		return json_is_string(json) && time_of(json_string_value(json)) != 0;
	case OBJECT_TEXT:
		return json_is_string(json);
	case OBJECT_SUB:
		return json_is_object(json);
	case OBJECT_LIST:
	case OBJECT_TEXTS:
	case OBJECT_COUNTS:
	case OBJECT_EITHER:
		return json_is_array(json);
	case OBJECT_SCALAR:
		return json_is_string(json) || json_is_number(json);
	case OBJECT_RAW:
		break;
	}
	return true;
}

static void take(const struct object_field *f, json_t *json, void *at)
{
	switch (f->kind) {
	case OBJECT_BOOL:
		*(bool *)at = json_is_true(json);
		return;
	case OBJECT_COUNT:
	case OBJECT_SIZE:
		*(uint64_t *)at = json_is_integer(json) && json_integer_value(json) > 0
				      ? (uint64_t)json_integer_value(json)
				      : scaled(json, 1);
		return;
	case OBJECT_INT:
		*(int64_t *)at = json_integer_value(json);
		return;
	case OBJECT_SECONDS:
	case OBJECT_CPUS:
		*(uint64_t *)at = scaled(json, unit_of(f));
		return;
	case OBJECT_TIME:
		*(usec_t *)at = json_is_string(json) ? time_of(json_string_value(json)) : 0;
		return;
	case OBJECT_TEXT:
		*(struct bytes *)at = json_bytes(json);
		return;
	case OBJECT_SUB:
		object_read(f->of(), json, at);
		return;
	case OBJECT_LIST:
	case OBJECT_TEXTS:
	case OBJECT_COUNTS:
	case OBJECT_EITHER:
	case OBJECT_SCALAR:
	case OBJECT_RAW:
		break;
	}
	*(json_t **)at = fits(f, json) ? json : NULL;
}

/* False: it is of another type. */
static bool take_member(const struct object_field *f, const json_t *object, void *ret)
{
	json_t *json = json_object_get(object, f->name);
	bool good = json != NULL && fits(f, json);

	if (json != NULL)
		take(f, json, (char *)ret + f->offset);
	if (f->has_offset != 0)
		*(bool *)((char *)ret + f->has_offset) = good;
	return good || json == NULL;
}

void object_read(const struct object_type *o, const json_t *json, void *ret)
{
	memset(ret, 0, o->size);
	for (size_t i = 0; i < o->field_count; i++)
		(void)take_member(&o->fields[i], json, ret);
}

static const char *type_name(const struct object_field *f)
{
	switch (f->kind) {
	case OBJECT_BOOL:
		return "true or false";
	case OBJECT_INT:
		return "a whole number";
	case OBJECT_COUNT:
	case OBJECT_SIZE:
	case OBJECT_SECONDS:
	case OBJECT_CPUS:
		return "a number";
	case OBJECT_SUB:
		return "an object";
	case OBJECT_LIST:
	case OBJECT_TEXTS:
	case OBJECT_COUNTS:
	case OBJECT_EITHER:
		return "a list";
	case OBJECT_SCALAR:
		return "text or a number";
	case OBJECT_TIME:
		return "a time";
	case OBJECT_TEXT:
	case OBJECT_RAW:
		break;
	}
	return "text";
}

/* ---- answers ---- */

/* The error's place, as seen from outside of `outer`. */
static int within(const char *outer, struct error *reterr)
{
	char inner[sizeof(reterr->where)];

	memcpy(inner, reterr->where, sizeof(inner));
	error_where(reterr, "%.100s%s%s", outer, inner[0] == '\0' || inner[0] == '[' ? "" : ".", inner);
	return ERR_IO;
}

/* What an answer has in place of what its row says. */
static int misfit(const char *expected, const json_t *json, bool same_type, struct error *reterr)
{
	return error_set(reterr, ERR_IO, "expected %s, found %s", expected,
			 same_type ? "another one" : json_kind_name(json));
}

static int check_object(const struct object_type *o, const json_t *json, struct error *reterr);

static int check_item(const struct object_field *f, const json_t *item, struct error *reterr)
{
	int r = 0;

	if (f->kind == OBJECT_TEXTS && !json_is_string(item))
		return misfit("text", item, false, reterr);
	if (f->kind == OBJECT_COUNTS && (!json_is_integer(item) || json_integer_value(item) < 0))
		return misfit("a whole number from 0 on", item, json_is_number(item), reterr);
	if (f->of != NULL)
		r = check_object(f->of(), item, reterr);
	return r == 0 && f->other != NULL ? check_object(f->other(), item, reterr) : r;
}

static int check_list(const struct object_field *f, const json_t *list, struct error *reterr)
{
	json_t *item;
	char at[32];
	size_t i;

	json_array_foreach(list, i, item)
	{
		if (check_item(f, item, reterr) < 0) {
			snprintf(at, sizeof(at), "[%zu]", i);
			return within(at, reterr);
		}
	}
	return 0;
}

static int check_value(const struct object_field *f, const json_t *json, struct error *reterr)
{
	bool number = f->kind == OBJECT_COUNT || f->kind == OBJECT_SIZE || f->kind == OBJECT_SECONDS ||
		      f->kind == OBJECT_CPUS;

	if (!fits(f, json)) {
		if (number)
			return misfit(f->kind == OBJECT_COUNT || f->kind == OBJECT_SIZE
					  ? "a whole number from 0 on"
					  : "a number from 0 on",
				      json, json_is_number(json), reterr);
		return misfit(type_name(f), json, f->kind == OBJECT_TIME && json_is_string(json), reterr);
	}
	if (f->kind == OBJECT_SUB)
		return check_object(f->of(), json, reterr);
	return f->kind != OBJECT_RAW && json_is_array(json) ? check_list(f, json, reterr) : 0;
}

static int check_object(const struct object_type *o, const json_t *json, struct error *reterr)
{
	const char *name;
	json_t *value;

	if (!json_is_object(json))
		return misfit("an object", json, false, reterr);
	json_object_foreach((json_t *)json, name, value)
	{
		const struct object_field *f = object_field_of(o, name);

		if (f != NULL && !json_is_null(value) && check_value(f, value, reterr) < 0)
			return within(name, reterr);
	}
	return 0;
}

int object_read_answer(const struct object_type *o, const json_t *json, const char *asked, void *ret,
		       struct error *reterr)
{
	struct error e = {0};

	if (check_object(o, json, &e) == 0) {
		object_read(o, json, ret);
		return 0;
	}
	error_set(reterr, e.code, "%s", e.what);
	error_where(reterr, "%.100s%s%.150s", e.where, asked != NULL && e.where[0] != '\0' ? " of " : "",
		    asked != NULL ? asked : "");
	return e.code;
}

/* ---- requests ---- */

static int refuse_unknown(const struct object_type *o, const char *name, struct error *reterr)
{
	struct buf known = {0};

	for (size_t i = 0; i < o->field_count; i++)
		buf_printf(&known, "%s%s", i > 0 ? ", " : "", o->fields[i].name);
	error_set(reterr, ERR_INVALID, "there is no such member; expected %s", buf_text(&known));
	buf_fini(&known);
	return error_where(reterr, "%.100s", name);
}

static int check_text(const struct object_field *f, struct bytes text, struct error *reterr)
{
	if (text.size >= f->min && text.size <= f->max)
		return 0;
	return error_set(reterr, ERR_INVALID, "expected a text of %s%llu bytes",
			 f->min > 0 ? "1 to " : "at most ", (unsigned long long)f->max);
}

static int check_number(const struct object_field *f, const json_t *json, struct error *reterr)
{
	double value = json_is_number(json) ? json_number_value(json) : -1;
	bool whole = f->kind == OBJECT_COUNT || f->kind == OBJECT_SIZE;

	if (value < 0 || value > (double)f->max)
		return error_set(reterr, ERR_INVALID, "expected a number from 0 to %llu, found %s",
				 (unsigned long long)f->max,
				 json_is_number(json) ? "another one" : json_kind_name(json));
	if (whole && (double)(uint64_t)value < value)
		return error_set(reterr, ERR_INVALID, "expected a whole number");
	return 0;
}

static int check_member(const struct object_field *f, const json_t *json, bool good, const void *at,
			struct error *reterr)
{
	bool number = f->kind == OBJECT_COUNT || f->kind == OBJECT_SIZE || f->kind == OBJECT_SECONDS ||
		      f->kind == OBJECT_CPUS;

	if (json != NULL && number && f->max > 0)
		return check_number(f, json, reterr);
	if (!good)
		return error_set(reterr, ERR_INVALID, "expected %s, found %s", type_name(f),
				 json_kind_name(json));
	if (f->kind == OBJECT_TEXT && f->max > 0)
		return check_text(f, *(const struct bytes *)at, reterr);
	return 0;
}

int object_read_request(const struct object_type *o, const json_t *json, void *ret, struct error *reterr)
{
	const char *name;
	json_t *value;

	memset(ret, 0, o->size);
	json_object_foreach((json_t *)json, name, value)
	{
		if (object_field_of(o, name) == NULL)
			return refuse_unknown(o, name, reterr);
	}
	for (size_t i = 0; i < o->field_count; i++) {
		const struct object_field *f = &o->fields[i];
		bool good = take_member(f, json, ret);

		if (check_member(f, json_object_get(json, f->name), good, (char *)ret + f->offset, reterr) <
		    0)
			return error_where(reterr, "%s", f->name);
	}
	return 0;
}
