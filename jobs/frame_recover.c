#include "base/check.h"
#include "jobs/frame_layout.h"
#include "jobs/ids.h"

static const uint8_t zero_block[4096];

/* Where the first byte that is not zero stands in [from, end); end when there is none. */
static uint64_t skip_zeros(struct bytes b, uint64_t from, uint64_t end)
{
	while (from < end) {
		uint64_t n = end - from < sizeof zero_block ? end - from : sizeof zero_block;

		if (memcmp(b.data + from, zero_block, (size_t)n) != 0)
			break;
		from += n;
	}
	while (from < end && b.data[from] == 0)
		from++;
	return from;
}

/* One past the last byte that is not zero in [from, end); from when there is none. */
static uint64_t skip_zeros_back(struct bytes b, uint64_t from, uint64_t end)
{
	while (end - from >= sizeof zero_block &&
	       memcmp(b.data + end - sizeof zero_block, zero_block, sizeof zero_block) == 0)
		end -= sizeof zero_block;
	while (end > from && b.data[end - 1] == 0)
		end--;
	return end;
}

/* Headers */

static int header_version(const uint8_t *p, struct error *reterr)
{
	uint32_t version = get_u32(p + SEGMENT_AT_VERSION);

	if (version >= 1 && version <= FRAME_FORMAT_VERSION)
		return 0;
	error_set(reterr, ERR_VERSION, "the journal is of format %u, this build reads formats up to %u",
		  version, FRAME_FORMAT_VERSION);
	error_help(reterr, "start the shardmill that wrote it, or a newer one");
	return ERR_VERSION;
}

static int header_is_sane(const struct frame_segment *s, size_t file_bytes, struct error *reterr)
{
	if (s->segment_bytes < SEGMENT_BYTES_MIN || s->segment_bytes > SEGMENT_BYTES_MAX ||
	    s->segment_bytes % FRAME_BLOCK_BYTES != 0 || s->first_lsn == 0)
		return error_set(reterr, ERR_CORRUPT, "the segment's header names impossible sizes");
	if (s->segment_bytes != file_bytes)
		return error_set(reterr, ERR_CORRUPT,
				 "expected a segment of %llu bytes, as its header says, found %zu",
				 (unsigned long long)s->segment_bytes, file_bytes);
	return 0;
}

int frame_segment_decode(struct bytes bytes, struct frame_segment *ret, struct error *reterr)
{
	const uint8_t *p = bytes.data;
	struct frame_segment s;
	int rc;

	if (bytes.size < SEGMENT_HEADER_BYTES)
		return error_set(reterr, ERR_CORRUPT,
				 "expected a segment's header of %d bytes, found %zu bytes in all",
				 SEGMENT_HEADER_BYTES, bytes.size);
	if (memcmp(p, SEGMENT_MAGIC, sizeof SEGMENT_MAGIC - 1) != 0)
		return error_set(reterr, ERR_CORRUPT,
				 "expected a segment's header at byte 0, found no magic");
	rc = header_version(p, reterr);
	if (rc < 0)
		return rc;
	if (get_u32(p + SEGMENT_AT_CRC) != crc32c(0, p, SEGMENT_AT_CRC))
		return error_set(reterr, ERR_CORRUPT, "the segment's header has a wrong checksum");
	s = (struct frame_segment){
	    .cluster_hi = get_u64(p + SEGMENT_AT_CLUSTER_HI),
	    .cluster_lo = get_u64(p + SEGMENT_AT_CLUSTER_LO),
	    .first_lsn = get_u64(p + SEGMENT_AT_FIRST_LSN),
	    .segment_bytes = get_u64(p + SEGMENT_AT_BYTES),
	    .seed = get_u32(p + SEGMENT_AT_SEED),
	    .epoch = get_u32(p + SEGMENT_AT_EPOCH),
	    .prev_crc = get_u32(p + SEGMENT_AT_PREV_CRC),
	    .format = get_u32(p + SEGMENT_AT_VERSION),
	};
	rc = header_is_sane(&s, bytes.size, reterr);
	if (rc < 0)
		return rc;
	if (skip_zeros(bytes, SEGMENT_HEADER_BYTES, FRAME_BLOCK_BYTES) != FRAME_BLOCK_BYTES)
		return error_set(reterr, ERR_CORRUPT,
				 "the block of the segment's header is not zero behind it");
	*ret = s;
	return 0;
}

static int header_follows(const struct frame_segment *s, const struct frame_chain *chain,
			  struct error *reterr)
{
	if (s->first_lsn != chain->lsn)
		return error_set(reterr, ERR_CORRUPT,
				 "expected the segment that begins with record %llu, found record %llu: "
				 "records between are missing",
				 (unsigned long long)chain->lsn, (unsigned long long)s->first_lsn);
	if (s->prev_crc != chain->prev_crc || s->epoch != chain->epoch)
		return error_set(reterr, ERR_CORRUPT,
				 "the segment continues another journal than the one before it ends with");
	return 0;
}

int frame_recover(struct frame_cursor *c, struct bytes bytes, const struct frame_expect *expect,
		  struct error *reterr)
{
	struct frame_segment s;
	int rc = frame_segment_decode(bytes, &s, reterr);

	if (rc < 0)
		return rc;
	if (s.cluster_hi != expect->cluster_hi || s.cluster_lo != expect->cluster_lo) {
		char found[UUID_TEXT_BYTES], expected[UUID_TEXT_BYTES];

		uuid_halves_text(s.cluster_hi, s.cluster_lo, found);
		uuid_halves_text(expect->cluster_hi, expect->cluster_lo, expected);
		error_set(reterr, ERR_DENIED, "the segment belongs to cluster %s, this is cluster %s", found,
			  expected);
		error_help(reterr, "a state directory's files are not to be mixed with another's");
		return ERR_DENIED;
	}
	rc = expect->is_first ? 0 : header_follows(&s, &expect->chain, reterr);
	if (rc < 0)
		return rc;
	*c = (struct frame_cursor){
	    .bytes = bytes,
	    .segment = s,
	    .chain = {.lsn = s.first_lsn, .prev_crc = s.prev_crc, .epoch = s.epoch},
	    .offset = FRAME_BLOCK_BYTES,
	    .is_last = expect->is_last,
	};
	return 0;
}

/* Frames */

enum verdict {
	WHOLE,	   /* in its place */
	UNWRITTEN, /* not the bytes of one commit: perhaps only a part of them */
	MISPLACED, /* a whole frame of this segment, but not the one that belongs here */
	UNCLEAN,   /* whole and in its place, but not zero up to the end of its last block */
};

/* Is there a frame of this segment at offset, by its own crc? Fills *ret then. */
static bool frame_parse(const struct frame_cursor *c, uint64_t offset, struct frame *ret, const char **why)
{
	const uint8_t *p = c->bytes.data + offset;
	uint64_t room = c->bytes.size - offset;
	uint32_t length = get_u32(p + FRAME_AT_LENGTH);

	*why = "it does not begin as a frame";
	if (get_u32(p + FRAME_AT_MAGIC) != FRAME_MAGIC)
		return false;
	*why = "its length is impossible";
	if (length > FRAME_BYTES_MAX || FRAME_HEADER_BYTES + length > room)
		return false;
	*why = "its checksum is wrong";
	if (get_u32(p + FRAME_AT_CRC) != frame_crc(c->segment.seed, p, length))
		return false;
	*ret = (struct frame){
	    .lsn = get_u64(p + FRAME_AT_LSN),
	    .record_count = get_u32(p + FRAME_AT_COUNT),
	    .epoch = get_u32(p + FRAME_AT_EPOCH),
	    .payload = BYTES(p + FRAME_HEADER_BYTES, length),
	    .offset = offset,
	    .size_bytes = frame_size_bytes(length),
	};
	return true;
}

static enum verdict frame_read(const struct frame_cursor *c, struct frame *ret, const char **why)
{
	struct frame f;
	uint64_t used;

	if (!frame_parse(c, c->offset, &f, why))
		return UNWRITTEN;
	used = f.offset + FRAME_HEADER_BYTES + f.payload.size;
	if (f.lsn != c->chain.lsn)
		*why = "it is whole, but bears the number of another record";
	else if (f.record_count == 0 || f.lsn > UINT64_MAX - f.record_count)
		*why = "it is whole, but its number of records is impossible";
	else if (get_u32(c->bytes.data + f.offset + FRAME_AT_PREV_CRC) != c->chain.prev_crc)
		*why = "it is whole, but follows another frame than the one before it";
	else if (f.epoch < c->chain.epoch)
		*why = "it is whole, but of an older epoch than the one before it";
	else {
		*ret = f;
		if (skip_zeros(c->bytes, used, f.offset + f.size_bytes) == f.offset + f.size_bytes)
			return WHOLE;
		*why = "it is whole, but its last block is not zero behind it";
		return UNCLEAN;
	}
	return MISPLACED;
}

/* What stands behind the bad frame: lost_end, and where the first of it is (0 = nothing). */
static uint64_t find_later_frames(struct frame_cursor *c)
{
	uint64_t found = 0;

	for (uint64_t at = c->offset + FRAME_BLOCK_BYTES; at < c->bytes.size; at += FRAME_BLOCK_BYTES) {
		struct frame f;
		const char *why;

		if (!frame_parse(c, at, &f, &why) || f.lsn <= c->chain.lsn || f.epoch < c->chain.epoch)
			continue;
		if (found == 0)
			found = at;
		if (f.lsn <= UINT64_MAX - f.record_count && f.lsn + f.record_count > c->lost_end)
			c->lost_end = f.lsn + f.record_count;
	}
	return found;
}

static enum frame_status damaged(struct frame_cursor *c, const char *why, uint64_t later,
				 struct error *reterr)
{
	error_set(reterr, ERR_CORRUPT, "the frame of record %llu is damaged: %s",
		  (unsigned long long)c->chain.lsn, why);
	error_where(reterr, "byte %llu", (unsigned long long)c->offset);
	if (later != 0)
		error_help(
		    reterr,
		    "a good frame follows at byte %llu: going on would lose records %llu to %llu; restore "
		    "the file from a copy",
		    (unsigned long long)later, (unsigned long long)c->lost_first,
		    (unsigned long long)(c->lost_end - 1));
	else
		error_help(
		    reterr,
		    "going on would lose record %llu and what follows it; restore the file from a copy",
		    (unsigned long long)c->chain.lsn);
	return FRAME_DAMAGED;
}

static enum frame_status torn(struct frame_cursor *c, const char *why, uint64_t end, struct error *reterr)
{
	c->torn_first = c->offset;
	c->torn_end = (end + FRAME_BLOCK_BYTES - 1) / FRAME_BLOCK_BYTES * FRAME_BLOCK_BYTES;
	error_set(
	    reterr, ERR_CORRUPT,
	    "the last commit, from record %llu on, was not written to its end: %s; nobody was told of it",
	    (unsigned long long)c->chain.lsn, why);
	error_where(reterr, "bytes %llu to %llu", (unsigned long long)c->torn_first,
		    (unsigned long long)(c->torn_end - 1));
	return FRAME_TORN;
}

/* No frame in its place, and the rest is not zero: the last commit's remains, or damage? */
static enum frame_status classify(struct frame_cursor *c, enum verdict v, const char *why,
				  struct error *reterr)
{
	uint64_t end = skip_zeros_back(c->bytes, c->offset, c->bytes.size);
	uint64_t reach = c->offset + frame_size_bytes(frame_payload_bytes_max(c->bytes.size));
	uint64_t later;

	c->lost_first = c->lost_end = c->chain.lsn;
	later = find_later_frames(c);
	if (later != 0 || v == MISPLACED || v == UNCLEAN)
		return damaged(c, why, later, reterr);
	if (!c->is_last)
		return damaged(c, "this segment was left whole, so no commit can have been cut off here", 0,
			       reterr);
	if (end > reach)
		return damaged(c, "more bytes follow than one commit can have left", 0, reterr);
	return torn(c, why, end, reterr);
}

/* The last sector of the last commit may be cut off in the zeros behind the frame: the frame counts
 * (its crc says that it is whole), and only what stands behind it is torn. */
static bool only_zeros_are_torn(struct frame_cursor *c, const struct frame *f)
{
	uint64_t end = f->offset + f->size_bytes;

	if (!c->is_last || skip_zeros(c->bytes, end, c->bytes.size) != c->bytes.size)
		return false;
	c->torn_first = f->offset + FRAME_HEADER_BYTES + f->payload.size;
	c->torn_end = end;
	return true;
}

static enum frame_status torn_zeros(const struct frame_cursor *c, struct error *reterr)
{
	error_set(
	    reterr, ERR_CORRUPT,
	    "the last commit, up to record %llu, is whole, but what stands behind it was not written to "
	    "its end; nothing is lost",
	    (unsigned long long)(c->chain.lsn - 1));
	error_where(reterr, "bytes %llu to %llu", (unsigned long long)c->torn_first,
		    (unsigned long long)(c->torn_end - 1));
	return FRAME_TORN;
}

enum frame_status frame_next(struct frame_cursor *c, struct frame *ret, struct error *reterr)
{
	const char *why = "";
	enum verdict v;

	if (c->torn_end > 0 && c->torn_end <= c->offset)
		return torn_zeros(c, reterr);
	if (c->offset == c->bytes.size)
		return FRAME_END;
	v = frame_read(c, ret, &why);
	if (v == WHOLE || (v == UNCLEAN && only_zeros_are_torn(c, ret))) {
		c->chain = (struct frame_chain){
		    .lsn = ret->lsn + ret->record_count,
		    .prev_crc = get_u32(c->bytes.data + ret->offset + FRAME_AT_CRC),
		    .epoch = ret->epoch,
		};
		c->offset += ret->size_bytes;
		return FRAME_OK;
	}
	if (skip_zeros(c->bytes, c->offset, c->bytes.size) == c->bytes.size)
		return FRAME_END;
	return classify(c, v, why, reterr);
}
