/* Statistics as a report: JSON for machines and for merging, text for people.
 *
 * The JSON report is one line with its keys in a fixed order, so that equal statistics are equal
 * bytes. README.md describes its fields. A histogram is a row: [] when it is empty, else the index
 * of its first count that is not zero, then counts up to the last one that is not zero; a negative
 * number -k stands for k zeros. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/types.h"
#include "jobs/library/genomics/stats.h"

#define REPORT_NAME "fastq-qc"
#define REPORT_FORMAT 1
/* Above the longest possible report: all of 592 * 94 + … counts present, with 16 digits each. */
#define REPORT_BYTES_MAX (2 * MIB)

/* Both append. */
void report_json(const struct stats *s, struct buf *out);
void report_text(const struct stats *s, struct buf *out);

/* Read one report, without its newline. ERR_INVALID: not a report; ERR_VERSION: of another format;
 * ERR_CORRUPT: its counts do not agree. ret_stats is overwritten, and of no use after an error. */
int report_parse(struct bytes line, struct stats *ret_stats, struct error *reterr) MUST_CHECK;

/* Merge the reports of a stream, one a line, into into. Memory: REPORT_BYTES_MAX and what jansson
 * makes of it. Empty lines are skipped; errors name the line. */
int report_merge_stream(int fd, const char *name, struct stats *into, struct error *reterr) MUST_CHECK;
