/* The query parameters of readers. */
#include "server/stream/reader_query.h"
#include "unit/check.h"

static enum err parse(const char *target, unsigned allowed, struct reader_query *q, struct fault *f)
{
	struct url u;
	CHECK(url_parse(&u, slice_of(target)) == URL_FINE);
	enum err err = reader_query_parse(&u, allowed, q, f);
	if (!err)
		reader_query_finish(q);
	url_finish(&u);
	return err;
}

static void queries_are_read(void)
{
	struct reader_query q;
	struct fault f;
	CHECK(parse("/?after=5&before=9&limit=7&order=desc&wait=2", ~0u, &q, &f) == ERR_NONE);
	CHECK(q.has_after && q.start.after == 5 && q.before == 9 && q.limit == 7 && q.descending && q.wait_ms == 2000);
	CHECK(parse("/?epoch=other&after=head", ~0u, &q, &f) == ERR_NONE && q.start.from_head);
	CHECK(strcmp(q.start.epoch, "?") == 0); /* it cannot be the name of a line */
	CHECK(parse("/?after=first&epoch=0123456789abcdef", ~0u, &q, &f) == ERR_NONE && q.start.from_first);
	CHECK(strcmp(q.start.epoch, "0123456789abcdef") == 0);
	CHECK(parse("/?speed=0.5", ~0u, &q, &f) == ERR_NONE && q.speed == 0.5);
	CHECK(parse("/?since=2026-11-22T18:00:00+01:00", ~0u, &q, &f) == ERR_NONE && q.has_since);
	static const char *const bad[] = {"after=",
					  "after=-1",
					  "after=9007199254740992",
					  "after=x",
					  "before=0",
					  "limit=0",
					  "limit=10001",
					  "limit=1x",
					  "wait=61",
					  "order=up",
					  "speed=0",
					  "speed=nan",
					  "speed=1e9",
					  "since=yesterday",
					  "since=0000000000000000000000000000000000000000000000000000000000000001",
					  "speed=0.0000000000000001",
					  "until=-5",
					  "stream=",
					  "type=%ff",
					  "session=%00",
					  "after=1&after=2",
					  "order=asc&order=asc",
					  "nothing=1"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char target[128];
		char name[16];
		snprintf(target, sizeof target, "/?%s", bad[i]);
		snprintf(name, sizeof name, "%.*s", (int)strcspn(bad[i], "="), bad[i]);
		CHECK(parse(target, ~0u, &q, &f) == ERR_INVALID && strncmp(f.text, name, strlen(name)) == 0);
	}
	CHECK(parse("/?speed=2", Q_AFTER, &q, &f) == ERR_INVALID);
}

int main(void)
{
	RUN(queries_are_read);
	return check_end();
}
