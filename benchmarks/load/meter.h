/* Processor time of the load generator and of the server, over a stretch of time. */
#ifndef LOAD_METER_H
#define LOAD_METER_H

#include <stdint.h>

#include "load/args.h"

struct meter {
	int64_t start_us;
	double client; /* seconds of processor time */
	double server;
	const char *pids; /* of the server, with commas between; may be empty */
};

/* pid= names the server's processes. */
void meter_start(struct meter *m, const struct args *a);
/* Prints `seconds`, and `client` and `server`: processor seconds. Returns the seconds. */
double meter_stop(struct meter *m);

#endif
