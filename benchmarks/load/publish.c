/* Publishers that each keep `window` batches of `batch` events waiting for their acknowledgement. */
#include <stdlib.h>

#include "base/system/clock.h"
#include "load/command.h"
#include "load/meter.h"
#include "load/publisher.h"

void publish_command(const struct args *a)
{
	struct payload payload = args_payload(a);
	static struct histogram times;
	struct loop loop;
	struct meter meter;
	uint64_t numbers = 1;
	uint64_t count = args_number(a, "connections", 1);
	uint64_t limit = args_number(a, "events", UINT64_MAX);
	int64_t run_us = (int64_t)args_number(a, "seconds", 3600) * 1000000;
	struct publisher *all = calloc(count, sizeof *all);
	loop_init(&loop);
	for (uint64_t i = 0; i < count; i++)
		publisher_open(&all[i], &loop, a, &payload, &numbers, &times);
	while (loop.ready < count)
		loop_once(&loop, 100000);
	meter_start(&meter, a);
	uint64_t acked = 0;
	for (bool going = true, waiting = true; waiting;) {
		going = going && numbers <= limit && clock_mono_us() - meter.start_us < run_us;
		acked = 0;
		waiting = going;
		for (uint64_t i = 0; i < count; i++) {
			while (going && numbers <= limit && publisher_may(&all[i]))
				publisher_send(&all[i]);
			acked += all[i].acked;
			waiting = waiting || all[i].acked < all[i].sent;
		}
		if (waiting && !loop_once(&loop, 100000))
			going = false, run_us = 0;
	}
	figure("rate", (double)acked / meter_stop(&meter));
	figure("events", (double)acked);
	figure("p50_us", (double)histogram_at(&times, 0.5));
	figure("p99_us", (double)histogram_at(&times, 0.99));
}
