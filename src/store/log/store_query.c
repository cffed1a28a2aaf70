/* Reading the state of a store. */
#include <assert.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/system/path.h"
#include "store/log/store_internal.h"
#include "store/sqlite/db.h"

void store_set_head(struct store *s, uint64_t head)
{
	pthread_mutex_lock(&s->lock);
	s->head = head;
	pthread_mutex_unlock(&s->lock);
}

void store_set_log_first(struct store *s, uint64_t log_first)
{
	pthread_mutex_lock(&s->lock);
	s->log_first = log_first;
	pthread_mutex_unlock(&s->lock);
}

void store_set_lost(struct store *s, struct lost_ranges_last newest)
{
	atomic_store(&s->discarded_ms, newest.time_ms);
	atomic_store(&s->discarded_seq, newest.seq);
}

/* Read in the opposite order of store_set_lost: the time may be that of a later event. */
uint64_t store_lost_before(const struct store *s, int64_t time_ms)
{
	uint64_t seq = atomic_load(&s->discarded_seq);
	return atomic_load(&s->discarded_ms) < time_ms ? seq : 0;
}

uint64_t store_head(struct store *s)
{
	pthread_mutex_lock(&s->lock);
	uint64_t head = s->head;
	pthread_mutex_unlock(&s->lock);
	return head;
}

uint64_t store_log_first(struct store *s)
{
	pthread_mutex_lock(&s->lock);
	uint64_t log_first = s->log_first;
	pthread_mutex_unlock(&s->lock);
	return log_first;
}

uint64_t store_next(struct store *s, uint64_t after)
{
	uint64_t log_first = store_log_first(s);
	if (after + 1 >= log_first)
		return after + 1;
	uint64_t archived = archive_set_next(s->archives, after);
	uint64_t next = archived != 0 && archived < log_first ? archived : log_first;
	assert(next > after);
	return next;
}

uint64_t store_previous(struct store *s, uint64_t before)
{
	return before > store_log_first(s) ? before - 1 : archive_set_previous(s->archives, before);
}

uint64_t store_first(struct store *s)
{
	return store_next(s, 0);
}

void store_note_damage(struct store *s, const struct fault *fault)
{
	if (fault->code != ERR_CORRUPT)
		return;
	pthread_mutex_lock(&s->lock);
	s->damage = *fault;
	pthread_mutex_unlock(&s->lock);
}

bool store_unhealthy(struct store *s, struct fault *why)
{
	pthread_mutex_lock(&s->lock);
	bool damaged = s->damage.code != ERR_NONE;
	bool unhealthy = damaged || s->back_failing.code != ERR_NONE;
	if (unhealthy)
		*why = damaged ? s->damage : s->back_failing;
	pthread_mutex_unlock(&s->lock);
	return unhealthy;
}

const char *store_epoch(const struct store *s)
{
	assert(s->lineage.count > 0);
	return s->lineage.lines[s->lineage.count - 1].epoch;
}

const struct lineage *store_lineage(const struct store *s)
{
	return &s->lineage;
}

bool store_line(const struct store *s, uint32_t index, struct line *out)
{
	bool there = index < s->lineage.count;
	if (there)
		*out = s->lineage.lines[index];
	return there;
}

bool store_line_end(const struct store *s, const char *epoch, uint64_t *end)
{
	return lineage_end(&s->lineage, epoch, end);
}

const char *store_path(const struct store *s)
{
	return s->path;
}

const char *store_dir(const struct store *s)
{
	return s->dir;
}

struct catalog *store_catalog(const struct store *s)
{
	return s->catalog;
}

struct index_tail *store_index_tail(const struct store *s)
{
	return s->tail;
}

enum err store_disk_free(const struct store *s, uint64_t *bytes)
{
	struct statvfs v;
	if (statvfs(s->dir, &v) != 0)
		return ERR_IO;
	*bytes = (uint64_t)v.f_bavail * v.f_frsize;
	return ERR_NONE;
}

int64_t store_last_time(const struct store *s)
{
	return atomic_load(&s->last_time_ms);
}

void store_sizes(const struct store *s, uint64_t *db, uint64_t *wal)
{
	char path[PATH_MAX];
	struct stat st;
	*db = stat(s->path, &st) == 0 ? (uint64_t)st.st_size : 0;
	path_format(path, "%s-wal", s->path);
	*wal = stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void export_figures(struct figures f, struct stream_figures *out)
{
	out->first = f.first;
	out->last = f.last;
	out->count = f.count;
	out->bytes = f.bytes;
}

struct slice store_topic_stream(const struct store *s, uint32_t topic, char text[EVENT_NAME_MAX])
{
	unsigned entered = catalog_enter(s->catalog);
	struct slice name = catalog_topic(s->catalog, topic).stream;
	slice_copy(text, name);
	catalog_leave(s->catalog, entered);
	return (struct slice){text, name.len};
}

uint32_t store_topics(const struct store *s)
{
	return catalog_topics(s->catalog);
}

uint32_t store_topics_end(const struct store *s)
{
	return catalog_end(s->catalog);
}

uint32_t store_streams(struct store *s)
{
	return catalog_streams(s->catalog);
}

bool store_find_stream(struct store *s, struct slice name, struct stream_figures *out)
{
	struct figures f;
	if (!catalog_find_stream(s->catalog, name, &f))
		return false;
	out->name = name;
	export_figures(f, out);
	return true;
}

enum err store_stream_from(struct store *s, struct slice from, bool after, struct stream_figures *out, bool *there,
			   struct fault *fault)
{
	struct figures f = {0};
	size_t len;
	enum err err = stream_order_find(s->order, from, after, out->text, &len);
	*there = !err && len > 0;
	if (err)
		return fault_set(fault, err, err == ERR_BUSY ? "the streams are being sorted" : "out of memory");
	if (*there) {
		out->name = (struct slice){out->text, len};
		catalog_find_stream(s->catalog, out->name, &f);
		export_figures(f, out);
	}
	return ERR_NONE;
}

enum err store_refresh(struct store *s, sqlite3 *db, struct fault *fault)
{
	sqlite3_int64 first = 0;
	if (s->options.access != STORE_READ)
		return ERR_NONE;
	enum err err = db_integer(db, "SELECT min(seq) FROM event", 0, &first, fault);
	if (err || (uint64_t)first <= store_log_first(s))
		return err;
	/* The archives come first: readers go there as soon as log_first moves. Which topics the server has subtracted lost
	 * events from is not known here. */
	err = archive_set_scan(s->archives, fault);
	if (err)
		return err;
	struct lost_ranges_last newest;
	err = lost_ranges_last_get(db, &newest, fault);
	if (err)
		return err;
	store_set_lost(s, newest);
	atomic_store(&s->unknown, (unsigned long long)first - 1);
	store_set_log_first(s, (uint64_t)first);
	return ERR_NONE;
}
struct archive_set *store_archives(const struct store *s)
{
	return s->archives;
}

void store_archive_figures(struct store *s, uint32_t *count, uint64_t *bytes)
{
	archive_set_figures(s->archives, count, bytes);
}
