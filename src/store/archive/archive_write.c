#include "store/archive/archive_write.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "event/page_build.h"
#include "store/archive/packer.h"
#include "store/archive/seekable.h"

struct archive_writer {
	struct packer *packer;
	struct archive_output output;
	struct buf entries; /* of the seek table */
	struct sha256 *content;
	struct sha256 *packed; /* of the file without the embedded manifest */
	bool selection;
	const struct lineage *lineage;
	struct manifest manifest;
};

static enum err put(struct archive_writer *w, struct slice bytes, struct fault *fault)
{
	w->manifest.bytes += bytes.len;
	return w->output.sink(w->output.arg, bytes, fault);
}

/* May run on a thread of the packer; the calling thread uses none of this before packer_flush. */
static enum err on_frame(void *arg, struct slice frame, struct slice raw, struct fault *fault)
{
	struct archive_writer *w = arg;
	sha256_add(w->content, raw.p, raw.len);
	sha256_add(w->packed, frame.p, frame.len);
	seekable_add(&w->entries, frame, (uint32_t)raw.len);
	w->manifest.raw_bytes += raw.len;
	w->manifest.frames++;
	return put(w, frame, fault);
}

enum err archive_writer_create(struct archive_options options, const struct lineage *lineage, const char *previous,
			       struct archive_output output, struct archive_writer **out, struct fault *fault)
{
	*out = NULL;
	struct archive_writer *w = calloc(1, sizeof *w);
	if (w == NULL)
		return fault_nomem(fault);
	w->output = output;
	w->selection = options.selection;
	w->content = sha256_create();
	w->packed = sha256_create();
	enum err err = w->content != NULL && w->packed != NULL
			       ? packer_create(options.level, options.threads, on_frame, w, &w->packer, fault)
			       : fault_nomem(fault);
	if (err) {
		archive_writer_destroy(w);
		return err;
	}
	w->lineage = lineage;
	w->manifest.format = MANIFEST_FORMAT;
	memset(w->manifest.previous, '0', SHA256_TEXT_LEN);
	if (previous != NULL)
		memcpy(w->manifest.previous, previous, SHA256_TEXT_LEN);
	*out = w;
	return ERR_NONE;
}

void archive_writer_destroy(struct archive_writer *w)
{
	if (w == NULL)
		return;
	packer_destroy(w->packer);
	sha256_destroy(w->content);
	sha256_destroy(w->packed);
	buf_finish(&w->entries);
	free(w);
}

static void count_page(struct manifest *m, struct page *page)
{
	struct page_entry first = page_entry(page, 0);
	struct page_entry last = page_entry(page, page_count(page) - 1);
	assert(first.seq <= last.seq && (m->count == 0 || first.seq > m->last));
	if (m->count == 0) {
		m->first = first.seq;
		m->first_ms = first.time_ms;
	}
	m->last = last.seq;
	m->last_ms = last.time_ms;
	m->count += page_count(page);
}

enum err archive_writer_add(struct archive_writer *w, struct page *page, struct fault *fault)
{
	uint32_t count = page_count(page);
	if (count == 0)
		return ERR_NONE;
	const struct page_encoding *lines = page_encoding(page, ENCODING_LINE);
	if (lines == NULL)
		return fault_nomem(fault);
	count_page(&w->manifest, page);
	enum err err = ERR_NONE;
	for (uint32_t i = 0; !err && i < count;) {
		struct buf *input = packer_input(w->packer);
		size_t start = i > 0 ? lines->ends[i - 1] : 0;
		size_t end = start;
		for (; i < count && input->len + (end - start) < ARCHIVE_FRAME; i++)
			end = lines->ends[i];
		buf_add(input, lines->bytes + start, end - start);
		if (input->len >= ARCHIVE_FRAME)
			err = packer_submit(w->packer, fault);
	}
	return err;
}

static void take_digest(struct sha256 *sha, char text[SHA256_TEXT_LEN + 1])
{
	unsigned char digest[SHA256_LEN];
	sha256_end(sha, digest);
	sha256_text(digest, text);
}

/* The manifest has the length of the file, of which it is a part: a longer number may make it longer. */
static enum err write_manifest(struct archive_writer *w, struct buf *text, struct fault *fault)
{
	struct manifest *m = &w->manifest;
	uint64_t table = 2 * SEEKABLE_HEADER + w->entries.len + SEEKABLE_ENTRY + SEEKABLE_FOOTER;
	uint64_t rest = m->bytes + table;
	enum err err = manifest_set_lines(m, w->lineage, fault);
	memset(m->packed_sha256, '0', SHA256_TEXT_LEN); /* a placeholder of the same length */
	for (uint64_t before = 0; !err && m->bytes != before;) {
		before = m->bytes;
		text->len = 0;
		manifest_write(text, m);
		m->bytes = rest + text->len;
	}
	return !err && buf_failed(text) ? fault_nomem(fault) : err;
}

/* The seek table, which is part of packed_sha256. */
static enum err write_table(struct archive_writer *w, struct buf *table, struct fault *fault)
{
	seekable_end(&w->entries, table);
	if (buf_failed(table) || buf_failed(&w->entries))
		return fault_nomem(fault);
	sha256_add(w->packed, table->data, table->len);
	take_digest(w->packed, w->manifest.packed_sha256);
	return ERR_NONE;
}

/* Writes what follows the frames: the manifest and the seek table. */
static enum err write_end(struct archive_writer *w, struct fault *fault)
{
	struct buf text;
	struct buf table;
	struct buf hidden;
	buf_init(&text);
	buf_init(&table);
	buf_init(&hidden);
	bool empty = w->manifest.count == 0;
	enum err err = empty ? ERR_NONE : write_manifest(w, &text, fault);
	uint64_t bytes = w->manifest.bytes;
	if (!empty)
		seekable_add_hidden(&w->entries, text.len);
	if (!err)
		err = write_table(w, &table, fault);
	if (!err && !empty) {
		text.len = 0;
		manifest_write(&text, &w->manifest);
		seekable_hide(buf_slice(&text), &hidden);
	}
	if (!err && (buf_failed(&text) || buf_failed(&hidden)))
		err = fault_nomem(fault);
	if (!err && !empty)
		err = put(w, buf_slice(&hidden), fault);
	if (!err)
		err = put(w, buf_slice(&table), fault);
	if (!empty)
		w->manifest.bytes = bytes; /* which is what was put */
	buf_finish(&hidden);
	buf_finish(&table);
	buf_finish(&text);
	return err;
}

enum err archive_writer_end(struct archive_writer *w, struct manifest *out, struct fault *fault)
{
	unsigned char digest[SHA256_LEN];
	struct manifest *m = &w->manifest;
	enum err err = packer_input(w->packer)->len > 0 ? packer_submit(w->packer, fault) : ERR_NONE;
	if (!err)
		err = packer_flush(w->packer, fault);
	sha256_end(w->content, digest);
	sha256_text(digest, m->sha256);
	if (!err && !chain_of(m->previous, digest, m->chain))
		err = fault_nomem(fault);
	archive_name(m->file, m->first, m->last, w->selection ? SELECTION_ENDING : ARCHIVE_ENDING);
	if (!err)
		err = write_end(w, fault);
	*out = *m;
	return err;
}
