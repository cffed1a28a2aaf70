#include "store/archives/archive_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/system/atomic_file.h"
#include "base/system/path.h"
#include "base/system/sys.h"
#include "store/archive/archive_manifest.h"

enum { CHUNK = 1 << 18 };

/* `a`: the archive, if it has an embedded manifest, which is not part of the digest; else NULL. */
static enum err copy_bytes(int fd, const char *path, const struct archive *a, struct atomic_file *to,
			   const struct manifest *m, struct fault *fault)
{
	unsigned char digest[SHA256_LEN];
	char text[SHA256_TEXT_LEN + 1];
	char *chunk = malloc(CHUNK);
	struct sha256 *sha = sha256_create();
	enum err err = chunk != NULL && sha != NULL ? ERR_NONE : fault_nomem(fault);
	uint64_t at = 0;
	ssize_t n = 0;
	while (!err && (n = read(fd, chunk, CHUNK)) > 0) {
		if (a != NULL)
			archive_manifest_pass(a, sha, at, (struct slice){chunk, (size_t)n});
		else
			sha256_add(sha, chunk, (size_t)n);
		at += (uint64_t)n;
		err = atomic_file_write(to, (struct slice){chunk, (size_t)n}, fault);
	}
	if (!err && n < 0)
		err = sys_fail(fault, "cannot read", path, errno);
	if (!err) {
		sha256_end(sha, digest);
		sha256_text(digest, text);
		if (strcmp(text, manifest_digest(m)) != 0 || at != m->bytes)
			err = fault_set(fault, ERR_CORRUPT, "%s: its SHA-256 is not what its manifest says", path);
	}
	sha256_destroy(sha);
	free(chunk);
	return err;
}

/* The embedded manifest, if the format has one, must be the same. */
static enum err copy_proven(int fd, const char *path, struct atomic_file *to, const struct manifest *m, struct fault *fault)
{
	struct archive *a;
	struct manifest inside;
	if (m->format < MANIFEST_FORMAT)
		return copy_bytes(fd, path, NULL, to, m, fault);
	enum err err = archive_open(path, &a, fault);
	if (!err)
		err = archive_manifest_inside(a, &inside, fault);
	if (!err && !manifest_same(&inside, m))
		err = fault_set(fault, ERR_CORRUPT, "%s: the embedded manifest differs from the manifest file", path);
	if (!err)
		err = copy_bytes(fd, path, a, to, m, fault);
	archive_close(a);
	return err;
}

enum err copy_archive_file(const char *path, const struct manifest *m, struct archive_set *set, struct fault *fault)
{
	char to[PATH_MAX];
	struct manifest known;
	struct atomic_file file;
	if (archive_set_named(set, m->file, &known)) {
		if (strcmp(known.sha256, m->sha256) == 0 || strcmp(known.chain, m->chain) == 0)
			return ERR_NONE;
		return fault_set(fault, ERR_CONFLICT, "%s is another archive than the one in %s", path,
				 archive_set_dir(set));
	}
	archive_set_path(set, m->file, to);
	enum err err = archive_set_prepare(set, fault);
	int fd = err ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (!err && fd < 0)
		return sys_fail(fault, "cannot open", path, errno);
	if (!err)
		err = archive_set_clear(set, m, fault);
	if (!err)
		err = atomic_file_create(&file, to, ATOMIC_FILE_NEW, fault);
	if (!err) {
		err = copy_proven(fd, path, &file, m, fault);
		if (!err)
			err = atomic_file_commit(&file, fault);
		atomic_file_abandon(&file);
	}
	if (fd >= 0)
		close(fd);
	return err;
}

enum err archive_copy(const char *path, const struct manifest *m, struct archive_set *set, struct fault *fault)
{
	struct manifest known;
	bool is_known = archive_set_named(set, m->file, &known);
	enum err err = copy_archive_file(path, m, set, fault);
	return err || is_known ? err : archive_set_add(set, m, fault);
}
