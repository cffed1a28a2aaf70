/* Copying an archive among those of a store. One thread. */
#ifndef STORE_ARCHIVES_ARCHIVE_COPY_H
#define STORE_ARCHIVES_ARCHIVE_COPY_H

#include "store/archives/archive_set.h"

/* The copy is proven against the digest in `m`. Where the store has such an archive already, it must be the same:
 * ERR_CONFLICT. */
enum err archive_copy(const char *path, const struct manifest *m, struct archive_set *set, struct fault *fault);

/* The file alone: its manifest is what makes an archive of it. */
enum err copy_archive_file(const char *path, const struct manifest *m, struct archive_set *set, struct fault *fault);

#endif
