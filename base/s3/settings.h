/* A client as the parameters s3_… say. */
#pragma once

#include "base/params.h"
#include "base/s3/s3.h"

/* As s3_client_create. No call is patient for longer than patience_max_us, whatever s3_patience says. */
int s3_client_of_params(const struct params *params, usec_t patience_max_us, struct s3_client **ret,
			struct error *reterr) MUST_CHECK;
