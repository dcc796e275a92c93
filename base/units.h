/* How people write quantities: durations, sizes, cpus, percentages. Pure.
 *
 * Each parser takes the whole text (no blanks around it), is exact and safe against overflow, and
 * says in reterr what was expected, what was found and why it does not fit. The formatters give
 * the shortest text that the parser reads back as the same value; they return buf.
 *
 *   duration    90s 1h30m 250ms 1.5s 10us; d h m s ms us, largest first, each once; 0 needs no unit
 *   size        512 512B 64MiB 1.5GiB; KiB MiB GiB TiB are 1024^n, kB MB GB TB are 1000^n
 *   cpus        2 0.5 0.125; thousandths
 *   percentage  2% 0.5% 100%; millionths, so 1% is 10,000
 *   number      17; digits only
 *   range       7 3-7; of numbers */
#pragma once

#include "base/error.h"
#include "base/types.h"

#define UNITS_TEXT_MAX 64 /* room enough for every formatter */
#define UNITS_PERCENT_PPM 10000u

/* *ret_us >= 0 and below USEC_NEVER. */
int units_parse_duration(struct bytes text, usec_t *ret_us, struct error *reterr) MUST_CHECK;
int units_parse_size(struct bytes text, uint64_t *ret_bytes, struct error *reterr) MUST_CHECK;
int units_parse_cpus(struct bytes text, uint32_t *ret_milli, struct error *reterr) MUST_CHECK;
/* At most 100%. */
int units_parse_percent(struct bytes text, uint32_t *ret_ppm, struct error *reterr) MUST_CHECK;
/* From min to max. */
int units_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret,
		       struct error *reterr) MUST_CHECK;
/* The digits at *at, for those who read more than a number; moves *at behind them. false: there are none, or
 * they are more than max. */
bool units_take_number(const char **at, uint64_t max, uint64_t *ret);
/* false: neither a number nor two of them, or one is more than max. Which is larger is not looked at: the
 * caller says what is numbered, and what is wrong. */
bool units_take_range(const char *text, uint64_t max, uint64_t *ret_first, uint64_t *ret_last);

/* USEC_NEVER is "never"; a negative duration gets a sign (the parser refuses it). */
const char *units_format_duration(usec_t us, char *buf, size_t size);
const char *units_format_size(uint64_t bytes, char *buf, size_t size);
/* For people: what somebody may have typed (100GB, 64MiB), else rounded (5.838GiB, 452 bytes). */
const char *units_show_size(uint64_t bytes, char *buf, size_t size);
const char *units_format_cpus(uint32_t milli, char *buf, size_t size);
const char *units_format_percent(uint32_t ppm, char *buf, size_t size);
