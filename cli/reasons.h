/* Why a job that somebody waits for does not run, told when that lasts, and each reason once. Pure: times
 * are arguments. */
#pragma once

#include "base/types.h"

#define REASON_AFTER_US (3 * USEC_PER_SEC)
#define REASONS_MAX 8u /* of one job; more are not told */

struct reasons {
	bool waits;	 /* nothing of it ran at the last look */
	usec_t since_us; /* so it has been since */
	uint32_t told[REASONS_MAX];
	size_t count;
};

/* What was seen at mono_us; why is "" when the job runs. True when it is to be told now: it has not run for
 * REASON_AFTER_US, and this reason was not told before. Times and numbers in it make it no other one. */
bool reasons_note(struct reasons *r, usec_t mono_us, const char *why);
