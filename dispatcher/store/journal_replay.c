/* What was written, read in order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "dispatcher/store/journal_private.h"

struct replay {
	struct journal *j;
	uint64_t from, end; /* records [from, end) are wanted */
	journal_replay_fn *fn;
	void *arg;
	struct frame_chain chain;
};

static int frames_of(struct replay *r, struct frame_cursor *c, struct error *reterr)
{
	while (c->chain.lsn < r->end) {
		struct frame f;
		enum frame_status status = frame_next(c, &f, reterr);
		int rc;

		if (status == FRAME_DAMAGED)
			return ERR_CORRUPT;
		if (status != FRAME_OK)
			break; /* a torn tail was told when the journal was opened */
		if (f.lsn + f.record_count <= r->from)
			continue;
		rc = r->fn(r->arg, &f, reterr);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int replay_segment(struct replay *r, const struct segment_ref *ref, bool is_first, bool is_last,
			  struct buf *bytes, struct error *reterr)
{
	struct journal *j = r->j;
	struct frame_expect e = {.cluster_hi = j->options.cluster_hi,
				 .cluster_lo = j->options.cluster_lo,
				 .is_first = is_first,
				 .is_last = is_last,
				 .chain = r->chain};
	struct frame_cursor c;
	int rc = segment_load(j, ref->number, bytes, reterr);

	if (rc < 0)
		return rc;
	rc = frame_recover(&c, buf_bytes(bytes), &e, reterr);
	if (rc == 0)
		rc = frames_of(r, &c, reterr);
	if ((rc == ERR_CORRUPT || rc == ERR_DENIED || rc == ERR_VERSION) && reterr != NULL) {
		char where[sizeof reterr->where], name[SEGMENT_NAME_SIZE];

		segment_name(ref->number, name);
		snprintf(where, sizeof where, "%s", reterr->where);
		error_where(reterr, "%.150s/%s%s%.60s", j->dir, name, where[0] ? ", " : "", where);
	}
	if (rc < 0)
		return rc;
	r->chain = c.chain;
	pthread_mutex_lock(&j->lock);
	for (uint32_t i = 0; !is_last && i < j->segment_count; i++)
		if (j->segments[i].number == ref->number)
			j->segments[i].used_bytes = c.offset;
	pthread_mutex_unlock(&j->lock);
	return 0;
}

/* The segments from the one that holds `from` on; 0 when it was trimmed. */
static uint32_t copy_segments(struct journal *j, uint64_t from, struct segment_ref **ret)
{
	uint32_t i = 0, count = 0;

	pthread_mutex_lock(&j->lock);
	while (i + 1 < j->segment_count && j->segments[i + 1].first_lsn <= from)
		i++;
	if (j->segments[i].first_lsn <= from) {
		count = j->segment_count - i;
		*ret = check_calloc(count, sizeof **ret);
		memcpy(*ret, j->segments + i, count * sizeof **ret);
	}
	pthread_mutex_unlock(&j->lock);
	return count;
}

int journal_replay(struct journal *j, uint64_t from, journal_replay_fn *fn, void *arg, struct error *reterr)
{
	struct replay r = {.j = j, .from = from, .fn = fn, .arg = arg, .end = journal_durable_lsn(j) + 1};
	struct segment_ref *refs = NULL;
	struct buf bytes = {0};
	uint32_t count;
	int rc = 0;

	if (from == 0)
		r.from = journal_oldest_lsn(j);
	if (r.from > r.end)
		return error_set(reterr, ERR_NOT_FOUND,
				 "the journal ends with record %llu, before record %llu",
				 (unsigned long long)(r.end - 1), (unsigned long long)from);
	count = copy_segments(j, r.from, &refs);
	if (count == 0)
		return error_set(reterr, ERR_NOT_FOUND, "record %llu is not in the journal any more",
				 (unsigned long long)from);
	for (uint32_t i = 0; rc == 0 && i < count; i++)
		rc = replay_segment(&r, &refs[i], i == 0, i + 1 == count, &bytes, reterr);
	if (rc == 0 && r.chain.lsn < r.end)
		rc = error_set(reterr, ERR_CORRUPT,
			       "the journal in %s ended at record %llu, now it ends at record %llu", j->dir,
			       (unsigned long long)(r.end - 1), (unsigned long long)(r.chain.lsn - 1));
	buf_fini(&bytes);
	free(refs);
	return rc;
}
