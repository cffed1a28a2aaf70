#include "profiles/monitoring/state/monitor.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "base/system/log.h"
#include "profiles/monitoring/event/validity.h"
#include "profiles/monitoring/state/conversation.h"
#include "store/read/history.h"
#include "json/document.h"
#include "json/numbers.h"

enum {
	SESSIONS_FRESH_MS = 1000,
	SAVE_EVENTS = 16384, /* at most so many are folded again after a crash */
	PAGE_EVENTS = 8192,  /* of one look at the log on opening */
	PAGE_BYTES = 4 * 1024 * 1024,
	REFILL_EVENTS = 1000000, /* that the window is filled from on opening, at most */
	/* Of what is saved. 2: an event is an error by its text, too, and has a category; before, by its direction alone. */
	VERSION = 2,
	FOLD_NUMBERS = 1 + CATEGORIES + 2, /* the version, events by category, held against the rules, invalid */
};

/* A ready-made text and the version of what it shows. */
struct ready {
	uint64_t version;
	struct buf text;
};

struct monitor {
	struct writer_observer observer;
	struct flags *flags; /* NULL: none */
	struct boundaries *boundaries;
	pthread_mutex_t
		lock; /* guards what follows; the writer takes it for each event: nothing is sorted or written in it */
	uint64_t seq; /* everything up to here is counted */
	struct tally tallies[SERVICES];
	uint64_t categories[CATEGORIES]; /* events */
	uint64_t checked;                /* events held against the rules */
	uint64_t invalid;
	struct quarantine *quarantine;
	uint64_t versions[SERVICES + 1]; /* and of all together */
	struct series *series;           /* SERVICES of them */
	struct conversations *conversations;
	uint64_t session_seq;
	struct window *window;

	pthread_mutex_t ready_lock; /* before `lock`, and never the writer's; guards what follows */
	struct ready stats[SERVICES];
	struct ready all_stats;
	struct ready sessions;
	int64_t sessions_ms; /* monotonic: when they were made */

	/* The writer's own. */
	unsigned char *topics; /* service of a topic, by its number */
	uint32_t topic_count;
	uint64_t saved_seq;
	uint64_t saving_seq;
	int64_t saved_minute;
	int64_t saving_minute;
	uint64_t unsaved; /* events */
	bool outdated;    /* what was saved is of an older version */
	bool recounts;    /* what came after what was saved, on opening */
	enum noted noted; /* …when such events were held against the rules, or not */
	bool divided;     /* that is other now, or is not noted yet: it is with the next commit */

	atomic_bool save_asked;
	atomic_ullong stored_seq; /* saved_seq, for others */
	atomic_llong stored_ms;   /* monotonic: when that was */
};

/* What is known of a topic: its service, and above that its category. */
enum { TOPIC_UNKNOWN = 0xff, TOPIC_SERVICE_BITS = 4, TOPIC_SERVICE = 0x0f };
static_assert((int)SERVICE_NONE < TOPIC_SERVICE && CATEGORIES < 15, "both fit, and are not unknown");

/* --- folding --- */

/* The service of a topic, and the category that its type says. */
static unsigned char look_at(struct slice envelope)
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
		m->topics[topic] = look_at(envelope);
	return (enum service)(m->topics[topic] & TOPIC_SERVICE);
}

static enum category category_in(const struct monitor *m, uint32_t topic, const struct flat *f, const struct flat_more *more)
{
	enum category by_type =
		topic < m->topic_count ? (enum category)(m->topics[topic] >> TOPIC_SERVICE_BITS) : category_of_type(f->type);
	return by_type != CATEGORIES ? by_type : category_of_data(f, more);
}

static bool is_checking(const struct monitor *m)
{
	return m->flags != NULL && flags_get(m->flags, FLAG_ENABLE_VALIDATION) != 0;
}

static void count_in(struct monitor *m, uint32_t topic, const struct flat *f, const struct flat_more *more)
{
	enum category category = category_in(m, topic, f, more);
	bool checks = m->recounts && m->noted != NOTED_NOTHING ? m->noted == NOTED_ON : is_checking(m);
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

/* Events of other streams cost one look at their topic. */
static void fold_page(struct monitor *m, const struct page *page)
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

static void on_commit(void *arg, const struct committed *c)
{
	for (uint32_t i = 0; i < committed_pages(c); i++)
		fold_page(arg, committed_page(c, i));
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

/* The position before the next event that can be read. What is missing until there cannot be counted any more. */
static uint64_t pass_missing(struct monitor *m, struct store *store, uint64_t after)
{
	uint64_t next = store_next(store, after);
	if (next != after + 1)
		window_miss(m->window);
	return next - 1;
}

/* The window is not saved: what it covers of what was is looked at again. */
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
		uint64_t after = pass_missing(m, store, seq);
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

/* What an older version did not count: events that say what went wrong under another direction, and categories. */
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

/* Figures that an older version has saved become those of this one, as far as there are the events: what has left the log
 * for good stays counted as it was. */
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
			log_warn("archived events are not counted anew", "after=%llu error=%s", (unsigned long long)seq,
				 log_text(fault->text));
			seq = store_log_first(store) - 1;
			err = ERR_NONE;
		}
	}
	return err;
}

/* What the log holds beyond what was saved. */
static enum err catch_up(struct monitor *m, struct store *store, struct fault *fault)
{
	struct reader *reader = NULL;
	uint64_t head = store_head(store);
	struct selection *select = monitor_select(store, SERVICES);
	enum err err = select != NULL ? reader_open(store, &reader, fault) : fault_set(fault, ERR_NOMEM, "out of memory");
	if (!err && m->outdated)
		err = amend(m, store, reader, select, fault);
	if (!err && refill(m, store, reader, select, fault) != ERR_NONE) {
		log_warn("the figures of the last minutes start anew", "error=%s", log_text(fault->text));
		window_miss(m->window);
	}
	while (!err && m->seq < head) {
		struct page *page;
		m->seq = pass_missing(m, store, m->seq);
		struct history_query q = {
			.after = m->seq, .count_max = PAGE_EVENTS, .bytes_max = PAGE_BYTES, .select = select};
		err = history_page(reader, &q, &page, fault);
		if (!err)
			fold_page(m, page);
		page_unref(page);
		/* Archives that are out of reach are no reason not to serve the rest. */
		if (err && m->seq + 1 < store_log_first(store)) {
			log_warn("archived events are not counted", "after=%llu error=%s", (unsigned long long)m->seq,
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

/* --- keeping --- */

static bool has_unsaved(const struct monitor *m)
{
	return m->seq > m->saved_seq || m->outdated;
}

static bool is_due(void *arg, bool last, uint64_t leaving)
{
	struct monitor *m = arg;
	if (m->divided)
		return true;
	if (!has_unsaved(m))
		return false;
	bool persists = m->flags == NULL || flags_get(m->flags, FLAG_METRICS_PERSISTENCE) != 0;
	bool asked = atomic_load(&m->save_asked);
	return leaving > m->saved_seq || asked || (persists && (last || m->outdated || m->unsaved >= SAVE_EVENTS));
}

static enum err put(struct store *store, const char *kind, const char *key, int64_t at, const struct buf *text,
		    struct fault *fault)
{
	if (buf_failed(text))
		return fault_set(fault, ERR_NOMEM, "out of memory");
	return store_note_put(store, kind, slice_of(key), at, buf_slice(text), fault);
}

static enum err save_service(struct monitor *m, struct store *store, enum service service, struct buf *text,
			     struct fault *fault)
{
	const struct series *s = &m->series[service];
	text->len = 0;
	tally_save(text, &m->tallies[service]);
	enum err err = put(store, "service", service_name(service), (int64_t)m->seq, text, fault);
	int64_t from = m->saved_minute > s->newest - SERIES_MINUTES ? m->saved_minute : s->newest - SERIES_MINUTES + 1;
	for (int64_t minute = from > 0 ? from : 0; !err && minute <= s->newest; minute++) {
		const struct minute *slot = &s->minutes[minute % SERIES_MINUTES];
		char key[64];
		if (slot->minute != minute || slot->events == 0)
			continue;
		text->len = 0;
		minute_save(text, slot);
		snprintf(key, sizeof key, "%s/%lld", service_name(service), (long long)minute);
		err = put(store, "minute", key, minute, text, fault);
	}
	return err;
}

static void save_fold(const struct monitor *m, struct buf *text)
{
	uint64_t n[FOLD_NUMBERS] = {VERSION};
	memcpy(n + 1, m->categories, sizeof m->categories);
	n[FOLD_NUMBERS - 2] = m->checked;
	n[FOLD_NUMBERS - 1] = m->invalid;
	numbers_write(text, n, FOLD_NUMBERS);
}

static enum err save_figures(struct monitor *m, struct store *store, struct fault *fault)
{
	struct buf text;
	int64_t newest = 0;
	enum err err = ERR_NONE;
	buf_init(&text);
	for (int i = 0; !err && i < SERVICES; i++) {
		err = save_service(m, store, (enum service)i, &text, fault);
		newest = m->series[i].newest > newest ? m->series[i].newest : newest;
	}
	m->saving_minute = newest;
	if (!err)
		err = store_note_trim(store, "minute", newest - SERIES_MINUTES, fault);
	if (!err)
		err = conversations_save(m->conversations, store, m->saved_seq, fault);
	if (!err)
		err = quarantine_save(m->quarantine, store, m->saved_seq, fault);
	text.len = 0;
	save_fold(m, &text);
	if (!err)
		err = put(store, "monitor", "fold", (int64_t)m->seq, &text, fault);
	buf_finish(&text);
	return err;
}

/* On the writer's thread, which alone changes what is read here. */
static enum err save(void *arg, struct store *store, struct fault *fault)
{
	struct monitor *m = arg;
	m->saving_seq = m->seq;
	m->saving_minute = m->saved_minute;
	enum err err = has_unsaved(m) ? save_figures(m, store, fault) : ERR_NONE;
	return err || !m->divided ? err : flags_note_validation(is_checking(m), store, fault);
}

static void saved(void *arg, bool committed)
{
	struct monitor *m = arg;
	if (!committed)
		return;
	m->saved_seq = m->saving_seq;
	m->saved_minute = m->saving_minute;
	m->unsaved = 0;
	m->outdated = false;
	m->divided = false;
	atomic_store(&m->save_asked, false);
	atomic_store(&m->stored_seq, m->saved_seq);
	atomic_store(&m->stored_ms, clock_mono_ms());
}

static enum err on_mark(void *arg, struct slice key, int64_t at, struct slice value)
{
	struct monitor *m = arg;
	uint64_t n[FOLD_NUMBERS];
	(void)key;
	m->outdated = !numbers_read(value, n, FOLD_NUMBERS) || n[0] != VERSION;
	if (!m->outdated) {
		memcpy(m->categories, n + 1, sizeof m->categories);
		m->checked = n[FOLD_NUMBERS - 2];
		m->invalid = n[FOLD_NUMBERS - 1];
	}
	m->seq = m->saved_seq = (uint64_t)at;
	return ERR_NONE;
}

static enum err on_service(void *arg, struct slice key, int64_t at, struct slice value)
{
	struct monitor *m = arg;
	enum service s = service_find(key);
	(void)at;
	return s < SERVICES && tally_load(value, &m->tallies[s]) ? ERR_NONE : ERR_CORRUPT;
}

static enum err on_minute(void *arg, struct slice key, int64_t at, struct slice value)
{
	struct monitor *m = arg;
	const char *slash = memchr(key.p, '/', key.len);
	if (slash == NULL)
		return ERR_CORRUPT;
	enum service s = service_find((struct slice){key.p, (size_t)(slash - key.p)});
	m->saved_minute = at;
	return s < SERVICES && series_load(&m->series[s], at, value) ? ERR_NONE : ERR_CORRUPT;
}

static enum err load(struct monitor *m, struct store *store, struct fault *fault)
{
	enum err err = store_note_each(store, "monitor", on_mark, m, fault);
	if (!err)
		err = store_note_each(store, "service", on_service, m, fault);
	if (!err)
		err = store_note_each(store, "minute", on_minute, m, fault);
	if (!err)
		err = conversations_load(m->conversations, store, fault);
	if (!err)
		err = quarantine_load(m->quarantine, store, fault);
	if (!err)
		err = flags_noted_validation(store, &m->noted, fault);
	atomic_store(&m->stored_seq, m->saved_seq);
	atomic_store(&m->stored_ms, clock_mono_ms());
	m->session_seq = m->seq;
	return err;
}

static enum err admit(void *arg, const struct batch *batch, struct append_options *options, struct fault *fault)
{
	struct monitor *m = arg;
	return m->flags != NULL ? flags_admit(m->flags, batch, options, fault) : ERR_NONE;
}

/* --- life --- */

enum err monitor_create(struct store *store, struct flags *flags, struct monitor **out, struct fault *fault)
{
	*out = NULL;
	struct monitor *m = calloc(1, sizeof *m);
	if (m == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_init(&m->ready_lock, NULL);
	m->observer = (struct writer_observer){m, on_commit, is_due, save, saved, admit};
	m->series = calloc(SERVICES, sizeof *m->series);
	m->conversations = conversations_create();
	m->window = window_create();
	m->quarantine = calloc(1, sizeof *m->quarantine);
	m->boundaries = boundaries_create();
	m->flags = flags;
	bool fine = m->series != NULL && m->conversations != NULL && m->window != NULL && m->quarantine != NULL &&
		    m->boundaries != NULL;
	enum err err = fine ? load(m, store, fault) : fault_set(fault, ERR_NOMEM, "out of memory");
	uint64_t from = m->seq;
	m->recounts = true;
	if (!err)
		err = catch_up(m, store, fault);
	m->recounts = false;
	m->divided = m->flags != NULL && m->noted != (is_checking(m) ? NOTED_ON : NOTED_OFF);
	if (err) {
		monitor_destroy(m);
		return err;
	}
	log_debug("monitor", "saved=%llu folded=%llu", (unsigned long long)from, (unsigned long long)(m->seq - from));
	*out = m;
	return ERR_NONE;
}

void monitor_destroy(struct monitor *m)
{
	if (m == NULL)
		return;
	for (int i = 0; i < SERVICES; i++)
		buf_finish(&m->stats[i].text);
	buf_finish(&m->all_stats.text);
	buf_finish(&m->sessions.text);
	conversations_destroy(m->conversations);
	window_destroy(m->window);
	free(m->series);
	free(m->quarantine);
	boundaries_destroy(m->boundaries);
	free(m->topics);
	pthread_mutex_destroy(&m->ready_lock);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

const struct writer_observer *monitor_observer(const struct monitor *m)
{
	return &m->observer;
}

static void on_asked(struct write_op *op)
{
	free(op);
}

void monitor_save(struct monitor *m, struct writer *w, bool now)
{
	struct fault fault;
	int64_t interval_ms = flags_get(m->flags, FLAG_METRICS_FLUSH_INTERVAL) * 1000;
	bool due = flags_get(m->flags, FLAG_METRICS_PERSISTENCE) != 0 &&
		   clock_mono_ms() - atomic_load(&m->stored_ms) >= interval_ms;
	pthread_mutex_lock(&m->lock);
	bool any = m->seq > atomic_load(&m->stored_seq);
	pthread_mutex_unlock(&m->lock);
	if (!any || !(due || now) || atomic_exchange(&m->save_asked, true))
		return;
	struct write_op *op = calloc(1, sizeof *op); /* a commit of nothing else, where no other comes */
	if (op != NULL)
		op->done = on_asked;
	if (op == NULL || writer_submit(w, op, &fault) != ERR_NONE)
		free(op);
}

/* --- asking --- */

void monitor_validation(struct monitor *m, struct validation_figures *out)
{
	pthread_mutex_lock(&m->lock);
	*out = (struct validation_figures){m->checked, m->invalid, quarantine_count(m->quarantine)};
	pthread_mutex_unlock(&m->lock);
}

uint32_t monitor_quarantine(struct monitor *m, uint64_t after, uint32_t limit, struct quarantined *out)
{
	pthread_mutex_lock(&m->lock);
	uint32_t count = quarantine_read(m->quarantine, after, limit, out);
	pthread_mutex_unlock(&m->lock);
	return count;
}

void monitor_tallies(struct monitor *m, struct tally tallies[SERVICES], uint64_t *seq)
{
	pthread_mutex_lock(&m->lock);
	memcpy(tallies, m->tallies, sizeof m->tallies);
	*seq = m->seq;
	pthread_mutex_unlock(&m->lock);
}

void monitor_categories(struct monitor *m, uint64_t categories[CATEGORIES])
{
	pthread_mutex_lock(&m->lock);
	memcpy(categories, m->categories, sizeof m->categories);
	pthread_mutex_unlock(&m->lock);
}

uint64_t monitor_session_seq(struct monitor *m)
{
	pthread_mutex_lock(&m->lock);
	uint64_t seq = m->session_seq;
	pthread_mutex_unlock(&m->lock);
	return seq;
}

int64_t monitor_window_since(struct monitor *m, int64_t since_ms)
{
	pthread_mutex_lock(&m->lock);
	int64_t since = window_since(m->window, since_ms);
	pthread_mutex_unlock(&m->lock);
	return since;
}

void monitor_window(struct monitor *m, enum service service, int64_t since_ms, struct window_figures *out)
{
	struct histogram_sum times = {0};
	*out = (struct window_figures){0};
	for (int i = 0; i < SERVICES; i++) {
		if (service != SERVICES && service != (enum service)i)
			continue;
		pthread_mutex_lock(&m->lock); /* the writer waits for one service at most */
		window_read(m->window, (enum service)i, since_ms, out, &times);
		pthread_mutex_unlock(&m->lock);
	}
	window_rank(out, &times);
}

struct boundaries *monitor_boundaries(const struct monitor *m)
{
	return m->boundaries;
}

int monitor_errors(struct monitor *m, enum service service, uint64_t seqs[WINDOW_ERRORS])
{
	pthread_mutex_lock(&m->lock);
	int count = window_errors(m->window, service, seqs);
	pthread_mutex_unlock(&m->lock);
	return count;
}

static void copy_series(struct monitor *m, enum service service, struct series *to)
{
	pthread_mutex_lock(&m->lock);
	*to = m->series[service];
	pthread_mutex_unlock(&m->lock);
}

void monitor_write_series(struct monitor *m, struct buf *out, enum service service, int64_t interval, int64_t since_ms,
			  const struct minute *first)
{
	struct series *copied = malloc(2 * sizeof *copied);
	if (copied == NULL) {
		out->failed = true;
		return;
	}
	copy_series(m, service < SERVICES ? service : SERVICE_WEBSOCKET, &copied[0]);
	for (int i = SERVICE_WEBSOCKET + 1; service == SERVICES && i < SERVICES; i++) {
		copy_series(m, (enum service)i, &copied[1]);
		series_join(&copied[0], &copied[1]);
	}
	series_write(out, copied, interval, since_ms, first);
	free(copied);
}

/* Renders a frame of statistics in place of the one before. */
static void end_stats(struct document *d, struct buf *text)
{
	doc_time(document_root(d), "timestamp", clock_wall_ms());
	text->len = 0;
	document_end(d, text);
}

static void put_tally(struct doc to, const char *key, enum service service, const struct tally *tally)
{
	struct buf text;
	buf_init(&text);
	tally_write(&text, service, tally, true);
	doc_raw_take(to, key, &text);
}

static void make_stats(struct buf *text, enum service service, const struct tally *tally)
{
	struct document d;
	struct doc root = document_begin(&d);
	doc_string(root, "type", "stats");
	doc_string(root, "connection_type", service_name(service));
	put_tally(root, "stats", service, tally);
	end_stats(&d, text);
}

/* Services without an event are left out; total_bytes is that of all together. */
static void make_all_stats(struct buf *text, const struct tally tallies[SERVICES])
{
	uint64_t bytes = 0;
	struct document d;
	struct doc root = document_begin(&d);
	doc_string(root, "type", "stats");
	doc_null(root, "connection_type");
	struct doc stats = doc_object(root, "stats");
	for (int i = 0; i < SERVICES; i++) {
		const struct tally *t = &tallies[i];
		if (t->events == 0)
			continue;
		put_tally(stats, service_name((enum service)i), (enum service)i, t);
		bytes += t->sent_bytes + t->received_bytes;
	}
	doc_u64(stats, "total_bytes", bytes);
	end_stats(&d, text);
}

/* Version 0 is that of an empty store: nothing is ready yet. */
static bool is_ready(const struct ready *r, uint64_t version)
{
	return r->text.len > 0 && r->version == version && !buf_failed(&r->text);
}

static void copy(struct buf *out, struct ready *r, uint64_t version)
{
	r->version = version;
	buf_join(out, &r->text, 0, 0);
	if (buf_failed(&r->text))
		buf_finish(&r->text);
}

void monitor_write_stats(struct monitor *m, struct buf *out, enum service service)
{
	struct ready *ready = &m->stats[service];
	pthread_mutex_lock(&m->ready_lock);
	pthread_mutex_lock(&m->lock);
	uint64_t version = m->versions[service];
	struct tally tally = m->tallies[service];
	pthread_mutex_unlock(&m->lock);
	if (!is_ready(ready, version))
		make_stats(&ready->text, service, &tally);
	copy(out, ready, version);
	pthread_mutex_unlock(&m->ready_lock);
}

/* How many conversations are active changes with time alone. */
void monitor_write_sessions(struct monitor *m, struct buf *out)
{
	struct conversation_figures figures;
	int64_t now = clock_mono_ms();
	pthread_mutex_lock(&m->ready_lock);
	pthread_mutex_lock(&m->lock);
	uint64_t version = m->versions[SERVICES];
	bool ready = is_ready(&m->sessions, version) && now - m->sessions_ms < SESSIONS_FRESH_MS;
	if (!ready)
		conversations_read(m->conversations, clock_wall_ms(), &figures);
	pthread_mutex_unlock(&m->lock);
	if (!ready) {
		m->sessions.text.len = 0;
		m->sessions_ms = now;
		conversations_write(&m->sessions.text, &figures);
	}
	copy(out, &m->sessions, version);
	pthread_mutex_unlock(&m->ready_lock);
}

void monitor_write_all_stats(struct monitor *m, struct buf *out)
{
	struct tally tallies[SERVICES];
	pthread_mutex_lock(&m->ready_lock);
	pthread_mutex_lock(&m->lock);
	uint64_t version = m->versions[SERVICES];
	memcpy(tallies, m->tallies, sizeof tallies);
	pthread_mutex_unlock(&m->lock);
	if (!is_ready(&m->all_stats, version))
		make_all_stats(&m->all_stats.text, tallies);
	copy(out, &m->all_stats, version);
	pthread_mutex_unlock(&m->ready_lock);
}
