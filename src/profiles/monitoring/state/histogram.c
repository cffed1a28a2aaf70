#include "profiles/monitoring/state/histogram.h"

#include <assert.h>
#include <stdlib.h>

enum { STEP_BITS = 7 };
static_assert(HISTOGRAM_STEPS == 1 << STEP_BITS, "a block is what the bits below the highest can tell apart");

static unsigned block_of(uint64_t us)
{
	if (us < HISTOGRAM_STEPS)
		return 0;
	unsigned block = (unsigned)(63 - __builtin_clzll(us)) - STEP_BITS + 1;
	return block < HISTOGRAM_BLOCKS ? block : HISTOGRAM_BLOCKS - 1;
}

static unsigned step_of(uint64_t us, unsigned block)
{
	uint64_t step = block == 0 ? us : (us >> (block - 1)) - HISTOGRAM_STEPS;
	return step < HISTOGRAM_STEPS ? (unsigned)step : HISTOGRAM_STEPS - 1;
}

static unsigned index_of(uint64_t us)
{
	unsigned block = block_of(us);
	return block * HISTOGRAM_STEPS + step_of(us, block);
}

static uint64_t middle_of(unsigned block, unsigned step)
{
	uint64_t width = block == 0 ? 1 : UINT64_C(1) << (block - 1);
	uint64_t from = block == 0 ? step : (HISTOGRAM_STEPS + step) * width;
	return from + width / 2;
}

void histogram_clear(struct histogram *h)
{
	for (int i = 0; i < HISTOGRAM_BLOCKS; i++)
		free(h->blocks[i]);
	*h = (struct histogram){0};
}

bool histogram_add(struct histogram *h, uint64_t us)
{
	unsigned block = block_of(us);
	if (h->blocks[block] == NULL) {
		h->blocks[block] = calloc(HISTOGRAM_STEPS, sizeof *h->blocks[block]);
		if (h->blocks[block] == NULL)
			return false;
	}
	h->blocks[block][step_of(us, block)]++;
	h->max_us = us > h->max_us ? us : h->max_us;
	h->count++;
	return true;
}

void histogram_sum_add(struct histogram_sum *sum, const struct histogram *h)
{
	for (int i = 0; h->count > 0 && i < HISTOGRAM_BLOCKS; i++) {
		const uint32_t *block = h->blocks[i];
		uint64_t *steps = &sum->steps[i * HISTOGRAM_STEPS];
		for (int k = 0; block != NULL && k < HISTOGRAM_STEPS; k++)
			steps[k] += block[k];
	}
	sum->count += h->count;
	sum->max_us = h->max_us > sum->max_us ? h->max_us : sum->max_us;
}

uint64_t histogram_percentile(const struct histogram_sum *sum, unsigned percent)
{
	assert(percent > 0 && percent <= 100);
	uint64_t rank = (sum->count * percent + 99) / 100;
	uint64_t seen = 0;
	for (unsigned i = 0; i < HISTOGRAM_BLOCKS * HISTOGRAM_STEPS && sum->count > 0; i++) {
		seen += sum->steps[i];
		if (seen < rank)
			continue;
		return i == index_of(sum->max_us) ? sum->max_us : middle_of(i / HISTOGRAM_STEPS, i % HISTOGRAM_STEPS);
	}
	return 0;
}
