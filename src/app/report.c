#include "app/report.h"

#include "base/system/clock.h"
#include "base/system/log.h"
#include "profiles/monitoring/services/notice.h"

static double seconds_since(int64_t ms)
{
	return (double)(clock_mono_ms() - ms) / 1000;
}

void report_begin(struct report *r, const char *signal, int64_t started_ms, struct writer *w, struct ws *ws,
		  struct waiters *p)
{
	struct writer_figures writer;
	struct ws_figures sockets;
	struct waiters_figures streams;
	writer_read(w, &writer);
	ws_read(ws, &sockets);
	waiters_read(p, &streams);
	*r = (struct report){.signal = signal,
			     .begun_ms = clock_mono_ms(),
			     .started_ms = started_ms,
			     .events = writer.events,
			     .closed = sockets.connections + streams.sse + streams.long_polls};
}

void report_end(struct report *r, struct writer *w, struct ws *ws, struct waiters *p)
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

struct batch *report_batch(const struct report *r)
{
	struct notice notice;
	struct fault fault;
	struct batch *batch;
	struct doc metadata = notice_begin(&notice, "server_stopped", NULL);
	doc_string(metadata, "reason", r->signal);
	doc_u64(metadata, "pending_messages_flushed", r->flushed);
	doc_u64(metadata, "pending_messages_left", r->left);
	doc_u64(metadata, "connections_closed", r->closed);
	doc_u64(metadata, "connections_behind", r->behind);
	doc_fixed(metadata, "duration_seconds", seconds_since(r->begun_ms), 3);
	doc_fixed(metadata, "uptime_seconds", seconds_since(r->started_ms), 3);
	return notice_batch(&notice, &batch, &fault) == ERR_NONE ? batch : NULL;
}

void report_log(const struct report *r)
{
	log_info("stopped", "flushed=%llu left=%llu connections=%llu behind=%llu seconds=%.3f uptime=%.3f",
		 (unsigned long long)r->flushed, (unsigned long long)r->left, (unsigned long long)r->closed,
		 (unsigned long long)r->behind, seconds_since(r->begun_ms), seconds_since(r->started_ms));
}
