/* Times in microseconds, in buckets that are at most 1/32 of their value wide. */
#ifndef LOAD_HISTOGRAM_H
#define LOAD_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_STEPS = 32, HISTOGRAM_BUCKETS = 40 * HISTOGRAM_STEPS };

struct histogram {
	uint64_t count;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, int64_t us);
/* The time that the share `part` (0.99) of all stays below; 0 when there are none. */
int64_t histogram_at(const struct histogram *h, double part);

#endif
