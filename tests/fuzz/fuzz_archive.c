/* Archives and manifests as anybody may have made them. The first byte says which: even, an archive, with a manifest inside
 * or without; odd, a manifest. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/archive/archive_check.h"
#include "store/archive/archive_manifest.h"
#include "store/transfer/restore.h"

static enum err each(void *arg, const struct envelope *e, struct slice text, int64_t time_ms, struct fault *fault)
{
	(void)arg;
	(void)time_ms;
	struct restored_names names;
	struct event event;
	assert(e->data.p >= text.p && e->data.p + e->data.len <= text.p + text.len);
	restore_decode(e, &names, &event, fault);
	return ERR_NONE;
}

static void read_archive(const unsigned char *bytes, size_t len)
{
	char path[64];
	struct fault fault;
	struct manifest m;
	struct archive *a;
	uint32_t frame;
	int fd = memfd_create("archive", 0);
	assert(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	struct archive_check s = {.selection = true, .each = each};
	archive_check(path, &s, &m, &fault);
	if (archive_manifest_find(path, &m, &fault) == ERR_NONE) {
		struct manifest found;
		s.expected = &m;
		if (archive_check(path, &s, &found, &fault) == ERR_NONE)
			assert(found.bytes == len && strcmp(found.sha256, m.sha256) == 0);
	}
	if (archive_open(path, &a, &fault) == ERR_NONE) {
		if (archive_frames(a) > 0) {
			archive_seek(a, 3, &frame, &fault);
			archive_seek_time(a, INT64_C(1795372988850), &frame, &fault);
		}
		archive_close(a);
	}
	if (archive_open_damaged(path, &a, &fault) == ERR_NONE) {
		struct archive_lines lines;
		for (frame = 0; frame < archive_frames(a); frame++)
			archive_unpack(a, frame, &lines, &fault);
		archive_close(a);
	}
	close(fd);
}

static void read_manifest(const unsigned char *bytes, size_t len)
{
	struct manifest m;
	struct fault fault;
	char *text = malloc(len + 1);
	memcpy(text, bytes, len);
	if (manifest_parse(text, len, &m, &fault) == ERR_NONE)
		assert(m.first > 0 && m.last >= m.first && strlen(m.sha256) == SHA256_TEXT_LEN);
	free(text);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);
int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
	if (len == 0)
		return 0;
	if (bytes[0] % 2 == 0)
		read_archive(bytes + 1, len - 1);
	else
		read_manifest(bytes + 1, len - 1);
	return 0;
}
