/* first, first + step, … last, as arrays are written in batch systems: "7", "9-20", "9-20:2". Pure. */
#pragma once

#include "base/buf.h"

struct number_range {
	int64_t first, last, step; /* last is one of them */
};

/* Digits at *at; moves it behind them. False: there are none, or they are too many. */
bool number_digits(struct bytes text, size_t *at, int64_t *ret) MUST_CHECK;
/* False: it is none, goes backwards, or has a step of 0. */
bool number_range_read(struct bytes text, struct number_range *ret) MUST_CHECK;
uint64_t number_range_count(const struct number_range *r);
/* One spelling for each. */
void number_range_write(const struct number_range *r, struct buf *out);
