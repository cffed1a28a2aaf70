/* Pages of 100 events of one stream and type, from random places of a store of `events`, `rate` times a second. */
#include <stdlib.h>
#include <string.h>

#include "base/system/clock.h"
#include "load/command.h"
#include "load/histogram.h"
#include "load/meter.h"

enum { PAGE = 100 };

struct asker {
	struct conn conn;
	struct histogram times;
	int64_t asked_us; /* 0: nothing is asked */
	uint64_t short_pages;
};

static void on_reply(struct conn *c, const struct message *m)
{
	struct asker *q = c->owner;
	if (m->kind != MESSAGE_ACK)
		return;
	histogram_add(&q->times, clock_mono_us() - q->asked_us);
	q->asked_us = 0;
	static const char member[] = "\"stream\":"; /* once in each event */
	uint64_t events = 0;
	for (const char *p = m->text, *end = p + m->len; (p = memmem(p, (size_t)(end - p), member, strlen(member))) != NULL;
	     p++)
		events++;
	q->short_pages += events != PAGE;
}

static void ask(struct asker *q, const struct payload *names, uint64_t events)
{
	/* So far from the end that the page is full. */
	uint64_t last = events - events / 10;
	buf_printf(&q->conn.out,
		   "GET /v1/events?after=%lu&stream=s%u&type=t%u&limit=%d HTTP/1.1\r\nHost: localhost\r\n"
		   "Accept: application/json\r\n\r\n",
		   (unsigned long)random() % last, (unsigned)random() % names->streams, (unsigned)random() % names->types,
		   PAGE);
	q->asked_us = clock_mono_us();
	conn_flush(&q->conn);
}

void query_command(const struct args *a)
{
	struct loop loop;
	struct meter meter;
	struct payload names = args_payload(a);
	static struct asker q;
	int64_t run_us = (int64_t)args_number(a, "seconds", 5) * 1000000;
	int64_t pause_us = 1000000 / (int64_t)args_number(a, "rate", 50);
	uint64_t events = args_number(a, "events", 10000000);
	loop_init(&loop);
	q.conn.owner = &q;
	q.conn.on_message = on_reply;
	conn_open(&q.conn, &loop, &nchan_http, (int)args_number(a, "port", 0), NULL);
	meter_start(&meter, a);
	for (int64_t due_us = meter.start_us; due_us - meter.start_us < run_us;) {
		int64_t wait_us = due_us - clock_mono_us();
		if (q.asked_us == 0 && wait_us <= 0) {
			ask(&q, &names, events);
			due_us += pause_us;
		}
		if (!loop_once(&loop, wait_us > 0 ? wait_us : 100000))
			break;
	}
	meter_stop(&meter);
	if (q.short_pages > 0)
		die("%lu pages were not of %d events", (unsigned long)q.short_pages, PAGE);
	figure("queries", (double)q.times.count);
	figure("p50_us", (double)histogram_at(&q.times, 0.5));
	figure("p99_us", (double)histogram_at(&q.times, 0.99));
}
