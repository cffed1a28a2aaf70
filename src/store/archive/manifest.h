/* The manifest of an archive: a JSON document embedded in it (seekable.h), and as the file FIRST-LAST.json next to
 * FIRST-LAST.ndjson.zst.
 *
 *     {"format":3,"file":"…","epoch":"…","first":1,"last":9,"count":9,"first_time":"…","last_time":"…","raw_bytes":…,
 *      "bytes":…,"frames":…,"sha256":"…","packed_sha256":"…","previous":"…","chain":"…",
 *      "lines":[{"epoch":"…","first":1}],"sum":"…"}
 *
 * `lines` are the lines of history that its events are on, and the event before the first; `epoch` is the last of them.
 * `bytes` is the length of the file. `sha256` is of its content, all raw bytes; `packed_sha256` of the file without
 * the frame of the embedded manifest. `chain` is SHA-256 over the chain of the archive before (`previous`, 32 bytes,
 * zeros where there is none) and the 32 bytes of `sha256`: every change, removal or move of an event, in an archive or
 * between two, can be detected. An archive of format 2 has no embedded manifest: there `sha256` is of the file, there is no
 * `packed_sha256`, and `chain` is over all raw bytes in place of their digest. `sum` is SHA-256 of the text before it; it
 * protects the members that cannot be derived from the archive, such as the lines. */
#ifndef STORE_ARCHIVE_MANIFEST_H
#define STORE_ARCHIVE_MANIFEST_H

#include <stdint.h>

#include "base/buf.h"
#include "base/data/sha256.h"
#include "base/err.h"
#include "base/system/path.h"
#include "store/archive/lineage.h"

enum { MANIFEST_FORMAT = 3, MANIFEST_FORMAT_BESIDE = 2, MANIFEST_LINES_MAX = 8, ARCHIVE_NAME_LEN = 64 };
#define ARCHIVE_ENDING ".ndjson.zst"
#define SELECTION_ENDING ".filtered" ARCHIVE_ENDING /* of one that a filter has made */
#define MANIFEST_ENDING ".json"
#define DAMAGED_ENDING ".damaged" /* added to the names of damaged files that are kept */

struct manifest {
	uint64_t format;
	char file[ARCHIVE_NAME_LEN];
	char epoch[LINE_EPOCH_LEN + 1];
	struct line lines[MANIFEST_LINES_MAX];
	uint32_t line_count; /* 0: not known, and there is no epoch either */
	uint64_t first;
	uint64_t last;
	uint64_t count; /* last - first + 1, unless the archive is a selection */
	int64_t first_ms;
	int64_t last_ms;
	uint64_t raw_bytes;
	uint64_t bytes; /* of the file */
	uint64_t frames;
	char sha256[SHA256_TEXT_LEN + 1];
	char packed_sha256[SHA256_TEXT_LEN + 1]; /* of format 3 */
	char previous[SHA256_TEXT_LEN + 1];
	char chain[SHA256_TEXT_LEN + 1];
};

/* Sets `lines` and `epoch` for events `first` to `last` of this lineage. ERR_INVALID: they are on too many lines;
 * ERR_CONFLICT: on none. */
enum err manifest_set_lines(struct manifest *m, const struct lineage *l, struct fault *fault);
/* Are its events on the lines of this lineage? */
bool manifest_is_on(const struct manifest *m, const struct lineage *l);
/* Reads a JSON array of lines as above. False: it is invalid, or has more than `max`. */
bool manifest_read_lines(struct slice array, struct line *out, uint32_t max, uint32_t *count);
/* Are both equal, except for the name of the file? */
bool manifest_same(const struct manifest *a, const struct manifest *b);
/* The digest of the file without the embedded manifest. */
const char *manifest_digest(const struct manifest *m);
/* Every member, in the order above. */
void manifest_write(struct buf *out, const struct manifest *m);
/* `text` may be any bytes and is overwritten. ERR_CORRUPT, ERR_NEWER, ERR_NOMEM. */
enum err manifest_parse(char *text, size_t len, struct manifest *m, struct fault *fault);

/* The path of the manifest file of an archive: its ending is replaced, or (if the archive has another ending) added. False:
 * it is too long. */
bool manifest_path(const char *archive, char out[PATH_MAX]);
/* Reads the manifest file of an archive. ERR_NOT_FOUND: there is none. */
enum err manifest_read(const char *archive, struct manifest *out, struct fault *fault);
/* Writes the manifest file. ERR_CONFLICT: there is one already. */
enum err manifest_save(const char *archive, const struct manifest *m, struct fault *fault);

/* The chain of an archive with this content digest. False: no memory. */
bool chain_of(const char previous[SHA256_TEXT_LEN], const unsigned char content[SHA256_LEN], char out[SHA256_TEXT_LEN + 1]);
/* Format 2: begins the digest of a chain with the bytes of `previous`. */
void chain_begin(struct sha256 *s, const char previous[SHA256_TEXT_LEN]);

/* FIRST-LAST and the ending. */
void archive_name(char out[ARCHIVE_NAME_LEN], uint64_t first, uint64_t last, const char *ending);
/* The range in such a name. False: it is not such a name. */
bool archive_name_parse(const char *name, const char *ending, uint64_t *first, uint64_t *last);

#endif
