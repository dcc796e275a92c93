#include "jobs/plan_kind.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"

/* A template's scope has a bit for each kind (TEMPLATE_PLAN). */
#define PLAN_KIND(NAME, name, number, doc)                                                                   \
	extern const struct plan_row plan_row_##name;                                                        \
	_Static_assert((number) > 0 && (number) < 24, "a plan kind's number is from 1 to 23");
#include "jobs/plans/plans.def"
#undef PLAN_KIND

static const struct plan_row *const rows[] = {
#define PLAN_KIND(NAME, name, number, doc) &plan_row_##name,
#include "jobs/plans/plans.def"
#undef PLAN_KIND
};

static const struct plan_row unknown = {.input = PLAN_INPUT_NONE, .column = "SHARD"};

const struct plan_row *plan_row_at(size_t i)
{
	return i < ARRAY_LENGTH(rows) ? rows[i] : NULL;
}

const struct plan_row *plan_row(uint32_t kind)
{
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		if (rows[i]->kind == kind)
			return rows[i];
	return &unknown;
}

static struct plan_fact *add(struct plan_facts *f, const char *name, enum plan_fact_form form)
{
	CHECK(f->count < PLAN_FACTS_MAX);
	f->items[f->count] = (struct plan_fact){.name = name, .form = form};
	return &f->items[f->count++];
}

void fact_number(struct plan_facts *f, const char *name, int64_t value)
{
	add(f, name, FACT_NUMBER)->number = value;
}

void fact_size(struct plan_facts *f, const char *name, uint64_t value)
{
	add(f, name, FACT_SIZE)->size = value;
}

void fact_text(struct plan_facts *f, const char *name, struct bytes text)
{
	add(f, name, FACT_TEXT)->text = text;
}

static struct bytes keep(struct plan_facts *f, const char *fmt, va_list args)
{
	char *text = f->room + f->used;
	size_t left = sizeof f->room - f->used;
	int size = vsnprintf(text, left, fmt, args);

	CHECK(size >= 0 && (size_t)size < left);
	f->used += (size_t)size + 1;
	return BYTES(text, (size_t)size);
}

const char *facts_keep(struct plan_facts *f, const char *fmt, ...)
{
	struct bytes kept;
	va_list args;

	va_start(args, fmt);
	kept = keep(f, fmt, args);
	va_end(args);
	return (const char *)kept.data;
}

void fact_printf(struct plan_facts *f, const char *name, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fact_text(f, name, keep(f, fmt, args));
	va_end(args);
}

struct bytes fact_as_text(const struct plan_fact *fact, char digits[PLAN_FACT_DIGITS])
{
	if (fact->form == FACT_TEXT)
		return fact->text;
	if (fact->form == FACT_NUMBER)
		return BYTES(digits,
			     (size_t)snprintf(digits, PLAN_FACT_DIGITS, "%lld", (long long)fact->number));
	return BYTES(digits,
		     (size_t)snprintf(digits, PLAN_FACT_DIGITS, "%llu", (unsigned long long)fact->size));
}

const struct plan_fact *facts_find(const struct plan_facts *f, struct bytes name)
{
	for (uint32_t i = 0; i < f->count; i++)
		if (bytes_equal(bytes_of(f->items[i].name), name))
			return &f->items[i];
	return NULL;
}
