/* What a process said before it ended: the reason of a start that failed, from the log that it shares
 * with others of its kind. */
#pragma once

#include <sys/types.h>

#include "base/types.h"

/* The last line behind offset `from` (of which at most the last 16 KiB are read) that is an error of our
 * log (base/log.h, text or JSON), or that is not of our log at all (the loader's, a library's); "" when
 * there is none. Cut between characters; bytes that are no UTF-8 are left as they are. Returns out. */
const char *last_words(const char *log_path, off_t from, char *out, size_t size);
