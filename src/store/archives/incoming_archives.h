/* Incoming archives: copied into a store together with a transaction of the database. The files are copied first; the
 * manifest files, which make them archives, are written after the commit. In between the manifests are in the database,
 * meta.arriving, so that opening the store finishes an interrupted copy. */
#ifndef STORE_ARCHIVES_INCOMING_ARCHIVES_H
#define STORE_ARCHIVES_INCOMING_ARCHIVES_H

#include <sqlite3.h>

#include "store/archives/archive_set.h"

struct incoming_archives {
	struct manifest *items;
	uint32_t count;
};

void incoming_archives_finish(struct incoming_archives *a);
/* Copies an archive file, verified by its digest. The set reads it from now on, in this process. */
enum err incoming_archives_copy(struct incoming_archives *a, const char *path, const struct manifest *m,
				struct archive_set *set, struct fault *fault);
/* Writes their manifests to the database, in the open transaction. */
enum err incoming_archives_note(const struct incoming_archives *a, sqlite3 *db, struct fault *fault);
/* After the commit, and when a store is opened: writes the manifest files. */
enum err incoming_archives_settle(sqlite3 *db, struct archive_set *set, struct fault *fault);
/* After a rollback: removes the files. */
void incoming_archives_abandon(const struct incoming_archives *a, struct archive_set *set);

#endif
