#include "store/archives/incoming_archives.h"

#include <stdlib.h>

#include "base/system/log.h"
#include "base/system/sys.h"
#include "store/archives/archive_copy.h"
#include "store/sqlite/db.h"

enum { PATH_LEN = 1200 };

void incoming_archives_finish(struct incoming_archives *a)
{
	free(a->items);
	*a = (struct incoming_archives){0};
}

enum err incoming_archives_copy(struct incoming_archives *a, const char *path, const struct manifest *m,
				struct archive_set *set, struct fault *fault)
{
	struct manifest known;
	bool is_new = !archive_set_named(set, m->file, &known);
	struct manifest *items = realloc(a->items, (a->count + 1) * sizeof *items);
	if (items == NULL)
		return fault_nomem(fault);
	a->items = items;
	enum err err = copy_archive_file(path, m, set, fault);
	if (err || !is_new)
		return err;
	a->items[a->count++] = *m;
	return archive_set_adopt(set, m, fault);
}

enum err incoming_archives_note(const struct incoming_archives *a, sqlite3 *db, struct fault *fault)
{
	struct buf text;
	sqlite3_stmt *st = NULL;
	if (a->count == 0)
		return ERR_NONE;
	buf_init(&text);
	for (uint32_t i = 0; i < a->count; i++) {
		manifest_write(&text, &a->items[i]);
		buf_addc(&text, '\n');
	}
	enum err err = buf_failed(&text) ? fault_nomem(fault)
					 : db_prepare(db, "INSERT OR REPLACE INTO meta(key, value) VALUES ('arriving', ?)",
						      &st, fault);
	if (!err) {
		sqlite3_bind_text(st, 1, text.data, (int)text.len, SQLITE_STATIC);
		int rc = sqlite3_step(st);
		err = rc == SQLITE_DONE ? ERR_NONE : db_fault(db, rc, "noting the archives that are to come", fault);
	}
	sqlite3_finalize(st);
	buf_finish(&text);
	return err;
}

static enum err settle_one(char *line, size_t len, struct archive_set *set, struct fault *fault)
{
	struct manifest m;
	struct manifest known;
	enum err err = manifest_parse(line, len, &m, fault);
	return err || (archive_set_named(set, m.file, &known) && archive_set_is_whole(set, m.file))
		       ? err
		       : archive_set_add(set, &m, fault);
}

static enum err settle_all(struct buf *text, struct archive_set *set, struct fault *fault)
{
	enum err err = ERR_NONE;
	for (char *line = text->data, *end;
	     !err && (end = memchr(line, '\n', text->len - (size_t)(line - text->data))) != NULL; line = end + 1)
		err = settle_one(line, (size_t)(end - line), set, fault);
	return err;
}

enum err incoming_archives_settle(sqlite3 *db, struct archive_set *set, struct fault *fault)
{
	sqlite3_stmt *st;
	struct buf text;
	buf_init(&text);
	enum err err = db_prepare(db, "SELECT value FROM meta WHERE key = 'arriving'", &st, fault);
	if (err)
		return err;
	int rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		buf_add(&text, (const char *)sqlite3_column_text(st, 0), (size_t)sqlite3_column_bytes(st, 0));
	else if (rc != SQLITE_DONE)
		err = db_fault(db, rc, "reading which archives are to come", fault);
	sqlite3_finalize(st);
	if (!err && buf_failed(&text))
		err = fault_nomem(fault);
	if (!err && text.len > 0)
		err = settle_all(&text, set, fault);
	if (!err && text.len > 0)
		err = db_exec(db, "DELETE FROM meta WHERE key = 'arriving'", fault);
	buf_finish(&text);
	return err;
}

void incoming_archives_abandon(const struct incoming_archives *a, struct archive_set *set)
{
	for (uint32_t i = 0; i < a->count; i++) {
		char path[PATH_LEN];
		archive_set_path(set, a->items[i].file, path, sizeof path);
		if (sys_remove(path) != 0)
			log_warn("what is left of an import cannot be removed", "file=\"%s\"", path);
	}
}
