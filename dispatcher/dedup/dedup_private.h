/* What the files of the part share. */
#pragma once

#include "dispatcher/dedup/dedup.h"
#include "dispatcher/dedup/key_file.h"
#include "dispatcher/dedup/key_list.h"
#include "dispatcher/readers.h"

struct asking;

struct dedup_files {
	struct services *services;
	char *dir;
	struct key_file **files; /* oldest first */
	uint32_t count, room;
	uint64_t changes; /* files that came so far: what was looked up before may not hold any more */
	usec_t sealed_us;
	uint32_t last_number;
	uint64_t bytes_max;
	struct loop_timer timer;
	bool told; /* that it fails */
	/* Buckets up to this one are being sealed. */
	usec_t bucket_us; /* 0 = none */
	usec_t first_us;  /* the first of them */
	struct loop_task copy;
	struct view_sealing copied_at;
	struct key_entry *entries;
	uint32_t entry_count, entry_room;
	bool copied;
	/* works.c: one change of the list at a time. */
	struct reading work;
	enum dedup_work { WORK_NONE, WORK_SEAL, WORK_DROP, WORK_SWAP } working;
	uint32_t number;	  /* of the file that is being made */
	struct key_list list;	  /* to be written */
	struct key_file *made;	  /* by the sealing, in its thread */
	struct key_file *gone[2]; /* to be removed */
	/* Two files become one. */
	struct reading merge;
	struct key_file *from[2]; /* NULL = none; they stay as long as it runs */
	struct key_file *merged;  /* when it is done */
	uint32_t merged_number;
	usec_t forget_before_us; /* for its thread */
	usec_t merge_after_us;	 /* mono: not before, since it failed */
	uint32_t merges_failed;	 /* one after the other */
	/* ask.c */
	const struct asking *answers; /* of the one whose fn is running */
	uint64_t looked_up, found;
};

/* ---- files.c: the set, in memory ---- */

/* The key may be in one of the files. */
bool files_may_have(const struct dedup_files *d, const struct key_mask *mask);
/* It is about to be asked for: what a filter has of it is fetched meanwhile. */
void files_prefetch(const struct dedup_files *d, const struct key_mask *mask);
uint64_t files_bytes(const struct dedup_files *d);
/* *ret: the first of the two neighbours that are to become one: those with the fewest bytes. False: there are
 * few files, or no two neighbours that can be read. */
bool files_to_merge(const struct dedup_files *d, uint32_t *ret);
void files_add(struct dedup_files *d, struct key_file *f);
/* Takes it out; the reference is the caller's. */
void files_take(struct dedup_files *d, const struct key_file *f);
/* The list that would be true with all of them, but `without`, and with `added` behind or, if there is a
 * `without`, in the place of the first of these. */
void files_list(const struct dedup_files *d, struct key_file *const without[2], const struct key_file *added,
		struct key_list *ret);
/* At a start: reads what is there. ERR_CORRUPT: something is lost that was not accepted as such. */
int files_open(struct dedup_files *d, struct error *reterr) MUST_CHECK;

/* ---- works.c ---- */

/* Begins what is due, if nothing is under way. */
void works_go_on(struct dedup_files *d);
/* The readers are closed. */
void works_fini(struct dedup_files *d);
