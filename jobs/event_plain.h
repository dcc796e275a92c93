/* Bodies of plain events, read in one pass and without a tree: an envelope or an array of them, with the
 * members that event.h names and `version`. They are what producers send most. Pure, inside jobs/. */
#pragma once

#include "jobs/event.h"

/* Appends the events of a body; what events_read appends for it. False, list is as it was: the body is of
 * another form, or not right, and events_read has to look. */
bool events_read_plain(struct bytes body, uint32_t max_depth, usec_t now_wall_us,
		       struct event_list *list) MUST_CHECK;
