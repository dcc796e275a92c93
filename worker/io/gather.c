#include "worker/io/gather.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/text.h"
#include "outputs/segments.h"

#define WINDOW_SHARDS 4096u /* entries held at a time, at most */
#define BLOCK_BYTES 65536u

static const struct segments_options segments_options = {
    .held_bytes_max = 4 * GIB,
    .no_stderr = true,
    .lost_help = "`shardmill retry` of the job runs what is lost again",
    .gone_help =
	"if output_dir is the same directory for all workers, `shardmill retry` of the job runs what is "
	"lost again",
};

struct gather {
	const char *root;
	const struct slice *slice;
	struct range inputs;
	uint32_t winner;     /* index in slice->winners */
	uint32_t found;	     /* entries of the winner so far */
	struct range window; /* shards whose entries are held */
	uint32_t next;	     /* within the window */
	struct output_entry *entries;
	struct segments *segments;
	char path[4096]; /* of the winner's segment */
	/* feeding */
	bool feeding;
	struct output_entry current;
	uint64_t done;
	uint32_t crc;
	uint8_t *block; /* what the pipe gets next, of as many outputs as fit */
	size_t block_used, block_size;
	/* the file that is open, and a piece of it: short outputs lie one behind the other */
	int fd;
	char fd_path[4096];
	uint8_t *piece;
	uint64_t piece_offset;
	size_t piece_size;
};

struct gather *gather_open(const char *output_root, const struct slice *slice, struct range inputs)
{
	struct gather *g = check_calloc(1, sizeof *g);

	g->root = output_root;
	g->slice = slice;
	g->inputs = inputs;
	g->segments = segments_create(output_root, &segments_options);
	g->entries = check_calloc(WINDOW_SHARDS, sizeof *g->entries);
	g->block = check_calloc(1, BLOCK_BYTES);
	g->piece = check_calloc(1, BLOCK_BYTES);
	g->fd = -1;
	return g;
}

void gather_close(struct gather *g)
{
	if (g == NULL)
		return;
	if (g->fd >= 0)
		close(g->fd);
	segments_destroy(g->segments);
	free(g->entries);
	free(g->block);
	free(g->piece);
	free(g);
}

void gather_rewind(struct gather *g)
{
	g->winner = 0;
	g->found = 0;
	g->window = (struct range){0, 0};
	g->next = 0;
}

uint64_t gather_missing(const struct gather *g)
{
	uint64_t missing = 0;

	for (uint32_t i = 0; i < g->slice->missing.count; i++)
		missing += range_intersect(g->slice->missing.items[i], g->inputs).count;
	return missing;
}

/* Of the winner's shards of this node from `first` on: a window of those that may have written something. */
static int load_window(struct gather *g, const struct slice_winner *w, uint32_t first, struct error *reterr)
{
	struct range all = range_intersect((struct range){w->first, w->count}, g->inputs);
	struct range window = range_between(first, range_end(all));
	char relative[128];
	int rc =
	    segments_look(g->segments, &w->worker, w->segment, (struct range){w->first, w->count}, reterr);

	/* Of shards that are microseconds long, twenty thousand have one entry. */
	if (rc == 0)
		rc = segments_narrow(g->segments, &w->worker, w->segment, w->token, &window, reterr);
	if (rc < 0)
		return rc;
	if (window.count > WINDOW_SHARDS)
		window.count = WINDOW_SHARDS;
	memset(g->entries, 0, window.count * sizeof *g->entries);
	rc = segments_collect(g->segments, &w->worker, w->segment, w->token, window, g->entries, reterr);
	for (uint32_t i = 0; i < window.count; i++)
		g->found += g->entries[i].token.lease != 0;
	if (rc == 0 && w->whole && g->found == 0 && all.count == w->count &&
	    range_end(window) == range_end(all))
		rc =
		    segments_lost(g->segments, &w->worker, w->segment, "idx", all, SEGMENTS_NO_ENTRY, reterr);
	output_path(&w->worker, w->segment, "out", relative, sizeof relative);
	snprintf(g->path, sizeof g->path, "%s/%s", g->root, relative);
	g->window = rc < 0 ? (struct range){0, 0} : window; /* it fails again */
	g->next = 0;
	return rc;
}

int gather_next(struct gather *g, struct gather_extent *ret, struct error *reterr)
{
	for (;;) {
		const struct slice_winner *w;
		struct range all;
		uint64_t first;
		int rc;

		while (g->next < g->window.count) {
			const struct output_entry *e = &g->entries[g->next++];

			if (e->out_length == 0)
				continue;
			*ret = (struct gather_extent){g->path, *e};
			return 1;
		}
		if (g->winner == g->slice->winners.count)
			return 0;
		w = &g->slice->winners.items[g->winner];
		all = range_intersect((struct range){w->first, w->count}, g->inputs);
		first = g->window.count > 0 ? range_end(g->window) : all.first;
		if (all.count == 0 || first >= range_end(all) ||
		    w->segment == 0) { /* 0: none wrote anything */
			g->winner++;
			g->found = 0;
			g->window = (struct range){0, 0};
			g->next = 0;
			continue;
		}
		rc = load_window(g, w, (uint32_t)first, reterr);
		if (rc < 0)
			return rc;
	}
}

static void write_line(FILE *f, struct buf *quoted, const struct gather_extent *x)
{
	buf_clear(quoted);
	text_escape_json(quoted, bytes_of(x->path));
	fprintf(f, "{\"shard\":%u,\"path\":\"%s\",\"offset\":%llu,\"length\":%llu,\"crc\":%u}\n",
		x->entry.shard, buf_text(quoted), (unsigned long long)x->entry.out_offset,
		(unsigned long long)x->entry.out_length, x->entry.out_crc);
}

int gather_write_manifest(struct gather *g, const char *path, struct error *reterr)
{
	struct gather_extent x;
	struct buf quoted = {0};
	FILE *f = fopen(path, "we");
	bool failed;
	int rc = 0;

	if (f == NULL)
		return error_set(reterr, ERR_EXHAUSTED, "cannot write the gather's manifest %s: %s", path,
				 strerror(errno));
	while ((rc = gather_next(g, &x, reterr)) > 0)
		write_line(f, &quoted, &x);
	failed = ferror(f) != 0;
	buf_fini(&quoted);
	if ((fclose(f) != 0 || failed) && rc == 0)
		rc = error_set(reterr, ERR_EXHAUSTED, "cannot write the gather's manifest %s: %s", path,
			       strerror(errno));
	gather_rewind(g);
	return rc;
}

static int damaged_output(const struct gather *g, const char *what, struct error *reterr)
{
	const struct slice_winner *w = &g->slice->winners.items[g->winner];

	return segments_lost(g->segments, &w->worker, w->segment, "out", (struct range){g->current.shard, 1},
			     what, reterr);
}

/* The next extent becomes current: 1, or 0 at the end. */
static int begin_extent(struct gather *g, struct error *reterr)
{
	struct gather_extent x;
	int rc = gather_next(g, &x, reterr);

	if (rc <= 0)
		return rc;
	g->current = x.entry;
	g->done = 0;
	g->crc = 0;
	g->feeding = true;
	if (g->fd >= 0 && strcmp(g->fd_path, x.path) == 0)
		return 1;
	if (g->fd >= 0)
		close(g->fd);
	g->fd = open(x.path, O_RDONLY | O_CLOEXEC);
	snprintf(g->fd_path, sizeof g->fd_path, "%s", x.path);
	g->piece_size = 0;
	if (g->fd >= 0)
		return 1;
	if (errno == ENOENT || errno == ENOTDIR)
		return damaged_output(g, "its file is gone", reterr);
	error_set(reterr, error_code_of_errno(errno), "an output cannot be read: %s", strerror(errno));
	return error_where(reterr, "%s", x.path);
}

/* Bytes of the current extent from `done` on, at least one. */
static int read_extent(struct gather *g, struct bytes *ret, struct error *reterr)
{
	uint64_t at = g->current.out_offset + g->done, left = g->current.out_length - g->done;
	size_t skip;

	if (at < g->piece_offset || at >= g->piece_offset + g->piece_size) {
		ssize_t got = pread(g->fd, g->piece, BLOCK_BYTES, (off_t)at);

		if (got < 0 && error_code_of_errno(errno) == ERR_EXHAUSTED)
			return error_set(reterr, ERR_EXHAUSTED, "an output cannot be read: %s",
					 strerror(errno));
		if (got <= 0)
			return damaged_output(g, got < 0 ? strerror(errno) : "its file ends before it should",
					      reterr);
		g->piece_offset = at;
		g->piece_size = (size_t)got;
	}
	skip = (size_t)(at - g->piece_offset);
	*ret = BYTES(g->piece + skip, g->piece_size - skip);
	if (ret->size > left)
		ret->size = (size_t)left;
	return 0;
}

/* Compares the sum behind the extent's last byte. */
static int end_extent(struct gather *g, struct error *reterr)
{
	g->feeding = false;
	return g->crc == g->current.out_crc
		   ? 0
		   : damaged_output(g, "it is not what was written: its checksum differs", reterr);
}

/* The next block, of as many extents as fit: 1, or 0 at the end. */
static int fill_block(struct gather *g, struct error *reterr)
{
	g->block_used = g->block_size = 0;
	while (g->block_size < BLOCK_BYTES) {
		struct bytes b = {0};
		int rc = g->feeding ? 1 : begin_extent(g, reterr);

		if (rc == 0)
			break;
		if (rc > 0)
			rc = read_extent(g, &b, reterr);
		if (rc < 0)
			return rc;
		if (b.size > BLOCK_BYTES - g->block_size)
			b.size = BLOCK_BYTES - g->block_size;
		memcpy(g->block + g->block_size, b.data, b.size);
		g->block_size += b.size;
		g->crc = crc32c(g->crc, b.data, b.size);
		g->done += b.size;
		if (g->done == g->current.out_length && end_extent(g, reterr) < 0)
			return ERR_CORRUPT;
	}
	return g->block_size > 0;
}

int gather_feed(struct gather *g, int fd, struct error *reterr)
{
	for (;;) {
		int rc = g->block_used < g->block_size ? 1 : fill_block(g, reterr);
		ssize_t put;

		if (rc <= 0)
			return rc;
		put = write(fd, g->block + g->block_used, g->block_size - g->block_used);
		if (put < 0 && errno == EAGAIN)
			return 1;
		if (put < 0)
			return errno == EPIPE ? 0
					      : error_set(reterr, error_code_of_errno(errno),
							  "cannot feed the gather: %s", strerror(errno));
		g->block_used += (size_t)put;
	}
}
