#include "jobs/library/media/av.h"

#include <errno.h>
#include <libavutil/error.h>

int av_fail(int av, const char *what, struct error *reterr)
{
	char text[AV_ERROR_MAX_STRING_SIZE];

	av_strerror(av, text, sizeof text);
	return error_set(reterr,
			 av == AVERROR(ENOENT)	     ? ERR_NOT_FOUND
			 : av == AVERROR_INVALIDDATA ? ERR_CORRUPT
						     : ERR_IO,
			 "%s: %s", what, text);
}
