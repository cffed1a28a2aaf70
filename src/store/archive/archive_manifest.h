/* The manifest of an archive: a file next to it, or embedded in it. */
#ifndef STORE_ARCHIVE_ARCHIVE_MANIFEST_H
#define STORE_ARCHIVE_ARCHIVE_MANIFEST_H

#include "store/archive/archive.h"
#include "store/archive/manifest.h"

/* Reads the manifest file, or, if there is none, the embedded manifest. ERR_NOT_FOUND: there is neither; ERR_CORRUPT,
 * ERR_NEWER, ERR_IO, ERR_NOMEM. */
enum err archive_manifest_find(const char *path, struct manifest *out, struct fault *fault);
/* Adds bytes of the file at offset `at` to a digest, except those of the embedded manifest: see `packed_sha256`. */
void archive_manifest_pass(const struct archive *a, struct sha256 *sha, uint64_t at, struct slice bytes);
/* Reads the embedded manifest. The same errors. */
enum err archive_manifest_inside(struct archive *a, struct manifest *out, struct fault *fault);
/* Reads the embedded manifest of the archive at `path`. The same errors. */
enum err archive_manifest_read_inside(const char *path, struct manifest *out, struct fault *fault);
/* Writes the manifest file of an archive; the old file is renamed to *.damaged. */
enum err archive_manifest_restore(const char *path, const struct manifest *m, struct fault *fault);

#endif
