/* Readers that come at once, each `behind` events behind `head`: how long until each has had what it missed. What is
 * published meanwhile is delivered too, and counted. */
#include <stdio.h>
#include <stdlib.h>

#include "load/command.h"
#include "load/meter.h"
#include "load/reader.h"

void catchup_command(const struct args *a)
{
	struct loop loop;
	struct meter meter;
	uint64_t head = args_number(a, "head", 0);
	uint64_t behind = args_number(a, "behind", head);
	uint64_t count = args_number(a, "readers", 1);
	struct readers all = {.until = head};
	struct reader *readers = calloc(count, sizeof *readers);
	char path[64];
	snprintf(path, sizeof path, "/v1/ws?after=%lu", (unsigned long)(head - behind));
	loop_init(&loop);
	meter_start(&meter, a);
	for (uint64_t i = 0; i < count; i++) {
		readers[i].next = head - behind + 1;
		readers[i].step = 1;
		reader_open(&readers[i], &all, &loop, &tidemark_ws, (int)args_number(a, "port", 0), path);
	}
	while (all.complete < count)
		if (!loop_once(&loop, 100000))
			die("stopped");
	figure("rate", (double)all.delivered / meter_stop(&meter));
	figure("deliveries", (double)all.delivered);
}
