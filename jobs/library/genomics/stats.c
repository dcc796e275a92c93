#include "jobs/library/genomics/stats.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct stats *stats_create(void)
{
	return check_calloc(1, sizeof(struct stats));
}

void stats_destroy(struct stats *s)
{
	free(s);
}

void stats_clear(struct stats *s)
{
	memset(s, 0, sizeof *s);
}

/* Simple enough for the compiler to make vector instructions of it. */
static bool sum_qualities(const uint8_t *quality, size_t length, uint32_t *ret_sum)
{
	uint32_t sum = 0;
	uint8_t bad = 0;

	for (size_t i = 0; i < length; i++) {
		uint8_t value = (uint8_t)(quality[i] - QUALITY_FIRST);

		bad |= value > QUALITIES - 1;
		sum += value;
	}
	*ret_sum = sum;
	return bad == 0;
}

static void count_qualities(struct stats *s, const uint8_t *quality, uint32_t length)
{
	uint32_t singles = length < POSITION_SINGLES ? length : POSITION_SINGLES;
	uint32_t i = 0;

	for (; i < singles; i++)
		s->quality[i][quality[i] - QUALITY_FIRST]++;
	for (uint32_t bin = POSITION_SINGLES; i < length; bin++) {
		uint32_t end = position_bin_first(bin + 1);

		for (; i < length && i < end; i++)
			s->quality[bin][quality[i] - QUALITY_FIRST]++;
	}
}

/* What is carried along a sequence. */
struct walk {
	uint64_t info;	/* sums of BASE_INFO_* */
	uint64_t kmer;	/* the last 12 bases */
	uint32_t found; /* adapters seen in this read */
};

static void note_adapters(struct stats *s, const struct adapter_search *search, struct walk *w,
			  uint32_t position)
{
	uint32_t candidates = search->filter[w->kmer & ADAPTER_FILTER_MASK] & ~w->found;

	for (; candidates != 0; candidates &= candidates - 1) {
		uint32_t id = (uint32_t)__builtin_ctz(candidates);

		if (w->kmer == search->kmers[id]) {
			w->found |= 1u << id;
			s->adapter[id][position_bin(position + 1 - ADAPTER_LENGTH)]++;
		}
	}
}

static inline void count_base(struct stats *s, const struct adapter_search *search, struct walk *w,
			      uint64_t *row, uint8_t letter, uint32_t position)
{
	uint64_t info = search->info[letter];
	uint64_t code = info >> BASE_INFO_CODE_SHIFT;

	row[code]++;
	w->info += info;
	w->kmer = ((w->kmer << 3) | code) & ADAPTER_KMER_MASK;
	if (__builtin_expect(search->filter[w->kmer & ADAPTER_FILTER_MASK] != 0, 0))
		note_adapters(s, search, w, position);
}

/* Returns the sums of BASE_INFO_*. */
static uint64_t count_bases(struct stats *s, const struct adapter_search *search, const uint8_t *sequence,
			    uint32_t length)
{
	struct walk w = {.kmer = ADAPTER_KMER_NONE};
	uint32_t singles = length < POSITION_SINGLES ? length : POSITION_SINGLES;
	uint32_t i = 0;

	for (; i < singles; i++)
		count_base(s, search, &w, s->base[i], sequence[i], i);
	for (uint32_t bin = POSITION_SINGLES; i < length; bin++) {
		uint32_t end = position_bin_first(bin + 1);

		for (; i < length && i < end; i++)
			count_base(s, search, &w, s->base[bin], sequence[i], i);
	}
	return w.info;
}

static int bad_quality(const struct fastq_record *r, struct error *reterr)
{
	size_t i = 0;

	while ((uint8_t)(r->quality[i] - QUALITY_FIRST) < QUALITIES)
		i++;
	error_set(reterr, ERR_INVALID,
		  "quality %zu of %zu is the byte 0x%02x, expected '!' (0x21) to '~' (0x7e)", i + 1,
		  r->length, r->quality[i]);
	return error_help(reterr, "qualities are read as Phred+33");
}

static int bad_base(const struct adapter_search *search, const struct fastq_record *r, struct error *reterr)
{
	size_t i = 0;

	while (search->info[r->sequence[i]] >> BASE_INFO_CODE_SHIFT != BASE_INVALID)
		i++;
	error_set(reterr, ERR_INVALID,
		  "base %zu of %zu is the byte 0x%02x, expected A, C, G, T, U, N or another letter "
		  "of IUPAC's code",
		  i + 1, r->length, r->sequence[i]);
	return error_help(reterr, "colour space and protein sequences are not supported");
}

int stats_add(struct stats *s, const struct adapter_search *search, const struct fastq_record *record,
	      struct error *reterr)
{
	uint32_t length = (uint32_t)record->length;
	uint32_t quality_sum;
	uint64_t info, called;

	CHECK(record->length < READ_LENGTH_MAX);
	if (!sum_qualities(record->quality, length, &quality_sum)) {
		bad_quality(record, reterr);
		return ERR_INVALID;
	}
	info = count_bases(s, search, record->sequence, length);
	if (BASE_INFO_FIELD(info, BASE_INFO_INVALID) != 0) {
		bad_base(search, record, reterr);
		return ERR_INVALID;
	}
	count_qualities(s, record->quality, length);

	if (s->reads == 0 || length < s->length_min)
		s->length_min = length;
	if (length > s->length_max)
		s->length_max = length;
	s->reads++;
	s->bases += length;
	s->lengths[position_bins_of(length)]++;
	if (length > 0) {
		s->mean_quality[quality_sum / length]++;
		sample_add(&s->sample, sample_hash(record->sequence, length), 1);
	}
	called = BASE_INFO_FIELD(info, BASE_INFO_CALLED);
	if (called > 0)
		s->gc[(200 * BASE_INFO_FIELD(info, BASE_INFO_GC) + called) / (2 * called)]++;
	return 0;
}

static void add_counts(uint64_t *into, const uint64_t *from, size_t count)
{
	for (size_t i = 0; i < count; i++)
		into[i] += from[i];
}

int stats_merge(struct stats *into, const struct stats *from, struct error *reterr)
{
	/* Every other count is bounded by these two (stats_check). */
	if (into->reads + from->reads > COUNT_MAX || into->bases + from->bases > COUNT_MAX)
		return error_set(reterr, ERR_LIMIT, "the sum of the reports passes 2^53 bases");
	if (from->reads == 0)
		return 0;
	if (into->reads == 0 || from->length_min < into->length_min)
		into->length_min = from->length_min;
	if (from->length_max > into->length_max)
		into->length_max = from->length_max;
	into->reads += from->reads;
	into->bases += from->bases;
	add_counts(into->quality[0], from->quality[0], sizeof from->quality / sizeof(uint64_t));
	add_counts(into->base[0], from->base[0], sizeof from->base / sizeof(uint64_t));
	add_counts(into->lengths, from->lengths, ARRAY_LENGTH(from->lengths));
	add_counts(into->mean_quality, from->mean_quality, ARRAY_LENGTH(from->mean_quality));
	add_counts(into->gc, from->gc, ARRAY_LENGTH(from->gc));
	add_counts(into->adapter[0], from->adapter[0], sizeof from->adapter / sizeof(uint64_t));
	sample_merge(&into->sample, &from->sample);
	return 0;
}
