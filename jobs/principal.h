/* Who asked for something, and how people call them. Pure. */
#pragma once

#include "base/buf.h"
#include "jobs/schema.h"

/* Appends "user alice (1000)", "rule fastq-qc", "job 17 (nightly)", …; nothing for nobody. */
void principal_words(const struct principal *p, struct buf *out);
/* ERR_INVALID: its kind is none, or its name too long. Nobody is fine. */
int principal_check(const struct principal *p, struct error *reterr) MUST_CHECK;
