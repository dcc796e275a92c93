/* A CloudEvent in HTTP's binary mode: its attributes are headers whose names begin with ce-, the body is its
 * data. Source: CloudEvents HTTP protocol binding v1.0.2, section 3.1. Pure. */
#pragma once

#include "jobs/event.h"

struct event_header {
	struct bytes name, value;
};

/* Do the headers say that the body is the data of an event? */
bool event_binary_is(const struct event_header *headers, uint32_t count);
/* Appends the one event. Data of a JSON type is read; data of a text type is a string; all other data is
 * data_base64. Errors name the header. */
int event_binary_read(const struct event_header *headers, uint32_t count, struct bytes body,
		      usec_t now_wall_us, struct event_list *list, struct error *reterr) MUST_CHECK;
