/* Meters: rates per second, and durations. Any thread. */
#ifndef ENGINE_WORK_METER_H
#define ENGINE_WORK_METER_H

#include <pthread.h>
#include <stdint.h>

enum { METER_SECONDS = 64, METER_BUCKETS = 256 };

/* Counts, by second, for the last minute. */
struct rate {
	pthread_mutex_t lock;
	int64_t first;  /* monotonic second of the start: nothing was counted before */
	int64_t second; /* monotonic second of the newest slot */
	uint64_t total;
	uint64_t slots[METER_SECONDS];
};

void rate_init(struct rate *r);
void rate_finish(struct rate *r);
void rate_add(struct rate *r, uint64_t n);
/* Per second, over the last `seconds` whole seconds (1 to 60). */
double rate_read(struct rate *r, int seconds);
uint64_t rate_total(struct rate *r);

/* Durations in microseconds, in buckets of 1/8 octave: quantiles are off by at most 9 %. */
struct spread {
	pthread_mutex_t lock;
	uint64_t count;
	uint64_t sum_us;
	uint64_t max_us;
	uint64_t buckets[METER_BUCKETS];
};

struct spread_figures {
	uint64_t count;
	double mean_ms;
	double p50_ms;
	double p99_ms;
	double max_ms;
};

/* A histogram with exact bounds that double: how many durations were at most bounds_us[i]. */
enum { SPREAD_BOUNDS = 19, SPREAD_FIRST_BOUND_US = 63 };
struct spread_histogram {
	uint64_t bounds_us[SPREAD_BOUNDS]; /* up to 16.8 s */
	uint64_t upto[SPREAD_BOUNDS];
	uint64_t count;
	uint64_t sum_us;
};

void spread_init(struct spread *s);
void spread_finish(struct spread *s);
/* Counts `count` durations of `us` microseconds. */
void spread_add(struct spread *s, int64_t us, uint64_t count);
void spread_read(struct spread *s, struct spread_figures *out);
void spread_read_histogram(struct spread *s, struct spread_histogram *out);

#endif
