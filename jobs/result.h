/* Where a job's results stand, when its definition says `output`: one object or file per result, under a name
 * that follows from job and shard alone, so that every attempt of a shard writes the same one. Pure.
 *
 *   output: s3://bucket/prefix/   gathered: s3://bucket/prefix/result
 *                                 else, of each shard: s3://bucket/prefix/shard-0000000007
 *
 *   out: file:///dir/{{shard.value}}.out, err: …   a file for what each shard has written to stdout, to
 * stderr
 *
 * In what a worker is told, and in journals, out and err stand in place of output, as lines "out TEMPLATE"
 * and "err TEMPLATE". A worker that knows only of output takes them for a place that it cannot use, and says
 * so. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "jobs/schema.h"
#include "jobs/template.h"

/* Templates of files; empty: none. Borrowed. */
struct result_streams {
	struct bytes out, err;
};
/* False: it is an output. */
bool result_streams_read(struct bytes output, struct result_streams *ret);
void result_streams_write(const struct result_streams *s, struct buf *out);
/* Appends the URL of one file. Errors as of result_url. */
int result_stream_url(struct bytes stream, const struct text_item_list *value_names,
		      const struct template_values *v, struct buf *out, struct error *reterr) MUST_CHECK;

/* Does a shard of this phase make a result? The last level of gather does; without gather each shard. */
bool result_is_made(const struct run_definition *d, const struct phase_run *phase, const struct plan *plan);
bool result_is_gathered(const struct run_definition *d);

/* Appends the result's URL; shard is not looked at when gathered. value_names are those that v->values belong
 * to. ERR_INVALID: what the event put into it climbs out of the directory, or has a NUL; ERR_LIMIT: too long.
 */
int result_url(struct bytes output, const struct text_item_list *value_names, const struct template_values *v,
	       bool gathered, uint32_t shard, struct buf *out, struct error *reterr) MUST_CHECK;
/* The same up to the number, with a star: all shards' results. Of files a shard, their template. */
int result_urls(struct bytes output, const struct text_item_list *value_names,
		const struct template_values *v, bool gathered, struct buf *out,
		struct error *reterr) MUST_CHECK;
