/* A file's or an object's size and eTag, for plans by bytes. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "dispatcher/planners/plan_task.h"
#include "jobs/file_tag.h"
#include "jobs/kinds.h"
#include "jobs/plan.h"

/* The event may know which content it is about: another one is not what the job is for. */
static int look_at_object(struct plan_task *t, struct plan *plan, struct s3_head *head, bool *ret_final,
			  struct error *reterr)
{
	struct s3_name name;
	int r = plan_task_head(t, &name, head, ret_final, reterr);

	if (r < 0)
		return r;
	*ret_final = true;
	if (plan->etag.size > 0 && !bytes_equal(plan->etag, bytes_of(head->etag))) {
		error_set(reterr, ERR_INVALID, "the object changed after its event");
		error_help(reterr, "the event of the new content starts a job of its own");
		return error_where(reterr, "s3://%s/%.180s", name.bucket, name.key);
	}
	if (head->etag[0] == '\0') {
		error_set(reterr, ERR_INVALID, "the object has no eTag that its shards could be pinned to");
		return error_where(reterr, "s3://%s/%.180s", name.bucket, name.key);
	}
	plan->size_bytes = head->size_bytes;
	plan->etag = bytes_of(head->etag);
	return plan_size(plan, reterr);
}

static int look(struct plan_task *t, struct plan *plan, char tag[FILE_TAG_BYTES_MAX], bool *ret_final,
		struct error *reterr)
{
	char path[4096];
	struct stat st;
	int r;

	*ret_final = true;
	r = plan_task_path(t, path, sizeof(path), reterr);
	if (r < 0)
		return r;
	if (stat(path, &st) < 0) {
		*ret_final = false; /* a mount may come back, a file may still come */
		error_set(reterr, error_code_of_errno(errno), "the object to cut cannot be read: %s",
			  strerror(errno));
		return error_where(reterr, "%.200s", path);
	}
	if (!S_ISREG(st.st_mode)) {
		error_set(reterr, ERR_INVALID, "the object to cut is no regular file");
		return error_where(reterr, "%.200s", path);
	}
	plan->size_bytes = (uint64_t)st.st_size;
	plan->etag = BYTES(tag, file_tag((uint64_t)st.st_ino, (uint64_t)st.st_size,
					 (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec, tag));
	return plan_size(plan, reterr);
}

void planner_size(struct plan_task *t)
{
	struct plan plan = t->plan;
	char tag[FILE_TAG_BYTES_MAX];
	struct s3_head head = {0};
	struct error e = {0};
	bool final;
	int r = plan_task_is_object(t) ? look_at_object(t, &plan, &head, &final, &e)
				       : look(t, &plan, tag, &final, &e);

	if (r < 0)
		plan_task_failed(t, final, &e);
	else
		plan_task_sealed(t, &plan);
}
