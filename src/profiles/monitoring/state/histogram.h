/* Histograms of response times. They can be added, and a quantile of the sum is as exact as a quantile of either. Times
 * below 128 µs are counted by the microsecond; above, each power of two has 128 steps. A quantile is the middle of a step,
 * or the maximum if that is in the same step: its error is at most 0.8 %.
 *
 *     µs      0 … 127   128 … 255   256 … 511   …
 *     step          1           1           2   …   2^(k-7) from 2^k on
 *     block         0           1           2   …   128 steps each, allocated on first use */
#ifndef PROFILES_MONITORING_STATE_HISTOGRAM_H
#define PROFILES_MONITORING_STATE_HISTOGRAM_H

#include <stdbool.h>
#include <stdint.h>

enum { HISTOGRAM_STEPS = 128, HISTOGRAM_BLOCKS = 36 /* up to 2^42 µs, seven weeks */ };

/* {0} is an empty histogram. */
struct histogram {
	uint64_t count;
	uint64_t max_us;
	uint32_t *blocks[HISTOGRAM_BLOCKS]; /* NULL: empty */
};

void histogram_clear(struct histogram *h);
/* False: no memory, and the time is not counted. */
bool histogram_add(struct histogram *h, uint64_t us);

/* A sum of histograms, with memory for all steps. */
struct histogram_sum {
	uint64_t count;
	uint64_t max_us;
	uint64_t steps[HISTOGRAM_BLOCKS * HISTOGRAM_STEPS];
};
void histogram_sum_add(struct histogram_sum *sum, const struct histogram *h);
/* The nearest rank: the smallest time that is at least as long as `percent` percent of all times. 0: there are none. */
uint64_t histogram_percentile(const struct histogram_sum *sum, unsigned percent);

#endif
