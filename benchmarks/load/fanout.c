/* One publisher and many readers, for `seconds` or until `events` are published. Without `rate`, it publishes whenever the
 * readers are at most `lag` events behind on average: the figure is what can be delivered without end. With `rate`, so many
 * events a second. */
#include <stdio.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "load/command.h"
#include "load/meter.h"
#include "load/publisher.h"
#include "load/reader.h"

enum { DRAIN_US = 60000000 };

struct fanout {
	struct loop loop;
	struct payload payload;
	struct publisher publisher;
	struct readers readers;
	struct reader *reader;
	uint64_t reader_count;
	uint64_t numbers;
	uint64_t copies; /* deliveries of each event */
	uint64_t lag;
	uint64_t rate;
	int64_t start_us;
};

/* filter=1: reader i reads stream i. conditions=N: each has one of N conditions on payloads, which no event fulfils.
 * silent=1: the target is one that nothing comes from. */
static void open_readers(struct fanout *f, const struct args *a)
{
	bool filter = args_number(a, "filter", 0);
	uint64_t conditions = args_number(a, "conditions", 0);
	const char *target = args_text(a, "target", NULL);
	for (uint64_t i = 0; i < f->reader_count; i++) {
		struct reader *r = &f->reader[i];
		char path[256];
		int n = snprintf(path, sizeof path, filter ? "%s&stream=s%lu" : "%s", target, (unsigned long)i);
		if (conditions > 0)
			snprintf(path + n, sizeof path - (size_t)n, "&where=/text=%lu", (unsigned long)(i % conditions));
		r->step = filter ? f->payload.streams : 1;
		/* The first event is number 1, of stream s1. */
		r->skip = filter ? (i + f->payload.streams - 1) % f->payload.streams : 0;
		reader_open(r, &f->readers, &f->loop, args_protocol(a, "readers_protocol"), (int)args_number(a, "port", 0),
			    path);
		while (f->loop.ready + 100 <= i)
			loop_once(&f->loop, 100000);
	}
	while (f->loop.ready < f->reader_count)
		loop_once(&f->loop, 100000);
	bool silent = conditions > 0 || args_number(a, "silent", 0);
	f->copies = silent ? 0 : filter ? 1 : f->reader_count;
}

/* How long the next publication may wait; 0: it is due. */
static int64_t due_in_us(const struct fanout *f)
{
	uint64_t sent = f->publisher.sent;
	if (f->rate == 0)
		return sent * f->copies - f->readers.delivered <= f->lag * f->copies ? 0 : 10000;
	int64_t at_us = f->start_us + (int64_t)(sent * 1000000 / f->rate);
	int64_t wait_us = at_us - clock_mono_us();
	return wait_us > 0 ? wait_us : 0;
}

static void turn(struct fanout *f, bool publishing)
{
	int64_t wait_us = 10000;
	while (publishing && publisher_may(&f->publisher) && (wait_us = due_in_us(f)) == 0)
		publisher_send(&f->publisher);
	if (!loop_once(&f->loop, wait_us))
		die("stopped");
}

static bool all_delivered(const struct fanout *f)
{
	const struct publisher *p = &f->publisher;
	return f->readers.delivered == p->sent * f->copies && (!p->conn.protocol->acknowledges || p->acked == p->sent);
}

static void measure(struct fanout *f, const struct args *a)
{
	struct meter meter;
	int64_t run_us = (int64_t)args_number(a, "seconds", 5) * 1000000;
	uint64_t limit = args_number(a, "events", UINT64_MAX);
	meter_start(&meter, a);
	uint64_t delivered = f->readers.delivered;
	uint64_t sent = f->publisher.sent;
	while (clock_mono_us() - meter.start_us < run_us && f->publisher.sent < limit)
		turn(f, true);
	delivered = f->readers.delivered - delivered;
	sent = f->publisher.sent - sent;
	double seconds = meter_stop(&meter);
	figure("rate", (double)delivered / seconds);
	figure("deliveries", (double)delivered);
	figure("published", (double)sent / seconds);
}

/* All that was published must come. */
static void drain(struct fanout *f)
{
	int64_t end_us = clock_mono_us() + DRAIN_US;
	while (!all_delivered(f)) {
		turn(f, false);
		if (clock_mono_us() > end_us)
			die("%lu of %lu deliveries came", (unsigned long)f->readers.delivered,
			    (unsigned long)(f->publisher.sent * f->copies));
	}
	figure("events", (double)f->publisher.sent);
}

void fanout_command(const struct args *a)
{
	static struct fanout f;
	static struct histogram times;
	int64_t warm_us = (int64_t)args_number(a, "warm_ms", 500) * 1000;
	f.numbers = 1;
	f.reader_count = args_number(a, "readers", 100);
	f.reader = calloc(f.reader_count, sizeof *f.reader);
	f.payload = args_payload(a);
	f.lag = args_number(a, "lag", 1000);
	f.rate = args_number(a, "rate", 0);
	loop_init(&f.loop);
	open_readers(&f, a);
	publisher_open(&f.publisher, &f.loop, a, &f.payload, &f.numbers, NULL);
	while (f.loop.ready <= f.reader_count)
		loop_once(&f.loop, 100000);
	f.start_us = clock_mono_us();
	while (clock_mono_us() - f.start_us < warm_us)
		turn(&f, true);
	f.readers.times = f.rate > 0 ? &times : NULL;
	measure(&f, a);
	drain(&f);
	figure("p50_us", (double)histogram_at(&times, 0.5));
	figure("p99_us", (double)histogram_at(&times, 0.99));
}
