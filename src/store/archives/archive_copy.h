/* Copying an archive into the archives of a store. One thread. */
#ifndef STORE_ARCHIVES_ARCHIVE_COPY_H
#define STORE_ARCHIVES_ARCHIVE_COPY_H

#include "store/archives/archive_set.h"

/* Copies an archive, whose digest must be that in `m`, and writes its manifest file. ERR_CONFLICT: the store has another
 * archive of that name; having the same one is success. */
enum err archive_copy(const char *path, const struct manifest *m, struct archive_set *set, struct fault *fault);

/* Copies the file without a manifest file, so that it does not count as an archive yet. */
enum err copy_archive_file(const char *path, const struct manifest *m, struct archive_set *set, struct fault *fault);

#endif
