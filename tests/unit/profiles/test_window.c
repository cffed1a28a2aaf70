/* Response times: their percentiles, and windows that forget. */
#include <stdbool.h>
#include <stdlib.h>

#include "profiles/monitoring/state/histogram.h"
#include "profiles/monitoring/state/window.h"
#include "unit/check.h"
#include "unit/profiles/sample_flat.h"

static struct window_figures read_window(const struct window *w, enum service service, int64_t since_ms)
{
	static struct histogram_sum times;
	struct window_figures f = {0};
	times = (struct histogram_sum){0};
	window_read(w, service, since_ms, &f, &times);
	window_rank(&f, &times);
	return f;
}

static bool is_near(double found, double wanted)
{
	return found >= wanted * 0.99 && found <= wanted * 1.01;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* Against the sorted list of all, over every size of numbers. */
static void a_percentile_is_within_one_percent(void)
{
	enum { TIMES = 20000 };
	static uint64_t all[TIMES];
	static struct histogram_sum sum;
	struct histogram parts[7] = {{0}};
	uint64_t random = 1;
	for (int bits = 1; bits <= 41; bits += 4) {
		sum = (struct histogram_sum){0};
		for (int i = 0; i < TIMES; i++) {
			random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
			all[i] = (random >> 20) & ((UINT64_C(1) << (1 + (random >> 8) % (unsigned)bits)) - 1);
			CHECK(histogram_add(&parts[i % 7], all[i]));
		}
		qsort(all, TIMES, sizeof *all, ascending);
		for (int i = 0; i < 7; i++) {
			histogram_sum_add(&sum, &parts[i]);
			histogram_clear(&parts[i]);
		}
		CHECK(sum.count == TIMES && sum.max_us == all[TIMES - 1]);
		for (unsigned percent = 1; percent <= 100; percent += 11)
			CHECK(is_near((double)histogram_percentile(&sum, percent), (double)all[TIMES * percent / 100 - 1]));
	}
}

/* Fails where only the newest response times are looked at. */
static void a_window_has_all_response_times(void)
{
	struct window *w = window_create();
	int64_t now = INT64_C(1000000) * 1000;
	for (int i = 0; i < 20500; i++) {
		struct flat e = sample_flat("receive", 0, i < 20000 ? 10 : 1000, now + i / 100);
		window_add(w, &e);
	}
	struct window_figures f = read_window(w, SERVICE_KIMI, now);
	CHECK(f.timed == 20500 && is_near(f.p95_ms, 10));
	window_destroy(w);
}

static void windows_forget(void)
{
	struct window *w = window_create();
	struct window_figures f;
	for (int i = 1; i <= 100; i++) {
		struct flat e = sample_flat(i % 10 == 0 ? "error" : "send", 0, i, INT64_C(1000000) * 1000 + i * 1000);
		window_add(w, &e);
	}
	f = read_window(w, SERVICE_KIMI, 0);
	CHECK(f.events == 100 && f.errors == 10 && f.timed == 100 && is_near(f.p95_ms, 95));
	f = read_window(w, SERVICE_KIMI, (INT64_C(1000000) + 91) * 1000);
	CHECK(f.events == 10 && f.errors == 1 && f.timed == 10 && f.p95_ms == 100);
	f = read_window(w, SERVICE_GLM, 0);
	CHECK(f.events == 0 && f.p95_ms == 0);
	uint64_t seqs[WINDOW_ERRORS];
	CHECK(window_errors(w, SERVICE_KIMI, seqs) == WINDOW_ERRORS && seqs[0] == seqs[1] + 10);
	window_destroy(w);
}

int main(void)
{
	RUN(a_percentile_is_within_one_percent);
	RUN(a_window_has_all_response_times);
	RUN(windows_forget);
	return check_end();
}
