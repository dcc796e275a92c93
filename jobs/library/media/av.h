/* libav's errors in ours. */
#pragma once

#include "base/error.h"

/* av: a negative code of libav*. Returns ERR_NOT_FOUND, ERR_CORRUPT, or ERR_IO when the system refused. */
int av_fail(int av, const char *what, struct error *reterr);
