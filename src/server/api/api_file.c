/* Web pages: built-in ones, and those of --static DIR, which take precedence. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assets.h"
#include "base/data/hash.h"
#include "base/system/path.h"
#include "server/api/api.h"
#include "server/message/entity.h"
#include "server/message/problem.h"

enum { FILE_MAX = 16 * 1024 * 1024 };

static const char *content_type(struct slice name)
{
	static const struct {
		const char *ending;
		const char *type;
	} types[] = {{".html", "text/html; charset=utf-8"},
		     {".js", "text/javascript; charset=utf-8"},
		     {".mjs", "text/javascript; charset=utf-8"},
		     {".css", "text/css; charset=utf-8"},
		     {".svg", "image/svg+xml"},
		     {".png", "image/png"},
		     {".jpg", "image/jpeg"},
		     {".jpeg", "image/jpeg"},
		     {".gif", "image/gif"},
		     {".webp", "image/webp"},
		     {".ico", "image/x-icon"},
		     {".woff2", "font/woff2"},
		     {".woff", "font/woff"},
		     {".ttf", "font/ttf"},
		     {".json", "application/json"},
		     {".map", "application/json"},
		     {".wasm", "application/wasm"},
		     {".xml", "text/xml; charset=utf-8"},
		     {".txt", "text/plain; charset=utf-8"}};
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		size_t n = strlen(types[i].ending);
		if (name.len > n && memcmp(name.p + name.len - n, types[i].ending, n) == 0)
			return types[i].type;
	}
	return "application/octet-stream";
}

/* --- files of --static DIR --- */

/* A relative path: no segment is empty or begins with a dot, which also excludes "..". */
static bool is_safe(struct slice path)
{
	if (path.len == 0 || path.len >= PATH_MAX / 2 || memchr(path.p, '\0', path.len) != NULL)
		return false;
	bool begins = true;
	for (size_t i = 0; i < path.len; i++) {
		if (begins && (path.p[i] == '.' || path.p[i] == '/'))
			return false;
		begins = path.p[i] == '/';
	}
	return !begins;
}

/* The real path of an open file; false: it cannot be determined. */
static bool real_path(int fd, char out[PATH_MAX])
{
	char link[64];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, out, PATH_MAX - 1);
	out[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* Checks the open file, so that the path cannot be exchanged in between. */
static bool is_below(int fd, const char *dir)
{
	char file[PATH_MAX];
	char folder[PATH_MAX];
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool known = dir_fd >= 0 && real_path(dir_fd, folder) && real_path(fd, file);
	if (dir_fd >= 0)
		close(dir_fd);
	size_t n = known ? strlen(folder) : 0;
	n -= n == 1; /* the root directory */
	return known && strncmp(file, folder, n) == 0 && file[n] == '/';
}

/* Opens a regular file below the directory. Symbolic links within the directory are followed, those that lead out of it
 * are not. */
static int open_file(const char *dir, struct slice path, struct stat *st)
{
	char full[PATH_MAX];
	if (!is_safe(path) || !path_format(full, "%s/%.*s", dir, (int)path.len, path.p))
		return -1;
	int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_size <= FILE_MAX && is_below(fd, dir))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Is it a directory below the operator's, with or without a slash at the end? */
static bool is_folder(const char *dir, struct slice path)
{
	char full[PATH_MAX];
	path.len -= path.len > 0 && path.p[path.len - 1] == '/';
	if (dir == NULL || !is_safe(path) || !path_format(full, "%s/%.*s", dir, (int)path.len, path.p))
		return false;
	int fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool folder = fd >= 0 && is_below(fd, dir);
	if (fd >= 0)
		close(fd);
	return folder;
}

static bool read_all(int fd, struct buf *out, size_t size)
{
	if (!buf_reserve(out, size + 1))
		return false;
	while (out->len < size) {
		ssize_t n = read(fd, out->data + out->len, size - out->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false; /* the file has become shorter meanwhile */
		out->len += (size_t)n;
	}
	return true;
}

/* Sends the file; false: there is none. Operators' pages may use any scripts and styles, but no other site may frame
 * them. */
static bool send_file(const struct api *api, struct http_request *x, struct slice path)
{
	struct stat st;
	char tag[64];
	char modified[ENTITY_DATE_LEN];
	int fd = api->static_dir != NULL ? open_file(api->static_dir, path, &st) : -1;
	if (fd < 0)
		return false;
	snprintf(tag, sizeof tag, "\"%" PRIx64 "-%" PRIx64 "-%lx\"", st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	request_add_header(x, "ETag", tag);
	if (entity_date(st.st_mtim.tv_sec, modified))
		request_add_header(x, "Last-Modified", modified);
	request_add_header(x, "Cache-Control", "no-cache");
	request_add_header(x, "Content-Security-Policy", "frame-ancestors 'self'");
	if (!api_answer_condition(x, tag, st.st_mtim.tv_sec, content_type(path))) {
		request_status(x, 200, content_type(path));
		if (!read_all(fd, request_out(x), (size_t)st.st_size))
			request_problem(x, 503, "cannot read the file");
	}
	close(fd);
	request_done(x);
	return true;
}

/* --- built-in --- */

/* A hash of the bytes: an asset changes with the binary only. */
static void make_tag(const struct asset *a, char out[24])
{
	snprintf(out, 24, "\"%016" PRIx64 "\"", hash_fixed(a->bytes, a->len, 0));
}

static bool send_asset(struct http_request *x, const struct assets *assets, struct slice name)
{
	for (size_t i = 0; i < assets->count; i++) {
		const struct asset *a = &assets->items[i];
		char tag[24];
		if (!slice_is(name, a->name))
			continue;
		make_tag(a, tag);
		request_add_header(x, "ETag", tag);
		request_add_header(x, "Content-Security-Policy",
				   "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'");
		request_add_header(x, "Cache-Control", "no-cache");
		if (!api_answer_condition(x, tag, 0, content_type(name))) {
			request_status(x, 200, content_type(name));
			request_static(x, a->bytes, a->len);
		}
		request_done(x);
		return true;
	}
	return false;
}

static void send_nothing(struct http_request *x)
{
	request_not_found(x);
	request_done(x);
}

void api_page(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct slice name = request_segment(x).len > 0 ? request_segment(x) : slice_of("index.html");
	if (!send_file(arg, x, name) && !send_asset(x, &static_assets, name))
		send_nothing(x);
}

/* The document, with the base path where it states the path of the server's root. */
static bool send_contract_below(struct http_request *x, const struct asset *a, const char *base)
{
	static const char *const roots[] = {"{\"url\": \"/\"}", "\"pathname\": \"/\""};
	static const char *const forms[] = {"{\"url\": \"%s\"}", "\"pathname\": \"%s\""};
	for (int i = 0; i < 2; i++) {
		const char *text = (const char *)a->bytes;
		const char *root = memmem(text, a->len, roots[i], strlen(roots[i]));
		if (root == NULL)
			continue;
		struct buf *out = request_out(x);
		const char *rest = root + strlen(roots[i]);
		buf_add(out, text, (size_t)(root - text));
		buf_printf(out, forms[i], base);
		buf_add(out, rest, (size_t)(text + a->len - rest));
		api_json_done(x, 200);
		return true;
	}
	return false;
}

/* The schemas of the interface: each of these routes is a built-in file. */
void api_contract(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct slice path = request_url(x)->path;
	struct slice name = {path.p + 1, path.len - 1};
	for (size_t i = 0; api->base[0] != '\0' && i < contract_assets.count; i++)
		if (slice_is(name, contract_assets.items[i].name) &&
		    send_contract_below(x, &contract_assets.items[i], api->base))
			return;
	if (!send_asset(x, &contract_assets, name))
		send_nothing(x);
}

/* The page of a problem type; without a name, the list of all types. */
void api_problem(void *arg, struct http_request *x, struct reader *reader)
{
	(void)arg;
	(void)reader;
	if (problem_page(request_out(x), request_segment(x))) {
		request_status(x, 200, "text/html; charset=utf-8");
		request_add_header(x, "Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'");
		request_add_header(x, "Cache-Control", "no-cache");
		request_done(x);
	} else {
		send_nothing(x);
	}
}

/* /static/…: DIR may be the folder `static` itself, or contain it. */
void api_file(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct slice path = request_segment(x);
	char below[PATH_MAX];
	bool fits = path_format(below, "static/%.*s", (int)path.len, path.p) && memchr(path.p, '\0', path.len) == NULL;
	if (send_file(arg, x, path) || (fits && send_file(arg, x, slice_of(below))) || send_asset(x, &static_assets, path))
		return;
	const char *dir = ((struct api *)arg)->static_dir;
	if (is_folder(dir, path) || (fits && is_folder(dir, slice_of(below)))) {
		request_problem(x, 403, "this is a directory");
		request_done(x);
		return;
	}
	send_nothing(x);
}

void api_send_page(const struct api *api, struct http_request *x, const char *page)
{
	struct slice path = request_url(x)->path;
	struct slice name = {path.p + 1, path.len - 1};
	char below[PATH_MAX];
	path_format(below, "static/%.*s", (int)name.len, name.p);
	if (send_file(api, x, name) || send_file(api, x, slice_of(below)) || send_asset(x, &static_assets, slice_of(page)))
		return;
	send_nothing(x);
}
