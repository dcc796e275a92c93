/* S3 notifications as AWS, MinIO and Ceph send them, made canonical: what EventBridge would have sent.
 * Pure.
 *
 * AWS and MinIO percent-encode keys ('+' is a space), Ceph (eventSource ceph:s3) does not. Sizes may
 * be strings; a versionId of "" or "null" is none.
 * Sources: S3 User Guide "Event message structure" and "EventBridge event message structure"; Ceph
 * "S3 Bucket Notifications Compatibility"; MinIO "Bucket notifications". */
#pragma once

#include "jobs/event.h"

/* A body with "Records", s3:TestEvent, or an SNS message; SNS and SQS envelopes are opened. */
bool event_s3_is(const json_t *body);
int event_s3_read(json_t *body, usec_t now_wall_us, struct event_list *list, struct error *reterr) MUST_CHECK;
