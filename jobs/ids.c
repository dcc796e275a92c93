#include "jobs/ids.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "base/units.h"

#define HALF_DIGITS 16

static int refuse(const char *expected, struct bytes found, struct error *reterr)
{
	char quoted[80];

	return error_set(reterr, ERR_INVALID, "expected %s, found %s", expected,
			 text_quote(quoted, sizeof quoted, found));
}

void uuid_halves_text(uint64_t hi, uint64_t lo, char ret[UUID_TEXT_BYTES])
{
	snprintf(ret, UUID_TEXT_BYTES, "%016" PRIx64 "%016" PRIx64, hi, lo);
}

void uuid_text(const struct uuid *u, char ret[UUID_TEXT_BYTES])
{
	uuid_halves_text(u->hi, u->lo, ret);
}

int uuid_parse(struct bytes text, struct uuid *ret, struct error *reterr)
{
	uint64_t half[2] = {0, 0};
	bool good = text.size == 2 * HALF_DIGITS;

	for (size_t i = 0; good && i < text.size; i++) {
		int digit = text_hex_digit(text.data[i]);

		good = digit >= 0 && !(text.data[i] >= 'A' && text.data[i] <= 'F');
		if (good)
			half[i / HALF_DIGITS] = half[i / HALF_DIGITS] << 4 | (uint64_t)digit;
	}
	if (!good)
		return refuse("an id of 32 hex digits (0-9, a-f)", text, reterr);
	*ret = (struct uuid){half[0], half[1]};
	return 0;
}

void token_text(struct token token, char ret[TOKEN_TEXT_BYTES])
{
	snprintf(ret, TOKEN_TEXT_BYTES, "%" PRIu32 "-%" PRIu64, token.epoch, token.lease);
}

void attempt_id_text(struct token token, uint32_t shard, char ret[ATTEMPT_ID_BYTES])
{
	snprintf(ret, ATTEMPT_ID_BYTES, "%" PRIu32 "-%" PRIu64 "-%" PRIu32, token.epoch, token.lease, shard);
}

int attempt_id_parse(const char *text, struct token *ret, uint32_t *shard_ret, struct error *reterr)
{
	const char *at = text;
	uint64_t epoch, lease, shard;

	if (!units_take_number(&at, UINT32_MAX, &epoch) || *at++ != '-' ||
	    !units_take_number(&at, UINT64_MAX, &lease) || *at++ != '-' ||
	    !units_take_number(&at, UINT32_MAX, &shard) || *at != '\0')
		return refuse("an attempt as SHARDMILL_ATTEMPT_ID says it, epoch-lease-shard", bytes_of(text),
			      reterr);
	*ret = (struct token){.epoch = (uint32_t)epoch, .lease = lease};
	*shard_ret = (uint32_t)shard;
	return 0;
}

int job_id_parse(const char *text, uint64_t *ret, struct error *reterr)
{
	return units_parse_number(text, 1, JOB_ID_MAX, ret, reterr);
}
