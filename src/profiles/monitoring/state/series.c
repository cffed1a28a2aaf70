#include "profiles/monitoring/state/series.h"

#include <inttypes.h>

#include "profiles/monitoring/state/tally.h"
#include "json/document.h"
#include "json/numbers.h"

static struct minute *slot(struct series *s, int64_t minute)
{
	struct minute *m = &s->minutes[minute % SERIES_MINUTES];
	if (m->minute != minute)
		*m = (struct minute){.minute = minute};
	if (minute > s->newest)
		s->newest = minute;
	return m;
}

void minute_add(struct minute *m, const struct flat *f)
{
	m->events++;
	m->errors += flat_is_error(f);
	m->bytes += f->size;
	m->timed += f->timed;
	m->timed_us += f->timed ? tally_response_us(f) : 0;
}

void series_add(struct series *s, const struct flat *f)
{
	minute_add(slot(s, f->time_ms / MINUTE_MS), f);
}

void minute_join(struct minute *m, const struct minute *more)
{
	m->events += more->events;
	m->errors += more->errors;
	m->bytes += more->bytes;
	m->timed += more->timed;
	m->timed_us += more->timed_us;
}

/* A minute that is more than a day older than the newest one is in no bucket. */
void series_join(struct series *s, const struct series *other)
{
	int64_t newest = s->newest > other->newest ? s->newest : other->newest;
	for (int i = 0; i < SERIES_MINUTES; i++) {
		const struct minute *more = &other->minutes[i];
		if (more->events > 0 && more->minute > newest - SERIES_MINUTES)
			minute_join(slot(s, more->minute), more);
	}
	s->newest = newest;
}

static void write_bucket(struct buf *out, const struct minute *m, bool first)
{
	double mean_ms = m->timed > 0 ? (double)m->timed_us / (double)m->timed / 1000 : 0;
	struct document d;
	struct doc root = document_begin(&d);
	doc_u64(root, "count", m->events);
	doc_u64(root, "errors", m->errors);
	doc_u64(root, "total_bytes", m->bytes);
	doc_fixed(root, "avg_response_time", mean_ms, 3);
	buf_printf(out, "%s\"%" PRId64 "\":", first ? "" : ",", m->minute * 60);
	document_end(&d, out);
}

/* NULL: nothing was counted in it. */
static const struct minute *find(const struct series *s, int64_t minute, const struct minute *first)
{
	const struct minute *m = first != NULL && minute == first->minute ? first : &s->minutes[minute % SERIES_MINUTES];
	return m->minute == minute && m->events > 0 ? m : NULL;
}

void series_write(struct buf *out, const struct series *s, int64_t interval, int64_t since_ms, const struct minute *first)
{
	struct minute bucket = {0}; /* its minute is the bucket's start */
	bool any = false;
	int64_t from = first != NULL ? first->minute : s->newest - SERIES_MINUTES + 1;
	from = since_ms / MINUTE_MS > from ? since_ms / MINUTE_MS : from;
	buf_addc(out, '{');
	for (int64_t minute = from > 0 ? from : 0; minute <= s->newest; minute++) {
		const struct minute *m = find(s, minute, first);
		int64_t start = minute / interval * interval;
		if (m == NULL)
			continue;
		if (bucket.events > 0 && bucket.minute != start) {
			write_bucket(out, &bucket, !any);
			any = true;
			bucket = (struct minute){0};
		}
		bucket.minute = start;
		minute_join(&bucket, m);
	}
	if (bucket.events > 0)
		write_bucket(out, &bucket, !any);
	buf_addc(out, '}');
}

enum { NUMBERS = 5 };

void minute_save(struct buf *out, const struct minute *m)
{
	const uint64_t n[NUMBERS] = {m->events, m->errors, m->bytes, m->timed, m->timed_us};
	numbers_write(out, n, NUMBERS);
}

bool series_load(struct series *s, int64_t minute, struct slice text)
{
	uint64_t n[NUMBERS];
	if (minute < 0 || !numbers_read(text, n, NUMBERS))
		return false;
	*slot(s, minute) = (struct minute){minute, n[0], n[1], n[2], n[3], n[4]};
	return true;
}
