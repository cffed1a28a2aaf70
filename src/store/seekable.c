#include "store/seekable.h"

#include <stdlib.h>

enum {
	MAGIC_SKIPPABLE = 0x184D2A5E,
	HEADER = 8,
	SUM_FLAG = 0x80,
	RESERVED_FLAGS = 0x7c,
	ENTRY = 8,
	ENTRY_WITH_SUM = 12,
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
	put(entries, (uint32_t)frame.len);
	put(entries, raw);
	buf_add(entries, frame.p + frame.len - 4, 4);
}

void seekable_end(struct buf *entries, struct buf *out)
{
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
		return fault_set(fault, ERR_CORRUPT, "its seek table is damaged: %u frames in %llu bytes", count,
				 (unsigned long long)size);
	return ERR_NONE;
}

enum err seekable_table(struct slice bytes, uint64_t size, struct seek_table *out, struct fault *fault)
{
	const char *footer = bytes.p + bytes.len - SEEKABLE_FOOTER;
	*out = (struct seek_table){.count = get(footer), .has_sums = (footer[4] & SUM_FLAG) != 0};
	if (get(bytes.p) != MAGIC_SKIPPABLE || get(bytes.p + 4) != bytes.len - HEADER)
		return fault_set(fault, ERR_CORRUPT, "its seek table is damaged: it has no header");
	out->frames = malloc(((size_t)out->count + 1) * sizeof *out->frames);
	if (out->frames == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	size_t entry = out->has_sums ? ENTRY_WITH_SUM : ENTRY;
	uint64_t at = 0;
	for (uint32_t i = 0; i < out->count; i++) {
		const char *e = bytes.p + HEADER + i * entry;
		out->frames[i] = (struct seek_frame){at, get(e), get(e + 4), out->has_sums ? get(e + 8) : 0};
		at += out->frames[i].packed;
		out->raw += out->frames[i].raw;
		if (out->frames[i].raw > SEEKABLE_RAW_MAX || out->frames[i].packed == 0) {
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
