/* What /metrics is made of. Format: prometheus.io/docs/instrumenting/exposition_formats, text 0.0.4. */
#pragma once

#include "base/buf.h"
#include "base/gate.h"
#include "dispatcher/api/listener.h"
#include "dispatcher/dedup/dedup.h"
#include "dispatcher/producers.h"
#include "dispatcher/retention/thinning.h"
#include "dispatcher/wire/peers.h"
#include "dispatcher/services.h"
#include "dispatcher/trouble.h"
#include "dispatcher/store/journal.h"

/* Looked up once for all of an answer. */
struct metrics {
	struct services *services;
	struct view_counters core;
	struct journal_stats journal;
	struct peers_counters peers;
	struct producers_counters producers;
	struct port_view now;
	struct gate_counters gate;
	struct dedup_figures dedup;
	struct thinning_figures thinning;
	uint64_t history_waiting;
	struct {
		double cpu_seconds;
		uint64_t resident_bytes, open_fds;
	} process;
};

void metrics_collect(struct services *s, struct metrics *ret);
void metrics_write(const struct metrics *m, struct buf *out);

/* Labels as {name="value",…}, escaped; values of which any byte is no UTF-8 are made so. NULL ends them. */
void metrics_sample(struct buf *out, const char *name, double value, ...);

typedef void metrics_family_fn(const struct metrics *m, const char *name, struct buf *out);
#define METRIC(type, name, doc, value)
#define FAMILY(type, name, labels, doc, function) metrics_family_fn metrics_##function;
#include "dispatcher/api/metrics.def"
#undef METRIC
#undef FAMILY
