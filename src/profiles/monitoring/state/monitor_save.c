/* Saves the figures as notes beside the log, with the seq up to which they count, and loads them. */
#include "profiles/monitoring/state/monitor_internal.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "profiles/monitoring/state/conversation.h"
#include "json/numbers.h"

enum {
	SAVE_EVENTS = 16384, /* at most this many events are folded again after a crash */
	/* Version of the saved figures. Since 2 an event with an error text is an error, too, and events have categories;
	 * before, only the direction counted. */
	VERSION = 2,
	FOLD_NUMBERS = 1 + CATEGORIES + 2, /* version, events by category, validated, invalid */
};

static bool has_unsaved(const struct monitor *m)
{
	return m->seq > m->saved_seq || m->outdated;
}

bool monitor_is_due(void *arg, bool last, uint64_t evict_upto)
{
	struct monitor *m = arg;
	if (m->divided)
		return true;
	if (!has_unsaved(m))
		return false;
	bool persists = m->flags == NULL || flags_get(m->flags, FLAG_METRICS_PERSISTENCE) != 0;
	bool asked = atomic_load(&m->save_asked);
	return evict_upto > m->saved_seq || asked || (persists && (last || m->outdated || m->unsaved >= SAVE_EVENTS));
}

static enum err put(struct store *store, const char *kind, const char *key, int64_t at, const struct buf *text,
		    struct fault *fault)
{
	if (buf_failed(text))
		return fault_nomem(fault);
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
		snprintf(key, sizeof key, "%s/%" PRId64, service_name(service), minute);
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

/* On the writer's thread, the only one that changes what is read here. */
enum err monitor_put(void *arg, struct store *store, struct fault *fault)
{
	struct monitor *m = arg;
	m->saving_seq = m->seq;
	m->saving_minute = m->saved_minute;
	enum err err = has_unsaved(m) ? save_figures(m, store, fault) : ERR_NONE;
	return err || !m->divided ? err : flags_note_validation(monitor_is_checking(m), store, fault);
}

void monitor_saved(void *arg, bool committed)
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

enum err monitor_load(struct monitor *m, struct store *store, struct fault *fault)
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
