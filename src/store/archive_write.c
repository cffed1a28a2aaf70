#include "store/archive_write.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/packer.h"
#include "store/page_build.h"
#include "store/seekable.h"

struct archive_writer {
	struct packer *packer;
	archive_sink *sink;
	void *arg;
	struct buf entries; /* of the seek table */
	struct sha256 *file;
	struct sha256 *chain;
	const struct lineage *lineage;
	struct manifest manifest;
};

static enum err put(struct archive_writer *w, struct slice bytes, struct fault *fault)
{
	sha256_add(w->file, bytes.p, bytes.len);
	w->manifest.bytes += bytes.len;
	return w->sink(w->arg, bytes, fault);
}

/* Perhaps on a thread of the packer's; the writer's own looks at nothing of this before packer_flush. */
static enum err on_frame(void *arg, struct slice frame, struct slice raw, struct fault *fault)
{
	struct archive_writer *w = arg;
	sha256_add(w->chain, raw.p, raw.len);
	seekable_add(&w->entries, frame, (uint32_t)raw.len);
	w->manifest.raw_bytes += raw.len;
	w->manifest.frames++;
	return put(w, frame, fault);
}

enum err archive_writer_create(struct archive_options options, const struct lineage *lineage, const char *previous,
			       archive_sink *sink, void *arg, struct archive_writer **out, struct fault *fault)
{
	*out = NULL;
	struct archive_writer *w = calloc(1, sizeof *w);
	if (w == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	w->sink = sink;
	w->arg = arg;
	w->file = sha256_create();
	w->chain = sha256_create();
	enum err err = w->file != NULL && w->chain != NULL
			       ? packer_create(options.level, options.threads, on_frame, w, &w->packer, fault)
			       : fault_set(fault, ERR_NOMEM, "out of memory");
	if (err) {
		archive_writer_destroy(w);
		return err;
	}
	w->lineage = lineage;
	memset(w->manifest.previous, '0', SHA256_TEXT_LEN);
	if (previous != NULL)
		memcpy(w->manifest.previous, previous, SHA256_TEXT_LEN);
	chain_begin(w->chain, w->manifest.previous);
	*out = w;
	return ERR_NONE;
}

void archive_writer_destroy(struct archive_writer *w)
{
	if (w == NULL)
		return;
	packer_destroy(w->packer);
	sha256_destroy(w->file);
	sha256_destroy(w->chain);
	buf_finish(&w->entries);
	free(w);
}

static void note(struct manifest *m, struct page *page)
{
	struct page_entry first = page_entry(page, 0);
	struct page_entry last = page_entry(page, page_count(page) - 1);
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
	const struct page_form *lines = page_form(page, WIRE_LINE);
	if (lines == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	note(&w->manifest, page);
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

enum err archive_writer_end(struct archive_writer *w, struct manifest *out, struct fault *fault)
{
	unsigned char digest[SHA256_LEN];
	struct buf table;
	enum err err = packer_input(w->packer)->len > 0 ? packer_submit(w->packer, fault) : ERR_NONE;
	if (!err)
		err = packer_flush(w->packer, fault);
	buf_init(&table);
	seekable_end(&w->entries, &table);
	if (!err && (buf_failed(&table) || buf_failed(&w->entries)))
		err = fault_set(fault, ERR_NOMEM, "out of memory");
	if (!err)
		err = put(w, buf_slice(&table), fault);
	buf_finish(&table);
	sha256_end(w->file, digest);
	sha256_text(digest, w->manifest.sha256);
	sha256_end(w->chain, digest);
	sha256_text(digest, w->manifest.chain);
	archive_name(w->manifest.file, w->manifest.first, w->manifest.last, ARCHIVE_ENDING);
	if (!err && w->manifest.count > 0)
		err = manifest_set_lines(&w->manifest, w->lineage, fault);
	*out = w->manifest;
	return err;
}
