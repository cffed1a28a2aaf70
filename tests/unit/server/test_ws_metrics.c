/* Figures of the WebSocket server as the monitoring profile reports them. */
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/system/clock.h"
#include "server/ws/metrics/ws_metrics.h"
#include "unit/engine/engine.h"

static bool metrics_have(struct ws_metrics *m, const char *text)
{
	struct buf out;
	buf_init(&out);
	struct document d;
	ws_metrics_write(m, document_begin(&d), 0, writer);
	document_end(&d, &out);
	CHECK(!buf_failed(&out));
	buf_addc(&out, '\0');
	bool found = strstr(out.data, text) != NULL;
	buf_finish(&out);
	return found;
}

static void figures_of_an_idle_session_are_dropped_after_an_hour(void)
{
	enum { HOUR_MS = 3600 * 1000 };
	struct ws_metrics *m = ws_metrics_create(HOUR_MS);
	CHECK(m != NULL);
	engine_set_up(1 << 20);
	int64_t before = clock_mono_ms();
	ws_metrics_count(m, slice_of("idle"), WSM_EXPIRED, 7);
	int64_t after = clock_mono_ms();
	ws_metrics_forget(m, before + HOUR_MS - 1);
	CHECK(metrics_have(m, "\"idle\":{") && metrics_have(m, "\"expired\":7"));
	ws_metrics_forget(m, after + HOUR_MS);
	CHECK(!metrics_have(m, "\"idle\":{") && metrics_have(m, "\"expired\":7")); /* the total keeps it */
	ws_metrics_destroy(m);
	engine_tear_down();
}

/* The limit on the size of files stands for a full disk. */
static void the_breaker_is_among_the_figures(void)
{
	static char line[300000];
	struct rlimit small = {256 * 1024, RLIM_INFINITY};
	struct rlimit large = {RLIM_INFINITY, RLIM_INFINITY};
	signal(SIGXFSZ, SIG_IGN);
	engine_set_up(1 << 20);
	snprintf(line, sizeof line, "{\"data\":\"%0*d\"}", 290000, 0);
	CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0 && engine_publish(line) != ERR_NONE);
	struct ws_metrics *metrics = ws_metrics_create(1);
	CHECK(metrics != NULL && metrics_have(metrics, "\"opens\":1,")); /* and it may have closed again already */
	CHECK(setrlimit(RLIMIT_FSIZE, &large) == 0);
	enum err err;
	int64_t end = clock_mono_ms() + 60000;
	while ((err = engine_publish("{\"data\":3}")) != ERR_NONE && clock_mono_ms() < end)
		usleep(10000);
	CHECK(!err);
	CHECK(metrics_have(metrics, "\"circuit_breaker\":{\"state\":\"closed\"") && metrics_have(metrics, "\"closes\":1}"));
	ws_metrics_destroy(metrics);
	engine_tear_down();
}

int main(void)
{
	RUN(figures_of_an_idle_session_are_dropped_after_an_hour);
	RUN(the_breaker_is_among_the_figures);
	return check_end();
}
