#include "store/read/archive_source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/data/hash.h"
#include "base/system/clock.h"
#include "base/system/path.h"
#include "store/archive/archive.h"

enum {
	OPEN_MAX = 4,
	MEMO = 256, /* a power of two */
	MEMO_LEN = 96,
};

struct opened {
	struct archive *archive; /* NULL: free */
	char file[ARCHIVE_NAME_LEN];
	uint64_t used;
};

/* A topic as text in envelopes, and its number. */
struct memo {
	char text[MEMO_LEN];
	size_t len; /* 0: free */
	uint32_t topic;
};

struct archive_source {
	struct archive_set *set;
	struct catalog *catalog;
	struct opened open[OPEN_MAX];
	uint64_t clock;
	struct memo memo[MEMO];
	char time[CLOCK_TEXT_LEN]; /* parsed last: events of one commit share it */
	int64_t time_ms;
};

struct archive_source *archive_source_create(struct archive_set *set, struct catalog *catalog)
{
	struct archive_source *s = calloc(1, sizeof *s);
	if (s == NULL)
		return NULL;
	s->set = set;
	s->catalog = catalog;
	return s;
}

void archive_source_destroy(struct archive_source *s)
{
	if (s == NULL)
		return;
	for (int i = 0; i < OPEN_MAX; i++)
		archive_close(s->open[i].archive);
	free(s);
}

/* Opens an archive; the least recently used one is closed. */
static enum err open_archive(struct archive_source *s, const struct manifest *m, struct archive **out, struct fault *fault)
{
	struct opened *oldest = &s->open[0];
	for (int i = 0; i < OPEN_MAX; i++) {
		struct opened *o = &s->open[i];
		if (o->archive != NULL && strcmp(o->file, m->file) == 0) {
			o->used = ++s->clock;
			*out = o->archive;
			return ERR_NONE;
		}
		if (o->used < oldest->used)
			oldest = o;
	}
	archive_close(oldest->archive);
	*oldest = (struct opened){.used = ++s->clock};
	char path[PATH_MAX];
	archive_set_path(s->set, m->file, path);
	enum err err = archive_open(path, &oldest->archive, fault);
	if (err == ERR_NOT_FOUND) {
		archive_set_forget(s->set, m->file);
		return fault_set(fault, ERR_GONE, "%s does not exist any more", path);
	}
	if (err)
		return err;
	*out = oldest->archive;
	if (archive_frames(*out) == 0) /* without a file name, it is not found as open the next time */
		return fault_set(fault, ERR_CORRUPT, "%s: it has no events", m->file);
	snprintf(oldest->file, sizeof oldest->file, "%s", m->file);
	return ERR_NONE;
}

/* --- parsing --- */

static bool find_topic(struct archive_source *s, const struct envelope *e, uint32_t *topic)
{
	struct memo *m = &s->memo[hash_text(e->topic) & (MEMO - 1)];
	if (slice_eq((struct slice){m->text, m->len}, e->topic)) {
		*topic = m->topic;
		return true;
	}
	char stream_text[EVENT_NAME_MAX];
	char type_text[EVENT_NAME_MAX];
	struct slice stream;
	struct slice type;
	if (!envelope_name(e->stream, stream_text, &stream) || !envelope_name(e->type, type_text, &type) ||
	    !catalog_find_topic(s->catalog, stream, type, topic))
		return false;
	if (e->topic.len <= MEMO_LEN) {
		slice_copy(m->text, e->topic);
		m->len = e->topic.len;
		m->topic = *topic;
	}
	return true;
}

static bool find_time(struct archive_source *s, struct slice text, int64_t *time_ms)
{
	if (memcmp(text.p, s->time, CLOCK_TEXT_LEN) != 0) {
		if (!clock_parse(text, &s->time_ms))
			return false;
		memcpy(s->time, text.p, CLOCK_TEXT_LEN);
	}
	*time_ms = s->time_ms;
	return true;
}

static enum err read_event(struct archive_source *s, const struct manifest *m, struct slice line, uint64_t seq,
			   struct archived *out, struct fault *fault)
{
	out->text = line;
	if (!envelope_read(line, &out->envelope) || out->envelope.seq != seq)
		return fault_set(fault, ERR_CORRUPT, "%s: where event %" PRIu64 " should be, there is another line", m->file,
				 seq);
	if (!find_time(s, out->envelope.time, &out->time_ms) || !find_topic(s, &out->envelope, &out->topic))
		return fault_set(fault, ERR_CORRUPT,
				 "%s: event %" PRIu64 " has a time, a stream or a type that this store never had", m->file,
				 seq);
	return ERR_NONE;
}

/* --- walking --- */

struct walk {
	struct archive_source *source;
	const struct manifest *manifest;
	uint64_t after;
	uint64_t before;
	bool descending;
	archived_fn *each;
	void *arg;
	struct fault *fault;
	bool more;
};

static enum err first_seq(const struct walk *w, const struct archive_lines *lines, uint64_t *seq)
{
	struct slice time;
	if (lines->count > 0 && envelope_read_start(archive_line(lines, 0), seq, &time))
		return ERR_NONE;
	return fault_set(w->fault, ERR_CORRUPT, "%s: a frame does not begin with an event", w->manifest->file);
}

/* Calls back with the events of a frame that are in the range. The next expected event must be among them: a sound frame may
 * be in the wrong place. */
static enum err walk_frame(struct walk *w, const struct archive_lines *lines, uint64_t first)
{
	uint64_t from = w->after + 1 > first ? w->after + 1 : first;
	uint64_t to = w->before < first + lines->count ? w->before : first + lines->count;
	enum err err = ERR_NONE;
	if (from >= to || (w->descending ? to != w->before : from != w->after + 1))
		return fault_set(w->fault, ERR_CORRUPT, "%s: event %" PRIu64 " is not where it should be", w->manifest->file,
				 (w->descending ? w->before - 1 : w->after + 1));
	for (uint64_t i = from; !err && w->more && i < to; i++) {
		uint64_t seq = w->descending ? to - 1 - (i - from) : i;
		struct archived event;
		err = read_event(w->source, w->manifest, archive_line(lines, (uint32_t)(seq - first)), seq, &event,
				 w->fault);
		if (!err)
			err = w->each(w->arg, &event, &w->more, w->fault);
	}
	if (w->descending)
		w->before = from;
	else
		w->after = to - 1;
	return err;
}

/* Records damage and closes the archive, so that it is opened again the next time: it may have been repaired. */
static enum err give_up(struct archive_source *s, const struct manifest *m, enum err err, const struct fault *fault)
{
	if (err != ERR_CORRUPT && err != ERR_IO)
		return err;
	archive_set_note_damage(s->set, m->file, fault);
	for (int i = 0; i < OPEN_MAX; i++)
		if (s->open[i].archive != NULL && strcmp(s->open[i].file, m->file) == 0) {
			archive_close(s->open[i].archive);
			s->open[i] = (struct opened){0};
		}
	return err;
}

static enum err walk_frames(struct walk *from, struct fault *fault)
{
	struct walk w = *from;
	struct archive_source *s = w.source;
	const struct manifest *m = w.manifest;
	bool descending = w.descending;
	struct archive *a;
	uint32_t frame;
	enum err err = open_archive(s, m, &a, fault);
	if (!err)
		err = archive_seek(a, descending ? w.before - 1 : w.after + 1, &frame, fault);
	while (!err && w.more && w.after + 1 < w.before) {
		struct archive_lines lines;
		uint64_t first;
		if (frame == archive_frames(a)) /* also after the first frame, descending */
			return fault_set(fault, ERR_CORRUPT, "%s: it ends before event %" PRIu64, m->file,
					 (descending ? w.before - 1 : w.after + 1));
		err = archive_unpack(a, frame, &lines, fault);
		if (!err)
			err = first_seq(&w, &lines, &first);
		if (!err)
			err = walk_frame(&w, &lines, first);
		frame = !descending ? frame + 1 : frame > 0 ? frame - 1 : archive_frames(a);
	}
	return err;
}

enum err archive_source_walk(struct archive_source *s, const struct manifest *m, const struct seq_query *range,
			     archived_fn *each, void *arg, struct fault *fault)
{
	struct walk w = {s, m, range->after, range->before, range->descending, each, arg, fault, true};
	return give_up(s, m, walk_frames(&w, fault), fault);
}

struct time_search {
	int64_t time_ms;
	uint64_t seq;
};

static enum err on_before(void *arg, const struct archived *event, bool *more, struct fault *fault)
{
	(void)fault;
	struct time_search *t = arg;
	*more = event->time_ms < t->time_ms;
	if (*more)
		t->seq = event->envelope.seq;
	return ERR_NONE;
}

enum err archive_source_seek_time(struct archive_source *s, const struct manifest *m, int64_t time_ms, uint64_t *seq,
				  struct fault *fault)
{
	struct time_search t = {time_ms, m->first - 1};
	struct archive *a;
	struct archive_lines lines;
	struct slice time;
	uint32_t frame;
	uint64_t first;
	enum err err = open_archive(s, m, &a, fault);
	if (!err)
		err = archive_seek_time(a, time_ms, &frame, fault);
	if (!err)
		err = archive_unpack(a, frame, &lines, fault);
	if (!err && (lines.count == 0 || !envelope_read_start(archive_line(&lines, 0), &first, &time)))
		err = fault_set(fault, ERR_CORRUPT, "%s: a frame does not begin with an event", m->file);
	if (err)
		return give_up(s, m, err, fault);
	struct seq_query range = {.after = first - 1, .before = m->last + 1};
	err = archive_source_walk(s, m, &range, on_before, &t, fault);
	*seq = t.seq;
	return err;
}
