#include "tests/sim/net.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/check.h"

#define QUEUE_MAX 1000
/* A partition that is longer than this breaks the connection (TCP gives up). */
#define TCP_PATIENCE_US (15 * USEC_PER_SEC)

void net_init(struct net *n, struct world *w, struct coverage *c)
{
	memset(n, 0, sizeof *n);
	n->world = w;
	n->coverage = c;
}

static void queue_clear(struct link *l)
{
	for (size_t i = 0; i < l->queue_size; i++)
		free(l->queue[i]);
	l->queue_size = 0;
	free(l->again);
	l->again = NULL;
}

void net_fini(struct net *n)
{
	for (size_t i = 0; i < SIM_HOSTS_MAX; i++) {
		queue_clear(&n->links[i]);
		free(n->links[i].queue);
	}
	free(n->conns);
}

static void connect_later(struct net *n, uint32_t host, usec_t low, usec_t high)
{
	world_push(n->world, n->world->now_us + world_between(n->world, low, high), SIM_CONNECT, host,
		   n->links[host].life, 0, NULL);
}

static struct conn *conn_of(struct net *n, const struct link *l)
{
	return l->conn ? &n->conns[l->conn - 1] : NULL;
}

/* Nothing of it arrives after these times. */
static void lose(struct conn *c, usec_t up_from_us, usec_t down_from_us)
{
	if (up_from_us < c->lost_from_us[NET_UP])
		c->lost_from_us[NET_UP] = up_from_us;
	if (down_from_us < c->lost_from_us[NET_DOWN])
		c->lost_from_us[NET_DOWN] = down_from_us;
}

void net_worker_up(struct net *n, uint32_t host, uint64_t life)
{
	n->links[host].life = life;
	connect_later(n, host, 50, 2000);
}

void net_worker_down(struct net *n, uint32_t host)
{
	struct link *l = &n->links[host];
	struct conn *c = conn_of(n, l);

	if (c != NULL) { /* what it wrote may still arrive */
		lose(c, n->world->now_us + world_between(n->world, 0, 2 * USEC_PER_MSEC), n->world->now_us);
		c->broken = true;
	}
	l->life = 0;
	l->conn = 0;
	queue_clear(l);
}

void net_dispatcher_up(struct net *n, uint64_t life)
{
	n->dispatcher_life = life;
}

void net_dispatcher_down(struct net *n)
{
	n->dispatcher_life = 0;
	for (uint32_t host = 1; host < SIM_HOSTS_MAX; host++) {
		struct link *l = &n->links[host];
		struct conn *c = conn_of(n, l);

		if (c == NULL)
			continue;
		lose(c, n->world->now_us, n->world->now_us + world_between(n->world, 0, USEC_PER_MSEC));
		world_push(n->world, n->world->now_us + world_between(n->world, 0, 500 * USEC_PER_MSEC),
			   SIM_BREAK, host, l->conn, 0, NULL);
	}
}

/* The time of arrival, behind all that went the same way before. */
static usec_t arrival(struct net *n, struct conn *c, enum net_way way)
{
	struct world *w = n->world;
	usec_t at = w->now_us + world_between(w, 40, 400);

	if (world_chance(w, n->faults.delay_ppm)) {
		at += world_between(w, USEC_PER_MSEC, 3 * USEC_PER_SEC);
		w->harm_count++;
		coverage_fault(n->coverage, FAULT_DELAY, at);
	}
	if (at < n->links[c->host].cut_until_us[way])
		at = n->links[c->host].cut_until_us[way] + world_between(w, 0, 200 * USEC_PER_MSEC);
	if (at <= c->last_us[way])
		at = c->last_us[way] + 1;
	c->last_us[way] = at;
	return at;
}

static void send(struct net *n, struct conn *c, enum net_way way, struct bytes frame)
{
	struct world *w = n->world;
	enum sim_kind kind = way == NET_UP ? SIM_TO_DISPATCHER : SIM_TO_WORKER;
	uint32_t host = way == NET_UP ? HOST_DISPATCHER : c->host;
	uint64_t id = (uint64_t)(c - n->conns) + 1;
	usec_t at = arrival(n, c, way);

	if (world_chance(w, n->faults.loss_ppm)) {
		n->lost_count++;
		w->harm_count++;
		coverage_fault(n->coverage, FAULT_LOSS, w->now_us);
		SAY(w, "net: a frame %s w%u is lost, its connection will break",
		    way == NET_UP ? "from" : "to", c->host);
		world_push(w, w->now_us + world_between(w, 0, 4 * USEC_PER_SEC), SIM_BREAK, c->host, id, 0,
			   NULL);
		return;
	}
	world_push(w, at, kind, host, id, 0, sim_frame_of(frame));
	if (!world_chance(w, n->faults.duplicate_ppm))
		return;
	n->duplicate_count++;
	coverage_fault(n->coverage, FAULT_DUPLICATE, w->now_us);
	if (way == NET_UP && world_chance(w, 300000)) {
		free(n->links[c->host].again);
		n->links[c->host].again = sim_frame_of(frame);
		return;
	}
	if (world_chance(w, 500000)) /* an echo, behind frames that were sent later */
		at += world_between(w, 0, 2 * USEC_PER_SEC);
	else
		at = arrival(n, c, way);
	world_push(w, at, kind, host, id, 0, sim_frame_of(frame));
}

void net_send_up(struct net *n, uint32_t host, struct bytes frame)
{
	struct link *l = &n->links[host];
	struct conn *c = conn_of(n, l);

	if (c != NULL) {
		send(n, c, NET_UP, frame);
		return;
	}
	if (l->queue_size == QUEUE_MAX)
		world_fail(n->world, "w%u sends on and on without a connection", host);
	if (l->queue_size % 16 == 0)
		l->queue = check_realloc(l->queue, l->queue_size + 16, sizeof *l->queue);
	l->queue[l->queue_size++] = sim_frame_of(frame);
}

void net_send_down(struct net *n, uint64_t peer, struct bytes frame)
{
	struct conn *c;

	CHECK(peer > 0 && peer <= n->conn_count);
	c = &n->conns[peer - 1];
	if (c->dispatcher_life == n->dispatcher_life && !c->broken)
		send(n, c, NET_DOWN, frame);
}

static void flush(struct net *n, struct link *l)
{
	struct conn *c = conn_of(n, l);
	struct sim_frame *again = l->again;
	size_t count = l->queue_size;
	bool drop = count > 0 && world_chance(n->world, n->faults.loss_ppm > 0 ? 300000 : 0);

	l->queue_size = 0;
	l->again = NULL;
	if (again != NULL) {
		send(n, c, NET_UP, BYTES(again->data, again->size));
		free(again);
	}
	if (drop) {
		n->lost_count += count;
		coverage_fault(n->coverage, FAULT_LOSS, n->world->now_us);
		SAY(n->world, "net: w%u reconnects and loses %zu queued frames", c->host, count);
	}
	for (size_t i = 0; i < count; i++) {
		if (!drop)
			send(n, c, NET_UP, BYTES(l->queue[i]->data, l->queue[i]->size));
		free(l->queue[i]);
	}
}

bool net_connect(struct net *n, const struct sim_event *e)
{
	struct world *w = n->world;
	struct link *l = &n->links[e->host];

	if (l->life == 0 || l->life != e->a || l->conn != 0)
		return false;
	if (n->dispatcher_life == 0 || l->cut_until_us[NET_UP] > w->now_us ||
	    l->cut_until_us[NET_DOWN] > w->now_us) {
		connect_later(n, e->host, 50 * USEC_PER_MSEC, 300 * USEC_PER_MSEC);
		return false;
	}
	ARRAY_GROW(n->conns, n->conn_capacity, n->conn_count);
	n->conns[n->conn_count] = (struct conn){
	    .peer = n->conn_count + 1,
	    .host = e->host,
	    .worker_life = l->life,
	    .dispatcher_life = n->dispatcher_life,
	    .lost_from_us = {USEC_NEVER, USEC_NEVER},
	};
	l->conn = ++n->conn_count;
	SAY(w, "net: w%u is connected as peer %zu", e->host, l->conn);
	flush(n, l);
	return true;
}

bool net_broken(struct net *n, const struct sim_event *e)
{
	struct link *l = &n->links[e->host];
	struct conn *c = &n->conns[e->a - 1];

	if (c->broken)
		return false;
	lose(c, n->world->now_us, n->world->now_us);
	c->broken = true;
	if (l->conn != e->a)
		return false;
	SAY(n->world, "net: w%u loses its connection", e->host);
	l->conn = 0;
	connect_later(n, e->host, 100, 200 * USEC_PER_MSEC);
	return true;
}

bool net_arrives(struct net *n, const struct sim_event *e, struct conn **conn_ret)
{
	struct conn *c = &n->conns[e->a - 1];
	enum net_way way = e->kind == SIM_TO_DISPATCHER ? NET_UP : NET_DOWN;

	if (c->dispatcher_life != n->dispatcher_life && way == NET_UP)
		return false;
	if (c->worker_life != n->links[c->host].life && way == NET_DOWN)
		return false;
	if (e->at_us >= c->lost_from_us[way]) {
		n->lost_count++;
		coverage_fault(n->coverage, FAULT_LOSS, n->world->now_us);
		return false;
	}
	if (c->broken)
		n->late_count++;
	*conn_ret = c;
	return true;
}

bool net_break(struct net *n, uint32_t host, bool linger)
{
	struct link *l = &n->links[host];
	struct conn *c = conn_of(n, l);
	usec_t now = n->world->now_us;

	if (c == NULL)
		return false;
	SAY(n->world, "net: the connection of w%u breaks%s", host,
	    linger ? "; what is under way lingers" : "");
	if (linger)
		lose(c, now + world_between(n->world, 0, 5 * USEC_PER_SEC), now);
	else
		lose(c, now, now);
	c->broken = true;
	l->conn = 0;
	connect_later(n, host, 100, 500 * USEC_PER_MSEC);
	return true;
}

void net_partition(struct net *n, uint32_t host, bool up, bool down, usec_t until_us)
{
	struct link *l = &n->links[host];
	usec_t length = until_us - n->world->now_us;

	SAY(n->world, "net: w%u is cut off (%s%s) for %.3f s", host, up ? "up" : "", down ? "down" : "",
	    (double)length / 1e6);
	if (up)
		l->cut_until_us[NET_UP] = until_us;
	if (down)
		l->cut_until_us[NET_DOWN] = until_us;
	if (length > TCP_PATIENCE_US && l->conn != 0)
		world_push(n->world, n->world->now_us + world_between(n->world, TCP_PATIENCE_US / 2, length),
			   SIM_BREAK, host, l->conn, 0, NULL);
}
