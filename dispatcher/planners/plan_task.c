/* What a plan reads: an object or a file. */
#include "dispatcher/planners/plan_task.h"

#include <string.h>

#include "base/url.h"

bool plan_task_is_object(const struct plan_task *t)
{
	return url_scheme(t->plan.url) == URL_S3;
}

static bool is_stopped(void *arg)
{
	const struct plan_task *t = arg;

	return t->stop;
}

struct s3_cancel plan_task_cancel(struct plan_task *t)
{
	return (struct s3_cancel){is_stopped, t};
}

int plan_task_head(struct plan_task *t, struct s3_name *ret_name, struct s3_head *ret, bool *ret_final,
		   struct error *reterr)
{
	int r = s3_name_parse(t->plan.url, ret_name, reterr);

	if (r == 0)
		r = s3_head(t->s3, ret_name, plan_task_cancel(t), ret, reterr);
	*ret_final = s3_error_is_final(r);
	return r;
}

int plan_task_path(const struct plan_task *t, char *ret, size_t size, struct error *reterr)
{
	struct bytes url = t->plan.url;
	struct url named = url_of(url);

	if (named.scheme != URL_FILE)
		error_set(reterr, ERR_INVALID, "expected an object s3://bucket/key or file:///path");
	else if (named.rest.size >= size || memchr(url.data, '\0', url.size) != NULL)
		error_set(reterr, ERR_INVALID, "expected a path that can be opened");
	else {
		memcpy(ret, named.rest.data, named.rest.size);
		ret[named.rest.size] = '\0';
		return 0;
	}
	return error_where(reterr, "%.*s", (int)(url.size < 200 ? url.size : 200), url.data);
}
