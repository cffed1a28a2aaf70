#include "store/archive/archive_manifest.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/system/path.h"
#include "base/system/sys.h"

enum err archive_manifest_inside(struct archive *a, struct manifest *out, struct fault *fault)
{
	struct buf text;
	buf_init(&text);
	enum err err = archive_hidden(a, &text, fault);
	if (!err) {
		err = manifest_parse(text.data, text.len, out, fault);
		if (!err && out->format < MANIFEST_FORMAT)
			err = fault_set(fault, ERR_CORRUPT,
					"the embedded manifest is of a format without embedded manifests");
		if (err)
			fault_in(fault, archive_file(a), err);
	}
	buf_finish(&text);
	return err;
}

enum err archive_manifest_read_inside(const char *path, struct manifest *out, struct fault *fault)
{
	struct archive *a;
	enum err err = archive_open(path, &a, fault);
	if (err)
		return err;
	err = archive_manifest_inside(a, out, fault);
	archive_close(a);
	return err;
}

enum err archive_manifest_find(const char *path, struct manifest *out, struct fault *fault)
{
	enum err err = manifest_read(path, out, fault);
	return err == ERR_NOT_FOUND ? archive_manifest_read_inside(path, out, fault) : err;
}

enum err archive_manifest_restore(const char *path, const struct manifest *m, struct fault *fault)
{
	char beside[PATH_MAX];
	char damaged[PATH_MAX];
	if (!manifest_path(path, beside))
		return fault_set(fault, ERR_INVALID, "the path is too long: %.100s…", path);
	path_format(damaged, "%s" DAMAGED_ENDING, beside);
	if (sys_rename(beside, damaged) != 0 && errno != ENOENT)
		return sys_fail(fault, "cannot rename to *" DAMAGED_ENDING, beside, errno);
	return manifest_save(path, m, fault);
}

void archive_manifest_pass(const struct archive *a, struct sha256 *sha, uint64_t at, struct slice bytes)
{
	uint64_t hidden;
	uint64_t len;
	archive_hidden_at(a, &hidden, &len);
	uint64_t before = hidden > at ? hidden - at : 0;
	uint64_t behind = hidden + len > at ? hidden + len - at : 0;
	before = before < bytes.len ? before : bytes.len;
	behind = behind < bytes.len ? behind : bytes.len;
	assert(before <= behind && behind <= bytes.len);
	sha256_add(sha, bytes.p, (size_t)before);
	sha256_add(sha, bytes.p + behind, bytes.len - (size_t)behind);
}
