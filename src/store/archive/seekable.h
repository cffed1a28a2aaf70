/* The zstd seekable format, version 0.1.0: independent frames one behind the other, and at the end a table of their sizes
 * in a frame that decoders skip.
 *
 *     frame … frame │ magic 184D2A5D, size, manifest │ magic 184D2A5E, size │ (packed, raw, sum) … │
 *     frames, descriptor, magic 8F92EAB1
 *
 * All numbers are little-endian, 32 bits; `sum` is the content checksum of the frame, and is there when bit 7 of the
 * descriptor (a byte) says so. The frame of the manifest, where there is one, is an entry of the table like any other, with
 * nothing in it (raw is 0), as the format wants it for frames that are skipped. */
#ifndef STORE_ARCHIVE_SEEKABLE_H
#define STORE_ARCHIVE_SEEKABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum {
	SEEKABLE_FOOTER = 9,
	SEEKABLE_HEADER = 8,           /* of a frame that is skipped */
	SEEKABLE_ENTRY = 12,           /* of the table, as it is written */
	SEEKABLE_MANIFEST = 16 * 1024, /* bytes that a manifest has at most */
	/* Raw bytes of one frame: more than the largest event that a server takes, and what a reader sets aside at most. */
	SEEKABLE_RAW_MAX = 128 * 1024 * 1024,
};

struct seek_frame {
	uint64_t at; /* in the file */
	uint32_t packed;
	uint32_t raw;
	uint32_t sum;
};

struct seek_table {
	struct seek_frame *frames;
	uint32_t count;
	bool has_sums;
	uint64_t raw;             /* bytes of all frames */
	struct seek_frame hidden; /* the last that holds nothing: perhaps a manifest; packed 0: there is none */
};

/* --- writing --- */

/* Adds a frame to the entries of a table. `frame` is whole, with its content checksum. */
void seekable_add(struct buf *entries, struct slice frame, uint32_t raw);
/* The frame of a manifest of so many bytes, as an entry; and that frame itself. */
void seekable_add_hidden(struct buf *entries, size_t len);
void seekable_hide(struct slice manifest, struct buf *out);
/* Turns the entries into the frame that ends the file. */
void seekable_end(struct buf *entries, struct buf *out);

/* --- reading --- */

/* From the last SEEKABLE_FOOTER bytes of a file of `size` bytes: how long the table is, with its header and the footer. */
enum err seekable_footer(const unsigned char footer[SEEKABLE_FOOTER], uint64_t size, uint64_t *table_len,
			 struct fault *fault);
/* The table, out of those bytes. Nothing it says is believed that the file's size does not bear out. */
enum err seekable_table(struct slice bytes, uint64_t size, struct seek_table *out, struct fault *fault);
void seekable_finish(struct seek_table *t);
/* Is a frame that holds nothing one of a manifest? `header`: its first SEEKABLE_HEADER bytes. */
bool seekable_is_hidden(struct slice header);
/* The manifest in such a frame; false where its size is another. */
bool seekable_hidden(struct slice frame, struct slice *manifest);

#endif
