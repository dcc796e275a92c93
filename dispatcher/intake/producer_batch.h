/* What producers.c and producer_batch.c share: sessions, and the batches of events that came in them. */
#pragma once

#include <uthash.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/keys.h"
#include "base/log.h"
#include "dispatcher/producers.h"
#include "jobs/event.h"
#include "jobs/schema.h"

/* Whatever came in a batch under one number: an event, or the events of a body. */
struct batch_record {
	struct batch *batch;
	uint32_t open;		/* answers of the core that are due */
	uint32_t first, events; /* of the batch's events, those of its body */
	bool again, noted;	/* again: it has to be offered once more */
};

struct batch_event {
	struct batch_record *record;
	bool
	    counted; /* what became of it is known: it is not offered once more with the others of its body */
};

/* What is to be told of events. */
struct producer_news {
	struct event_note *notes;
	uint32_t note_count, note_capacity;
	uint64_t known, unmatched, jobs;
};

/* What one frame brought. */
struct batch {
	struct batch *prev, *next;
	struct producer *producer;
	uint64_t first;
	uint32_t count;
	uint32_t open; /* records without an end */
	size_t bytes;  /* of the bodies */
	bool begun;
	struct batch_record *records; /* while it is begun */
	struct batch_event *events;   /* of all bodies */
	struct event_list list;	      /* they, while it is looked up which of them are known */
	struct producer_news news;
	size_t size;
	uint8_t frame[];
};

/* A session. */
struct producer {
	struct producers *producers;
	struct producer *prev, *next_over; /* of those that are over and have answers due */
	uint64_t session, peer;
	char name[KEY_NAME_BYTES];
	uint64_t next;	  /* the number that is expected */
	uint64_t durable; /* all before are answered, but for what is not sent yet */
	uint64_t credit_bytes;
	uint32_t open_events;
	uint64_t open_bytes;
	struct batch *batches;	   /* without an answer, in their order */
	struct batch *looking;	   /* of them, the one whose keys are looked up; none behind it is begun */
	struct producer_news news; /* of those that are answered */
	bool starved;		   /* its last answer gave no credit */
	bool answer_due;
	bool over;
	usec_t heard_us, told_us;
	UT_hash_handle hh;
};

struct producers {
	struct services *services;
	producers_send_fn *send;
	void *send_arg;
	struct producer *sessions; /* by session */
	struct producer *over;
	uint64_t last_session;
	struct uuid cluster;
	uint32_t again_count; /* records that have to be offered again: nothing new is begun meanwhile */
	char again_why[200];
	uint32_t again_step; /* how many of them are tried in one turn of the timer: doubled while all are
				taken, halved when one is not */
	uint32_t again_left; /* of this turn */
	bool again_failed;   /* since the last turn */
	struct loop_timer retry;
	struct loop_task answers;
	struct arena arena; /* of the frame in hand */
	struct event_list list;
	struct buf out;
	struct log_quota tells;
	struct producers_counters counters;
};

/* Behind the others of its session; counts against the credit. The frame is copied. */
struct batch *batch_create(struct producer *pr, uint64_t first, uint32_t count, size_t bytes,
			   struct bytes frame);
/* m: its frame, decoded; NULL: it is decoded now. Its events are offered in their order: at once, or when it
 * is known which of them were taken before; not while a batch before it is `looking`. */
void batch_begin(struct batch *b, const struct events *m);
/* Records that the core could not take before, again_left of them at most. */
void producer_offer_again(struct producer *pr);
void producer_drop_waiting(struct producer *pr);
void producer_destroy_if_over(struct producer *pr);
void producer_destroy(struct producer *pr);
void producer_news_clear(struct producer_news *n);
/* What is not begun, as far as may be now; else the timer does it. */
void producer_go_on(struct producer *pr);
/* At the end of the loop's turn. */
void producer_answer_soon(struct producer *pr);
