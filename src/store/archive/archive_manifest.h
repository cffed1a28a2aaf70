/* The manifest of an archive, wherever it is: beside it, or inside. */
#ifndef STORE_ARCHIVE_ARCHIVE_MANIFEST_H
#define STORE_ARCHIVE_ARCHIVE_MANIFEST_H

#include "store/archive/archive.h"
#include "store/archive/manifest.h"

/* The one beside it, else the one inside. ERR_NOT_FOUND: there is neither; ERR_CORRUPT, ERR_NEWER, ERR_IO, ERR_NOMEM. */
enum err archive_manifest_find(const char *path, struct manifest *out, struct fault *fault);
/* Adds bytes of the file, `at` bytes from its beginning, but for the manifest inside: see `packed_sha256`. */
void archive_manifest_pass(const struct archive *a, struct sha256 *sha, uint64_t at, struct slice bytes);
/* The one inside. The same errors. */
enum err archive_manifest_inside(struct archive *a, struct manifest *out, struct fault *fault);
/* The one inside the archive at `path`, whatever is beside it. The same errors. */
enum err archive_manifest_read_inside(const char *path, struct manifest *out, struct fault *fault);
/* Makes `m` the one beside the archive; the file that was there is renamed to *.damaged. */
enum err archive_manifest_restore(const char *path, const struct manifest *m, struct fault *fault);

#endif
