/* What the state directory has lost, and nobody could see: files that are made anew when they are missing,
 * and are then other ones than before. On a state that is not new each loss is refused, with what it would
 * mean, until the operator accepts it (--accept-lost=NAME). The table of all files, and what happens without
 * them, is dispatcher/store/README.md. Thread: the loop's. */
#pragma once

#include "dispatcher/server/server.h"

/* Before anything is made: are all keys there? ERR_CORRUPT, in words. */
int losses_check_keys(const struct server *s, struct error *reterr) MUST_CHECK;
/* Before history is started: does the journal reach back to what history knows? */
int losses_check_history(const struct server *s, struct error *reterr) MUST_CHECK;
/* When the journal was opened: does it begin where it should? */
int losses_check_begin(const struct server *s, struct error *reterr) MUST_CHECK;
/* When it was replayed: is the secret the one that it was? */
int losses_check_secret(const struct server *s, struct error *reterr) MUST_CHECK;
/* Once the core is open: what the next start will check. */
void losses_note(struct server *s);
/* Before all that is older than lsn may go. */
int losses_note_trim(const struct server *s, uint64_t lsn, struct error *reterr) MUST_CHECK;
