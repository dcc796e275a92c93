/* Who has a place, and who has to leave for whom. */
#include <criterion/criterion.h>

#include "base/constants.h"
#include "base/limits.h"
#include "dispatcher/api/places.h"
#include "dispatcher/descriptors.h"

#define NOW USEC_PER_SEC

static struct places p;

static void open_all(void)
{
	places_init(&p, 1000);
}

static void leave_all(void)
{
	for (int kind = 0; kind < PLACE_KINDS; kind++)
		while (p.lists[kind] != NULL)
			places_leave(&p, p.lists[kind]);
	places_fini(&p);
}

TestSuite(places, .init = open_all, .fini = leave_all);

static struct http_place *enter(uint64_t who, usec_t now)
{
	return places_enter(&p, &(struct place_key){.lo = who}, -1, now);
}

static struct http_place *surplus(uint64_t who)
{
	return places_surplus(&p, &(struct place_key){.lo = who});
}

Test(places, the_oldest_of_the_kind_that_has_most_leaves)
{
	struct http_place *first = enter(1, NOW), *idle = enter(2, NOW);

	cr_assert(places_move(&p, idle, PLACE_IDLE, NOW));
	for (uint64_t who = 3; p.counts[PLACE_FRESH] + 1 < p.loose_max; who++) {
		cr_assert_null(surplus(who));
		(void)enter(who, NOW);
	}
	cr_assert_eq(surplus(999999), first);
	cr_assert(places_is_new(first, NOW) && !places_is_new(first, NOW + HTTP_NEW_US));
}

Test(places, of_one_peer_leave_its_own)
{
	struct http_place *other = enter(7, NOW), *first = enter(1, NOW);

	while (surplus(1) == NULL)
		(void)enter(1, NOW);
	cr_assert_lt(p.counts[PLACE_FRESH], p.loose_max, "a quarter is left to others");
	cr_assert_eq(surplus(1), first);
	cr_assert_null(surplus(7));
	cr_assert_eq(other->kind, PLACE_FRESH);
}

Test(places, those_who_wait_take_nothing_from_others)
{
	uint32_t waiting = 0;
	struct http_place *place = enter(1, NOW);

	for (uint64_t who = 1; places_move(&p, place, PLACE_WAIT, NOW); who++, waiting++)
		place = enter(who / 100 + 2, NOW);
	cr_assert_eq(waiting, p.max[PLACE_WAIT]);
	cr_assert_eq(place->kind, PLACE_FRESH, "nothing has changed");
	cr_assert(places_move(&p, place, PLACE_FIRST, NOW));
	cr_assert(places_move(&p, enter(5, NOW), PLACE_CALL, NOW));
}

Test(places, a_peer_has_its_share_of_those_who_wait)
{
	uint32_t waiting = 0;

	while (places_move(&p, enter(1, NOW), PLACE_WAIT, NOW))
		waiting++;
	cr_assert_lt(waiting, p.max[PLACE_WAIT]);
	cr_assert(places_move(&p, enter(2, NOW), PLACE_WAIT, NOW));
}

Test(places, who_takes_too_long_is_found)
{
	struct http_place *head = enter(1, NOW), *body = enter(2, NOW), *wait = enter(3, NOW);

	cr_assert(places_move(&p, body, PLACE_BODY, NOW));
	cr_assert(places_move(&p, wait, PLACE_WAIT, NOW));
	cr_assert_eq(places_deadline(&p), NOW + HTTP_HEAD_US);
	cr_assert_null(places_late(&p, NOW + HTTP_HEAD_US - 1));
	cr_assert_eq(places_late(&p, NOW + HTTP_HEAD_US), head);
	places_leave(&p, head);
	cr_assert_eq(places_late(&p, NOW + HTTP_BODY_US), body);
	places_leave(&p, body);
	cr_assert_eq(places_deadline(&p), USEC_NEVER, "who was asked to wait may");
}

Test(descriptors, are_cut_so_that_each_door_has_its_part)
{
	static const struct {
		uint64_t limit;
		uint32_t http_min;
		int workers_min;
	} cases[] = {{DESCRIPTORS_MIN, 16, 16}, {256, 16, 32},		 {1024, 100, 300},
		     {20000, 5000, 10000},	{1048576, 6000, 900000}, {UINT64_MAX, 6000, 900000}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (uint32_t listeners = 1; listeners <= 2; listeners++) {
			struct descriptors d;
			struct error e = {0};
			int http;

			cr_assert_eq(descriptors_cut(cases[i].limit, listeners, &d, &e), 0);
			http = (int)(d.http_places * listeners);
			cr_expect_geq(http, cases[i].http_min);
			cr_expect_leq((uint64_t)d.line + (uint64_t)d.backlog + DESCRIPTORS_SPARE,
				      cases[i].limit);
			cr_expect_leq(d.wire_line + http, d.line);
			cr_expect_geq(d.wire_line - 40,
				      listeners == 2 ? cases[i].workers_min * 2 / 3 : cases[i].workers_min,
				      "%llu: %d", (unsigned long long)cases[i].limit, d.wire_line);
		}
	}
}

Test(descriptors, that_are_too_few_are_told)
{
	struct descriptors d;
	struct error e = {0};

	cr_assert_eq(descriptors_cut(DESCRIPTORS_MIN - 1, 1, &d, &e), ERR_EXHAUSTED);
	cr_assert_str_eq(e.what, "expected a limit of at least 192 descriptors, found 191");
}
