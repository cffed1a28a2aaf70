/* Out of the log: into archives, or for good. */
#include <assert.h>
#include <inttypes.h>

#include "base/system/log.h"
#include "library/library.h"
#include "store/archives/archive_set.h"

enum { SEGMENT_EVENTS = 1000000, SEGMENT_BYTES = 256 * 1024 * 1024, LEVEL_MAX = 19 };

/* One call of tm_seal or tm_discard. */
struct retire {
	struct tm_store *store;
	struct reader *reader;
	const struct tm_watch *watch;
	uint64_t start; /* what the log began with */
	uint64_t upto;
	uint64_t base; /* seqs that were done before this archive */
	uint64_t left; /* events that have left the log */
};

static bool on_stop(void *arg)
{
	const struct retire *r = arg;
	return r->watch != NULL && r->watch->stop != NULL && r->watch->stop(r->watch->arg);
}

static void on_progress(void *arg, uint64_t events, uint64_t done, uint64_t all)
{
	(void)events;
	(void)all;
	const struct retire *r = arg;
	uint64_t total = r->upto + 1 - r->start;
	if (r->watch != NULL && r->watch->progress != NULL)
		r->watch->progress(r->watch->arg, r->base + done < total ? r->base + done : total, total);
}

/* Takes events out of the log, a few in each commit. `m`: the archive that holds them, read back and compared; NULL: they
 * are discarded. */
static enum err evict(struct retire *r, uint64_t upto, const struct manifest *m, struct fault *fault)
{
	struct store *s = r->store->store;
	enum err err = ERR_NONE;
	while (!err && store_log_first(s) <= upto) {
		uint64_t before = store_log_first(s);
		uint64_t left;
		if (on_stop(r))
			return fault_set(fault, ERR_CLOSED, "it was interrupted");
		err = write_take(r->store, false, fault);
		if (err)
			break;
		err = store_evict(s, upto, m != NULL ? m->last : upto, m != NULL ? m->chain : NULL, &left, fault);
		err = write_end(r->store, err, fault);
		write_give(r->store);
		assert(err || store_log_first(s) >= before);
		r->left += err ? 0 : store_log_first(s) - before;
	}
	return err;
}

/* How many events of the log make an archive. */
static enum err archive_events(struct retire *r, const struct tm_seal_options *o, uint64_t *out, struct fault *fault)
{
	struct store *s = r->store->store;
	uint64_t used = 0;
	if (o->archive_events > 0) {
		*out = o->archive_events;
		return ERR_NONE;
	}
	enum err err = history_used(r->reader, &used, fault);
	uint64_t events = store_head(s) + 1 - store_log_first(s);
	uint64_t each = events > 0 ? used / events + 1 : 1;
	uint64_t n = SEGMENT_BYTES / each + 1;
	*out = n < SEGMENT_EVENTS ? n : SEGMENT_EVENTS;
	return err;
}

/* Makes one archive, or proves one that is there since an interruption, and takes what it holds out of the log. */
static enum err seal_one(struct retire *r, const struct tm_seal_options *o, struct fault *fault)
{
	struct store *s = r->store->store;
	struct archive_options options = {.level = o->level > 0 ? o->level : ARCHIVE_LEVEL};
	struct seal_watch watch = {.progress = on_progress, .stop = on_stop, .arg = r};
	struct manifest m;
	uint64_t most = 0;
	uint64_t first = store_log_first(s);
	enum err err = archive_events(r, o, &most, fault);
	if (err)
		return err;
	r->base = first - r->start;
	if (archive_set_find(store_archives(s), first, &m) && m.last <= r->upto)
		first = m.first;
	else
		m.last = r->upto - first >= most ? first + most - 1 : r->upto;
	err = seal_range(r->reader, (struct seq_range){first, m.last}, options, &watch, &m, fault);
	if (err)
		return err;
	assert(m.first <= store_log_first(s) && m.last >= store_log_first(s));
	log_info("sealed an archive", "file=%s events=%" PRIu64 " bytes=%" PRIu64, m.file, m.count, m.bytes);
	return evict(r, m.last, &m, fault);
}

/* The newest event stays in the log. With the lock of archives. */
static enum err begin(struct retire *r, struct fault *fault)
{
	uint64_t head = store_head(r->store->store);
	uint64_t most = head > 0 ? head - 1 : 0;
	r->upto = r->upto < most ? r->upto : most;
	r->start = store_log_first(r->store->store);
	return reader_open(r->store->store, &r->reader, fault);
}

enum tm_err tm_seal(struct tm_store *store, uint64_t upto, const struct tm_seal_options *options, struct tm_sealed *out,
		    struct tm_error *error)
{
	static const struct tm_seal_options defaults;
	const struct tm_seal_options *o = options != NULL ? options : &defaults;
	struct fault fault = {.place = -1};
	struct retire r = {.store = store, .watch = &o->watch, .upto = upto};
	uint64_t archives = 0;
	if (out != NULL)
		*out = (struct tm_sealed){0};
	if (store->read_only)
		return library_read_only(error);
	if (o->level < 0 || o->level > LEVEL_MAX)
		return library_error(TM_INVALID, error, "there is no level %d: 1 to %d", o->level, LEVEL_MAX);
	pthread_mutex_lock(&store->archive_lock);
	enum err err = begin(&r, &fault);
	while (!err && store_log_first(store->store) <= r.upto) {
		err = seal_one(&r, o, &fault);
		archives += err == ERR_NONE;
	}
	reader_close(r.reader);
	pthread_mutex_unlock(&store->archive_lock);
	if (out != NULL)
		*out = (struct tm_sealed){.archives = archives, .events = r.left};
	return library_fault(err, &fault, error);
}

enum tm_err tm_discard(struct tm_store *store, uint64_t upto, uint64_t *discarded, struct tm_error *error)
{
	struct fault fault = {.place = -1};
	struct retire r = {.store = store, .upto = upto};
	if (discarded != NULL)
		*discarded = 0;
	if (store->read_only)
		return library_read_only(error);
	pthread_mutex_lock(&store->archive_lock);
	enum err err = begin(&r, &fault);
	if (!err)
		err = evict(&r, r.upto, NULL, &fault);
	reader_close(r.reader);
	pthread_mutex_unlock(&store->archive_lock);
	if (discarded != NULL)
		*discarded = r.left;
	return library_fault(err, &fault, error);
}
