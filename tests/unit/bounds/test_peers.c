/* Frames that wait for a worker that takes them too slowly; frames of a producer that wait for room. */
#include "base/limits.h"
#include "dispatcher/intake/producer_batch.h"
#include "dispatcher/wire/peer_queue.h"
#include "tests/unit/bounds/heap.h"

Test(bounds, a_peers_queue)
{
	static const size_t frame_bytes[] = {40, 12000};
	static const uint8_t frame[12000];

	for (size_t i = 0; i < ARRAY_LENGTH(frame_bytes); i++) {
		struct peers p = {0};
		struct peer *peer = peer_find(&p, 1, true);
		size_t before = heap_now(), most = 0;

		while (p.counters.dropped == 0) {
			size_t measured = heap_now() - before;

			most = measured > most ? measured : most;
			cr_assert_eq(p.counters.queued_bytes, peer->bytes);
			for (int n = 0; n < 100 && p.counters.dropped == 0; n++)
				peer_queue(&p, peer, BYTES(frame, frame_bytes[i]));
		}
		expect_bound("a peer's queue", PEER_QUEUE_BYTES_MAX, most);
		peer_remove(&p, peer);
		cr_expect_eq(p.counters.queued_bytes, 0);
	}
}

Test(bounds, a_producers_frames)
{
	static const uint8_t frame[1000 * 203];
	static const size_t bodies[] = {1, 200};

	for (size_t i = 0; i < ARRAY_LENGTH(bodies); i++) {
		struct producers p = {0};
		struct producer *pr = check_calloc(1, sizeof(*pr));
		size_t before, most;

		pr->producers = &p;
		before = heap_now();
		while (pr->open_events + 1000 <= PRODUCER_EVENTS_MAX &&
		       pr->open_bytes + 1000 * bodies[i] <= PRODUCER_BYTES_MAX)
			batch_create(pr, pr->open_events + 1, 1000, 1000 * bodies[i],
				     BYTES(frame, 1000 * (bodies[i] + 3)));
		most = heap_now() - before;
		expect_bound("a producer's frames", p.counters.waiting_bytes, most);
		cr_expect_leq(most, PRODUCER_BYTES_MAX / 2 * 3);
		producer_destroy(pr);
		cr_expect_eq(p.counters.waiting_bytes, 0);
	}
}
