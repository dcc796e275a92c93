/* Open windows: events of a rule that wait until there are enough of them, or for long enough (batch,
 * debounce, join). Durable rows, carried forward like jobs; the job is made when one closes. This build keeps
 * them and opens none. Pure.
 *
 * A row whose front was trimmed from the journal is only noted until all of it has come again. */
#pragma once

#include "dispatcher/core/durable/state.h"

struct window_event {
	uint64_t hi, lo; /* its row in history */
	struct blob part;
};

struct window_row {
	DURABLE struct blob name; /* key_hi, key_lo, rule: what it is found by */
	DURABLE uint8_t kind;	  /* enum window_kind */
	DURABLE bool noted;	  /* replay: a record named it before it was known */
	DURABLE usec_t opened_wall_us, due_wall_us;
	DURABLE uint32_t tries;
	DURABLE uint32_t count, capacity;
	DURABLE struct window_event *DURABLE events;
	DURABLE uint64_t lsn;	   /* of its newest full copy: the table is in this order */
	DURABLE UT_hash_handle hh; /* d->windows */
};

/* At the end of a replay: ERR_CORRUPT when one is only noted. */
int windows_check_known(const struct durable *d, struct error *reterr) MUST_CHECK;
/* All of it, as a record, in the arena. */
void window_record(const struct window_row *w, struct window *ret, struct arena *arena);
void windows_check(const struct durable *d);
uint64_t windows_digest(const struct durable *d);
