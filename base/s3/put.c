/* Objects written whole: by one PUT, or in parts that become an object all at once.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/s3/request.h"
#include "base/s3/xml.h"

#define PART_BYTES_DEFAULT (64 * MIB)
#define ABORT_US (3 * USEC_PER_SEC)

struct upload {
	struct s3_client *client;
	const struct s3_put *put;
	struct buf id;	     /* the server's name for it */
	struct buf complete; /* the XML that lists the parts */
};

static int put_whole(struct s3_client *c, const struct s3_put *put, struct error *reterr)
{
	const struct s3_request rq = {.method = "PUT", .name = put->name, .body = put, .cancel = put->cancel};
	struct s3_answer answer;
	int rc = s3_request(c, &rq, "write", &answer, reterr);

	s3_answer_fini(&answer);
	return rc;
}

static int begin_upload(struct upload *u, struct error *reterr)
{
	const struct s3_put empty = {.fd = -1, .type = u->put->type};
	const struct s3_query query = {"uploads", BYTES(NULL, 0)};
	const struct s3_request rq = {.method = "POST",
				      .name = u->put->name,
				      .query = &query,
				      .query_count = 1,
				      .body = &empty,
				      .cancel = u->put->cancel};
	struct s3_answer answer;
	int rc = s3_request(u->client, &rq, "write", &answer, reterr);

	if (rc == 0 && !s3_xml_text(buf_bytes(&answer.body), "UploadId", &u->id))
		rc = error_set(reterr, ERR_INVALID,
			       "the object store began a multipart upload without telling its id");
	s3_answer_fini(&answer);
	return rc;
}

static int send_part(struct upload *u, unsigned number, uint64_t offset, uint64_t size, struct error *reterr)
{
	struct s3_put part = *u->put;
	char text[16];
	struct s3_query query[] = {{"partNumber", BYTES(NULL, 0)}, {"uploadId", buf_bytes(&u->id)}};
	const struct s3_request rq = {.method = "PUT",
				      .name = part.name,
				      .query = query,
				      .query_count = 2,
				      .body = &part,
				      .cancel = part.cancel};
	struct s3_answer answer;
	int rc;

	snprintf(text, sizeof text, "%u", number);
	query[0].value = bytes_of(text);
	part.offset += offset;
	part.size = size;
	rc = s3_request(u->client, &rq, "write", &answer, reterr);
	if (rc == 0) {
		buf_printf(&u->complete, "<Part><PartNumber>%u</PartNumber><ETag>&quot;", number);
		s3_xml_escape(&u->complete, bytes_of(answer.etag));
		buf_printf(&u->complete, "&quot;</ETag></Part>");
	}
	s3_answer_fini(&answer);
	return rc;
}

/* A try whose answer was lost may have succeeded: the next one finds no upload, but the object. */
static bool is_there(struct upload *u)
{
	struct s3_head head;

	return s3_head(u->client, u->put->name, u->put->cancel, &head, NULL) == 0 &&
	       head.size_bytes == u->put->size;
}

/* The server sends 200 and blanks while it works: only the element says that it is done. */
static void check_completed(const struct s3_answer *answer, struct s3_problem *problem)
{
	struct bytes at = buf_bytes(&answer->body), result;

	if (s3_xml_next(&at, "CompleteMultipartUploadResult", &result))
		return;
	problem->fault = S3_BROKEN;
	snprintf(problem->message, sizeof problem->message,
		 "the answer does not say that the object is whole");
}

static int end_upload(struct upload *u, struct error *reterr)
{
	const struct s3_put body = {
	    .fd = -1, .bytes = buf_bytes(&u->complete), .size = u->complete.size, .type = "application/xml"};
	const struct s3_query query = {"uploadId", buf_bytes(&u->id)};
	const struct s3_request rq = {.method = "POST",
				      .name = u->put->name,
				      .query = &query,
				      .query_count = 1,
				      .body = &body,
				      .cancel = u->put->cancel};
	struct s3_patience patience = {0};
	struct s3_problem problem;
	int rc;

	for (;;) {
		struct s3_answer answer;
		usec_t asked;

		rc = s3_exchange(u->client, &rq, &answer, &problem, reterr);
		asked = answer.retry_after_us;
		if (rc == 0 && problem.fault == S3_FINE)
			check_completed(&answer, &problem);
		s3_answer_fini(&answer);
		if (rc < 0 || problem.fault == S3_FINE)
			return rc;
		if (problem.fault == S3_NO_UPLOAD && patience.tries > 0 && is_there(u))
			return 0;
		if (!s3_patience_wait(u->client, &patience, &problem, asked, &rq.cancel))
			return s3_failed(&problem, "write", u->put->name, reterr);
	}
}

static bool is_late(void *until)
{
	return clock_mono_us() >= *(const usec_t *)until;
}

/* Parts that nobody completes cost money until somebody looks; but whoever gave up does not wait for long. */
static void abort_upload(struct upload *u)
{
	usec_t until = clock_mono_us() + ABORT_US;
	const struct s3_query query = {"uploadId", buf_bytes(&u->id)};
	const struct s3_request rq = {.method = "DELETE",
				      .name = u->put->name,
				      .query = &query,
				      .query_count = 1,
				      .cancel = {is_late, &until}};
	struct s3_problem problem;

	for (int i = 0; i < 3; i++) {
		struct s3_answer answer;
		int rc = s3_exchange(u->client, &rq, &answer, &problem, NULL);

		s3_answer_fini(&answer);
		if (rc < 0 || !s3_fault_is_passing(problem.fault))
			break;
	}
}

static uint64_t part_size(const struct s3_put *put)
{
	uint64_t size = put->part_bytes == 0 ? PART_BYTES_DEFAULT : put->part_bytes;
	uint64_t least = (put->size + S3_PARTS_MAX - 1) / S3_PARTS_MAX;

	if (size < S3_PART_BYTES_MIN)
		size = S3_PART_BYTES_MIN;
	return size > least ? size : (least + MIB - 1) / MIB * MIB;
}

static int put_parts(struct s3_client *c, const struct s3_put *put, uint64_t part, struct error *reterr)
{
	struct upload u = {.client = c, .put = put};
	uint64_t done = 0;
	int rc = begin_upload(&u, reterr);

	if (rc == 0) {
		buf_printf(&u.complete, "<CompleteMultipartUpload>");
		for (unsigned number = 1; rc == 0 && done < put->size; number++) {
			uint64_t size = put->size - done < part ? put->size - done : part;

			rc = send_part(&u, number, done, size, reterr);
			done += size;
		}
		buf_printf(&u.complete, "</CompleteMultipartUpload>");
		if (rc == 0)
			rc = end_upload(&u, reterr);
		if (rc < 0)
			abort_upload(&u);
	}
	buf_fini(&u.id);
	buf_fini(&u.complete);
	return rc;
}

int s3_put(struct s3_client *c, const struct s3_put *put, struct error *reterr)
{
	uint64_t part = part_size(put);

	return put->size <= part ? put_whole(c, put, reterr) : put_parts(c, put, part, reterr);
}

int s3_delete(struct s3_client *c, const struct s3_name *name, struct error *reterr)
{
	const struct s3_request rq = {.method = "DELETE", .name = name};
	struct s3_answer answer;
	int rc = s3_request(c, &rq, "delete", &answer, reterr);

	s3_answer_fini(&answer);
	return rc == ERR_NOT_FOUND ? 0 : rc;
}
