/* Response times, counted by size: what two histograms hold is added up, and a quantile of the sum is as near to the true
 * one as a quantile of either. Times below 128 µs are told apart by the microsecond; above, each power of two has 128 steps.
 * A quantile is the middle of a step, or the greatest time of all where it is in the same step: within 0.8 % of the time
 * that it stands for.
 *
 *     µs      0 … 127   128 … 255   256 … 511   …
 *     step          1           1           2   …   2^(k-7) from 2^k on
 *     block         0           1           2   …   128 steps each, made when there is something to count in it */
#ifndef PROFILES_MONITORING_STATE_HISTOGRAM_H
#define PROFILES_MONITORING_STATE_HISTOGRAM_H

#include <stdbool.h>
#include <stdint.h>

enum { HISTOGRAM_STEPS = 128, HISTOGRAM_BLOCKS = 36 /* up to 2^42 µs, seven weeks */ };

/* {0} is an empty one. */
struct histogram {
	uint64_t count;
	uint64_t max_us;
	uint32_t *blocks[HISTOGRAM_BLOCKS]; /* NULL: nothing is counted there */
};

void histogram_clear(struct histogram *h);
/* False when there is no memory: then it is not counted. */
bool histogram_add(struct histogram *h, uint64_t us);

/* The sum of histograms, with room for all steps. */
struct histogram_sum {
	uint64_t count;
	uint64_t max_us;
	uint64_t steps[HISTOGRAM_BLOCKS * HISTOGRAM_STEPS];
};
void histogram_sum_add(struct histogram_sum *sum, const struct histogram *h);
/* The nearest rank: the smallest time that is not below so many percent of all. 0 where there is none. */
uint64_t histogram_percentile(const struct histogram_sum *sum, unsigned percent);

#endif
