#include "jobs/kinds.h"

#include <stdio.h>
#include <string.h>

struct kind {
	uint8_t number;
	const char *name;
};

static const char *name_of(const struct kind *kinds, size_t count, uint32_t number)
{
	for (size_t i = 0; i < count; i++)
		if (kinds[i].number == number)
			return kinds[i].name;
	return "unknown";
}

static uint8_t number_of(const struct kind *kinds, size_t count, struct bytes name)
{
	for (size_t i = 0; i < count; i++)
		if (bytes_equal(bytes_of(kinds[i].name), name))
			return kinds[i].number;
	return 0;
}

static const char *all_names(const struct kind *kinds, size_t count, char *text, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < count && used < size; i++) {
		const char *joint = i == 0 ? "" : i + 1 == count ? " or " : ", ";

		used += (size_t)snprintf(text + used, size - used, "%s%s", joint, kinds[i].name);
	}
	return text;
}

#define KINDS(e) static const struct kind e##_table[] = {
#define KIND(constant, n, nm, doc) {n, nm},
#define KINDS_END(e)                                                                                         \
	}                                                                                                    \
	;                                                                                                    \
	const char *e##_name(uint32_t kind)                                                                  \
	{                                                                                                    \
		return name_of(e##_table, ARRAY_LENGTH(e##_table), kind);                                    \
	}                                                                                                    \
	uint8_t e##_of(struct bytes name)                                                                    \
	{                                                                                                    \
		return number_of(e##_table, ARRAY_LENGTH(e##_table), name);                                  \
	}                                                                                                    \
	const char *e##_names(void)                                                                          \
	{                                                                                                    \
		static _Thread_local char text[400];                                                         \
		return all_names(e##_table, ARRAY_LENGTH(e##_table), text, sizeof text);                     \
	}
#include "jobs/kinds.def"
