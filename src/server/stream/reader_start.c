#include "server/stream/reader_start.h"

#include <inttypes.h>

#include "base/system/clock.h"
#include "store/read/history.h"

bool reader_start_has_times(const struct reader_query *q)
{
	return q->has_since || q->max_age_ms > 0;
}

static enum err apply_since(struct reader *reader, struct reader_query *q, struct fault *fault)
{
	uint64_t after;
	enum err err = history_seek_since(reader, q->since_ms, &after, fault);
	bool later = q->has_after && !q->start.from_first && (q->start.from_head || q->start.after > after);
	if (!err && !later) {
		q->start.from_head = q->start.from_first = false;
		q->start.after = after;
		q->start.by_time = true;
	}
	q->has_after = true;
	q->has_since = false;
	return err;
}

enum err reader_start_apply_times(struct reader *reader, struct reader_query *q, struct fault *fault)
{
	enum err err = q->has_since ? apply_since(reader, q, fault) : ERR_NONE;
	if (!err && q->max_age_ms > 0)
		err = history_seek_since(reader, clock_wall_ms() - q->max_age_ms, &q->older, fault);
	return err;
}

enum err reader_start_begin(const struct reader_start *reading, const struct reader_query *q, struct session_reader *r,
			    struct position *start, bool *resumed, struct fault *fault)
{
	struct store *store = feed_store(reading->feed);
	bool asked = q->has_after || position_is_foreign(&q->start, store);
	struct session_state state;
	uint64_t after;
	struct gap gap;
	*resumed = false;
	*start = asked ? q->start : q->has_session_start ? q->session_start : (struct position){.from_head = true};
	position_resolve(store, feed_head(reading->feed), *start, NULL, &after, &gap);
	atomic_store(&r->sent, after);
	if (q->session.len == 0)
		return ERR_NONE;
	struct session_claim claim = {q->session, reading->client, r, q->filter, after};
	enum err err = sessions_attach(reading->sessions, &claim, &state, fault);
	if (err)
		return err;
	writer_poke(reading->writer);
	*resumed = !state.is_new;
	if (!asked && *resumed) {
		*start = state.at;
		atomic_store(&r->sent, state.acked);
	}
	return ERR_NONE;
}

void reader_start_hello(struct doc to, struct feed *feed, uint64_t after)
{
	doc_string(to, "epoch", store_epoch(feed_store(feed)));
	doc_u64(to, "first", feed_first(feed));
	doc_u64(to, "head", feed_head(feed));
	doc_u64(to, "after", after);
}

void reader_start_event_id(struct buf *out, struct feed *feed, uint64_t seq)
{
	buf_printf(out, "%" PRIu64 ".%s", seq, store_epoch(feed_store(feed)));
}

void reader_start_checkpoint(struct buf *out, uint64_t seq)
{
	buf_printf(out, "{\"op\":\"checkpoint\",\"seq\":%" PRIu64 "}", seq);
}

void reader_start_moved(struct buf *out, uint64_t after)
{
	buf_printf(out, "{\"op\":\"moved\",\"after\":%" PRIu64 "}", after);
}
