#include "base/s3/fault.h"

#include <stdio.h>
#include <string.h>

#include "base/s3/xml.h"
#include "base/text.h"

/* What servers name. The status decides about the rest. */
static const struct {
	const char *code;
	enum s3_fault fault;
} codes[] = {
    {"NoSuchKey", S3_NO_OBJECT},
    {"NoSuchVersion", S3_NO_OBJECT},
    {"NoSuchBucket", S3_NO_BUCKET},
    {"NoSuchUpload", S3_NO_UPLOAD},
    {"AccessDenied", S3_DENIED},
    {"InvalidAccessKeyId", S3_BAD_KEY},
    {"SignatureDoesNotMatch", S3_BAD_KEY},
    {"InvalidToken", S3_BAD_KEY},
    {"RequestTimeTooSkewed", S3_CLOCK},
    {"RequestExpired", S3_CLOCK},
    {"ExpiredToken", S3_STALE_KEY},
    {"ExpiredTokenException", S3_STALE_KEY},
    {"TokenRefreshRequired", S3_STALE_KEY},
    {"PermanentRedirect", S3_REGION},
    {"TemporaryRedirect", S3_REGION},
    {"AuthorizationHeaderMalformed", S3_REGION},
    {"IllegalLocationConstraintException", S3_REGION},
    {"PreconditionFailed", S3_CHANGED},
    {"InvalidRange", S3_RANGE},
    {"SlowDown", S3_BUSY},
    {"RequestTimeout", S3_BUSY},
    {"InternalError", S3_BUSY},
    {"ServiceUnavailable", S3_BUSY},
    {"OperationAborted", S3_BUSY},
    {"XAmzContentSHA256Mismatch", S3_BUSY}, /* damaged on its way */
    {"BadDigest", S3_BUSY},
};

static enum s3_fault of_status(unsigned status)
{
	if (status / 100 == 2)
		return S3_FINE;
	if (status == 0)
		return S3_BROKEN;
	if (status / 100 == 5 || status == 429 || status == 408)
		return status == 501 ? S3_REFUSED : S3_BUSY;
	if (status / 100 == 3)
		return S3_REGION;
	switch (status) {
	case 401:
	case 403:
		return S3_DENIED;
	case 404:
		return S3_NO_OBJECT;
	case 412:
		return S3_CHANGED;
	case 416:
		return S3_RANGE;
	default:
		return S3_REFUSED;
	}
}

static void read_text(struct bytes body, const char *element, char *ret, size_t size)
{
	struct buf text = {0};

	if (s3_xml_text(body, element, &text))
		snprintf(ret, size, "%s", buf_text(&text));
	buf_fini(&text);
}

void s3_problem_read(unsigned status, struct bytes body, struct s3_problem *ret)
{
	struct s3_problem p = {.status = status, .fault = of_status(status)};
	struct bytes at = body, error;

	if (s3_xml_next(&at, "Error", &error)) {
		read_text(error, "Code", p.code, sizeof p.code);
		read_text(error, "Message", p.message, sizeof p.message);
		read_text(error, "Region", p.region, sizeof p.region);
	}
	/* A 200 may still carry an error: CompleteMultipartUpload answers before it is done. */
	if (p.fault == S3_FINE && p.code[0] != '\0')
		p.fault = S3_BUSY;
	for (size_t i = 0; i < ARRAY_LENGTH(codes); i++)
		if (strcmp(codes[i].code, p.code) == 0)
			p.fault = codes[i].fault;
	*ret = p;
}

bool s3_fault_is_passing(enum s3_fault fault)
{
	return fault == S3_BROKEN || fault == S3_BUSY || fault == S3_STALE_KEY;
}

static const struct {
	enum s3_fault fault;
	enum error_code code;
	const char *what, *help;
} words[] = {
    {S3_BROKEN, ERR_IO, "the connection to the object store broke again and again",
     "check that s3_endpoint is right and that the server runs; the shard is tried again"},
    {S3_BUSY, ERR_BUSY, "the object store asked to come again later, each time",
     "it is overloaded: lower the number of workers, or raise s3_patience"},
    {S3_STALE_KEY, ERR_BUSY, "the session's credentials have expired", "renew them where they come from"},
    {S3_NO_OBJECT, ERR_NOT_FOUND, "there is no such object", "check the key; has it been deleted?"},
    {S3_NO_BUCKET, ERR_NOT_FOUND, "there is no such bucket",
     "check the bucket's name, and that s3_endpoint is the server that has it"},
    {S3_NO_UPLOAD, ERR_IO, "the server has forgotten the multipart upload",
     "does a lifecycle rule of the bucket abort uploads early?"},
    {S3_DENIED, ERR_DENIED, "access is denied",
     "give the credentials that are used here the right to it (s3:GetObject, s3:PutObject)"},
    {S3_BAD_KEY, ERR_DENIED, "the server does not accept the access key or its secret",
     "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile in ~/.aws/credentials"},
    {S3_CLOCK, ERR_DENIED, "this machine's clock and the server's differ by more than 15 minutes",
     "set the clock here (timedatectl set-ntp true), then submit or retry the job"},
    {S3_REGION, ERR_INVALID, "the bucket is in another region", "set s3_region (or AWS_REGION)"},
    {S3_TRUST, ERR_DENIED, "the server's certificate is not trusted",
     "set s3_ca (or AWS_CA_BUNDLE) to the file of its authority's certificate"},
    {S3_CHANGED, ERR_INVALID, "the object changed after the job was planned",
     "submit a new job for the new content"},
    {S3_RANGE, ERR_INVALID, "the object is shorter than the job was planned for",
     "submit a new job for the new content"},
    {S3_LIBRARY, ERR_INVALID, "libcurl refuses to send the request",
     "no server was asked: check s3_endpoint and s3_ca, and the libcurl that is installed here"},
    {S3_REFUSED, ERR_INVALID, "the server refuses the request", ""},
};

int s3_problem_error(const struct s3_problem *p, const char *verb, struct bytes url, struct error *reterr)
{
	size_t i = 0;
	char quoted[240], said[320] = "";

	while (i + 1 < ARRAY_LENGTH(words) && words[i].fault != p->fault)
		i++;
	if (p->status != 0)
		snprintf(said, sizeof said, " (%u%s%s%s%s)", p->status, p->code[0] != '\0' ? " " : "",
			 p->code, p->message[0] != '\0' ? ": " : "", p->message);
	else if (p->message[0] != '\0')
		snprintf(said, sizeof said, " (%s)", p->message);
	error_set(reterr, words[i].code, "cannot %s it: %s%s", verb, words[i].what, said);
	error_where(reterr, "%s", text_quote(quoted, sizeof quoted, url));
	if (p->fault == S3_REGION && p->region[0] != '\0')
		error_help(reterr, "set s3_region (or AWS_REGION) to %s", p->region);
	else if (words[i].help[0] != '\0')
		error_help(reterr, "%s", words[i].help);
	return words[i].code;
}

bool s3_error_is_final(int code)
{
	return code == ERR_NOT_FOUND || code == ERR_DENIED || code == ERR_INVALID || code == ERR_LIMIT;
}

usec_t s3_retry_wait_us(unsigned tries, usec_t asked_us, struct rng *rng)
{
	usec_t bound = S3_RETRY_BASE_US, wait;

	for (unsigned i = 1; i < tries && bound < S3_RETRY_CAP_US; i++)
		bound *= 2;
	if (bound > S3_RETRY_CAP_US)
		bound = S3_RETRY_CAP_US;
	wait = (usec_t)rng_below(rng, (uint64_t)bound + 1);
	return wait > asked_us ? wait : asked_us;
}
