#include "event/envelope.h"

#include "base/system/clock.h"
#include "event/event.h"
#include "json/json.h"

/* What is still to be read. */
struct scan {
	const char *at;
	const char *end;
};

/* Past `literal`, where the text goes on with it. */
static bool skip(struct scan *s, const char *literal)
{
	size_t n = strlen(literal);
	if ((size_t)(s->end - s->at) < n || memcmp(s->at, literal, n) != 0)
		return false;
	s->at += n;
	return true;
}

static bool read_number(struct scan *s, uint64_t *out)
{
	const char *from = s->at;
	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	return json_sequence((struct slice){from, (size_t)(s->at - from)}, out);
}

/* Past the closing quote; the slice ends before it. */
static bool read_text(struct scan *s, struct slice *out)
{
	const char *from = s->at;
	while (s->at < s->end && *s->at != '"')
		s->at += *s->at == '\\' && s->end - s->at > 1 ? 2 : 1;
	*out = (struct slice){from, (size_t)(s->at - from)};
	return skip(s, "\"");
}

static bool read_place(struct scan *s, uint64_t *seq, struct slice *time)
{
	if (!skip(s, "{\"seq\":") || !read_number(s, seq) || !skip(s, ",\"time\":\"") || s->end - s->at < CLOCK_TEXT_LEN)
		return false;
	*time = (struct slice){s->at, CLOCK_TEXT_LEN};
	s->at += CLOCK_TEXT_LEN;
	return skip(s, "\",");
}

bool envelope_read_start(struct slice text, uint64_t *seq, struct slice *time)
{
	struct scan s = {text.p, text.p + text.len};
	return read_place(&s, seq, time);
}

bool envelope_read(struct slice text, struct envelope *e)
{
	struct scan s = {text.p, text.p + text.len};
	*e = (struct envelope){0};
	if (!read_place(&s, &e->seq, &e->time))
		return false;
	const char *topic = s.at;
	if (!skip(&s, "\"stream\":\"") || !read_text(&s, &e->stream) || !skip(&s, ",\"type\":\"") ||
	    !read_text(&s, &e->type))
		return false;
	e->topic = (struct slice){topic, (size_t)(s.at - topic)};
	if (skip(&s, ",\"id\":\"") && (!read_text(&s, &e->id) || e->id.len == 0))
		return false;
	if (!skip(&s, ",\"data\":") || s.end - s.at < 2 || s.end[-1] != '}')
		return false;
	e->data = (struct slice){s.at, (size_t)(s.end - 1 - s.at)};
	return true;
}

bool envelope_name(struct slice raw, char *out, struct slice *name)
{
	size_t n = 0;
	for (size_t i = 0; i < raw.len; i++) {
		if (raw.p[i] == '\\' && (++i == raw.len || (raw.p[i] != '"' && raw.p[i] != '\\')))
			return false;
		if (n == EVENT_NAME_MAX)
			return false;
		out[n++] = raw.p[i];
	}
	*name = (struct slice){out, n};
	return json_plain_text(*name);
}
