#include "monitor/series.h"

#include "monitor/numbers.h"
#include "monitor/tally.h"

enum { MINUTE_MS = 60 * 1000 };

static struct minute *slot(struct series *s, int64_t minute)
{
	struct minute *m = &s->minutes[minute % SERIES_MINUTES];
	if (m->minute != minute)
		*m = (struct minute){.minute = minute};
	if (minute > s->newest)
		s->newest = minute;
	return m;
}

void series_add(struct series *s, const struct flat *f)
{
	struct minute *m = slot(s, f->time_ms / MINUTE_MS);
	m->events++;
	m->errors += f->error.p != NULL && f->error.len > 0;
	m->bytes += f->size;
	m->timed += f->timed;
	m->timed_us += f->timed ? tally_response_us(f) : 0;
}

static void write_bucket(struct buf *out, const struct minute *m, bool first)
{
	double mean_ms = m->timed > 0 ? (double)m->timed_us / (double)m->timed / 1000 : 0;
	buf_printf(out, "%s\"%lld\":{\"count\":%llu,\"errors\":%llu,\"total_bytes\":%llu,\"avg_response_time\":%.3f}",
		   first ? "" : ",", (long long)m->minute * 60, (unsigned long long)m->events, (unsigned long long)m->errors,
		   (unsigned long long)m->bytes, mean_ms);
}

void series_write(struct buf *out, const struct series *s, int64_t interval, int64_t since_ms)
{
	struct minute bucket = {0}; /* its minute is where it starts */
	bool first = true;
	int64_t oldest = s->newest - SERIES_MINUTES + 1;
	int64_t from = since_ms / MINUTE_MS > oldest ? since_ms / MINUTE_MS : oldest;
	buf_addc(out, '{');
	for (int64_t minute = from > 0 ? from : 0; minute <= s->newest; minute++) {
		const struct minute *m = &s->minutes[minute % SERIES_MINUTES];
		if (m->minute != minute || m->events == 0)
			continue;
		int64_t start = minute / interval * interval;
		if (bucket.events > 0 && bucket.minute != start) {
			write_bucket(out, &bucket, first);
			first = false;
			bucket = (struct minute){0};
		}
		bucket.minute = start;
		bucket.events += m->events;
		bucket.errors += m->errors;
		bucket.bytes += m->bytes;
		bucket.timed += m->timed;
		bucket.timed_us += m->timed_us;
	}
	if (bucket.events > 0)
		write_bucket(out, &bucket, first);
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
