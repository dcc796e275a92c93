/* The bases of a sequence line, and the adapters that are looked for in it. Pure.
 *
 * An adapter is known by its first 12 bases, as FastQC does (Configuration/adapter_list.txt of
 * github.com/s-andrews/FastQC): long enough to be rare by chance (4^-12 a position), short enough
 * to be seen at the end of a read. The sequences are Illumina's published ones, see README.md. */
#pragma once

#include "base/types.h"

enum base_code { BASE_A, BASE_C, BASE_G, BASE_T, BASE_N, BASE_CODES, BASE_INVALID = BASE_CODES };

/* One table lookup a base: the code in the top three bits, below it three counters of 20 bits that
 * are added up over a read (they hold READ_LENGTH_MAX; what the codes add at the top is lost). */
#define BASE_INFO_CODE_SHIFT 61
#define BASE_INFO_GC (UINT64_C(1) << 0)
#define BASE_INFO_CALLED (UINT64_C(1) << 20) /* A, C, G or T */
#define BASE_INFO_INVALID (UINT64_C(1) << 40)
#define BASE_INFO_FIELD(sum, unit) (((sum) / (unit)) & 0xfffff)

#define ADAPTER_LENGTH 12
#define ADAPTER_FILTER_BASES 4

enum adapter_id {
	ADAPTER_ILLUMINA_UNIVERSAL,
	ADAPTER_SMALL_RNA_3,
	ADAPTER_SMALL_RNA_5,
	ADAPTER_NEXTERA,
	ADAPTER_SOLID,
	ADAPTER_POLY_A,
	ADAPTER_POLY_G,
	ADAPTER_COUNT
};

struct adapter {
	const char *key;  /* in JSON */
	const char *name; /* for people */
	const char *sequence;
};

extern const struct adapter adapter_table[ADAPTER_COUNT];

/* Built once, then only read. A k-mer is 12 codes of three bits, so that an N never matches. */
struct adapter_search {
	uint64_t info[256];
	uint64_t kmers[ADAPTER_COUNT];
	uint8_t filter[1 << (3 * ADAPTER_FILTER_BASES)]; /* last bases → adapters that end so */
};

#define ADAPTER_KMER_MASK ((UINT64_C(1) << (3 * ADAPTER_LENGTH)) - 1)
#define ADAPTER_KMER_NONE ADAPTER_KMER_MASK /* no base has code 7 */
#define ADAPTER_FILTER_MASK ((UINT64_C(1) << (3 * ADAPTER_FILTER_BASES)) - 1)

void adapter_search_init(struct adapter_search *a);
