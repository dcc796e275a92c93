/* Who is to be served next, of those that share something by weight: queues the cluster, fairness keys their
 * queue. A share counts the time that it was served, over its weight; the least served goes first. Pure.
 *
 * Past use has a half-life. Instead of making every sum smaller as time passes, what is added is made larger
 * by 2^(time / half-life): the order is the same, and nothing has to be touched (Cormode, Shkapenyuk,
 * Srivastava, Xu, "Forward decay", ICDE 2009). Before the factor overflows, all sums are made smaller at
 * once: share_clock_set says when.
 *
 * Who begins to wait starts one quantum before the least served of those that wait, or where it stands, if it
 * was served more than that: what it did not ask for while it was away it does not get later (start-time fair
 * queueing: Goyal, Vin, Cheng, SIGCOMM 1996). The quantum is given once a half-life, or coming and going
 * would be worth more than waiting. */
#pragma once

#include "base/types.h"

struct share_clock {
	usec_t half_life_us;
	usec_t now_us, origin_us;
	double factor;	   /* 2^((now - origin) / half-life), in steps of 1/64 of a half-life */
	uint64_t halvings; /* by which all sums were made smaller so far: share_turn */
};

struct share {
	double ahead;	 /* of used: what is charged and not reported yet */
	double used;	 /* us of served time, over the weight, at the clock's scale */
	uint32_t weight; /* > 0 */
	bool given;	 /* a quantum, at given_us */
	usec_t given_us;
	struct share_place *places; /* in lines; list by `other` */
	bool crowds;		    /* several of them may be in the same line */
};

/* A share in a line of those that wait. */
struct share_place {
	struct share *share;
	uint64_t serial; /* of two that were served alike the lower goes first */
	uint32_t at;
	struct share_line *line; /* NULL: not in one */
	struct share_place *other;
};

/* A heap by time served, least first. */
struct share_line {
	struct share_place **items;
	uint32_t count, capacity;
};

#define SHARE_HALVINGS_MAX 256 /* of the factor, before all sums are to be made smaller */

void share_clock_init(struct share_clock *c, usec_t half_life_us, usec_t now_us);
/* The time is now_us. > 0: every share must be made smaller (share_shrink) by so many halvings, in the same
 * step. Time that goes back is time that stands still. */
uint32_t share_clock_set(struct share_clock *c, usec_t now_us);
void share_shrink(struct share *s, uint32_t halvings);
/* Any other sum at the clock's scale. */
double share_shrunk(double sum, uint32_t halvings);

/* What serving `us` costs a share of this weight now. To take it back, pass it negative: what was charged
 * earlier is worth the same later. */
double share_cost(const struct share_clock *c, const struct share *s, double us);
/* Its places in lines follow. Never below 0. */
void share_charge(struct share *s, double cost);
/* The same of something that has not happened yet: to be charged again as it was, less what it was expected
 * to be (share_charge_late). */
void share_charge_ahead(struct share *s, double cost);
void share_charge_late(struct share *s, double expected, double cost);
/* What it has really had. */
double share_served(const struct share *s);
/* It begins to wait, in none of the lines yet. least: what the least served of those that wait has had
 * (share_served), or had when last anybody waited. */
void share_begin(const struct share_clock *c, struct share *s, double least, double quantum_us);
/* Comparable between all shares and times: of two the lower goes first. */
int64_t share_turn(const struct share_clock *c, const struct share *s);

/* What was charged ahead is charged by the new weight; what was served counts as it did. */
void share_set_weight(struct share *s, uint32_t weight);

void share_line_add(struct share_line *l, struct share_place *p);
void share_line_remove(struct share_place *p);
void share_place_renumber(struct share_place *p, uint64_t serial);
bool share_place_is_before(const struct share_place *a, const struct share_place *b);
struct share_place *share_line_first(const struct share_line *l); /* NULL when empty */
/* After shares were shrunk: small differences may be gone. */
void share_line_sort(struct share_line *l);
void share_line_fini(struct share_line *l); /* empty */
/* CHECKs its order. */
void share_line_check(const struct share_line *l);
