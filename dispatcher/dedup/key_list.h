/* Which files of keys there are: the file `dedup/list`, replaced as a whole, so that a file that is missing
 * is seen, and one that was being made or removed when the dispatcher was killed is left over and goes. */
#pragma once

#include "base/error.h"
#include "base/types.h"

struct key_row {
	uint32_t number;
	usec_t last_us; /* start of the last bucket in it */
	uint64_t keys;
};

struct key_list {
	usec_t sealed_us;     /* buckets up to this one are in files, or were */
	struct key_row *rows; /* oldest first; owned */
	uint32_t count;
};

/* ERR_NOT_FOUND; ERR_CORRUPT; ERR_VERSION. */
int key_list_read(const char *dir, struct key_list *ret, struct error *reterr) MUST_CHECK;
/* Durable when it returns; so are the names of the files in dir. */
int key_list_write(const char *dir, const struct key_list *list, struct error *reterr) MUST_CHECK;
void key_list_fini(struct key_list *list);
/* Removes files of keys that the list does not name; the number that were there. */
uint32_t key_list_sweep(const char *dir, const struct key_list *list);
