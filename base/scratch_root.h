/* Where workers and their attempts keep what does not last. */
#pragma once

#include "base/error.h"

/* The directory that workers' own directories lie in: `said`, or when that is "" <TMPDIR or
 * /tmp>/shardmill-<uid>. It is made for us alone. One of that name that is another's, a link, or open to
 * others is refused: whoever may write there may plant what we then run or remove. The user's number is the
 * one outside of user namespaces: root inside of one (unshare -r) is another user than root.
 * ($XDG_RUNTIME_DIR is not used: inputs are put there, and it is a small part of memory.) */
int scratch_root(const char *said, char *ret, size_t size, struct error *reterr) MUST_CHECK;
