/* Archives that come into a store from elsewhere, along with what the database says of them: the files come first, the
 * manifests (which make archives of them) when the database has committed. In between their manifests stand in the database,
 * meta.arriving, so that opening the store again finishes what was cut short. */
#ifndef STORE_ARRIVAL_H
#define STORE_ARRIVAL_H

#include <sqlite3.h>

#include "store/archive_set.h"

struct arrivals {
	struct manifest *items;
	uint32_t count;
};

void arrivals_finish(struct arrivals *a);
/* Copies the file of one, proven by its digest. The set reads it from now on, in this process. */
enum err arrivals_copy(struct arrivals *a, const char *path, const struct manifest *m, struct archive_set *set,
		       struct fault *fault);
/* In the open transaction. */
enum err arrivals_note(const struct arrivals *a, sqlite3 *db, struct fault *fault);
/* After it: makes archives of those that are noted. Also on opening. */
enum err arrivals_settle(sqlite3 *db, struct archive_set *set, struct fault *fault);
/* Without it: takes the files away. */
void arrivals_abandon(const struct arrivals *a, struct archive_set *set);

#endif
