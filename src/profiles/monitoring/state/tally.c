#include "profiles/monitoring/state/tally.h"

#include "json/document.h"
#include "json/numbers.h"

static const double response_max_ms = 31.0 * 86400 * 1000;

uint64_t tally_response_us(const struct flat *f)
{
	double ms = f->response_ms < response_max_ms ? f->response_ms : response_max_ms;
	return (uint64_t)(ms * 1000 + 0.5);
}

/* The tally of a single event. */
static struct tally tally_of(const struct flat *f)
{
	struct tally t = {.events = 1, .errors = flat_is_error(f)};
	t.sent_bytes = slice_is(f->direction, "send") ? f->size : 0;
	t.received_bytes = slice_is(f->direction, "receive") ? f->size : 0;
	t.timed = f->timed;
	t.timed_us = f->timed ? tally_response_us(f) : 0;
	return t;
}

/* The change of the number of connections by the event: only events of the service websocket count. */
static int opened_by(const struct flat *f)
{
	if (f->service != SERVICE_WEBSOCKET)
		return 0;
	return slice_is(f->direction, "connect") - slice_is(f->direction, "disconnect");
}

void tally_add(struct tally *t, const struct flat *f)
{
	struct tally more = tally_of(f);
	int opened = opened_by(f);
	t->events += more.events;
	t->sent_bytes += more.sent_bytes;
	t->received_bytes += more.received_bytes;
	t->errors += more.errors;
	t->timed += more.timed;
	t->timed_us += more.timed_us;
	t->last_ms = (uint64_t)f->time_ms;
	if (opened > 0)
		t->open++;
	else if (opened < 0 && t->open > 0)
		t->open--;
}

void tally_remove(struct tally *t, const struct flat *f)
{
	struct tally less = tally_of(f);
	int opened = opened_by(f);
	t->events -= less.events;
	t->sent_bytes -= less.sent_bytes;
	t->received_bytes -= less.received_bytes;
	t->errors -= less.errors;
	t->timed -= less.timed;
	t->timed_us -= less.timed_us;
	if (opened > 0 && t->open > 0)
		t->open--;
	else if (opened < 0)
		t->open++;
}

double tally_mean_ms(const struct tally *t)
{
	return t->timed > 0 ? (double)t->timed_us / (double)t->timed / 1000 : 0;
}

void tally_write(struct buf *out, enum service service, const struct tally *t, bool with_total)
{
	struct document d;
	struct doc root = document_begin(&d);
	if (t->events > 0) {
		doc_string(root, "connection_type", service_name(service));
		doc_u64(root, "total_events", t->events);
		doc_u64(root, "total_sent_bytes", t->sent_bytes);
		doc_u64(root, "total_received_bytes", t->received_bytes);
		doc_u64(root, "total_errors", t->errors);
		doc_fixed(root, "avg_response_time_ms", tally_mean_ms(t), 3);
		doc_seconds(root, "last_event_timestamp", (int64_t)t->last_ms);
		doc_u64(root, "active_connections", t->open);
		doc_u64(root, "error_count", t->errors);
		if (with_total)
			doc_u64(root, "total_bytes", t->sent_bytes + t->received_bytes);
	}
	document_end(&d, out);
}

enum { NUMBERS = 8 };

void tally_save(struct buf *out, const struct tally *t)
{
	const uint64_t n[NUMBERS] = {t->events, t->sent_bytes, t->received_bytes, t->errors,
				     t->timed,  t->timed_us,   t->last_ms,        t->open};
	numbers_write(out, n, NUMBERS);
}

bool tally_load(struct slice text, struct tally *t)
{
	uint64_t n[NUMBERS];
	if (!numbers_read(text, n, NUMBERS))
		return false;
	*t = (struct tally){n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]};
	return true;
}
