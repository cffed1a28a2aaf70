/* Counting events, when they are committed and when they are read back. */
#include "profiles/monitoring/state/monitor_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "base/system/log.h"
#include "profiles/monitoring/event/validity.h"
#include "profiles/monitoring/state/conversation.h"
#include "store/read/history.h"

enum {
	PAGE_EVENTS = 8192, /* per page of the log, on opening */
	PAGE_BYTES = 4 * 1024 * 1024,
	REFILL_EVENTS = 1000000, /* at most, to fill the window on opening */
};

/* What is known of a topic: its service in the low bits, its category in the high ones. */
enum { TOPIC_UNKNOWN = 0xff, TOPIC_SERVICE_BITS = 4, TOPIC_SERVICE = 0x0f };
static_assert((int)SERVICE_NONE < TOPIC_SERVICE && CATEGORIES < 15, "both fit, and differ from TOPIC_UNKNOWN");

/* The service of a topic, and the category by its type. */
static unsigned char classify_topic(struct slice envelope)
{
	struct flat f;
	if (!flat_read(envelope, 0, &f))
		return SERVICE_NONE;
	return (unsigned char)((unsigned)f.service | (unsigned)category_of_type(f.type) << TOPIC_SERVICE_BITS);
}

static enum service topic_service(struct monitor *m, uint32_t topic, struct slice envelope)
{
	if (topic >= m->topic_count) {
		uint32_t count = topic * 2 > 1024 ? topic * 2 : 1024;
		unsigned char *topics = realloc(m->topics, count);
		if (topics == NULL)
			return flat_service(envelope);
		memset(topics + m->topic_count, TOPIC_UNKNOWN, count - m->topic_count);
		m->topics = topics;
		m->topic_count = count;
	}
	if (m->topics[topic] == TOPIC_UNKNOWN)
		m->topics[topic] = classify_topic(envelope);
	return (enum service)(m->topics[topic] & TOPIC_SERVICE);
}

static enum category category_in(const struct monitor *m, uint32_t topic, const struct flat *f, const struct flat_more *more)
{
	enum category by_type =
		topic < m->topic_count ? (enum category)(m->topics[topic] >> TOPIC_SERVICE_BITS) : category_of_type(f->type);
	return by_type != CATEGORIES ? by_type : category_of_data(f, more);
}

bool monitor_is_checking(const struct monitor *m)
{
	return m->flags != NULL && flags_get(m->flags, FLAG_ENABLE_VALIDATION) != 0;
}

static void count_in(struct monitor *m, uint32_t topic, const struct flat *f, const struct flat_more *more)
{
	enum category category = category_in(m, topic, f, more);
	bool checks = m->recounts && m->noted != NOTED_NOTHING ? m->noted == NOTED_ON : monitor_is_checking(m);
	unsigned broken = checks ? validity_of(f, more) : 0;
	pthread_mutex_lock(&m->lock);
	tally_add(&m->tallies[f->service], f);
	series_add(&m->series[f->service], f);
	window_add(m->window, f);
	m->categories[category]++;
	m->checked += checks;
	m->invalid += broken != 0;
	if (broken != 0)
		quarantine_add(m->quarantine, &(struct quarantined){f->seq, f->time_ms, f->service, broken});
	if (conversations_add(m->conversations, f))
		m->session_seq = f->seq;
	m->versions[f->service]++;
	m->versions[SERVICES]++;
	m->seq = f->seq;
	pthread_mutex_unlock(&m->lock);
	m->unsaved++;
}

/* For events of other streams only their topic is checked. */
void monitor_fold_page(struct monitor *m, const struct page *page)
{
	for (uint32_t i = 0, n = page_count(page); i < n; i++) {
		struct page_entry e = page_entry(page, i);
		struct flat f;
		struct flat_more more;
		if (e.topic < m->topic_count && (m->topics[e.topic] & TOPIC_SERVICE) == SERVICE_NONE)
			continue;
		struct slice envelope = page_envelope(page, i);
		if (topic_service(m, e.topic, envelope) < SERVICES && flat_read_more(envelope, e.time_ms, &f, &more))
			count_in(m, e.topic, &f, &more);
	}
	pthread_mutex_lock(&m->lock);
	m->seq = page_last(page);
	pthread_mutex_unlock(&m->lock);
}

struct selection *monitor_select(struct store *store, enum service service)
{
	struct filter *f = filter_create();
	bool fine = f != NULL;
	for (int i = 0; fine && i < SERVICES; i++)
		if (service == SERVICES || service == (enum service)i)
			fine = filter_add_stream(f, slice_of(service_name((enum service)i))) == ERR_NONE;
	if (fine)
		return history_select_take(store, f);
	filter_destroy(f);
	return NULL;
}

static void refill_page(struct monitor *m, const struct page *page, uint64_t upto)
{
	for (uint32_t i = 0, n = page_count(page); i < n; i++) {
		struct page_entry e = page_entry(page, i);
		struct flat f;
		struct slice envelope = page_envelope(page, i);
		if (e.seq <= upto && topic_service(m, e.topic, envelope) < SERVICES && flat_read(envelope, e.time_ms, &f))
			window_add(m->window, &f);
	}
}

/* The position before the next event that can be read. Missing events cannot be counted any more. */
static uint64_t skip_missing(struct monitor *m, struct store *store, uint64_t after)
{
	uint64_t next = store_next(store, after);
	if (next != after + 1)
		window_miss(m->window);
	return next - 1;
}

/* The window is not saved: it is filled again from the events that the figures already count. */
static enum err refill(struct monitor *m, struct store *store, struct reader *reader, struct selection *select,
		       struct fault *fault)
{
	uint64_t seq = 0;
	enum err err = history_seek_since(reader, clock_wall_ms() - WINDOW_SECONDS * INT64_C(1000), &seq, fault);
	if (m->seq > REFILL_EVENTS && seq < m->seq - REFILL_EVENTS) {
		seq = m->seq - REFILL_EVENTS;
		window_miss(m->window);
	}
	while (!err && seq < m->seq) {
		struct page *page;
		uint64_t after = skip_missing(m, store, seq);
		struct history_query q = {
			.after = after, .count_max = PAGE_EVENTS, .bytes_max = PAGE_BYTES, .select = select};
		err = history_page(reader, &q, &page, fault);
		if (!err) {
			refill_page(m, page, m->seq);
			seq = page_last(page);
		}
		page_unref(page);
	}
	return err;
}

/* Counts what an older version did not: errors by text, and categories. */
static void amend_page(struct monitor *m, const struct page *page, uint64_t upto)
{
	for (uint32_t i = 0, n = page_count(page); i < n; i++) {
		struct page_entry e = page_entry(page, i);
		struct flat f;
		struct slice envelope = page_envelope(page, i);
		if (e.seq > upto || topic_service(m, e.topic, envelope) >= SERVICES || !flat_read(envelope, e.time_ms, &f))
			continue;
		m->tallies[f.service].errors += flat_is_error(&f) && !slice_is(f.direction, "error");
		m->categories[category_of(&f)]++;
	}
}

/* Converts figures of an older version, as far as the events are there; for lost events the old figures stay. */
static enum err amend(struct monitor *m, struct store *store, struct reader *reader, struct selection *select,
		      struct fault *fault)
{
	enum err err = ERR_NONE;
	for (uint64_t seq = store_next(store, 0) - 1; !err && seq < m->seq;) {
		struct page *page;
		struct history_query q = {.after = seq, .count_max = PAGE_EVENTS, .bytes_max = PAGE_BYTES, .select = select};
		err = history_page(reader, &q, &page, fault);
		if (!err) {
			amend_page(m, page, m->seq);
			seq = store_next(store, page_last(page)) - 1;
		}
		page_unref(page);
		if (err && seq + 1 < store_log_first(store)) {
			log_warn("archived events cannot be counted again", "after=%" PRIu64 " error=%s", seq,
				 log_text(fault->text));
			seq = store_log_first(store) - 1;
			err = ERR_NONE;
		}
	}
	return err;
}

/* Counts the events after the saved figures. */
enum err monitor_catch_up(struct monitor *m, struct store *store, struct fault *fault)
{
	struct reader *reader = NULL;
	uint64_t head = store_head(store);
	struct selection *select = monitor_select(store, SERVICES);
	enum err err = select != NULL ? reader_open(store, &reader, fault) : fault_nomem(fault);
	if (!err && m->outdated)
		err = amend(m, store, reader, select, fault);
	if (!err && refill(m, store, reader, select, fault) != ERR_NONE) {
		log_warn("the figures of the last minutes start empty", "error=%s", log_text(fault->text));
		window_miss(m->window);
	}
	while (!err && m->seq < head) {
		struct page *page;
		m->seq = skip_missing(m, store, m->seq);
		struct history_query q = {
			.after = m->seq, .count_max = PAGE_EVENTS, .bytes_max = PAGE_BYTES, .select = select};
		err = history_page(reader, &q, &page, fault);
		if (!err)
			monitor_fold_page(m, page);
		page_unref(page);
		/* Unreadable archives are no reason not to serve the rest. */
		if (err && m->seq + 1 < store_log_first(store)) {
			log_warn("archived events are not counted", "after=%" PRIu64 " error=%s", m->seq,
				 log_text(fault->text));
			m->seq = store_log_first(store) - 1;
			window_miss(m->window);
			err = ERR_NONE;
		}
	}
	window_settle(m->window, clock_wall_ms());
	reader_close(reader);
	selection_destroy(select);
	return err;
}
