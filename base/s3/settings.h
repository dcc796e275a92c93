/* A client as the parameters s3_… say. */
#pragma once

#include "base/params.h"
#include "base/s3/s3.h"

/* As s3_client_create. */
int s3_client_of_params(const struct params *params, struct s3_client **ret, struct error *reterr) MUST_CHECK;
