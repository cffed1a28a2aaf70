#include "store/archives/incoming_archives.h"

#include <stdlib.h>

#include "base/system/log.h"
#include "base/system/path.h"
#include "base/system/sys.h"
#include "store/archives/archive_copy.h"
#include "store/sqlite/db.h"
#include "store/sqlite/meta.h"

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
	return archive_set_insert(set, m, fault);
}

enum err incoming_archives_note(const struct incoming_archives *a, sqlite3 *db, struct fault *fault)
{
	struct buf text;
	if (a->count == 0)
		return ERR_NONE;
	buf_init(&text);
	for (uint32_t i = 0; i < a->count; i++) {
		manifest_write(&text, &a->items[i]);
		buf_addc(&text, '\n');
	}
	buf_addc(&text, '\0');
	enum err err = buf_failed(&text) ? fault_nomem(fault) : meta_put_text(db, "arriving", text.data, fault);
	buf_finish(&text);
	return err;
}

static enum err settle_one(char *line, size_t len, struct archive_set *set, struct fault *fault)
{
	struct manifest m;
	struct manifest known;
	enum err err = manifest_parse(line, len, &m, fault);
	return err || (archive_set_named(set, m.file, &known) && archive_set_has_manifest(set, m.file))
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
	struct buf text;
	bool any;
	buf_init(&text);
	enum err err = meta_get_text(db, "arriving", &text, &any, fault);
	if (!err && text.len > 0)
		err = settle_all(&text, set, fault);
	if (!err && text.len > 0)
		err = meta_delete(db, "arriving", fault);
	buf_finish(&text);
	return err;
}

void incoming_archives_abandon(const struct incoming_archives *a, struct archive_set *set)
{
	for (uint32_t i = 0; i < a->count; i++) {
		char path[PATH_MAX];
		archive_set_path(set, a->items[i].file, path);
		if (sys_remove(path) != 0)
			log_warn("an archive of a failed import cannot be removed", "file=\"%s\"", path);
	}
}
