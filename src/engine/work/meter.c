#include "engine/work/meter.h"

#include <assert.h>
#include <string.h>

#include "base/system/clock.h"

enum { STEPS = 8 }; /* buckets per octave */

void rate_init(struct rate *r)
{
	memset(r, 0, sizeof *r);
	pthread_mutex_init(&r->lock, NULL);
	r->first = r->second = clock_mono_ms() / 1000;
}

void rate_finish(struct rate *r)
{
	pthread_mutex_destroy(&r->lock);
}

/* Clears the slots of the seconds that have passed since the newest one. */
static void turn(struct rate *r)
{
	int64_t now = clock_mono_ms() / 1000;
	int64_t passed = now - r->second;
	for (int64_t i = 1; i <= passed && i <= METER_SECONDS; i++)
		r->slots[(r->second + i) % METER_SECONDS] = 0;
	if (passed > 0)
		r->second = now;
}

void rate_add(struct rate *r, uint64_t n)
{
	pthread_mutex_lock(&r->lock);
	turn(r);
	r->slots[r->second % METER_SECONDS] += n;
	r->total += n;
	pthread_mutex_unlock(&r->lock);
}

double rate_read(struct rate *r, int seconds)
{
	assert(seconds >= 1 && seconds < METER_SECONDS);
	uint64_t sum = 0;
	pthread_mutex_lock(&r->lock);
	turn(r);
	for (int i = 1; i <= seconds; i++)
		sum += r->slots[(r->second - i + METER_SECONDS) % METER_SECONDS];
	int64_t age = r->second - r->first;
	pthread_mutex_unlock(&r->lock);
	return (double)sum / (double)(age < 1 ? 1 : age < seconds ? age : seconds);
}

uint64_t rate_total(struct rate *r)
{
	pthread_mutex_lock(&r->lock);
	uint64_t total = r->total;
	pthread_mutex_unlock(&r->lock);
	return total;
}

void spread_init(struct spread *s)
{
	memset(s, 0, sizeof *s);
	pthread_mutex_init(&s->lock, NULL);
}

void spread_finish(struct spread *s)
{
	pthread_mutex_destroy(&s->lock);
}

static int bucket_of(uint64_t us)
{
	if (us < STEPS)
		return (int)us;
	int octave = 63 - __builtin_clzll(us);
	return (octave - 2) * STEPS + (int)((us >> (octave - 3)) & (STEPS - 1));
}

/* The middle of a bucket. */
static double bucket_us(int bucket)
{
	if (bucket < STEPS)
		return bucket;
	int octave = bucket / STEPS + 2;
	double width = (double)(1ull << (octave - 3));
	return (double)(1ull << octave) + (bucket % STEPS + 0.5) * width;
}

void spread_add(struct spread *s, int64_t us, uint64_t count)
{
	uint64_t v = us > 0 ? (uint64_t)us : 0;
	int bucket = bucket_of(v);
	pthread_mutex_lock(&s->lock);
	s->count += count;
	s->sum_us += v * count;
	s->max_us = v > s->max_us ? v : s->max_us;
	s->buckets[bucket < METER_BUCKETS ? bucket : METER_BUCKETS - 1] += count;
	pthread_mutex_unlock(&s->lock);
}

static double quantile_ms(const struct spread *s, double q)
{
	uint64_t rank = (uint64_t)(q * (double)s->count);
	uint64_t seen = 0;
	for (int i = 0; i < METER_BUCKETS; i++) {
		seen += s->buckets[i];
		if (seen > rank && bucket_us(i) < (double)s->max_us)
			return bucket_us(i) / 1000;
	}
	return (double)s->max_us / 1000; /* also for the last bucket, whose middle may lie beyond */
}

void spread_read(struct spread *s, struct spread_figures *out)
{
	pthread_mutex_lock(&s->lock);
	*out = (struct spread_figures){.count = s->count};
	if (s->count > 0) {
		out->mean_ms = (double)s->sum_us / (double)s->count / 1000;
		out->p50_ms = quantile_ms(s, 0.5);
		out->p99_ms = quantile_ms(s, 0.99);
		out->max_ms = (double)s->max_us / 1000;
	}
	pthread_mutex_unlock(&s->lock);
}

void spread_read_histogram(struct spread *s, struct spread_histogram *out)
{
	uint64_t seen = 0;
	int bucket = 0;
	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < SPREAD_BOUNDS; i++) {
		out->bounds_us[i] = ((uint64_t)SPREAD_FIRST_BOUND_US + 1) << i;
		while (bucket < bucket_of(out->bounds_us[i]))
			seen += s->buckets[bucket++];
		out->bounds_us[i]--;
		out->upto[i] = seen;
	}
	out->count = s->count;
	out->sum_us = s->sum_us;
	pthread_mutex_unlock(&s->lock);
}
