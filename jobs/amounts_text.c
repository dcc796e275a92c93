#include "jobs/amounts_text.h"

#include <string.h>

#include "base/limits.h"
#include "base/units.h"

bool is_name(struct bytes text)
{
	for (size_t i = 0; i < text.size; i++) {
		uint8_t c = text.data[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (!letter && (i == 0 || memchr("._-", c, 3) == NULL))
			return false;
	}
	return text.size > 0 && text.size <= NAME_BYTES_MAX;
}

static int compare(struct bytes a, struct bytes b)
{
	int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);

	return order != 0 ? order : a.size < b.size ? -1 : a.size > b.size;
}

/* "license=4": false when it is not that. */
static bool parse_one(struct bytes part, struct named_amount *ret)
{
	const uint8_t *equals = memchr(part.data, '=', part.size);
	size_t size = equals != NULL ? (size_t)(equals - part.data) : 0;
	uint32_t milli;

	if (equals == NULL || !is_name(BYTES(part.data, size)) ||
	    units_parse_cpus(BYTES(equals + 1, part.size - size - 1), &milli, NULL) < 0 || milli == 0)
		return false;
	*ret = (struct named_amount){BYTES(part.data, size), milli};
	return true;
}

void amounts_format_named(const struct named_amount_list *named, struct buf *out)
{
	for (uint32_t i = 0; i < named->count; i++) {
		const struct named_amount *n = &named->items[i];
		char amount[UNITS_TEXT_MAX];

		buf_printf(out, "%s%.*s=%s", i > 0 ? "," : "", (int)n->name.size, (const char *)n->name.data,
			   units_format_cpus((uint32_t)n->amount, amount, sizeof(amount)));
	}
}

static int refuse(const char *text, struct error *reterr)
{
	error_set(reterr, ERR_INVALID,
		  "expected names with amounts, each once, as license=4,scratch=2, found `%.200s`", text);
	return ERR_INVALID;
}

int amounts_parse_named(const char *text, struct named_amount_list *ret, struct error *reterr)
{
	struct named_amount *items = ret->items;
	uint32_t count = 0;

	for (const char *at = text; *text != '\0'; at++) {
		size_t size = strcspn(at, ",");
		struct named_amount one;
		uint32_t place;

		if (count == NAMED_RESOURCES_MAX)
			return error_set(reterr, ERR_LIMIT, "more than %d named resources",
					 NAMED_RESOURCES_MAX);
		if (!parse_one(BYTES(at, size), &one))
			return refuse(text, reterr);
		for (place = count; place > 0 && compare(items[place - 1].name, one.name) > 0; place--)
			items[place] = items[place - 1];
		if (place > 0 && bytes_equal(items[place - 1].name, one.name))
			return refuse(text, reterr);
		items[place] = one;
		count++;
		at += size;
		if (*at == '\0')
			break;
	}
	ret->count = count;
	return 0;
}
