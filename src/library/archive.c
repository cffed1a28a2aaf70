/* The archives of a store, and archives read alone. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "library/library.h"
#include "store/archive/archive_check.h"
#include "store/archive/archive_manifest.h"
#include "store/archives/archive_set.h"

static void describe(const struct manifest *m, const char *path, struct tm_archive_info *out)
{
	*out = (struct tm_archive_info){.first = m->first,
					.last = m->last,
					.count = m->count,
					.first_time = m->first_ms,
					.last_time = m->last_ms,
					.bytes = m->bytes,
					.raw_bytes = m->raw_bytes};
	_Static_assert(sizeof out->epoch >= sizeof m->epoch && sizeof out->chain >= sizeof m->chain, "they fit");
	snprintf(out->path, sizeof out->path, "%s", path);
	snprintf(out->epoch, sizeof out->epoch, "%s", m->epoch);
	snprintf(out->sha256, sizeof out->sha256, "%s", m->sha256);
	snprintf(out->chain, sizeof out->chain, "%s", m->chain);
}

/* --- archives of a store --- */

enum tm_err tm_archive_at(struct tm_store *store, uint32_t index, struct tm_archive_info *out, struct tm_error *error)
{
	struct manifest m;
	char path[PATH_MAX];
	*out = (struct tm_archive_info){0};
	if (!archive_set_at(store_archives(store->store), index, &m))
		return library_error(TM_END, error, "there is no archive %u", index);
	archive_set_path(store_archives(store->store), m.file, path);
	describe(&m, path, out);
	return TM_OK;
}

enum tm_err tm_archive_delete(struct tm_store *store, const char *path, struct tm_error *error)
{
	struct fault fault = {.place = -1};
	const char *slash = strrchr(path, '/');
	if (store->read_only)
		return library_read_only(error);
	pthread_mutex_lock(&store->archive_lock);
	struct reader *reader;
	enum err err = reader_open(store->store, &reader, &fault);
	if (!err)
		err = seal_delete(reader, slash != NULL ? slash + 1 : path, &fault);
	reader_close(reader);
	pthread_mutex_unlock(&store->archive_lock);
	return library_fault(err, &fault, error);
}

/* --- one alone --- */

struct tm_archive {
	struct archive *inner;
	struct tm_archive_info info;
	uint32_t frame;       /* the next */
	uint64_t after;       /* the next event is after this seq */
	struct tm_page *page; /* whose events are handed out one by one; NULL: none */
	uint32_t next;
};

enum tm_err tm_archive_open(const char *path, struct tm_archive **out, struct tm_error *error)
{
	struct fault fault = {.place = -1};
	struct manifest m;
	library_enter();
	*out = NULL;
	struct tm_archive *a = calloc(1, sizeof *a);
	if (a == NULL)
		return library_error(TM_NOMEM, error, "out of memory");
	enum err err = archive_open(path, &a->inner, &fault);
	if (!err)
		err = archive_manifest_find(path, &m, &fault);
	if (err) {
		tm_archive_close(a);
		return library_fault(err, &fault, error);
	}
	describe(&m, path, &a->info);
	*out = a;
	return TM_OK;
}

void tm_archive_close(struct tm_archive *archive)
{
	if (archive == NULL)
		return;
	tm_page_free(archive->page);
	archive_close(archive->inner);
	free(archive);
}

void tm_archive_get_info(const struct tm_archive *archive, struct tm_archive_info *out)
{
	*out = archive->info;
}

static enum err not_an_event(const struct tm_archive *a, struct fault *fault)
{
	return fault_set(fault, ERR_CORRUPT, "%s: after event %" PRIu64 " comes a line that is not the next event",
			 archive_file(a->inner), a->after);
}

/* The events of a frame that come next. They ascend, and where no filter has decided, none is missing. */
static enum err convert(struct tm_archive *a, const struct archive_lines *lines, struct tm_page **out, struct fault *fault)
{
	struct envelope e;
	bool whole = a->info.count == a->info.last - a->info.first + 1;
	struct tm_page *page = page_make(lines->count, lines->bytes.len);
	*out = page;
	if (page == NULL)
		return fault_nomem(fault);
	for (uint32_t i = 0; i < lines->count; i++) {
		struct slice line = archive_line(lines, i);
		if (!envelope_read(line, &e))
			return not_an_event(a, fault);
		if (e.seq <= a->after && tm_page_count(page) == 0)
			continue; /* before what was sought */
		bool follows = a->after < a->info.first || e.seq == a->after + 1;
		if (e.seq <= a->after || e.seq > a->info.last || (whole && !follows) || !page_take(page, line))
			return not_an_event(a, fault);
		a->after = e.seq;
	}
	return ERR_NONE;
}

static void drop_page(struct tm_archive *a)
{
	/* What is left of it is read again. */
	const struct tm_event *e = a->page != NULL ? tm_page_event(a->page, a->next) : NULL;
	if (e != NULL) {
		a->after = e->seq - 1;
		a->frame--;
	}
	tm_page_free(a->page);
	a->page = NULL;
	a->next = 0;
}

static enum tm_err next_page(struct tm_archive *a, struct tm_page **out, struct tm_error *error)
{
	struct fault fault = {.place = -1};
	struct archive_lines lines;
	*out = NULL;
	while (a->frame < archive_frames(a->inner)) {
		uint64_t before = a->after;
		enum err err = archive_unpack(a->inner, a->frame, &lines, &fault);
		if (!err)
			err = convert(a, &lines, out, &fault);
		if (err) {
			a->after = before;
			tm_page_free(*out);
			*out = NULL;
			return library_fault(err, &fault, error);
		}
		a->frame++;
		if (tm_page_count(*out) > 0)
			return TM_OK;
		tm_page_free(*out);
		*out = NULL;
	}
	if (a->after < a->info.last)
		return library_error(TM_CORRUPT, error, "%s: it ends with event %" PRIu64 ", its manifest says %" PRIu64,
				     archive_file(a->inner), a->after, a->info.last);
	return library_error(TM_END, error, "the archive ends with event %" PRIu64, a->info.last);
}

enum tm_err tm_archive_page(struct tm_archive *archive, struct tm_page **out, struct tm_error *error)
{
	drop_page(archive);
	return next_page(archive, out, error);
}

enum tm_err tm_archive_next(struct tm_archive *archive, const struct tm_event **out, struct tm_error *error)
{
	struct tm_archive *a = archive;
	*out = NULL;
	if (a->page != NULL && a->next == tm_page_count(a->page))
		drop_page(a);
	if (a->page == NULL) {
		enum tm_err err = next_page(a, &a->page, error);
		if (err)
			return err;
	}
	*out = tm_page_event(a->page, a->next++);
	assert(*out != NULL);
	return TM_OK;
}

enum tm_err tm_archive_seek(struct tm_archive *archive, uint64_t after, struct tm_error *error)
{
	struct tm_archive *a = archive;
	struct fault fault = {.place = -1};
	uint32_t frame = 0;
	enum err err = ERR_NONE;
	drop_page(a);
	if (archive_frames(a->inner) > 0)
		err = archive_seek(a->inner, after + 1, &frame, &fault);
	if (!err) {
		a->frame = frame;
		a->after = after;
	}
	return library_fault(err, &fault, error);
}

enum tm_err tm_archive_verify(const char *path, const struct tm_watch *watch, struct tm_archive_info *out,
			      struct tm_error *error)
{
	struct fault fault = {.place = -1};
	struct manifest expected;
	struct manifest found;
	struct archive_check s = {.expected = &expected};
	library_enter();
	if (out != NULL)
		*out = (struct tm_archive_info){0};
	if (watch != NULL) {
		s.progress = watch->progress;
		s.arg = watch->arg;
	}
	enum err err = archive_manifest_find(path, &expected, &fault);
	if (!err)
		err = archive_check(path, &s, &found, &fault);
	if (!err && out != NULL)
		describe(&found, path, out);
	return library_fault(err, &fault, error);
}
