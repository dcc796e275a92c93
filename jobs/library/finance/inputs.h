/* Files that become a model or a tally. */
#pragma once

#include "jobs/library/finance/report.h"

/* Each a path, or file:///path as events name objects. prices NULL: prices.csv beside the positions. */
int inputs_model(const char *prices, const char *positions, const struct model_parameters *parameters,
		 struct model **ret, struct error *reterr) MUST_CHECK;
/* Merges all that can be read from fd, in bounded memory. */
int inputs_merge(int fd, const char *name, struct tally *t, struct error *reterr) MUST_CHECK;
/* Writes all of b. ERR_IO. */
int inputs_write(int fd, struct bytes b, struct error *reterr) MUST_CHECK;
