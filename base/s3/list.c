/* ListObjectsV2, page by page. https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/s3/request.h"
#include "base/s3/xml.h"

static int take_entries(const struct s3_list *list, struct bytes body, struct error *reterr)
{
	struct buf key = {0}, text = {0};
	struct bytes entry;
	int rc = 0;

	while (rc == 0 && s3_xml_next(&body, "Contents", &entry)) {
		char etag[S3_ETAG_BYTES_MAX] = "";
		struct s3_entry e = {.etag = etag};

		if (!s3_xml_text(entry, "Key", &key))
			continue;
		e.key = buf_bytes(&key);
		if (s3_xml_text(entry, "Size", &text))
			e.size_bytes = strtoull(buf_text(&text), NULL, 10);
		if (s3_xml_text(entry, "ETag", &text))
			s3_etag_bare(buf_bytes(&text), etag, sizeof etag);
		if (list->take(list->arg, &e) != 0)
			rc = s3_cancelled(reterr);
	}
	buf_fini(&key);
	buf_fini(&text);
	return rc;
}

static int refuse(const struct s3_list *list, const char *why, struct error *reterr)
{
	struct s3_problem problem = {.fault = S3_REFUSED, .status = 200};

	snprintf(problem.message, sizeof problem.message, "%s", why);
	return s3_failed(&problem, "list", list->name, reterr);
}

/* What is no whole page, or hides the next one, would pass for a list that has ended. */
static int read_page(const struct s3_list *list, struct bytes body, struct buf *token, struct error *reterr)
{
	struct buf more = {0}, next = {0};
	struct bytes page;
	int rc;

	if (!s3_xml_next(&body, "ListBucketResult", &page))
		return refuse(list, "what it sends is no whole ListBucketResult", reterr);
	rc = take_entries(list, page, reterr);
	if (rc == 0 && s3_xml_text(page, "IsTruncated", &more) && strcmp(buf_text(&more), "true") == 0) {
		(void)s3_xml_text(page, "NextContinuationToken", &next);
		if (next.size == 0 || bytes_equal(buf_bytes(&next), buf_bytes(token)))
			rc = refuse(list, "it does not tell how the list goes on", reterr);
	}
	buf_clear(token);
	buf_append_bytes(token, buf_bytes(&next));
	buf_fini(&more);
	buf_fini(&next);
	return rc;
}

/* One page; the token of the next one, "" at the end. */
static int take_page(struct s3_client *c, const struct s3_list *list, struct buf *token, struct error *reterr)
{
	struct s3_name bucket = {0};
	/* Sorted, as they are signed. */
	const struct s3_query query[] = {{"continuation-token", buf_bytes(token)},
					 {"list-type", BYTES_LIT("2")},
					 {"prefix", bytes_of(list->name->key)}};
	size_t skip = token->size == 0 ? 1 : 0;
	const struct s3_request rq = {.method = "GET",
				      .name = &bucket,
				      .query = query + skip,
				      .query_count = ARRAY_LENGTH(query) - skip,
				      .cancel = list->cancel};
	struct s3_answer answer;
	int rc;

	strcpy(bucket.bucket, list->name->bucket);
	rc = s3_request(c, &rq, "list", &answer, reterr);
	if (rc == 0)
		rc = read_page(list, buf_bytes(&answer.body), token, reterr);
	s3_answer_fini(&answer);
	return rc;
}

int s3_list(struct s3_client *c, const struct s3_list *list, struct error *reterr)
{
	struct buf token = {0};
	int rc;

	do
		rc = take_page(c, list, &token, reterr);
	while (rc == 0 && token.size > 0);
	buf_fini(&token);
	return rc;
}
