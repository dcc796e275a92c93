#include "jobs/event_s3.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "jobs/event_parts.h"
#include "jobs/json.h"

/* What EventBridge calls an S3 event. A name ending in ':' stands for all that begin so. */
static const struct kind {
	const char *name;
	const char *detail_type;
	const char *reason;
	const char *deletion;
} kinds[] = {
    {"ObjectCreated:Put", EVENT_OBJECT_CREATED, "PutObject", NULL},
    {"ObjectCreated:Post", EVENT_OBJECT_CREATED, "POST Object", NULL},
    {"ObjectCreated:Copy", EVENT_OBJECT_CREATED, "CopyObject", NULL},
    {"ObjectCreated:CompleteMultipartUpload", EVENT_OBJECT_CREATED, "CompleteMultipartUpload", NULL},
    {"ObjectCreated:", EVENT_OBJECT_CREATED, NULL, NULL},
    {"ObjectRemoved:Delete", EVENT_OBJECT_DELETED, "DeleteObject", "Permanently Deleted"},
    {"ObjectRemoved:DeleteMarkerCreated", EVENT_OBJECT_DELETED, "DeleteObject", "Delete Marker Created"},
    {"ObjectRemoved:", EVENT_OBJECT_DELETED, NULL, NULL},
    {"LifecycleExpiration:Delete", EVENT_OBJECT_DELETED, "Lifecycle Expiration", "Permanently Deleted"},
    {"LifecycleExpiration:DeleteMarkerCreated", EVENT_OBJECT_DELETED, "Lifecycle Expiration",
     "Delete Marker Created"},
    {"ObjectRestore:Post", "Object Restore Initiated", NULL, NULL},
    {"ObjectRestore:Completed", "Object Restore Completed", NULL, NULL},
    {"ObjectRestore:Delete", "Object Restore Expired", NULL, NULL},
    {"LifecycleTransition", "Object Storage Class Changed", NULL, NULL},
    {"IntelligentTiering", "Object Access Tier Changed", NULL, NULL},
    {"IntelligentTiering:", "Object Access Tier Changed", NULL, NULL},
    {"ObjectTagging:Put", "Object Tags Added", NULL, NULL},
    {"ObjectTagging:Delete", "Object Tags Deleted", NULL, NULL},
    {"ObjectAcl:Put", "Object ACL Updated", NULL, NULL},
};

static const struct kind *find_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
		size_t size = strlen(kinds[i].name);

		if (strcmp(kinds[i].name, name) == 0 ||
		    (kinds[i].name[size - 1] == ':' && strncmp(kinds[i].name, name, size) == 0))
			return &kinds[i];
	}
	return NULL;
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text == NULL ? "" : text;
}

static int expect_text(const json_t *object, const char *name, struct bytes *ret, struct error *reterr)
{
	const json_t *value = json_object_get(object, name);

	*ret = json_bytes(value);
	if (ret->size > 0)
		return 0;
	if (json_is_string(value))
		error_set(reterr, ERR_INVALID, "expected a string that is not empty");
	else
		error_set(reterr, ERR_INVALID, "expected a string, found %s", json_kind_name(value));
	return error_where(reterr, "%s", name);
}

/* A number, or, as Ceph writes it, a string of digits. Others do not know it. */
static int take_size(const json_t *from, json_t *object, struct error *reterr)
{
	const json_t *value = json_object_get(from, "size");
	json_int_t size = json_integer_value(value);
	struct bytes digits = json_bytes(value);
	char quoted[40];

	if (value == NULL || json_is_null(value) || (json_is_string(value) && digits.size == 0))
		return 0;
	for (size_t i = 0; i < digits.size && size >= 0; i++) {
		bool is_digit = digits.data[i] >= '0' && digits.data[i] <= '9';

		if (!is_digit || size > (INT64_MAX - 9) / 10)
			size = -1;
		else
			size = size * 10 + (digits.data[i] - '0');
	}
	if (size < 0 || (!json_is_integer(value) && !json_is_string(value))) {
		error_set(reterr, ERR_INVALID, "expected a number of bytes, found %s",
			  json_is_string(value) ? text_quote(quoted, sizeof quoted, digits)
						: json_kind_name(value));
		return error_where(reterr, "size");
	}
	CHECK(json_object_set_new(object, "size", json_integer(size)) == 0);
	return 0;
}

static void set_bytes(json_t *object, const char *name, struct bytes value)
{
	if (value.size > 0)
		event_set_bytes(object, name, value);
}

static int take_object(const json_t *from, bool encoded, bool deleted, json_t *object, struct error *reterr)
{
	struct bytes key, etag = json_bytes(json_object_get(from, "eTag"));
	struct bytes version = json_bytes(json_object_get(from, "versionId"));
	struct buf decoded = {0};
	int rc = expect_text(from, "key", &key, reterr);

	if (rc < 0)
		return rc;
	if (encoded)
		event_percent_decode(key, true, &decoded);
	else
		buf_append_bytes(&decoded, key);
	event_set_bytes(object, "key", buf_bytes(&decoded));
	buf_fini(&decoded);
	if (etag.size >= 2 && etag.data[0] == '"' && etag.data[etag.size - 1] == '"')
		etag = BYTES(etag.data + 1, etag.size - 2); /* as in the HTTP header */
	set_bytes(object, "etag", etag);
	if (!bytes_equal(version, BYTES_LIT("null")))
		set_bytes(object, "version-id", version);
	set_bytes(object, "sequencer", json_bytes(json_object_get(from, "sequencer")));
	return deleted ? 0 : take_size(from, object, reterr);
}

/* Members that only some kinds have. */
static void take_extras(const json_t *record, const struct kind *kind, json_t *detail)
{
	const json_t *glacier = json_object_get(record, "glacierEventData"), *restore, *data;

	restore = json_object_get(glacier != NULL ? glacier : record, "restoreEventData");
	event_set_text(detail, "restore-expiry-time", text_of(restore, "lifecycleRestorationExpiryTime"));
	event_set_text(detail, "source-storage-class", text_of(restore, "lifecycleRestoreStorageClass"));
	data = json_object_get(json_object_get(record, "lifecycleEventData"), "transitionEventData");
	event_set_text(detail, "destination-storage-class", text_of(data, "destinationStorageClass"));
	data = json_object_get(record, "intelligentTieringEventData");
	event_set_text(detail, "destination-access-tier", text_of(data, "destinationAccessTier"));
	if (kind != NULL) {
		event_set_text(detail, "reason", kind->reason);
		event_set_text(detail, "deletion-type", kind->deletion);
	}
}

/* The same notification, delivered again, has the same id; in the form of a UUID. */
static void set_id(json_t *envelope, const json_t *record)
{
	struct buf text = {0};
	uint8_t h[crypto_hash_sha256_BYTES];
	char id[40];

	json_write(&text, json_object_get(record, "s3"));
	buf_append_bytes(&text, json_bytes(json_object_get(record, "eventName")));
	buf_append_bytes(&text, json_bytes(json_object_get(record, "eventTime")));
	crypto_hash_sha256(h, text.data, text.size);
	buf_fini(&text);
	snprintf(id, sizeof id, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", h[0],
		 h[1], h[2], h[3], h[4], h[5], h[6], h[7], h[8], h[9], h[10], h[11], h[12], h[13], h[14],
		 h[15]);
	event_set_text(envelope, "id", id);
}

static void fill_envelope(const json_t *record, const char *name, const struct kind *kind, json_t *envelope)
{
	const char *arn = text_of(json_object_get(json_object_get(record, "s3"), "bucket"), "arn");

	set_id(envelope, record);
	event_set_text(envelope, "source", EVENT_SOURCE_S3);
	event_set_text(envelope, "detail-type", kind == NULL ? name : kind->detail_type);
	event_set_text(envelope, "region", text_of(record, "awsRegion"));
	event_set_text(envelope, "time", text_of(record, "eventTime"));
	if (arn[0] != '\0')
		CHECK(json_object_set_new(envelope, "resources", json_pack("[s]", arn)) == 0);
}

static int fill_detail(const json_t *record, const struct kind *kind, json_t *detail, struct error *reterr)
{
	const json_t *s3 = json_object_get(record, "s3"), *from = json_object_get(s3, "bucket");
	bool encoded = strcmp(text_of(record, "eventSource"), "ceph:s3") != 0;
	bool deleted = kind != NULL && strcmp(kind->detail_type, EVENT_OBJECT_DELETED) == 0;
	json_t *bucket = json_object(), *object = json_object();
	struct bytes name;
	int rc;

	event_set_text(detail, "version", "0");
	CHECK(json_object_set_new(detail, "bucket", bucket) == 0);
	CHECK(json_object_set_new(detail, "object", object) == 0);
	rc = expect_text(from, "name", &name, reterr);
	if (rc < 0)
		return event_error_under(reterr, "s3.bucket");
	event_set_bytes(bucket, "name", name);
	rc = take_object(json_object_get(s3, "object"), encoded, deleted, object, reterr);
	if (rc < 0)
		return event_error_under(reterr, "s3.object");
	from = json_object_get(record, "responseElements");
	event_set_text(detail, "request-id", text_of(from, "x-amz-request-id"));
	event_set_text(detail, "requester", text_of(json_object_get(record, "userIdentity"), "principalId"));
	from = json_object_get(record, "requestParameters");
	event_set_text(detail, "source-ip-address", text_of(from, "sourceIPAddress"));
	take_extras(record, kind, detail);
	return 0;
}

int event_s3_read(const json_t *record, usec_t now_wall_us, struct event *ret, struct error *reterr)
{
	json_t *envelope = json_object(), *detail = json_object();
	const struct kind *kind = NULL;
	struct bytes name;
	int rc = expect_text(record, "eventName", &name, reterr);

	CHECK(json_object_set_new(envelope, "detail", detail) == 0);
	if (rc == 0) {
		const char *text = (const char *)name.data;

		if (strncmp(text, "s3:", 3) == 0)
			text += 3;
		kind = find_kind(text);
		rc = fill_detail(record, kind, detail, reterr);
		if (rc == 0)
			fill_envelope(record, text, kind, envelope);
	}
	if (rc == 0)
		rc = event_from_json(envelope, now_wall_us, ret, reterr);
	json_decref(envelope);
	return rc;
}
