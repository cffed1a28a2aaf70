#include "app/report.h"

#include <inttypes.h>

#include "base/system/clock.h"
#include "base/system/log.h"

static double seconds_since(int64_t ms)
{
	return (double)(clock_mono_ms() - ms) / 1000;
}

void report_begin(struct stop_report *r, const char *signal, int64_t started_ms, struct writer *w, struct ws *ws,
		  struct waiters *p)
{
	struct writer_figures writer;
	struct ws_figures sockets;
	struct waiters_figures streams;
	writer_read(w, &writer);
	ws_read(ws, &sockets);
	waiters_read(p, &streams);
	*r = (struct stop_report){.signal = signal,
				  .begun_ms = clock_mono_ms(),
				  .started_ms = started_ms,
				  .events = writer.events,
				  .closed = sockets.connections + streams.sse + streams.long_polls};
}

void report_end(struct stop_report *r, struct writer *w, struct ws *ws, struct waiters *p)
{
	struct writer_figures writer;
	struct ws_figures sockets;
	struct waiters_figures streams;
	writer_read(w, &writer);
	ws_read(ws, &sockets);
	waiters_read(p, &streams);
	r->left = sockets.left + streams.left;
	r->behind = sockets.left_behind + streams.left_behind;
	r->flushed = writer.events - r->events;
}

void report_log(const struct stop_report *r)
{
	log_info("stopped",
		 "flushed=%" PRIu64 " left=%" PRIu64 " connections=%" PRIu64 " behind=%" PRIu64 " seconds=%.3f uptime=%.3f",
		 r->flushed, r->left, r->closed, r->behind, seconds_since(r->begun_ms), seconds_since(r->started_ms));
}
