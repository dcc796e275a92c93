/* The profits of a set of scenarios: a histogram of whole cents that can be added up. Pure.
 *
 * Everything in a tally is an integer, so adding is exact: any cut of the scenarios into shards, merged in
 * any order, gives the same bytes. A tally says which scenarios it has seen: one that comes twice is
 * refused, one that is missing is told. And it says of what: tallies of other prices, positions or
 * parameters do not mix. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "jobs/library/finance/model.h"

#define TALLY_BINS 16384u	     /* half of them losses */
#define TALLY_CELLS (TALLY_BINS + 2) /* 0: worse than all bins; the last one: better */
#define TALLY_RANGES_MAX 1000000u

/* What all tallies of one calculation have in common. */
struct tally_key {
	uint64_t fingerprint; /* model.h */
	uint64_t seed;
	uint32_t horizon_days, decay_ppm, asset_count, draw_count;
	int64_t total_cents, gross_cents;
	uint64_t bin_cents; /* width: the bins reach from -gross to gross, and somewhat farther */
	char from[DATE_SIZE], until[DATE_SIZE];
};

struct tally_cell {
	uint64_t count;
	uint64_t rest_cents; /* sum of profits above the cell's floor; of cell 0: below the next floor */
};

struct scenario_range {
	uint64_t first, count;
};

struct tally {
	struct tally_key key;
	bool has_key;
	uint64_t scenario_count;
	int64_t worst_cents, best_cents; /* when there are scenarios */
	bool overflow;			 /* of a sum: what follows is not to be trusted */
	struct scenario_range *ranges;	 /* seen; sorted, apart from one another */
	uint32_t range_count, range_capacity;
	uint64_t
	    filled[TALLY_CELLS / 64 + 1]; /* a bit for each cell that is not empty: few, of a short shard */
	struct tally_cell cells[TALLY_CELLS];
};

struct tally *tally_create(void);
void tally_destroy(struct tally *t);
/* As new, and with the key of a model. */
void tally_begin(struct tally *t, const struct tally_key *key);
void tally_key_of(const struct model *m, struct tally_key *ret);
/* Adds a scenario's profit. The scenarios themselves are named by tally_add_range. */
void tally_add(struct tally *t, int64_t cents);
/* ERR_EXISTS names a scenario that is there already; ERR_LIMIT when there are too many holes. */
int tally_add_range(struct tally *t, struct scenario_range r, struct error *reterr) MUST_CHECK;
/* Simulates and adds scenarios first to first + count - 1. */
int tally_run(struct tally *t, struct model *m, struct scenario_range r, struct error *reterr) MUST_CHECK;
/* from is added to t, which takes its key when it has none. ERR_INVALID when they are of different
 * calculations. After an error t is not to be used. */
int tally_merge(struct tally *t, const struct tally *from, struct error *reterr) MUST_CHECK;
/* t takes the key, or has the same. */
int tally_expect(struct tally *t, const struct tally_key *key, struct error *reterr) MUST_CHECK;

/* The least profit that falls into a cell; for cell 0, the least of the next. */
int64_t tally_floor(const struct tally *t, uint32_t cell);
uint32_t tally_cell_of(const struct tally *t, int64_t cents);
/* A cell to be counted in. */
static inline struct tally_cell *tally_fill(struct tally *t, uint32_t cell)
{
	t->filled[cell / 64] |= (uint64_t)1 << cell % 64;
	return &t->cells[cell];
}
/* The first cell from `from` on that is not empty; TALLY_CELLS when there is none. */
static inline uint32_t tally_next(const struct tally *t, uint32_t from)
{
	uint64_t word = t->filled[from / 64] >> from % 64;

	if (word != 0)
		return from + (uint32_t)__builtin_ctzll(word);
	for (uint32_t i = from / 64 + 1; i < sizeof t->filled / sizeof t->filled[0]; i++)
		if (t->filled[i] != 0)
			return i * 64 + (uint32_t)__builtin_ctzll(t->filled[i]);
	return TALLY_CELLS;
}

/* The compact form (tally_code.c): what shards print. All numbers are varints (7 bits a byte, least
 * first, the high bit says that more follow); signed ones are zigzag.
 *
 *   "FVT1"  size of what follows
 *   size of the key; fingerprint, seed, horizon, decay, assets, draws, total±, gross±, bin,
 *                    from, until (10 bytes each)
 *   scenarios; worst±, best± when that is not 0
 *   ranges; for each: first less the end of the one before, count
 *   cells that are not empty; for each: number less that of the one before, count, rest
 *
 * Several may follow one another, as gather gets them. */
void tally_encode(const struct tally *t, struct buf *out);
/* Adds the first tally of in to t. *ret_used: its bytes. ERR_CORRUPT: cut short, or not a tally. */
int tally_decode_into(struct tally *t, struct bytes in, size_t *ret_used, struct error *reterr) MUST_CHECK;
/* Bytes of the tally in compact form that in begins with; 0: not whole. What is no tally at all has a size
 * that is not 0, so that tally_decode_into may tell. */
size_t tally_size(struct bytes in);
/* Do its numbers agree with each other? For what came from outside. */
int tally_check(const struct tally *t, struct error *reterr) MUST_CHECK;
