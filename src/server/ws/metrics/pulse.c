#include "server/ws/metrics/pulse.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pulse_start(struct pulse *p, int64_t now_ms)
{
	*p = (struct pulse){.started_ms = now_ms};
}

void pulse_trip(struct pulse *p, int64_t now_ms, int64_t us)
{
	p->pinged_ms = now_ms;
	p->trips_us[p->trips++ % PULSE_TRIPS] = us < 0 ? 0 : us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

void pulse_write(struct doc to, const struct pulse *p, int64_t now_ms)
{
	uint32_t sorted[PULSE_TRIPS];
	uint32_t n = p->trips < PULSE_TRIPS ? p->trips : PULSE_TRIPS;
	uint64_t sum = 0;
	memcpy(sorted, p->trips_us, sizeof sorted);
	qsort(sorted, n, sizeof *sorted, ascending);
	for (uint32_t i = 0; i < n; i++)
		sum += sorted[i];
	double current = n > 0 ? p->trips_us[(p->trips - 1) % PULSE_TRIPS] / 1000.0 : 0;
	double mean = n > 0 ? (double)sum / n / 1000 : 0;
	uint32_t at = n * 95 / 100;
	double p95 = n >= 2 ? sorted[at] / 1000.0 : mean;
	int64_t seconds = (now_ms - p->started_ms) / 1000;
	bool fresh = p->pinged_ms != 0 && now_ms - p->pinged_ms < PULSE_STALE_MS;
	char words[48];
	snprintf(words, sizeof words, "%" PRId64 "h %" PRId64 "m", seconds / 3600, seconds / 60 % 60);
	doc_i64(to, "uptime_seconds", seconds);
	doc_string(to, "uptime_formatted", words);
	doc_fixed(to, "current_ping_ms", current, 2);
	doc_fixed(to, "avg_ping_ms", mean, 2);
	doc_fixed(to, "p95_ping_ms", p95, 2);
	doc_u64(to, "reconnection_count", p->reconnections);
	doc_u64(to, "timeout_warnings", p->timeouts);
	doc_string(to, "status", fresh ? "connected" : "stale");
}
