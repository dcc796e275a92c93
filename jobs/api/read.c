#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "jobs/api/objects.h"
#include "jobs/json.h"

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

	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%10lf%c", &year, &month, &day, &hour, &minute, &second,
		   &zone) != 7 ||
	    zone != 'Z')
		return 0;
	return ((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60 * USEC_PER_SEC +
	       (usec_t)(second * USEC_PER_SEC + 0.5);
}

static uint64_t scaled(const json_t *json, double unit)
{
	double value = json_number_value(json) * unit;

	return value > 0 && value < 9.2e18 ? (uint64_t)(value + 0.5) : 0;
}

/* False: it is of another type. */
static bool take(const struct object_field *f, json_t *json, void *at)
{
	switch (f->kind) {
	case OBJECT_BOOL:
		*(bool *)at = json_is_true(json);
		return json_is_boolean(json);
	case OBJECT_COUNT:
	case OBJECT_SIZE:
		*(uint64_t *)at = json_is_integer(json) && json_integer_value(json) > 0
				      ? (uint64_t)json_integer_value(json)
				      : scaled(json, 1);
		return json_is_number(json);
	case OBJECT_INT:
		*(int64_t *)at = json_integer_value(json);
		return json_is_integer(json);
	case OBJECT_SECONDS:
		*(uint64_t *)at = scaled(json, USEC_PER_SEC);
		return json_is_number(json);
	case OBJECT_CPUS:
		*(uint64_t *)at = scaled(json, 1000);
		return json_is_number(json);
	case OBJECT_TIME:
		*(usec_t *)at = json_is_string(json) ? time_of(json_string_value(json)) : 0;
		return json_is_string(json);
	case OBJECT_TEXT:
		*(struct bytes *)at = json_bytes(json);
		return json_is_string(json);
	case OBJECT_SUB:
		object_read(f->of(), json, at);
		return json_is_object(json);
	case OBJECT_LIST:
	case OBJECT_TEXTS:
	case OBJECT_COUNTS:
		*(json_t **)at = json_is_array(json) ? json : NULL;
		return json_is_array(json);
	case OBJECT_RAW:
		break;
	}
	*(json_t **)at = json;
	return true;
}

static bool take_member(const struct object_field *f, const json_t *object, void *ret)
{
	json_t *json = json_object_get(object, f->name);
	bool good = json != NULL && take(f, json, (char *)ret + f->offset);

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
		return "a list";
	case OBJECT_TIME:
	case OBJECT_TEXT:
	case OBJECT_RAW:
		break;
	}
	return "text";
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
