#include "store/archive/seekable.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/data/checksum.h"

enum {
	MAGIC_SKIPPABLE = 0x184D2A5E,
	MAGIC_MANIFEST = 0x184D2A5D,
	HEADER = SEEKABLE_HEADER,
	SUM_FLAG = 0x80,
	RESERVED_FLAGS = 0x7c,
	ENTRY = 8,
	ENTRY_WITH_SUM = SEEKABLE_ENTRY,
	FRAMES_MAX = 0x8000000, /* of the specification */
};
#define MAGIC_FOOTER UINT32_C(0x8F92EAB1)

static void put(struct buf *out, uint32_t value)
{
	unsigned char bytes[4];
	for (int i = 0; i < 4; i++)
		bytes[i] = (unsigned char)(value >> (8 * i));
	buf_add(out, bytes, sizeof bytes);
}

static uint32_t get(const void *from)
{
	const unsigned char *bytes = from;
	return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

void seekable_add(struct buf *entries, struct slice frame, uint32_t raw)
{
	assert(frame.len >= 4); /* it ends with its checksum */
	put(entries, (uint32_t)frame.len);
	put(entries, raw);
	buf_add(entries, frame.p + frame.len - 4, 4);
}

void seekable_add_hidden(struct buf *entries, size_t len)
{
	put(entries, (uint32_t)len + HEADER);
	put(entries, 0);
	put(entries, checksum_frame((struct slice){"", 0}));
}

void seekable_hide(struct slice manifest, struct buf *out)
{
	put(out, MAGIC_MANIFEST);
	put(out, (uint32_t)manifest.len);
	buf_add(out, manifest.p, manifest.len);
}

bool seekable_is_hidden(struct slice header)
{
	return header.len >= HEADER && get(header.p) == MAGIC_MANIFEST;
}

bool seekable_hidden(struct slice frame, struct slice *manifest)
{
	if (!seekable_is_hidden(frame) || get(frame.p + 4) != frame.len - HEADER)
		return false;
	*manifest = (struct slice){frame.p + HEADER, frame.len - HEADER};
	return true;
}

void seekable_end(struct buf *entries, struct buf *out)
{
	assert(buf_failed(entries) || entries->len % ENTRY_WITH_SUM == 0);
	put(out, MAGIC_SKIPPABLE);
	put(out, (uint32_t)entries->len + SEEKABLE_FOOTER);
	buf_add(out, entries->data, entries->len);
	put(out, (uint32_t)(entries->len / ENTRY_WITH_SUM));
	buf_addc(out, (char)SUM_FLAG);
	put(out, MAGIC_FOOTER);
}

enum err seekable_footer(const unsigned char footer[SEEKABLE_FOOTER], uint64_t size, uint64_t *table_len,
			 struct fault *fault)
{
	if (get(footer + 5) != MAGIC_FOOTER)
		return fault_set(fault, ERR_CORRUPT,
				 "it does not end in a seek table: it is cut short, or not in the zstd seekable format");
	uint32_t count = get(footer);
	uint64_t entry = footer[4] & SUM_FLAG ? ENTRY_WITH_SUM : ENTRY;
	*table_len = HEADER + count * entry + SEEKABLE_FOOTER;
	if ((footer[4] & RESERVED_FLAGS) != 0 || count > FRAMES_MAX || *table_len > size)
		return fault_set(fault, ERR_CORRUPT, "its seek table is damaged: %u frames in %" PRIu64 " bytes", count,
				 size);
	return ERR_NONE;
}

/* Adds an entry; those without content are not frames to read. False: the sizes are impossible. */
static bool add_entry(struct seek_table *t, struct seek_frame f)
{
	bool sound = f.packed > 0 && f.raw <= SEEKABLE_RAW_MAX;
	if (f.raw > 0)
		t->frames[t->count++] = f;
	else
		t->hidden = f;
	if (f.raw == 0 && t->has_sums && f.sum != checksum_frame((struct slice){"", 0}))
		sound = false;
	t->raw += f.raw;
	return sound;
}

enum err seekable_table(struct slice bytes, uint64_t size, struct seek_table *out, struct fault *fault)
{
	const char *footer = bytes.p + bytes.len - SEEKABLE_FOOTER;
	uint32_t count = get(footer);
	*out = (struct seek_table){.has_sums = (footer[4] & SUM_FLAG) != 0};
	size_t entry = out->has_sums ? ENTRY_WITH_SUM : ENTRY;
	if (get(bytes.p) != MAGIC_SKIPPABLE || get(bytes.p + 4) != bytes.len - HEADER)
		return fault_set(fault, ERR_CORRUPT, "its seek table is damaged: it has no header");
	/* The file may have changed since the size of the table was computed. */
	if (bytes.len != HEADER + count * entry + SEEKABLE_FOOTER)
		return fault_set(fault, ERR_CORRUPT, "its seek table is damaged: it does not have %u frames", count);
	out->frames = malloc(((size_t)count + 1) * sizeof *out->frames);
	if (out->frames == NULL)
		return fault_nomem(fault);
	uint64_t at = 0;
	for (uint32_t i = 0; i < count; i++) {
		const char *e = bytes.p + HEADER + i * entry;
		struct seek_frame f = {at, get(e), get(e + 4), out->has_sums ? get(e + 8) : 0};
		at += f.packed;
		if (!add_entry(out, f)) {
			seekable_finish(out);
			return fault_set(fault, ERR_CORRUPT, "its seek table is damaged: frame %u cannot have that size", i);
		}
	}
	if (at + bytes.len == size)
		return ERR_NONE;
	seekable_finish(out);
	return fault_set(fault, ERR_CORRUPT, "its seek table is damaged: the frames it names do not fill the file");
}

void seekable_finish(struct seek_table *t)
{
	free(t->frames);
	t->frames = NULL;
}
