#include "jobs/library/media/original.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/url.h"
#include "jobs/library/media/local_url.h"

int original_open(const char *url, struct original *ret, struct error *reterr)
{
	const char *colon = strstr(url, "://");
	struct original o = {.name = url_path_or(url)};
	int rc;

	if (url_scheme(bytes_of(url)) == URL_S3) {
		rc = local_url_open(url, &o.served, reterr);
		if (rc < 0)
			return rc;
		o.opened = strdup(local_url_text(o.served));
		CHECK(o.opened != NULL);
	} else if (url_scheme(bytes_of(url)) == URL_FILE) {
		CHECK(asprintf(&o.opened, "file:%s", o.name) > 0);
	} else if (colon == NULL || url[0] == '/') { /* a path, whatever stands in it */
		CHECK(asprintf(&o.opened, "file:%s", url) > 0);
	} else {
		error_set(reterr, ERR_INVALID, "expected a file or an object s3://bucket/key, found %.*s://",
			  (int)(colon - url), url);
		return error_where(reterr, "%.200s", url);
	}
	*ret = o;
	return 0;
}

void original_close(struct original *o)
{
	local_url_close(o->served);
	free(o->opened);
	*o = (struct original){0};
}

int original_blame(struct original *o, int rc, struct error *reterr)
{
	int failed = o->served != NULL && rc < 0 ? local_url_failed(o->served, reterr) : 0;

	if (failed == 0 && rc < 0)
		error_where(reterr, "%.200s", o->name);
	return failed < 0 ? failed : rc;
}
