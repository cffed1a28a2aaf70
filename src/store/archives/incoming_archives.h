/* Archives that come into a store from elsewhere, along with what the database says of them: the files come first, the
 * manifests (which make archives of them) when the database has committed. In between their manifests stand in the database,
 * meta.arriving, so that opening the store again finishes what was cut short. */
#ifndef STORE_ARCHIVES_INCOMING_ARCHIVES_H
#define STORE_ARCHIVES_INCOMING_ARCHIVES_H

#include <sqlite3.h>

#include "store/archives/archive_set.h"

struct incoming_archives {
	struct manifest *items;
	uint32_t count;
};

void incoming_archives_finish(struct incoming_archives *a);
/* Copies the file of one, proven by its digest. The set reads it from now on, in this process. */
enum err incoming_archives_copy(struct incoming_archives *a, const char *path, const struct manifest *m,
				struct archive_set *set, struct fault *fault);
/* In the open transaction. */
enum err incoming_archives_note(const struct incoming_archives *a, sqlite3 *db, struct fault *fault);
/* After it: makes archives of those that are noted. Also on opening. */
enum err incoming_archives_settle(sqlite3 *db, struct archive_set *set, struct fault *fault);
/* Without it: takes the files away. */
void incoming_archives_abandon(const struct incoming_archives *a, struct archive_set *set);

#endif
