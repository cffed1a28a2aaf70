/* Reading an archive, one frame at a time. The file may hold anything: faults name the file and the frame, and sizes that it
 * claims are checked against its length before memory is allocated (seekable.h). One thread. */
#ifndef STORE_ARCHIVE_ARCHIVE_H
#define STORE_ARCHIVE_ARCHIVE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

struct archive;

/* ERR_NOT_FOUND, ERR_IO, ERR_CORRUPT. */
enum err archive_open(const char *path, struct archive **out, struct fault *fault);
/* Opens a damaged archive: its frames are searched for, since its seek table cannot be trusted. */
enum err archive_open_damaged(const char *path, struct archive **out, struct fault *fault);
void archive_close(struct archive *a); /* NULL is fine */

const char *archive_file(const struct archive *a); /* the last part of its path */
uint64_t archive_raw(const struct archive *a);     /* of all lines, in bytes */
uint32_t archive_frames(const struct archive *a);

/* The position of the frame with the embedded manifest, by the seek table; *len is 0 if there is none. */
void archive_hidden_at(const struct archive *a, uint64_t *at, uint64_t *len);
/* Appends the text of the embedded manifest. ERR_NOT_FOUND: there is none. */
enum err archive_hidden(struct archive *a, struct buf *out, struct fault *fault);

/* An unpacked frame, whose checksum was verified: whole lines. Line i is bytes[i ? ends[i - 1] : 0 .. ends[i]), with its
 * newline. Valid until the next call. */
struct archive_lines {
	struct slice bytes;
	const uint32_t *ends;
	uint32_t count;
};
enum err archive_unpack(struct archive *a, uint32_t frame, struct archive_lines *out, struct fault *fault);
struct slice archive_line(const struct archive_lines *lines, uint32_t index); /* without its newline */

/* The frame that has `seq` if any does: the last one that begins at or before it, else the first. The archive has a frame.
 */
enum err archive_seek(struct archive *a, uint64_t seq, uint32_t *frame, struct fault *fault);
/* The last frame that begins before `time_ms`, else the first. The archive has a frame. */
enum err archive_seek_time(struct archive *a, int64_t time_ms, uint32_t *frame, struct fault *fault);

#endif
