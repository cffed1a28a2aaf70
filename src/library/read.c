/* Readers: a cursor that asks the store what follows, and waits for commits where nothing does. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "library/library.h"

enum { PAGE_EVENTS = 1024, PAGE_BYTES = 256 * 1024, WAIT_MAX_MS = 3600 * 1000 };

struct tm_reader {
	struct tm_store *store;
	struct reader *inner;
	struct selection *select; /* NULL: everything */
	struct history_query query;
	uint64_t position;     /* what the next page comes after (descending: before) */
	struct tm_page *page;  /* whose events are handed out one by one; NULL: none */
	uint32_t next;         /* of them */
	uint64_t page_end;     /* the position once all of them have been */
	atomic_bool interrupt; /* set with the lock of the store */
};

/* --- opening --- */

static enum err add_all(struct filter *f, const char *const *names, enum err (*add)(struct filter *, struct slice),
			const char *what, struct fault *fault)
{
	enum err err = ERR_NONE;
	for (; !err && names != NULL && *names != NULL; names++) {
		err = add(f, slice_of(*names));
		if (err == ERR_NOMEM)
			fault_set(fault, err, "out of memory");
		else if (err)
			fault_set(fault, err, "%s \"%.200s\": %s", what, *names,
				  err == ERR_INVALID ? "it is not a condition" : "there are too many, or it is too long");
	}
	return err;
}

static enum err make_selection(struct tm_reader *r, const struct tm_reader_options *o, struct fault *fault)
{
	if (o->streams == NULL && o->types == NULL && o->where == NULL)
		return ERR_NONE;
	struct filter *f = filter_create();
	if (f == NULL)
		return fault_nomem(fault);
	enum err err = add_all(f, o->streams, filter_add_stream, "stream", fault);
	if (!err)
		err = add_all(f, o->types, filter_add_type, "type", fault);
	if (!err)
		err = add_all(f, o->where, filter_add_where, "where", fault);
	if (err) {
		filter_destroy(f);
		return err;
	}
	r->select = history_select_take(r->store->store, f);
	return r->select != NULL ? ERR_NONE : fault_nomem(fault);
}

static uint64_t start(const struct tm_reader *r)
{
	uint64_t head = store_head(r->store->store);
	if (!r->query.descending)
		return r->query.after;
	return r->query.before != 0 && r->query.before <= head ? r->query.before : head + 1;
}

enum tm_err tm_reader_open(struct tm_store *store, const struct tm_reader_options *options, struct tm_reader **out,
			   struct tm_error *error)
{
	static const struct tm_reader_options defaults;
	const struct tm_reader_options *o = options != NULL ? options : &defaults;
	struct fault fault = {.place = -1};
	*out = NULL;
	struct tm_reader *r = calloc(1, sizeof *r);
	if (r == NULL)
		return library_error(TM_NOMEM, error, "out of memory");
	r->store = store;
	r->query = (struct history_query){.after = o->after,
					  .before = o->before,
					  .descending = o->descending,
					  .count_max = o->page_events > 0 ? o->page_events : PAGE_EVENTS,
					  .bytes_max = PAGE_BYTES};
	atomic_fetch_add(&store->readers, 1);
	enum err err = reader_open(store->store, &r->inner, &fault);
	if (!err)
		err = make_selection(r, o, &fault);
	if (err) {
		tm_reader_close(r);
		return library_fault(err, &fault, error);
	}
	r->query.select = r->select;
	r->position = start(r);
	*out = r;
	return TM_OK;
}

void tm_reader_close(struct tm_reader *reader)
{
	if (reader == NULL)
		return;
	tm_page_free(reader->page);
	selection_destroy(reader->select);
	reader_close(reader->inner);
	atomic_fetch_sub(&reader->store->readers, 1);
	free(reader);
}

/* --- one page --- */

/* The events as a program gets them; NULL: no memory, or what was read is no envelope. */
static struct tm_page *convert(const struct page *page, struct fault *fault, enum err *err)
{
	size_t bytes = 0;
	uint32_t count = page_count(page);
	for (uint32_t i = 0; i < count; i++)
		bytes += page_envelope(page, i).len;
	struct tm_page *out = page_make(count, bytes);
	*err = out != NULL ? ERR_NONE : fault_nomem(fault);
	for (uint32_t i = 0; !*err && i < count; i++)
		if (!page_take(out, page_envelope(page, i)))
			*err = fault_set(fault, ERR_CORRUPT, "event %" PRIu64 " is damaged", page_entry(page, i).seq);
	if (*err) {
		tm_page_free(out);
		return NULL;
	}
	return out;
}

/* Is there anything after the position that can be asked for now? */
static bool is_behind(const struct tm_reader *r)
{
	const struct history_query *q = &r->query;
	if (q->descending)
		return r->position > q->after + 1;
	return r->position < store_head(r->store->store) && (q->before == 0 || r->position + 1 < q->before);
}

/* Reads the next page. *out is NULL if none of the events examined matches; *end is where to go on then. */
static enum err read_page(struct tm_reader *r, struct tm_page **out, uint64_t *end, struct fault *fault)
{
	struct history_query q = r->query;
	struct page *page;
	*out = NULL;
	if (q.descending)
		q.before = r->position;
	else
		q.after = r->position;
	enum err err = history_page(r->inner, &q, &page, fault);
	if (err)
		return err;
	*end = page_last(page);
	assert(q.descending ? *end < r->position : *end >= r->position);
	if (page_count(page) > 0)
		*out = convert(page, fault, &err);
	page_unref(page);
	return err;
}

/* --- waiting --- */

/* True once for each interruption. */
static bool is_interrupted(struct tm_reader *r)
{
	return atomic_exchange(&r->interrupt, false);
}

/* Waits until there is something to ask for, the reader is interrupted, or the time is up: false. `until_ms` is monotonic;
 * negative: without end. */
static bool wait_for_commit(struct tm_reader *r, int64_t until_ms)
{
	struct tm_store *s = r->store;
	bool in_time = true;
	int64_t left_ms;
	if (r->query.descending || s->read_only || (r->query.before != 0 && r->position + 1 >= r->query.before))
		return false;
	pthread_mutex_lock(&s->lock);
	while (in_time && !is_behind(r) && !atomic_load(&r->interrupt)) {
		if (until_ms < 0)
			pthread_cond_wait(&s->committed, &s->lock);
		else if ((left_ms = until_ms - clock_mono_ms()) > 0)
			clock_cond_wait(&s->committed, &s->lock, left_ms < WAIT_MAX_MS ? left_ms : WAIT_MAX_MS);
		else
			in_time = false;
	}
	pthread_mutex_unlock(&s->lock);
	return in_time;
}

static enum tm_err next_page(struct tm_reader *r, int64_t timeout_ms, struct tm_page **out, uint64_t *end,
			     struct tm_error *error)
{
	struct fault fault = {.place = -1};
	int64_t now = clock_mono_ms();
	int64_t until_ms = timeout_ms < 0 || timeout_ms > INT64_MAX - now ? -1 : now + timeout_ms;
	*out = NULL;
	for (;;) {
		if (is_interrupted(r))
			return library_error(TM_INTERRUPTED, error, "the reader was interrupted");
		if (is_behind(r)) {
			enum err err = read_page(r, out, end, &fault);
			if (err || *out != NULL)
				return library_fault(err, &fault, error);
			r->position = *end;
		} else if (timeout_ms == 0 || !wait_for_commit(r, until_ms)) {
			return library_error(TM_END, error, "there is no event yet %s %" PRIu64,
					     r->query.descending ? "before" : "after", r->position);
		}
	}
}

/* --- what a program calls --- */

static void drop_page(struct tm_reader *r)
{
	tm_page_free(r->page);
	r->page = NULL;
	r->next = 0;
}

enum tm_err tm_reader_next(struct tm_reader *reader, int64_t timeout_ms, const struct tm_event **out, struct tm_error *error)
{
	struct tm_reader *r = reader;
	*out = NULL;
	if (r->page != NULL && r->next == tm_page_count(r->page))
		drop_page(r);
	if (r->page == NULL) {
		enum tm_err err = next_page(r, timeout_ms, &r->page, &r->page_end, error);
		if (err)
			return err;
	}
	*out = tm_page_event(r->page, r->next++);
	assert(*out != NULL);
	r->position = r->next == tm_page_count(r->page) ? r->page_end : (*out)->seq;
	return TM_OK;
}

enum tm_err tm_reader_page(struct tm_reader *reader, int64_t timeout_ms, struct tm_page **out, struct tm_error *error)
{
	uint64_t end = 0;
	drop_page(reader); /* what is left of it is read again */
	enum tm_err err = next_page(reader, timeout_ms, out, &end, error);
	if (!err)
		reader->position = end;
	return err;
}

uint64_t tm_reader_position(const struct tm_reader *reader)
{
	return reader->position;
}

void tm_reader_seek(struct tm_reader *reader, uint64_t seq)
{
	drop_page(reader);
	reader->position = seq;
}

enum tm_err tm_reader_seek_time(struct tm_reader *reader, int64_t time, struct tm_error *error)
{
	struct fault fault = {.place = -1};
	uint64_t after = 0;
	enum err err = reader->query.descending ? history_seek_time(reader->inner, time, &after, &fault)
						: history_seek_since(reader->inner, time, &after, &fault);
	if (!err)
		tm_reader_seek(reader, reader->query.descending ? after + 1 : after);
	return library_fault(err, &fault, error);
}

uint64_t tm_reader_skip(struct tm_reader *reader)
{
	uint64_t next = store_next(reader->store->store, reader->position);
	uint64_t passed = reader->query.descending ? 0 : next - reader->position - 1;
	if (passed > 0)
		tm_reader_seek(reader, next - 1);
	return passed;
}

void tm_reader_interrupt(struct tm_reader *reader)
{
	pthread_mutex_lock(&reader->store->lock);
	atomic_store(&reader->interrupt, true);
	pthread_cond_broadcast(&reader->store->committed);
	pthread_mutex_unlock(&reader->store->lock);
}
