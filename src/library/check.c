/* Verify and backup: work on a directory, which may be in use. */
#include <stdio.h>

#include "library/library.h"
#include "store/repair/verify_event.h"
#include "store/transfer/backup.h"

enum { VERIFY_TRIES = 100 };

/* Opens the store as it is at this moment, and checks it. */
static enum err look(const char *dir, const struct tm_watch *watch, struct tm_verified *out, struct fault *fault)
{
	struct store *s = NULL;
	struct reader *r = NULL;
	struct history_verified found = {0};
	enum err err = store_open(dir, (struct store_options){.access = STORE_READ}, &s, fault);
	if (!err)
		err = reader_open(s, &r, fault);
	if (!err) {
		out->first = store_first(s);
		out->head = store_head(s);
		err = history_verify(r, watch != NULL ? watch->progress : NULL, watch != NULL ? watch->arg : NULL, &found,
				     fault);
	}
	out->events = found.events;
	_Static_assert(sizeof out->skipped >= sizeof found.skipped, "it fits");
	snprintf(out->skipped, sizeof out->skipped, "%s", found.skipped);
	reader_close(r);
	store_close(s);
	if (err == ERR_CORRUPT)
		verify_name_event(dir, fault);
	return err;
}

enum tm_err tm_verify(const char *dir, const struct tm_watch *watch, struct tm_verified *out, struct tm_error *error)
{
	struct fault fault = {.place = -1};
	struct tm_verified found = {0};
	enum err err = ERR_BUSY;
	library_enter();
	/* A writer may commit between opening the store and checking it (ERR_BUSY): then it is opened again. */
	for (int tries = 0; err == ERR_BUSY && tries < VERIFY_TRIES; tries++)
		err = look(dir, watch, &found, &fault);
	if (out != NULL)
		*out = found;
	return library_fault(err, &fault, error);
}

/* --- backup --- */

static void on_progress(void *arg, uint64_t events, uint64_t done, uint64_t all)
{
	(void)events;
	const struct tm_watch *w = arg;
	if (w->progress != NULL)
		w->progress(w->arg, done, all);
}

static bool on_stop(void *arg)
{
	const struct tm_watch *w = arg;
	return w->stop != NULL && w->stop(w->arg);
}

enum tm_err tm_backup(const char *dir, const char *dest, const struct tm_backup_options *options, struct tm_copied *out,
		      struct tm_error *error)
{
	static const struct tm_backup_options defaults;
	const struct tm_backup_options *o = options != NULL ? options : &defaults;
	struct tm_watch inner = o->watch;
	struct seal_watch watch = {.progress = on_progress, .stop = on_stop, .arg = &inner};
	struct fault fault = {.place = -1};
	struct backup_figures f = {0};
	library_enter();
	enum err err = backup_store(dir, dest, (struct backup_options){o->until, &watch}, &f, &fault);
	if (out != NULL)
		*out = (struct tm_copied){.events = f.events, .archives = f.archives, .first = f.first, .head = f.head};
	return library_fault(err, &fault, error);
}
