#include "jobs/library/finance/csv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

void csv_init(struct csv *c, const char *name, struct bytes text)
{
	static const struct bytes bom = BYTES_LIT("\xef\xbb\xbf"); /* spreadsheets write it */

	*c = (struct csv){.name = name, .text = text};
	if (text.size >= bom.size && memcmp(text.data, bom.data, bom.size) == 0)
		c->at = bom.size;
}

int csv_where(const struct csv *c, struct error *reterr)
{
	return error_where(reterr, "%s:%u", c->name, c->line);
}

const char *csv_quote(struct bytes field, char ret[48])
{
	text_quote(ret, 48, field);
	return ret;
}

static struct bytes trimmed(const uint8_t *from, const uint8_t *end)
{
	while (from < end && (*from == ' ' || *from == '\t'))
		from++;
	while (end > from && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		end--;
	return BYTES(from, (size_t)(end - from));
}

static int split(struct csv *c, const uint8_t *from, const uint8_t *end, struct error *reterr)
{
	c->field_count = 0;
	if (memchr(from, '"', (size_t)(end - from)) != NULL) {
		error_set(reterr, ERR_INVALID, "expected plain fields, found a quote");
		error_help(reterr, "write the file without quotes; names of assets have no commas");
		(void)csv_where(c, reterr);
		return ERR_INVALID;
	}
	for (;;) {
		const uint8_t *comma = memchr(from, ',', (size_t)(end - from));

		if (c->field_count == CSV_FIELDS_MAX) {
			error_set(reterr, ERR_LIMIT, "more than %u fields", CSV_FIELDS_MAX);
			(void)csv_where(c, reterr);
			return ERR_LIMIT;
		}
		c->fields[c->field_count++] = trimmed(from, comma != NULL ? comma : end);
		if (comma == NULL)
			return 1;
		from = comma + 1;
	}
}

int csv_next(struct csv *c, struct error *reterr)
{
	while (c->at < c->text.size) {
		const uint8_t *from = c->text.data + c->at, *end;
		size_t left = c->text.size - c->at;

		end = memchr(from, '\n', left);
		c->at += end != NULL ? (size_t)(end - from) + 1 : left;
		end = end != NULL ? end : from + left;
		c->line++;
		if (trimmed(from, end).size > 0 && *from != '#')
			return split(c, from, end, reterr);
	}
	return 0;
}

bool csv_number(struct bytes field, double *ret)
{
	char text[64], *end;
	double value;

	if (field.size == 0 || field.size >= sizeof text)
		return false;
	memcpy(text, field.data, field.size);
	text[field.size] = '\0';
	/* strtod also takes hexadecimal, nan and inf. */
	if (strspn(text, "+-.eE0123456789") != field.size)
		return false;
	value = strtod(text, &end);
	if (*end != '\0' || !isfinite(value))
		return false;
	*ret = value;
	return true;
}
