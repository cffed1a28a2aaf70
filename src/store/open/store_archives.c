/* Opening the archives of a store: their directory, the chain that the log follows, and missing archives. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/system/log.h"
#include "base/system/path.h"
#include "base/system/sys.h"
#include "store/archives/incoming_archives.h"
#include "store/archives/lost_ranges.h"
#include "store/archives/stream_last.h"
#include "store/log/store_internal.h"
#include "store/sqlite/db.h"
#include "store/sqlite/meta.h"

/* The directory of archives that was set last; by default `archives` in the store's directory. */
static enum err load_archive_dir(struct store *s, char dir[PATH_MAX], struct fault *fault)
{
	struct buf noted;
	bool there;
	buf_init(&noted);
	enum err err = meta_get_text(s->db, "archive_dir", &noted, &there, fault);
	if (!err && there)
		path_format(dir, "%s", noted.data);
	else if (!err)
		path_format(dir, "%s/archives", s->dir);
	buf_finish(&noted);
	return err;
}

/* Saves the directory of archives as an absolute path. The default is not saved, so that it moves with the store. */
static enum err save_archive_dir(struct store *s, struct fault *fault)
{
	char cwd[PATH_MAX] = "";
	const char *dir = s->options.archive_dir;
	struct buf whole;
	if (dir[0] == '\0')
		return meta_delete(s->db, "archive_dir", fault);
	if (dir[0] != '/' && getcwd(cwd, sizeof cwd) == NULL)
		return sys_fail(fault, "cannot find the directory of archives", dir, errno);
	buf_init(&whole);
	buf_printf(&whole, "%s%s%s", cwd, cwd[0] != '\0' ? "/" : "", dir);
	buf_addc(&whole, '\0');
	enum err err = buf_failed(&whole) ? fault_nomem(fault) : meta_put_text(s->db, "archive_dir", whole.data, fault);
	buf_finish(&whole);
	return err;
}

/* Of archives that overlap, those are used that the log's events went to. */
static enum err follow_chain(struct store *s, struct fault *fault)
{
	struct buf text;
	bool there;
	buf_init(&text);
	enum err err = meta_get_text(s->db, "chain", &text, &there, fault);
	const char *colon = !err && there ? strchr(text.data, ':') : NULL;
	if (colon != NULL)
		archive_set_follow(s->archives, strtoull(text.data, NULL, 10), colon + 1);
	buf_finish(&text);
	return err;
}

static enum err miss(struct store *s, struct lost_range range, struct fault *fault)
{
	assert(range.first > 0 && range.first <= range.last && range.last < s->log_first);
	bool accepted = s->options.accept_loss;
	if (s->options.access == STORE_WRITE)
		log_warn(accepted ? "events are lost, as accepted" : "events are in no archive that can be used",
			 "first=%" PRIu64 " last=%" PRIu64 " dir=\"%s\"", range.first, range.last,
			 archive_set_dir(s->archives));
	if (!accepted) {
		archive_set_expect(s->archives, range.first, range.last);
		return ERR_NONE;
	}
	archive_set_excuse(s->archives, range.first, range.last);
	return lost_ranges_add(s->db, range.first, range.last, false, fault);
}

/* Events below the log that are neither lost nor in a usable archive become missing archives, so that they are not reported
 * as removed. */
static enum err expect_archives(struct store *s, struct fault *fault)
{
	struct lost_ranges lost;
	struct lost_range range = {0};
	enum err err = lost_ranges_load(s->db, &lost, fault);
	for (uint32_t i = 0; !err && i < lost.count; i++)
		archive_set_excuse(s->archives, lost.ranges[i].first, lost.ranges[i].last);
	while (!err && lost.known && lost_ranges_uncovered(&lost, s->archives, range.last + 1, s->log_first, &range))
		err = miss(s, range, fault);
	lost_ranges_finish(&lost);
	return err;
}

/* Loads the seq up to which the last seqs of streams are not known. */
static enum err load_last_unknown(struct store *s, struct fault *fault)
{
	enum err err = stream_last_unknown(s->db, &s->last_unknown, fault);
	if (err || s->last_unknown == 0 || !s->options.accept_loss || s->options.salvaged)
		return err;
	log_warn("streams without an event after this one count as new, as accepted", "seq=%" PRIu64, s->last_unknown);
	s->last_unknown = 0;
	return stream_last_note_unknown(s->db, 0, true, fault);
}

enum err store_open_archives(struct store *s, struct fault *fault)
{
	char dir[PATH_MAX];
	bool own = s->options.access == STORE_WRITE;
	bool keeps = own && s->options.archive_dir != NULL;
	enum err err = own ? lost_ranges_prepare(s->db, fault) : ERR_NONE;
	if (!err && keeps)
		err = save_archive_dir(s, fault);
	if (!err)
		err = load_archive_dir(s, dir, fault);
	if (!err)
		err = archive_set_open(dir, &s->lineage, own, &s->archives, fault);
	if (!err)
		err = own ? incoming_archives_settle(s->db, s->archives, fault) : ERR_NONE;
	if (!err)
		err = follow_chain(s, fault);
	if (!err)
		err = expect_archives(s, fault);
	uint64_t unknown = 0;
	struct lost_ranges_last newest = {0};
	if (!err)
		err = lost_ranges_unknown(s->db, &unknown, fault);
	if (!err)
		err = lost_ranges_last_get(s->db, &newest, fault);
	store_set_lost(s, newest);
	if (!err && own)
		err = load_last_unknown(s, fault);
	atomic_store(&s->unknown, unknown);
	return err;
}
