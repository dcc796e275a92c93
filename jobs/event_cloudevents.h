/* CloudEvents 1.0, structured JSON: type and data are detail-type and detail, subject is the one
 * resource. Data that is no object becomes detail {"data": …}, data_base64 detail {"data_base64": …}.
 * Other attributes are extensions, dataschema too. Source: CloudEvents JSON format v1.0.2. Pure. */
#pragma once

#include "jobs/event.h"

bool event_cloudevents_is(const json_t *body);
int event_cloudevents_read(json_t *body, usec_t now_wall_us, struct event *ret,
			   struct error *reterr) MUST_CHECK;
/* Canonical text of the same event as a CloudEvent. */
void event_cloudevents_write(const struct event *e, struct buf *out);
