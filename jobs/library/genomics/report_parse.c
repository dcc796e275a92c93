#include <jansson.h>
#include <string.h>

#include "jobs/library/genomics/report.h"

static int wrong(struct error *reterr, const char *key, const char *expected)
{
	return error_set(reterr, ERR_INVALID, "\"%s\": expected %s", key, expected);
}

static int get_count(const json_t *object, const char *key, uint64_t max, uint64_t *ret, struct error *reterr)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    (uint64_t)json_integer_value(value) > max)
		return wrong(reterr, key, "a whole number within its bounds");
	*ret = (uint64_t)json_integer_value(value);
	return 0;
}

/* A row into zeroed counts. */
static int get_row(const json_t *row, const char *key, uint64_t *counts, size_t count, struct error *reterr)
{
	size_t index = 0;

	if (!json_is_array(row))
		return wrong(reterr, key, "a row: [first index, counts…]");
	for (size_t i = 0; i < json_array_size(row); i++) {
		const json_t *element = json_array_get(row, i);
		json_int_t value = json_integer_value(element);

		if (!json_is_integer(element) || value > (json_int_t)COUNT_MAX ||
		    value < -(json_int_t)count || (i == 0 && value < 0))
			return wrong(reterr, key, "whole numbers within their bounds in a row");
		if (i == 0)
			index = (size_t)value;
		else if (value < 0)
			index += (size_t)-value;
		else if (index < count)
			counts[index++] = (uint64_t)value;
		else
			index++;
		if (index > count)
			return wrong(reterr, key, "a row that ends within its bounds");
	}
	return 0;
}

static int get_row_field(const json_t *object, const char *key, uint64_t *counts, size_t count,
			 struct error *reterr)
{
	return get_row(json_object_get(object, key), key, counts, count, reterr);
}

static int get_positions(const json_t *root, struct stats *s, struct error *reterr)
{
	const json_t *quality = json_object_get(root, "quality");
	const json_t *composition = json_object_get(root, "composition");
	uint32_t bins = position_bins_of(s->length_max);
	int code = 0;

	if (!json_is_array(quality) || json_array_size(quality) != bins)
		return wrong(reterr, "quality", "a row for each position up to the longest read");
	if (!json_is_array(composition) || json_array_size(composition) != bins)
		return wrong(reterr, "composition", "five counts for each position up to the longest read");
	for (uint32_t bin = 0; bin < bins && code == 0; bin++) {
		const json_t *bases = json_array_get(composition, bin);

		code = get_row(json_array_get(quality, bin), "quality", s->quality[bin], QUALITIES, reterr);
		if (!json_is_array(bases) || json_array_size(bases) != BASE_CODES)
			return wrong(reterr, "composition", "[A, C, G, T, N] for each position");
		for (uint32_t i = 0; i < BASE_CODES; i++) {
			json_int_t value = json_integer_value(json_array_get(bases, i));

			if (!json_is_integer(json_array_get(bases, i)) || value < 0 ||
			    value > (json_int_t)COUNT_MAX)
				return wrong(reterr, "composition", "whole numbers");
			s->base[bin][i] = (uint64_t)value;
		}
	}
	return code;
}

/* Only as report_json writes it: lower-case hexadecimal without leading zeros. Otherwise one hash
 * could have two names. */
static bool parse_hash(const char *text, uint64_t *ret)
{
	uint64_t hash = 0;
	size_t digits = strlen(text);

	if (digits == 0 || digits > 16 || (text[0] == '0' && digits > 1))
		return false;
	for (; *text != '\0'; text++) {
		const char *hex = "0123456789abcdef";
		const char *digit = strchr(hex, *text);

		if (digit == NULL)
			return false;
		hash = (hash << 4) | (uint64_t)(digit - hex);
	}
	*ret = hash;
	return true;
}

static int get_sample(const json_t *root, struct sample *sample, struct error *reterr)
{
	json_t *object = json_object_get(root, "sample");
	json_t *sequences = json_object_get(object, "sequences"), *count;
	const char *key;
	uint64_t level = 0, hash = 0;
	int code = get_count(object, "level", SAMPLE_LEVEL_MAX, &level, reterr);

	if (code < 0)
		return code;
	if (!json_is_object(sequences) || json_object_size(sequences) > SAMPLE_MAX)
		return wrong(reterr, "sequences", "an object of at most 2048 sampled hashes");
	sample_raise(sample, (uint32_t)level);
	json_object_foreach(sequences, key, count)
	{
		json_int_t value = json_integer_value(count);

		if (!parse_hash(key, &hash) || !sample_keeps((uint32_t)level, hash))
			return wrong(reterr, "sequences", "hashes that belong to a sample of this level");
		if (!json_is_integer(count) || value < 1 || value > (json_int_t)COUNT_MAX)
			return wrong(reterr, "sequences", "counts above 0");
		sample_add(sample, hash, (uint64_t)value);
	}
	return 0;
}

static int parse_root(const json_t *root, struct stats *s, struct error *reterr)
{
	const char *name = json_string_value(json_object_get(root, "report"));
	const json_t *format = json_object_get(root, "format");
	const json_t *adapters = json_object_get(root, "adapters");
	uint64_t length_min = 0, length_max = 0;
	int code;

	if (name == NULL || strcmp(name, REPORT_NAME) != 0)
		return wrong(reterr, "report", "\"" REPORT_NAME "\"");
	if (!json_is_integer(format) || json_integer_value(format) != REPORT_FORMAT)
		return error_set(reterr, ERR_VERSION, "expected a report of format %d, found %lld",
				 REPORT_FORMAT, (long long)json_integer_value(format));
	if ((code = get_count(root, "reads", COUNT_MAX, &s->reads, reterr)) < 0 ||
	    (code = get_count(root, "bases", COUNT_MAX, &s->bases, reterr)) < 0 ||
	    (code = get_count(root, "length_min", READ_LENGTH_MAX - 1, &length_min, reterr)) < 0 ||
	    (code = get_count(root, "length_max", READ_LENGTH_MAX - 1, &length_max, reterr)) < 0)
		return code;
	s->length_min = (uint32_t)length_min;
	s->length_max = (uint32_t)length_max;
	if ((code = get_row_field(root, "lengths", s->lengths, ARRAY_LENGTH(s->lengths), reterr)) < 0 ||
	    (code = get_row_field(root, "mean_quality", s->mean_quality, QUALITIES, reterr)) < 0 ||
	    (code = get_row_field(root, "gc", s->gc, ARRAY_LENGTH(s->gc), reterr)) < 0 ||
	    (code = get_positions(root, s, reterr)) < 0)
		return code;
	for (int id = 0; id < ADAPTER_COUNT && code == 0; id++)
		code = get_row_field(adapters, adapter_table[id].key, s->adapter[id], POSITION_BINS, reterr);
	if (code == 0)
		code = get_sample(root, &s->sample, reterr);
	return code;
}

int report_parse(struct bytes line, struct stats *ret_stats, struct error *reterr)
{
	json_error_t where;
	json_t *root = json_loadb((const char *)line.data, line.size, JSON_REJECT_DUPLICATES, &where);
	int code;

	stats_clear(ret_stats);
	if (root == NULL)
		return error_set(reterr, ERR_INVALID, "this is not JSON: %s at byte %d", where.text,
				 where.position);
	code = parse_root(root, ret_stats, reterr);
	json_decref(root);
	if (code == 0)
		code = stats_check(ret_stats, reterr);
	return code;
}
