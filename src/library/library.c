/* Errors, log, opening and closing, figures. */
#include "library/library.h"

#include <assert.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "base/system/log.h"
#include "json/json.h"

enum { DATA_MAX = 1024 * 1024, EVENTS_MAX = 250000 };

/* --- errors --- */

static enum tm_err code_of(enum err err)
{
	switch (err) {
	case ERR_NONE: return TM_OK;
	case ERR_NOMEM: return TM_NOMEM;
	case ERR_INVALID: return TM_INVALID;
	case ERR_TOO_LARGE: return TM_TOO_LARGE;
	case ERR_NOT_FOUND: return TM_NOT_FOUND;
	case ERR_GONE: return TM_GONE;
	case ERR_CONFLICT: return TM_CONFLICT;
	case ERR_BUSY:
	case ERR_RATE: return TM_BUSY;
	case ERR_FULL: return TM_FULL;
	case ERR_IO:
	case ERR_DENIED: return TM_IO;
	case ERR_CORRUPT: return TM_CORRUPT;
	case ERR_NEWER: return TM_NEWER;
	case ERR_LOCKED: return TM_LOCKED;
	case ERR_CLOSED: return TM_INTERRUPTED;
	}
	return TM_IO;
}

const char *tm_error_name(enum tm_err code)
{
	switch (code) {
	case TM_OK: return "fine";
	case TM_NOMEM: return "out of memory";
	case TM_INVALID: return "invalid";
	case TM_TOO_LARGE: return "too large";
	case TM_NOT_FOUND: return "not found";
	case TM_GONE: return "gone";
	case TM_CONFLICT: return "conflict";
	case TM_BUSY: return "busy";
	case TM_FULL: return "disk full";
	case TM_IO: return "input/output error";
	case TM_CORRUPT: return "corrupt";
	case TM_NEWER: return "made by a newer version";
	case TM_LOCKED: return "locked";
	case TM_INTERRUPTED: return "interrupted";
	case TM_END: return "no more events";
	case TM_READ_ONLY: return "read only";
	}
	return "unknown";
}

enum tm_err library_fault(enum err err, const struct fault *fault, struct tm_error *out)
{
	if (err == ERR_NONE || out == NULL)
		return code_of(err);
	*out = (struct tm_error){.code = code_of(err), .place = fault->place};
	if (fault->compared) {
		out->expected = fault->expected;
		out->actual = fault->actual;
	}
	snprintf(out->text, sizeof out->text, "%s", fault->text);
	return out->code;
}

enum tm_err library_error(enum tm_err code, struct tm_error *out, const char *format, ...)
{
	if (out == NULL)
		return code;
	va_list args;
	va_start(args, format);
	*out = (struct tm_error){.code = code, .place = -1};
	vsnprintf(out->text, sizeof out->text, format, args);
	va_end(args);
	return code;
}

enum tm_err library_read_only(struct tm_error *out)
{
	return library_error(TM_READ_ONLY, out, "the store was opened to be read only");
}

enum err library_check_name(const char *what, const char *name, struct fault *fault)
{
	size_t len = name != NULL ? strlen(name) : 0;
	if (len > 0 && len <= TM_NAME_MAX && json_plain_text((struct slice){name, len}))
		return ERR_NONE;
	return fault_set(fault, ERR_INVALID, "\"%s\" is %s", what,
			 len == 0            ? "empty"
			 : len > TM_NAME_MAX ? "longer than 255 bytes"
					     : "not UTF-8, or holds a control character");
}

/* --- log --- */

static pthread_rwlock_t log_lock = PTHREAD_RWLOCK_INITIALIZER; /* guards the three that follow */
static tm_log_fn *log_fn;
static void *log_arg;
static enum tm_log_level log_least;

static void on_log(enum log_level level, const char *text)
{
	pthread_rwlock_rdlock(&log_lock);
	if (log_fn != NULL && (enum tm_log_level)level >= log_least)
		log_fn(log_arg, (enum tm_log_level)level, text);
	pthread_rwlock_unlock(&log_lock);
}

static void begin_log(void)
{
	_Static_assert((int)TM_LOG_DEBUG == (int)LOG_DEBUG && (int)TM_LOG_ERROR == (int)LOG_ERROR, "the same levels");
	log_set_level(LOG_DEBUG);
	log_set_sink(on_log);
}

void library_enter(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, begin_log);
}

void tm_set_log(tm_log_fn *fn, void *arg, enum tm_log_level least)
{
	library_enter();
	pthread_rwlock_wrlock(&log_lock);
	log_fn = fn;
	log_arg = arg;
	log_least = least;
	pthread_rwlock_unlock(&log_lock);
}

const char *tm_version(void)
{
	return TIDEMARK_VERSION;
}

/* --- opening and closing --- */

/* Threads that the store starts are not to run signal handlers of the program. */
static enum err open_quietly(const char *dir, struct store_options options, struct store **out, struct fault *fault)
{
	sigset_t all;
	sigset_t before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	enum err err = store_open(dir, options, out, fault);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

enum tm_err tm_open(const char *dir, const struct tm_options *options, struct tm_store **out, struct tm_error *error)
{
	static const struct tm_options defaults;
	struct fault fault = {.place = -1};
	const struct tm_options *o = options != NULL ? options : &defaults;
	library_enter();
	*out = NULL;
	struct tm_store *s = calloc(1, sizeof *s);
	if (s == NULL)
		return library_error(TM_NOMEM, error, "out of memory");
	s->read_only = o->read_only;
	s->limits.data_max = o->data_max > 0 ? o->data_max : DATA_MAX;
	s->limits.events_max = o->events_max > 0 ? o->events_max : EVENTS_MAX;
	struct store_options inner = {.access = o->read_only ? STORE_READ : STORE_WRITE,
				      .relaxed = o->relaxed,
				      .archive_dir = o->read_only ? NULL : o->archive_dir};
	enum err err = open_quietly(dir, inner, &s->store, &fault);
	if (err) {
		free(s);
		return library_fault(err, &fault, error);
	}
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->archive_lock, NULL);
	pthread_cond_init(&s->turn, NULL);
	clock_cond_init(&s->committed);
	list_init(&s->queue);
	*out = s;
	return TM_OK;
}

void tm_close(struct tm_store *store)
{
	if (store == NULL)
		return;
	assert(atomic_load(&store->readers) == 0);
	assert(!store->writing && list_empty(&store->queue));
	store_close(store->store);
	pthread_cond_destroy(&store->turn);
	pthread_cond_destroy(&store->committed);
	pthread_mutex_destroy(&store->archive_lock);
	pthread_mutex_destroy(&store->lock);
	free(store);
}

/* --- figures --- */

void tm_get_info(struct tm_store *store, struct tm_info *out)
{
	struct store *s = store->store;
	uint64_t db = 0;
	uint64_t wal = 0;
	*out = (struct tm_info){.first = store_first(s),
				.head = store_head(s),
				.log_first = store_log_first(s),
				.last_time = store_last_time(s),
				.streams = store_streams(s)};
	store_archive_figures(s, &out->archives, &out->archive_bytes);
	store_sizes(s, &db, &wal);
	out->log_bytes = db + wal;
	snprintf(out->epoch, sizeof out->epoch, "%s", store_epoch(s));
}

uint64_t tm_head(struct tm_store *store)
{
	return store_head(store->store);
}

/* The name may be that in `out`. */
static void copy_stream(const struct stream_figures *f, struct tm_stream *out)
{
	struct tm_stream s = {.first = f->first, .last = f->last, .count = f->count, .bytes = f->bytes};
	assert(f->name.len <= TM_NAME_MAX);
	slice_copy(s.name, f->name); /* zeros follow it */
	*out = s;
}

enum tm_err tm_find_stream(struct tm_store *store, const char *name, struct tm_stream *out, struct tm_error *error)
{
	struct fault fault = {.place = -1};
	struct stream_figures figures = {0};
	enum err err = library_check_name("name", name, &fault);
	if (!err && !store_find_stream(store->store, slice_of(name), &figures))
		err = fault_set(&fault, ERR_NOT_FOUND, "there is no stream %s", name);
	if (err)
		*out = (struct tm_stream){0};
	else
		copy_stream(&figures, out);
	return library_fault(err, &fault, error);
}

enum tm_err tm_next_stream(struct tm_store *store, const char *after, struct tm_stream *out, struct tm_error *error)
{
	struct fault fault = {.place = -1};
	struct stream_figures figures = {0};
	bool there = true;
	struct slice from = slice_of(after);
	char name[EVENT_NAME_MAX];
	enum err err = ERR_NONE;
	while (!err && there && figures.count == 0) { /* a stream may have lost its last event a moment ago */
		err = store_stream_from(store->store, from, true, &figures, &there, &fault);
		if (err || !there)
			break;
		slice_copy(name, figures.name);
		from = (struct slice){name, figures.name.len};
	}
	if (err || !there)
		*out = (struct tm_stream){0};
	else
		copy_stream(&figures, out);
	if (!err && !there)
		return library_error(TM_END, error, "there are no more streams");
	return library_fault(err, &fault, error);
}
