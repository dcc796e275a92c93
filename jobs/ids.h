/* How ids are written and read, by people, in URLs, file names, messages and the environment. Pure.
 *
 *   uuid     00112233445566778899aabbccddeeff: a worker, a cluster, an event; 32 lower-case hex digits
 *   token    1-17: a lease, epoch-lease
 *   attempt  1-17-5: of a shard, epoch-lease-shard (SHARDMILL_ATTEMPT_ID)
 *   job      7: from 1 on, at most what JSON readers hold in 64 bits with a sign
 *
 * A parser takes the whole text, reads back what the formatter wrote, and refuses in words all else. Ids of
 * random bytes are hex digits, too (base/text.h). */
#pragma once

#include "jobs/schema.h"

#define UUID_TEXT_BYTES 33 /* with the NUL, as all of these */
#define TOKEN_TEXT_BYTES 32
#define ATTEMPT_ID_BYTES 48
#define JOB_ID_MAX ((uint64_t)INT64_MAX)

void uuid_text(const struct uuid *u, char ret[UUID_TEXT_BYTES]);
/* Of an id that is kept as two halves: a cluster's, an event's. */
void uuid_halves_text(uint64_t hi, uint64_t lo, char ret[UUID_TEXT_BYTES]);
int uuid_parse(struct bytes text, struct uuid *ret, struct error *reterr) MUST_CHECK;

void token_text(struct token token, char ret[TOKEN_TEXT_BYTES]);
void attempt_id_text(struct token token, uint32_t shard, char ret[ATTEMPT_ID_BYTES]);
int attempt_id_parse(const char *text, struct token *ret, uint32_t *shard_ret,
		     struct error *reterr) MUST_CHECK;

int job_id_parse(const char *text, uint64_t *ret, struct error *reterr) MUST_CHECK;
