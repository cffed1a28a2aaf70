#include "load/histogram.h"

/* Below 2 * STEPS each microsecond has its bucket; above, each power of two has STEPS of them. */
static unsigned bucket_of(uint64_t us)
{
	unsigned shift = 0;
	while (us >> shift >= 2 * HISTOGRAM_STEPS)
		shift++;
	unsigned bucket = shift * HISTOGRAM_STEPS + (unsigned)(us >> shift);
	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static int64_t value_of(unsigned bucket)
{
	if (bucket < 2 * HISTOGRAM_STEPS)
		return bucket;
	unsigned shift = bucket / HISTOGRAM_STEPS - 1;
	return (int64_t)(bucket - shift * HISTOGRAM_STEPS) << shift;
}

void histogram_add(struct histogram *h, int64_t us)
{
	h->count++;
	h->buckets[bucket_of(us < 0 ? 0 : (uint64_t)us)]++;
}

int64_t histogram_at(const struct histogram *h, double part)
{
	uint64_t below = 0;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		below += h->buckets[i];
		if (below > 0 && (double)below >= part * (double)h->count)
			return value_of(i);
	}
	return 0;
}
