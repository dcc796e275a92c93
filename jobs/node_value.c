#include "jobs/node.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"

const struct node *node_get(const struct node *map, const char *key)
{
	if (map == NULL || map->kind != NODE_MAP)
		return NULL;
	for (const struct node *n = map->children; n != NULL; n = n->next)
		if (bytes_equal(n->key, bytes_of(key)))
			return n;
	return NULL;
}

const char *node_found(const struct node *n, char *buf, size_t size)
{
	if (n->kind == NODE_LIST)
		snprintf(buf, size, "a list");
	else if (n->kind == NODE_MAP)
		snprintf(buf, size, "a map");
	else if (!n->quoted && n->text.size == 0)
		snprintf(buf, size, "nothing");
	else
		text_quote(buf, size, n->text);
	return buf;
}

static bool is_one_of(struct bytes text, const char *const words[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (bytes_equal(text, bytes_of(words[i])))
			return true;
	return false;
}

static size_t count_digits(struct bytes text, size_t at)
{
	size_t n = 0;

	while (at + n < text.size && text.data[at + n] >= '0' && text.data[at + n] <= '9')
		n++;
	return n;
}

/* [-+]? digits, and *real_ret: with a fraction or an exponent. */
static bool is_number(struct bytes text, bool *real_ret)
{
	size_t at = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+');
	size_t whole = count_digits(text, at), fraction = 0;

	*real_ret = false;
	at += whole;
	if (at < text.size && text.data[at] == '.') {
		fraction = count_digits(text, at + 1);
		at += 1 + fraction;
		*real_ret = true;
	}
	if (whole + fraction == 0)
		return false;
	if (at < text.size && (text.data[at] == 'e' || text.data[at] == 'E')) {
		size_t digits;

		at++;
		at += at < text.size && (text.data[at] == '-' || text.data[at] == '+');
		digits = count_digits(text, at);
		if (digits == 0)
			return false;
		at += digits;
		*real_ret = true;
	}
	return at == text.size;
}

/* Digits without leading zeros. INT64_MIN is not read: nobody means it. */
static bool fits_int64(const char *digits)
{
	static const char most[] = "9223372036854775807";
	size_t size = strlen(digits), most_size = sizeof most - 1;

	return size < most_size || (size == most_size && strcmp(digits, most) <= 0);
}

static json_t *number_to_json(const struct node *n, bool real, struct problems *problems)
{
	const char *text = (const char *)n->text.data;
	size_t sign = text[0] == '-' || text[0] == '+';
	char quoted[60];

	text_quote(quoted, sizeof quoted, n->text);
	if (text[sign] == '0' && text[sign + 1] >= '0' && text[sign + 1] <= '9') {
		(void)problems_add(problems, n->at, ERR_INVALID, "put it in quotes if it is text",
				   "the number %s begins with a zero that would be lost", quoted);
		return NULL;
	}
	if (real) {
		double value = strtod(text, NULL);

		if (value <= DBL_MAX && value >= -DBL_MAX)
			return json_real(value);
	} else if (fits_int64(text + sign)) {
		return json_integer(strtoll(text, NULL, 10));
	}
	(void)problems_add(problems, n->at, ERR_LIMIT, "put it in quotes if it is text",
			   "the number %s does not fit into 64 bits", quoted);
	return NULL;
}

static json_t *scalar_to_json(const struct node *n, struct problems *problems)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
	static const char *const trues[] = {"true", "True", "TRUE"};
	static const char *const falses[] = {"false", "False", "FALSE"};
	bool real;

	if (!n->quoted) {
		if (is_one_of(n->text, nulls, ARRAY_LENGTH(nulls)))
			return json_null();
		if (is_one_of(n->text, trues, ARRAY_LENGTH(trues)))
			return json_true();
		if (is_one_of(n->text, falses, ARRAY_LENGTH(falses)))
			return json_false();
		if (is_number(n->text, &real))
			return number_to_json(n, real, problems);
	}
	return json_stringn((const char *)n->text.data, n->text.size);
}

json_t *node_to_json(const struct node *n, struct problems *problems)
{
	json_t *value;

	if (n->kind == NODE_SCALAR)
		return scalar_to_json(n, problems);
	value = n->kind == NODE_LIST ? json_array() : json_object();
	for (const struct node *child = n->children; child != NULL; child = child->next) {
		json_t *item = node_to_json(child, problems);
		int rc;

		if (item != NULL && n->kind == NODE_LIST)
			rc = json_array_append_new(value, item);
		else if (item != NULL)
			rc = json_object_set_new(value, (const char *)child->key.data, item);
		else
			rc = -1;
		if (rc != 0) {
			json_decref(value);
			return NULL;
		}
	}
	return value;
}
