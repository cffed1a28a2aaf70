/* The figures of a shutdown, as a line of the log. */
#ifndef APP_REPORT_H
#define APP_REPORT_H

#include "engine/write/writer.h"
#include "profiles/profile.h"
#include "server/stream/waiters.h"
#include "server/ws/ws.h"

void report_begin(struct stop_report *r, const char *signal, int64_t started_ms, struct writer *w, struct ws *ws,
		  struct waiters *p);
/* Call it when everything that was accepted is committed and every connection is closed. */
void report_end(struct stop_report *r, struct writer *w, struct ws *ws, struct waiters *p);
void report_log(const struct stop_report *r);

#endif
