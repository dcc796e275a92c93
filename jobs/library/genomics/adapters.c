#include "jobs/library/genomics/adapters.h"

#include <string.h>

_Static_assert(ADAPTER_COUNT <= 8, "a filter entry has a bit for each adapter");

const struct adapter adapter_table[ADAPTER_COUNT] = {
    [ADAPTER_ILLUMINA_UNIVERSAL] = {"illumina_universal", "Illumina universal", "AGATCGGAAGAG"},
    [ADAPTER_SMALL_RNA_3] = {"illumina_small_rna_3", "Illumina small RNA 3'", "TGGAATTCTCGG"},
    [ADAPTER_SMALL_RNA_5] = {"illumina_small_rna_5", "Illumina small RNA 5'", "GATCGTCGGACT"},
    [ADAPTER_NEXTERA] = {"nextera", "Nextera transposase", "CTGTCTCTTATA"},
    [ADAPTER_SOLID] = {"solid_small_rna", "SOLiD small RNA", "CGCCTTGGCCGT"},
    [ADAPTER_POLY_A] = {"poly_a", "poly-A", "AAAAAAAAAAAA"},
    [ADAPTER_POLY_G] = {"poly_g", "poly-G", "GGGGGGGGGGGG"},
};

static uint64_t info_of(enum base_code code)
{
	uint64_t info = (uint64_t)code << BASE_INFO_CODE_SHIFT;

	if (code == BASE_G || code == BASE_C)
		info += BASE_INFO_GC;
	if (code <= BASE_T)
		info += BASE_INFO_CALLED;
	if (code == BASE_INVALID)
		info += BASE_INFO_INVALID;
	return info;
}

static void set_info(struct adapter_search *a, const char *letters, enum base_code code)
{
	for (; *letters != '\0'; letters++) {
		uint8_t upper = (uint8_t)*letters;

		a->info[upper] = info_of(code);
		if (upper >= 'A' && upper <= 'Z')
			a->info[upper - 'A' + 'a'] = info_of(code);
	}
}

void adapter_search_init(struct adapter_search *a)
{
	memset(a, 0, sizeof *a);
	for (int byte = 0; byte < 256; byte++)
		a->info[byte] = info_of(BASE_INVALID);
	set_info(a, "A", BASE_A);
	set_info(a, "C", BASE_C);
	set_info(a, "G", BASE_G);
	set_info(a, "TU", BASE_T);
	/* IUPAC's codes for "one of several", and how some machines write "not called". */
	set_info(a, "NRYSWKMBDHV.-", BASE_N);

	for (int id = 0; id < ADAPTER_COUNT; id++) {
		uint64_t kmer = 0;

		for (const char *p = adapter_table[id].sequence; *p != '\0'; p++)
			kmer = (kmer << 3) | (a->info[(uint8_t)*p] >> BASE_INFO_CODE_SHIFT);
		a->kmers[id] = kmer;
		a->filter[kmer & ADAPTER_FILTER_MASK] |= (uint8_t)(1u << id);
	}
}
